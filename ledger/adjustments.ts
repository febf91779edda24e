/**
 * Corrections by hand. One person proposes, another approves, and then it is booked, once: as new transfers whose reference
 * is the hash of all that was agreed to. The database refuses an adjustment that no second person approved; that it was
 * these people is for the caller to check, and what proves it is stored as evidence.
 */
import type { JsonValue, Sha256 } from '#core/canonical-json';
import { errorsOf, invariant, StrongroomError } from '#core/errors';
import { uuidOf } from '#core/ids';
import { isZero } from '#core/money';
import { inTransaction, type Pool, type Queryable, type Tx } from '#infra/db';
import {
  type AdjustmentContent,
  type AdjustmentDocument,
  accountKind,
  adjustment,
  adjustmentHash,
  isReadable,
  type LedgerProblem,
  ledgerErrors,
  parseAdjustment,
  type TransferCommand,
} from './contract.ts';

const fail = errorsOf(ledgerErrors);

/** What a person reads before signing; more is an import, not a correction. */
const adjustmentLegsMax = 20;
const adjustmentReasonCharsMax = 1_000;
/** A page; people propose a few a day. */
const adjustmentsListedMax = 200;

export interface Adjustment extends AdjustmentContent {
  /** {@link adjustmentHash} of the content; also the reference of its transfers. */
  readonly id: Sha256;
  readonly proposedAt: Date;
  readonly evidence: JsonValue;
  /** Oldest first. */
  readonly approvals: readonly Approver[];
  readonly booked: boolean;
}
export interface BookingOutcome {
  readonly adjustment: Adjustment;
  /** Why it could not be booked although it is approved; it stays approved, and booking can be tried again. */
  readonly refused?: StrongroomError;
}
/** Who did it, and what proves that: stored as it is, read by auditors. */
export interface Approver {
  readonly person: string;
  readonly evidence: JsonValue;
}
export interface Adjustments {
  /**
   * The same content again is the same proposal.
   * @throws LEDGER_ADJUSTMENT_INVALID, LEDGER_UNKNOWN_ACCOUNT, LEDGER_ACCOUNT_PATH_INVALID
   */
  propose(content: AdjustmentContent, evidence: JsonValue): Promise<Adjustment>;
  /**
   * Stores the approval, then books. Safe to repeat.
   * @throws LEDGER_ADJUSTMENT_UNKNOWN, LEDGER_ADJUSTMENT_SAME_PERSON
   */
  approve(id: Sha256, approver: Approver): Promise<BookingOutcome>;
  /** Books what is approved: after {@link BookingOutcome.refused}, or a crash between the two. @throws LEDGER_ADJUSTMENT_UNKNOWN */
  book(id: Sha256): Promise<BookingOutcome>;
  /** @throws LEDGER_ADJUSTMENT_UNKNOWN */
  read(id: Sha256): Promise<Adjustment>;
  /** Newest first. */
  list(filter?: { readonly open?: boolean }): Promise<Adjustment[]>;
}

interface ContentRow {
  readonly content: Sha256;
  readonly reason: string;
  readonly corrects: string | null;
  readonly proposed_by: string;
  readonly legs: AdjustmentDocument['legs'];
}
interface Row extends ContentRow {
  readonly proposed_at: Date;
  readonly evidence: JsonValue;
  readonly approvals: readonly Approver[];
  readonly booked: boolean;
}

const contentOf = (row: ContentRow): AdjustmentContent =>
  parseAdjustment({
    proposedBy: row.proposed_by,
    reason: row.reason,
    ...(row.corrects === null ? {} : { corrects: `tr_${row.corrects}` }),
    legs: row.legs,
  });

const legsColumn = `json_agg(json_build_object('debit', j.debit, 'credit', j.credit, 'asset', j.asset, 'units', j.amount::text)
                  ORDER BY j.leg) AS legs`;
