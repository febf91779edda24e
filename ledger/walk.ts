/**
 * The transfers of one account, newest first. Every transfer names the ones before it of its two accounts, so no index on
 * accounts is needed: one lookup by seq per transfer.
 *
 * Rows of the journal never change and `last_seq` is written with the sums. So what is read from one account row backwards
 * is consistent without a transaction, however many transfers are written meanwhile.
 */
import { errorsOf } from '#core/errors';
import { parseUnits } from '#core/money';
import type { Queryable } from '#infra/db';
import type { AccountRef } from './accounts.ts';
import { ledgerErrors } from './errors.ts';
import { parseSigned } from './rows.ts';

const fail = errorsOf(ledgerErrors);

/** The four sums of an account, base units. */
export interface Sums {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
}
export const noSums: Sums = { debitsPending: 0n, debitsPosted: 0n, creditsPending: 0n, creditsPosted: 0n };
/** An account as one row of the database says. */
export interface AccountNow {
  readonly id: bigint;
  readonly sums: Sums;
  readonly lastSeq: bigint;
  readonly closed: boolean;
}

interface SumsRow {
  readonly debits_pending: string;
  readonly debits_posted: string;
  readonly credits_pending: string;
  readonly credits_posted: string;
}

/** @throws LEDGER_UNKNOWN_ACCOUNT */
export async function readAccount(queryable: Queryable, { path, asset }: AccountRef): Promise<AccountNow> {
  const { rows } = await queryable.query<SumsRow & { id: string; last_seq: string; closed: boolean }>(
    `SELECT id, last_seq, closed, debits_pending, debits_posted, credits_pending, credits_posted
       FROM ledger.account_balance WHERE path = $1 AND asset = $2`,
    [path, asset],
  );
  const [row] = rows;
  if (row === undefined)
    throw fail('LEDGER_UNKNOWN_ACCOUNT', `there is no account ${path} of ${asset}`, { path, asset });
  return {
    id: BigInt(row.id),
    lastSeq: BigInt(row.last_seq),
    closed: row.closed,
    sums: {
      debitsPending: parseUnits(row.debits_pending),
      debitsPosted: parseUnits(row.debits_posted),
      creditsPending: parseUnits(row.credits_pending),
      creditsPosted: parseUnits(row.credits_posted),
    },
  };
}

/**
 * What transfer `t` did to the account $1. Posting part of a hold releases all of it, and only the hold's own line says how
 * much that was; voiding and expiring carry the whole amount themselves.
 */
const effectColumns = `
  t.debit_account = $1 AS is_debit,
  CASE WHEN t.kind IN ('post', 'post-pending') THEN t.amount ELSE 0 END AS posted,
  CASE t.kind
    WHEN 'pending' THEN t.amount
    WHEN 'void-pending' THEN -t.amount
    WHEN 'expire-pending' THEN -t.amount
    WHEN 'post-pending' THEN -(SELECT m.amount FROM ledger.transfer_id AS i JOIN ledger.transfer AS m ON m.seq = i.seq
                                WHERE i.id = t.pending_id)
    ELSE 0 END AS pending`;

/**
 * `walk`: the transfers of the account $1 from $2 back to, and without, $3; at most $4 of them. Row 0 is the start, `before`
 * of the last row is where it stopped. OFFSET 0 keeps the planner from reading the whole journal to find one row of it.
 */
export const walkSql = `WITH RECURSIVE walk AS (
  SELECT 0 AS n, NULL::bigint AS seq, $2::bigint AS before, NULL::ledger.transfer_kind AS kind, NULL::boolean AS is_debit,
         0::numeric AS posted, 0::numeric AS pending
  UNION ALL
  SELECT walk.n + 1, leg.*
    FROM walk CROSS JOIN LATERAL (
      SELECT t.seq, CASE WHEN t.debit_account = $1 THEN t.debit_before ELSE t.credit_before END, t.kind, ${effectColumns}
        FROM ledger.transfer AS t
       WHERE t.seq = walk.before AND (t.debit_account = $1 OR t.credit_account = $1) OFFSET 0) AS leg
   WHERE walk.n < $4 AND walk.before > $3)`;

