/**
 * The balance of an account as it was. There is no table of old balances: the journal says it, from the nearer end.
 */
import { errorsOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import type { AccountRef } from './accounts.ts';
import type { AccountBalance } from './contract.ts';
import { ledgerErrors } from './errors.ts';
import { balanceFrom, bigintMax } from './rows.ts';
import {
  type AccountNow,
  type Change,
  journalBroken,
  noSums,
  readAccount,
  type Sums,
  scan,
  undone,
  walkBack,
} from './walk.ts';

const fail = errorsOf(ledgerErrors);

/** Transfers of the account that are undone one by one; each is one lookup by primary key, two for posting a hold. */
const historyStepsMax = 50_000;
/** Transfers read in a row where that is needed instead: one partition of the journal. */
const historyRowsMax = 2_000_000;

/** `timeMs` (ms since 1970) means the newest batch recorded at or before it, by the ledger's clock. */
export type AsOf = { readonly batch: bigint } | { readonly timeMs: number };
/** As of the newest batch. */
export const newestBatch: AsOf = { timeMs: Number.MAX_SAFE_INTEGER };
export interface HistoryLimits {
  readonly stepsMax?: number;
  readonly rowsMax?: number;
}
export interface BalanceAt extends AccountBalance {
  /** The batch the answer is about: asked for again, it gives the same answer for ever. 0: before the first. */
  readonly batch: bigint;
  /** The batch's last transfer and when it was written; 0 for batch 0. */
  readonly lastSeq: bigint;
  readonly recordedMs: number;
}

interface BatchRow {
  readonly no: string;
  readonly last_seq: string;
  readonly recorded_ms: string;
}

async function readBatch(queryable: Queryable, asOf: AsOf): Promise<BatchRow> {
  const beforeAll: BatchRow = { no: '0', last_seq: '0', recorded_ms: '0' };
  if ('timeMs' in asOf) {
    if (!Number.isSafeInteger(asOf.timeMs) || asOf.timeMs < 0)
      throw fail('LEDGER_QUESTION_INVALID', `${asOf.timeMs} is not a time in milliseconds since 1970`);
    const { rows } = await queryable.query<BatchRow>(
      `SELECT no, last_seq, recorded_ms FROM ledger.batch WHERE recorded_ms <= $1
        ORDER BY recorded_ms DESC, no DESC LIMIT 1`,
      [asOf.timeMs],
    );
    return rows[0] ?? beforeAll;
  }
  if (asOf.batch < 0n || asOf.batch > bigintMax)
    throw fail('LEDGER_QUESTION_INVALID', `${asOf.batch} is not the number of a batch`);
  if (asOf.batch === 0n) return beforeAll;
  const { rows } = await queryable.query<BatchRow>(
    'SELECT no, last_seq, recorded_ms FROM ledger.batch WHERE no = $1',
    [asOf.batch],
  );
  const [row] = rows;
  if (row !== undefined) return row;
  const newest = await queryable.query<{ no: string }>('SELECT coalesce(max(no), 0) AS no FROM ledger.batch');
  throw fail(
    'LEDGER_BATCH_UNKNOWN',
    `there is no batch ${asOf.batch}; the newest is ${newest.rows[0]?.no ?? '0'}`,
    { batch: asOf.batch.toString() },
  );
}

const back = (now: AccountNow, change: Change): Sums & { readonly closed: boolean } => ({
  ...undone(now.sums, change),
  closed: change.wasClosed ?? now.closed,
});

/**
 * The sums of an account after the transfer `seq` of the journal (its own or not).
 * @throws LEDGER_HISTORY_LIMITED, LEDGER_JOURNAL_BROKEN
 */
export async function sumsAfter(
  queryable: Queryable,
  now: AccountNow,
  seq: bigint,
  { stepsMax = historyStepsMax, rowsMax = historyRowsMax }: HistoryLimits = {},
): Promise<Sums & { readonly closed: boolean }> {
  const account = now.id;
  if (now.lastSeq <= seq) return { ...now.sums, closed: now.closed };
  if (seq === 0n) return { ...noSums, closed: false };
  const walked = await walkBack(queryable, { account, from: now.lastSeq, downTo: seq, stepsMax });
  if (walked !== undefined) return back(now, walked);
  const fromStart = seq <= now.lastSeq - seq;
  const rows = fromStart ? seq : now.lastSeq - seq;
  if (rows > BigInt(rowsMax))
    throw fail(
      'LEDGER_HISTORY_LIMITED',
      `the account had more than ${stepsMax} transfers since, and ${rows} transfers would have to be read instead, more than ${rowsMax}`,
      { stepsMax, rowsMax, rows: rows.toString() },
    );
  if (!fromStart) return back(now, await scan(queryable, { account, after: seq, upTo: now.lastSeq }));
  const replayed = await scan(queryable, { account, after: 0n, upTo: seq });
  if ([replayed.debitsPending, replayed.creditsPending].some((units) => units < 0n))
    throw journalBroken('more was released from holds than was held');
  return { ...replayed, closed: replayed.isClosed ?? false };
}

/**
 * The balance of an account after a batch, or at a time. An account that was opened later has nothing.
 *
 * A batch is written a moment after its recorded time, so a time that is only just past may get a newer batch when asked for
 * again; the answer names the batch it is about.
 *
 * Cost: one lookup per transfer of this account since the batch, at most {@link historyStepsMax}. If there are more, the
 * journal itself is read from the nearer end, at most {@link historyRowsMax} transfers. Recent times are cheap for every
 * account, all times for a quiet one; a busy account in the middle of a long journal is refused.
 * @throws LEDGER_UNKNOWN_ACCOUNT, LEDGER_BATCH_UNKNOWN, LEDGER_QUESTION_INVALID, LEDGER_HISTORY_LIMITED,
 *   LEDGER_JOURNAL_BROKEN
 */
export async function balanceAt(
  queryable: Queryable,
  options: { readonly account: AccountRef; readonly asOf: AsOf; readonly limits?: HistoryLimits },
): Promise<BalanceAt> {
  // First the batch, then the account: so the account's row has everything that happened up to the batch.
  const batch = await readBatch(queryable, options.asOf);
  const now = await readAccount(queryable, options.account);
  const lastSeq = BigInt(batch.last_seq);
  const sums = await sumsAfter(queryable, now, lastSeq, options.limits);
  return {
    ...balanceFrom(options.account, sums),
    batch: BigInt(batch.no),
    lastSeq,
    recordedMs: Number.parseInt(batch.recorded_ms, 10),
  };
}
