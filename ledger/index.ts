/**
 * The ledger's facade. All writing is one call of one SQL function, `ledger.apply_batch`; everything else reads.
 *
 * Money moves in the caller's transaction or in one of its own. In the caller's: put all commands into one call and make it
 * the last statement, because from there to the commit every other writer of the ledger waits. Without a transaction the
 * commands of all callers of this process are written together (group commit), which is many times faster.
 */
import { errorsOf } from '#core/errors';
import type { AssetId } from '#core/money';
import { inTransaction, type Pool, type Queryable, type Tx } from '#infra/db';
import { createAccountIds } from './account-ids.ts';
import { adjustmentProblems } from './adjustments.ts';
import {
  applyBatch,
  applyPreparedBatch,
  type PreparedBatch,
  prepareBatch,
  registerDiffers,
} from './batch-call.ts';
import { assertApplied, assertCommands } from './commands.ts';
import {
  type AccountBalance,
  type AccountRef,
  accountKind,
  type BalanceFilter,
  type BatchRange,
  type LedgerProblem,
  type LedgerTotals,
  type LedgerVerification,
  ledgerErrors,
  type StreamPortion,
  type Transfer,
  type TransferCommand,
  type TransferResult,
} from './contract.ts';
import { dueExpiries } from './expiry.ts';
import { balances, totals, transfersByReference } from './reads.ts';
import { advanceStream, streamPosition } from './streams.ts';
import { createLedgerWriter } from './writer.ts';

export { type Adjustment, type Adjustments, type BookingOutcome, createAdjustments } from './adjustments.ts';
export { verifyAllHeads } from './all-heads.ts';
export type { PreparedBatch } from './batch-call.ts';
export {
  type EventsOfCodes,
  type EventsQuery,
  eventsPerPortionMax,
  followEvents,
  readEvents,
  readEventsOfCodes,
} from './events.ts';
export { type ExplainedTransfer, explain, explainedTransfersMax } from './explain.ts';
export {
  balanceJson,
  type ExportFormat,
  exportFormats,
  exportJournal,
  exportStatement,
  statementLineJson,
  transferJson,
} from './export.ts';
export { type HeadCheck, verifyHeads } from './head-check.ts';
export { exportHead, type HeadExport } from './head-export.ts';
export { openHeadKey } from './head-key.ts';
export { type AsOf, type BalanceAt, balanceAt, newestBatch } from './history.ts';
export {
  type ImportPorts,
  type ImportResult,
  type ImportSummary,
  importLines,
  isImported,
} from './import.ts';
export { ensurePartitions, newestBatches } from './operations.ts';
export { type Recomputed, recompute } from './recompute.ts';
export {
  type StatementLine,
  type StatementPage,
  statementLinesMax,
  statementPage,
} from './statements.ts';

const fail = errorsOf(ledgerErrors);

/** Holds ended by one call; the keeper calls again while there are more. */
export const expiriesPerCallMax = 1_000;

export interface Ledger {
  /** Opens what is not open yet. @throws LEDGER_ACCOUNT_PATH_INVALID */
  openAccounts(queryable: Queryable, accounts: readonly AccountRef[]): Promise<void>;
  /**
   * Applies the commands in order; one result per command, in the same order. Without `tx` they are committed when this
   * resolves.
   * @throws LEDGER_BATCH_INVALID; without `tx` also LEDGER_WRITER_BUSY, LEDGER_OUTCOME_UNKNOWN
   */
  apply(commands: readonly TransferCommand[], tx?: Tx): Promise<TransferResult[]>;
  /**
   * All commands or none: for commands that must succeed together with the caller's other rows.
   * @throws LEDGER_INSUFFICIENT_FUNDS and the other errors of a status (`docs/errors.md`), LEDGER_BATCH_INVALID; the caller's
   * transaction must then be rolled back
   */
  applyOrThrow(commands: readonly TransferCommand[], tx: Tx): Promise<TransferResult[]>;
  /**
   * Checks a batch and writes it down for {@link applyPrepared}: what would otherwise be done while all other writers wait. The
   * accounts must be open, and committed as that. @throws LEDGER_BATCH_INVALID
   */
  prepare(commands: readonly TransferCommand[]): Promise<PreparedBatch>;
  /**
   * As {@link applyOrThrow}.
   * @throws also LEDGER_REGISTER_DIFFERS: roll back, prepare the commands again
   */
  applyPrepared(batch: PreparedBatch, tx: Tx): Promise<TransferResult[]>;
  /**
   * Books a portion of a stream once: all its commands and the new position, or nothing. `exists` if it was booked before.
   * @throws LEDGER_STREAM_INVALID, LEDGER_STREAM_GAP, and what applyOrThrow throws
   */
  applyPortion(portion: StreamPortion, commands: readonly TransferCommand[]): Promise<'ok' | 'exists'>;
  /** How far a stream is booked; 0 for a new one. */
  streamPosition(stream: string, queryable?: Queryable): Promise<bigint>;
  /** Ends holds whose timeout has passed, at most {@link expiriesPerCallMax}; returns how many it ended. */
  expireDue(): Promise<number>;
  /** Ordered by path and asset. Pass the transaction to read what it has written. */
  balances(filter: BalanceFilter, queryable?: Queryable): Promise<AccountBalance[]>;
  /** In the order of the journal. */
  transfersByReference(reference: string, queryable?: Queryable): Promise<Transfer[]>;
  /**
   * Recomputes balances, zero sums, holds, adjustments, the register of accounts and the hash chain from the journal. Reads all of it;
   * with `range` only the chain of these batches.
   */
  verify(queryable?: Queryable, range?: BatchRange): Promise<LedgerVerification>;
  /** What can be checked at any time in milliseconds: zero sums, and that the head is the newest batch. */
  verifyTotals(queryable?: Queryable): Promise<LedgerVerification>;
  totals(asset: AssetId, queryable?: Queryable): Promise<LedgerTotals>;
}