/** The same from a range of the journal, read as a whole. */
const scanSql = `WITH walk AS (
  SELECT t.seq, t.kind, ${effectColumns}
    FROM ledger.transfer AS t
   WHERE t.seq > $2 AND t.seq <= $3 AND (t.debit_account = $1 OR t.credit_account = $1))`;

const sumColumns = `
  coalesce(sum(pending) FILTER (WHERE is_debit), 0) AS debits_pending,
  coalesce(sum(posted) FILTER (WHERE is_debit), 0) AS debits_posted,
  coalesce(sum(pending) FILTER (WHERE NOT is_debit), 0) AS credits_pending,
  coalesce(sum(posted) FILTER (WHERE NOT is_debit), 0) AS credits_posted,
  (array_agg(kind ORDER BY seq) FILTER (WHERE kind IN ('close-account', 'reopen-account'))) AS statuses`;

/** What some transfers together did to an account. */
export interface Change extends Sums {
  /** Closed before the first of them, after the last of them; absent when none closed or reopened the account. */
  readonly wasClosed?: boolean;
  readonly isClosed?: boolean;
}
interface ChangeRow extends SumsRow {
  readonly statuses: string | null;
}

function changeOf(row: ChangeRow): Change {
  // The driver knows no array of this enum: {close-account,reopen-account}
  const statuses = row.statuses?.slice(1, -1).split(',');
  return {
    debitsPending: parseSigned(row.debits_pending),
    debitsPosted: parseSigned(row.debits_posted),
    creditsPending: parseSigned(row.credits_pending),
    creditsPosted: parseSigned(row.credits_posted),
    ...(statuses === undefined
      ? {}
      : {
          wasClosed: statuses[0] === 'reopen-account',
          isClosed: statuses.at(-1) === 'close-account',
        }),
  };
}

/** @throws LEDGER_JOURNAL_BROKEN */
export function journalBroken(problem: string, details: Record<string, string> = {}): Error {
  return fail('LEDGER_JOURNAL_BROKEN', `the journal contradicts itself: ${problem}`, details);
}

/** `after` as it was before `change`. @throws LEDGER_JOURNAL_BROKEN when that is below zero, which no account ever was */
export function undone(after: Sums, change: Sums): Sums {
  const before = {
    debitsPending: after.debitsPending - change.debitsPending,
    debitsPosted: after.debitsPosted - change.debitsPosted,
    creditsPending: after.creditsPending - change.creditsPending,
    creditsPosted: after.creditsPosted - change.creditsPosted,
  };
  if (Object.values(before).some((units) => units < 0n))
    throw journalBroken('undoing transfers of an account leaves less than nothing');
  return before;
}

/**
 * What the transfers of an account after `downTo` up to `from` did; `undefined` when there are more than `stepsMax`.
 * @throws LEDGER_JOURNAL_BROKEN
 */
export async function walkBack(
  queryable: Queryable,
  walk: {
    readonly account: bigint;
    readonly from: bigint;
    readonly downTo: bigint;
    readonly stepsMax: number;
  },
): Promise<Change | undefined> {
  const { rows } = await queryable.query<ChangeRow & { steps: number; stopped_at: string }>(
    `${walkSql}
     SELECT ${sumColumns}, max(n) AS steps, (array_agg(before ORDER BY n DESC))[1] AS stopped_at FROM walk`,
    [walk.account, walk.from, walk.downTo, walk.stepsMax],
  );
  const [row] = rows;
  if (row === undefined) throw new TypeError('an aggregate has one row');
  if (BigInt(row.stopped_at) <= walk.downTo) return changeOf(row);
  if (row.steps >= walk.stepsMax) return undefined;
  throw journalBroken(`transfer ${row.stopped_at} of account ${walk.account} is missing`);
}

/** What the transfers of an account after `after` up to `upTo` did, by reading all transfers in between. */
export async function scan(
  queryable: Queryable,
  range: { readonly account: bigint; readonly after: bigint; readonly upTo: bigint },
): Promise<Change> {
  const { rows } = await queryable.query<ChangeRow>(`${scanSql} SELECT ${sumColumns} FROM walk`, [
    range.account,
    range.after,
    range.upTo,
  ]);
  const [row] = rows;
  if (row === undefined) throw new TypeError('an aggregate has one row');
  return changeOf(row);
}