/** One row per adjustment. `$1`: only this one; `$2`: only those not booked. */
const adjustmentsSql = `
  SELECT j.content, j.reason, j.corrects, j.proposed_by, j.proposed_at,
         (array_agg(j.evidence ORDER BY j.leg))[1] AS evidence,
         (SELECT coalesce(json_agg(json_build_object('person', v.person, 'evidence', v.evidence)
                                   ORDER BY v.approved_at, v.person), '[]')
            FROM ledger.adjustment_approval AS v
           WHERE v.adjustment = (array_agg(j.id ORDER BY j.leg))[1]) AS approvals,
         bool_and(i.id IS NOT NULL) AS booked,
         ${legsColumn}
    FROM ledger.adjustment AS j LEFT JOIN ledger.transfer_id AS i ON i.id = j.id
   WHERE $1::text IS NULL OR j.content = $1
   GROUP BY j.content, j.reason, j.corrects, j.proposed_by, j.proposed_at
  HAVING NOT $2::boolean OR NOT bool_and(i.id IS NOT NULL)
   ORDER BY j.proposed_at DESC, j.content LIMIT ${adjustmentsListedMax}`;

async function list(queryable: Queryable, id: Sha256 | null, open: boolean): Promise<Adjustment[]> {
  const { rows } = await queryable.query<Row>(adjustmentsSql, [id, open]);
  return rows.map((row) => ({
    id: row.content,
    ...contentOf(row),
    proposedAt: row.proposed_at,
    evidence: row.evidence,
    approvals: row.approvals,
    booked: row.booked,
  }));
}

/** @throws LEDGER_ADJUSTMENT_UNKNOWN, CORE_INVARIANT for one whose rows were changed */
export async function readAdjustment(queryable: Queryable, id: Sha256): Promise<Adjustment> {
  const [found] = await list(queryable, id, false);
  if (found === undefined)
    throw fail('LEDGER_ADJUSTMENT_UNKNOWN', `nobody proposed the adjustment ${id.slice(0, 80)}`);
  invariant(adjustmentHash(found) === id, 'an adjustment is what its id says', { id });
  return found;
}

function isAsNamed(row: ContentRow): boolean {
  try {
    return adjustmentHash(contentOf(row)) === row.content;
  } catch {
    return false; // not even the form of an adjustment
  }
}

/** Proposals whose rows are not what their hash says. The database cannot tell: canonical JSON is not its business. */
export async function adjustmentProblems(queryable: Queryable): Promise<LedgerProblem[]> {
  const problems: LedgerProblem[] = [];
  for (let after = ''; ; ) {
    const { rows } = await queryable.query<
      ContentRow & { readonly ids: string; readonly is_counted: boolean }
    >(
      `SELECT j.content, j.reason, j.corrects, j.proposed_by, ${legsColumn}, string_agg(j.id::text, ', ' ORDER BY j.leg) AS ids,
              (min(j.leg), max(j.leg), count(DISTINCT j.leg)) = (1, count(*), count(*)) AS is_counted
         FROM ledger.adjustment AS j
        WHERE j.content = ANY (ARRAY(SELECT DISTINCT content FROM ledger.adjustment WHERE content > $1
                                      ORDER BY content LIMIT ${adjustmentsListedMax}))
        GROUP BY j.content, j.reason, j.corrects, j.proposed_by ORDER BY j.content`,
      [after],
    );
    for (const row of rows)
      if (!row.is_counted || !isAsNamed(row))
        problems.push({
          check: 'adjustment',
          place: row.ids,
          problem: `is not what was agreed to as ${row.content}`,
        });
    const last = rows.at(-1);
    if (last === undefined) return problems;
    after = last.content;
  }
}

function assertContent({ proposedBy, reason, legs }: AdjustmentContent): void {
  const wrong = (what: string): StrongroomError => fail('LEDGER_ADJUSTMENT_INVALID', `an adjustment ${what}`);
  if (proposedBy === '') throw wrong('is proposed by a person');
  if (reason.trim() === '' || reason.length > adjustmentReasonCharsMax)
    throw wrong(`has a reason of 1 to ${adjustmentReasonCharsMax} characters`);
  if (!isReadable(reason)) throw wrong('has a reason on one line, without control characters');
  if (legs.length < 1 || legs.length > adjustmentLegsMax)
    throw wrong(`has 1 to ${adjustmentLegsMax} legs, this one ${legs.length}`);
  for (const leg of legs) {
    accountKind(leg.debit);
    accountKind(leg.credit);
    if (leg.debit === leg.credit || isZero(leg.amount))
      throw wrong('moves more than zero between two accounts with each leg');
  }
}

