/**
 * Signs the newest head and hands it to those who keep it outside the database. Safe to run twice and at once: a head is
 * signed once per batch, its record is committed before anybody sees it, and a witness takes the same head any number of
 * times.
 */
import { canonicalJson } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { inTransaction, type Pool, type Tx } from '#infra/db';
import { ledgerErrors } from './errors.ts';
import { readExportedHeads, saveExportedHead } from './exported-heads.ts';
import {
  checkAgainstHeads,
  found,
  type HeadProblem,
  headsOf,
  keeperOf,
  ownRecord,
  sortOut,
} from './head-check.ts';
import type { HeadKey } from './head-key.ts';
import { type HeadAnswer, type HeadWitnesses, ledgerHeadDomain, type SignedHead } from './heads.ts';

const fail = errorsOf(ledgerErrors);
/** Any fixed number: exports of all processes sign one after the other, so that heads are recorded in their order. */
const exportLockKey = 7_305_871_015;

export interface HeadExportOptions {
  readonly pool: Pool;
  readonly key: HeadKey;
  readonly witnesses: HeadWitnesses;
  readonly clock: Clock;
}
export type HeadExport =
  /** There is no batch yet. */
  | { readonly state: 'empty' }
  | {
      readonly state: 'exported';
      readonly head: SignedHead;
      /** False when this head had been signed before and was only published again. */
      readonly isNew: boolean;
      /** One per witness. What is not `recorded` will be by the next export that reaches it. */
      readonly answers: readonly HeadAnswer[];
    };

interface HeadRow {
  readonly batch_no: string;
  readonly last_seq: string;
  readonly hash: Buffer;
  readonly recorded_ms: string | null;
}

function forked(problems: readonly HeadProblem[], evidence: readonly SignedHead[]): Error {
  const texts = problems.map(({ place, problem }) => `${place} ${problem}`);
  return fail('LEDGER_FORKED', `the ledger is not the one that was exported: ${texts.join('; ')}`, {
    problems: texts,
    evidence: evidence.map((head) => canonicalJson(head)),
  });
}

/** The newest batch, whole. @throws LEDGER_FORKED when the head names a batch that is not there */
async function readHead(tx: Tx): Promise<HeadRow & { readonly recorded_ms: string }> {
  const { rows } = await tx.query<HeadRow>(
    `SELECT h.batch_no, h.last_seq, h.hash, CASE WHEN h.batch_no = 0 THEN 0 ELSE b.recorded_ms END AS recorded_ms
       FROM ledger.head AS h
       LEFT JOIN ledger.batch AS b ON (b.no, b.last_seq, b.hash) = (h.batch_no, h.last_seq, h.hash)`,
  );
  const [row, ...more] = rows;
  if (row === undefined || row.recorded_ms === null || more.length > 0)
    throw forked([found('head', `names batch ${row?.batch_no ?? '?'}, which is not there`)], []);
  return { ...row, recorded_ms: row.recorded_ms };
}

/** @throws LEDGER_FORKED when the newest head signed before is not of this ledger any more */
async function signHead(
  tx: Tx,
  { key, clock }: HeadExportOptions,
): Promise<{ readonly head: SignedHead; readonly isNew: boolean } | undefined> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [exportLockKey]);
  const row = await readHead(tx);
  const shown = await readExportedHeads(tx, key.ledger, { newest: 1 });
  const own = sortOut(
    key.publicKey,
    shown.map((head) => ({ head, keeper: ownRecord })),
  );
  const { problems } = await checkAgainstHeads(tx, own.kept);
  if (own.problems.length + problems.length > 0) throw forked([...own.problems, ...problems], shown);
  const [last] = shown;
  if (last?.statement.batch === row.batch_no) return { head: last, isNew: false };
  if (row.batch_no === '0') return undefined;
  const head = key.sign({
    domain: ledgerHeadDomain,
    ledger: key.ledger,
    batch: row.batch_no,
    lastSeq: row.last_seq,
    hash: `sha256:${row.hash.toString('hex')}`,
    recordedMs: Number.parseInt(row.recorded_ms, 10),
    signedMs: clock.nowMs(),
  });
  await saveExportedHead(tx, head);
  return { head, isNew: true };
}

/**
 * Heads that witnesses show, before this one or instead of it, against the database as it is now: that another process exported a newer one meanwhile
 * is no contradiction. Only the ledger's own signature makes a head evidence: one hostile witness must not be able to stop
 * the exchange by its word.
 * @throws LEDGER_FORKED
 */
async function assertSameLedger(
  { pool, key }: HeadExportOptions,
  shown: readonly { readonly party: number; readonly head: unknown }[],
): Promise<void> {
  const { kept } = sortOut(
    key.publicKey,
    shown.map(({ party, head }) => ({ head, keeper: keeperOf(party) })),
  );
  const { problems } = await checkAgainstHeads(pool, kept);
  if (problems.length > 0)
    throw forked(
      problems,
      kept.map(({ head }) => head),
    );
}

/**
 * @returns what every witness answered; a part of them missing is a value, not an error
 * @throws LEDGER_FORKED when a head with this key's signature, the last one recorded here or one that a witness shows, is not
 *   of the ledger in the database; details.problems name the places and who has the head, details.evidence the signed heads
 */
export async function exportHead(options: HeadExportOptions): Promise<HeadExport> {
  const { pool, witnesses } = options;
  const signed = await inTransaction(pool, async (tx) => await signHead(tx, options));
  if (signed === undefined) {
    const held = await witnesses.read(1);
    await assertSameLedger(options, held.flatMap(headsOf));
    return { state: 'empty' };
  }
  const answers = await witnesses.publish(signed.head);
  await assertSameLedger(
    options,
    answers.flatMap((answer) => {
      const head =
        answer.state === 'recorded'
          ? answer.previous
          : answer.state === 'refused'
            ? answer.recorded
            : undefined;
      return head === undefined ? [] : [{ party: answer.party, head }];
    }),
  );
  return { state: 'exported', ...signed, answers };
}