export interface LedgerOptions {
  readonly pool: Pool;
}

async function openAccounts(queryable: Queryable, accounts: readonly AccountRef[]): Promise<void> {
  for (const { path } of accounts) accountKind(path);
  await queryable.query('SELECT ledger.open_accounts($1, $2)', [
    accounts.map(({ path }) => path),
    accounts.map(({ asset }) => asset),
  ]);
}

async function applyOrThrow(commands: readonly TransferCommand[], tx: Tx): Promise<TransferResult[]> {
  assertCommands(commands);
  const results = await applyBatch(tx, commands);
  assertApplied(commands, results);
  return results;
}

const isRegisterDiffers = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === registerDiffers;

async function problemsOf(
  queryable: Queryable,
  source: string,
  values: unknown[] = [],
): Promise<LedgerVerification> {
  const { rows } = await queryable.query<LedgerProblem>(
    `SELECT "check", place, problem FROM ${source} ORDER BY "check", place`,
    values,
  );
  return { ok: rows.length === 0, problems: rows };
}

async function verifyAll(queryable: Queryable): Promise<LedgerVerification> {
  const { problems } = await problemsOf(queryable, 'ledger.verify()');
  const all = [...problems, ...(await adjustmentProblems(queryable))];
  return { ok: all.length === 0, problems: all };
}

export function createLedger({ pool }: LedgerOptions): Ledger {
  const writer = createLedgerWriter(pool);
  const ids = createAccountIds();
  return {
    openAccounts,
    apply: async (commands, tx) => {
      if (tx === undefined) return await writer.submit(commands);
      assertCommands(commands);
      return await applyBatch(tx, commands);
    },
    applyOrThrow,
    prepare: async (commands) => {
      assertCommands(commands);
      return await prepareBatch(pool, commands, ids);
    },
    applyPrepared: async (batch, tx) => {
      const results = await applyPreparedBatch(tx, batch).catch((error: unknown) => {
        if (!isRegisterDiffers(error)) throw error;
        ids.forget();
        throw fail(
          'LEDGER_REGISTER_DIFFERS',
          'the accounts are not those the batch was prepared with',
          {},
          error,
        );
      });
      assertApplied(batch.commands, results);
      return results;
    },
    applyPortion: async (portion, commands) =>
      await inTransaction(pool, async (tx) => {
        if (!(await advanceStream(tx, portion))) return 'exists';
        if (commands.length > 0) await applyOrThrow(commands, tx);
        return 'ok';
      }),
    streamPosition: (stream, queryable = pool) => streamPosition(queryable, stream),
    expireDue: async () => {
      const commands = await dueExpiries(pool, expiriesPerCallMax);
      if (commands.length === 0) return 0;
      const results = await writer.submit(commands);
      return results.filter(({ status }) => status === 'ok').length;
    },
    balances: (filter, queryable = pool) => balances(queryable, filter),
    transfersByReference: (reference, queryable = pool) => transfersByReference(queryable, reference),
    verify: async (queryable = pool, range) =>
      range === undefined
        ? await verifyAll(queryable)
        : await problemsOf(queryable, 'ledger.verify_batches($1, $2)', [
            range.from.toString(),
            range.to.toString(),
          ]),
    verifyTotals: async (queryable = pool) => await problemsOf(queryable, 'ledger.verify_totals()'),
    totals: (asset, queryable = pool) => totals(queryable, asset),
  };
}