async function assertKnown(tx: Tx, { corrects, legs }: AdjustmentContent): Promise<void> {
  const accounts = legs.flatMap((leg) => [leg.debit, leg.credit].map((path) => [path, leg.amount.asset]));
  const { rows } = await tx.query<{ path: string; asset: string }>(
    `SELECT path, asset FROM unnest($1::text[], $2::text[]) AS u (path, asset)
     EXCEPT SELECT path, asset FROM ledger.account WHERE path = ANY ($1)`,
    [accounts.map(([path]) => path), accounts.map(([, asset]) => asset)],
  );
  const [unknown] = rows;
  if (unknown !== undefined)
    throw fail('LEDGER_UNKNOWN_ACCOUNT', `${unknown.path} is not open for ${unknown.asset}`, {
      account: unknown.path,
    });
  if (corrects === undefined) return;
  const found = await tx.query('SELECT FROM ledger.transfer_id WHERE id = $1', [uuidOf(corrects)]);
  if (found.rowCount !== 1)
    throw fail('LEDGER_ADJUSTMENT_INVALID', `the journal has no transfer ${corrects} to correct`, {
      corrects,
    });
}

async function store(tx: Tx, content: AdjustmentContent, evidence: JsonValue): Promise<void> {
  const { legs, reason, corrects, proposedBy } = content;
  await tx.query(
    `INSERT INTO ledger.adjustment (id, content, leg, debit, credit, asset, amount, reason, corrects, proposed_by, evidence)
       SELECT u.id, $1, u.leg, u.debit, u.credit, u.asset, u.amount, $2, $3, $4, $5::jsonb
         FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::numeric[])
              WITH ORDINALITY AS u (id, debit, credit, asset, amount, leg)
     ON CONFLICT DO NOTHING`,
    [
      adjustmentHash(content),
      reason,
      corrects === undefined ? null : uuidOf(corrects),
      proposedBy,
      JSON.stringify(evidence),
      adjustment(content).map(({ id }) => uuidOf(id)),
      legs.map(({ debit }) => debit),
      legs.map(({ credit }) => credit),
      legs.map(({ amount: { asset } }) => asset),
      legs.map(({ amount: { units } }) => units.toString()),
    ],
  );
}

async function storeApproval(tx: Tx, id: Sha256, { person, evidence }: Approver): Promise<void> {
  const { proposedBy } = await readAdjustment(tx, id);
  if (person === proposedBy)
    throw fail('LEDGER_ADJUSTMENT_SAME_PERSON', `${person} proposed ${id} and so cannot approve it`, { id });
  await tx.query(
    `INSERT INTO ledger.adjustment_approval (adjustment, person, evidence)
       SELECT id, $2, $3::jsonb FROM ledger.adjustment WHERE content = $1
     ON CONFLICT DO NOTHING`,
    [id, person, JSON.stringify(evidence)],
  );
}

/** @param applyOrThrow the ledger's */
export function createAdjustments(
  pool: Pool,
  applyOrThrow: (commands: readonly TransferCommand[], tx: Tx) => Promise<unknown>,
): Adjustments {
  const book = async (id: Sha256): Promise<BookingOutcome> => {
    const proposed = await readAdjustment(pool, id);
    try {
      await inTransaction(pool, async (tx) => await applyOrThrow(adjustment(proposed), tx));
    } catch (error) {
      // The books say no, which a person can change; anything else is not for a person to decide.
      if (!(error instanceof StrongroomError) || !(error.code in ledgerErrors)) throw error;
      return { adjustment: await readAdjustment(pool, id), refused: error };
    }
    return { adjustment: await readAdjustment(pool, id) };
  };
  return {
    propose: async (content, evidence) => {
      assertContent(content);
      return await inTransaction(pool, async (tx) => {
        await assertKnown(tx, content);
        await store(tx, content, evidence);
        return await readAdjustment(tx, adjustmentHash(content));
      });
    },
    approve: async (id, approver) => {
      await inTransaction(pool, async (tx) => {
        await storeApproval(tx, id, approver);
      });
      return await book(id);
    },
    book,
    read: async (id) => await readAdjustment(pool, id),
    list: async ({ open = false } = {}) => await list(pool, null, open),
  };
}
