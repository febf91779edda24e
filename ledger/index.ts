/**
 * The ledger's facade. All writing is one call of one SQL function, `ledger.apply_batch`; everything else reads.
 *
 * Money moves in the caller's transaction or in one of its own. In the caller's: put all commands into one call and make it
 * the last statement, because from there to the commit every other writer of the ledger waits (the head of the hash chain).
 */
import { errorsOf } from '#core/errors';
import type { AssetId } from '#core/money';
import { inTransaction, isRetryable, type Pool, type Queryable, type Tx } from '#infra/db';
import {
  type AccountBalance,
  type AccountRef,
  accountKind,
  type BalanceFilter,
  commandsPerBatchMax,
  type LedgerProblem,
  type LedgerTotals,
  type LedgerVerification,
  ledgerErrors,
  referenceCharsMax,
  type Transfer,
  type TransferCommand,
  type TransferResult,
  type TransferStatus,
} from './contract.ts';
import {
  accountPath,
  type BalanceRow,
  balanceOf,
  batchColumns,
  parseSigned,
  type TransferRow,
  transferOf,
} from './rows.ts';

const fail = errorsOf(ledgerErrors);

export interface Ledger {
  /** Opens what is not open yet. @throws LEDGER_ACCOUNT_PATH_INVALID */
  openAccounts(queryable: Queryable, accounts: readonly AccountRef[]): Promise<void>;
  /**
   * Applies the commands in order; one result per command, in the same order. Without `tx` in a transaction of its own.
   * @throws LEDGER_BATCH_INVALID
   */
  apply(commands: readonly TransferCommand[], tx?: Tx): Promise<TransferResult[]>;
  /**
   * All commands or none: for commands that must succeed together with the caller's other rows.
   * @throws LEDGER_INSUFFICIENT_FUNDS, LEDGER_ID_CONFLICT, LEDGER_UNKNOWN_ACCOUNT, LEDGER_PENDING_NOT_FOUND,
   * LEDGER_PENDING_RESOLVED, LEDGER_AMOUNT_EXCEEDS_PENDING, LEDGER_TRANSFER_INVALID, LEDGER_BATCH_INVALID; the caller's
   * transaction must then be rolled back
   */
  applyOrThrow(commands: readonly TransferCommand[], tx: Tx): Promise<TransferResult[]>;
  /** Ordered by path and asset. Pass the transaction to read what it has written. */
  balances(filter: BalanceFilter, queryable?: Queryable): Promise<AccountBalance[]>;
  /** In the order of the journal. */
  transfersByReference(reference: string, queryable?: Queryable): Promise<Transfer[]>;
  /** Recomputes balances, zero sums, holds and the hash chain from the journal. Reads all of it. */
  verify(queryable?: Queryable): Promise<LedgerVerification>;
  totals(asset: AssetId, queryable?: Queryable): Promise<LedgerTotals>;
}

const applySql = `SELECT status, account FROM ledger.apply_batch($1::uuid[], $2::ledger.transfer_kind[], $3::text[],
  $4::text[], $5::text[], $6::numeric[], $7::uuid[], $8::boolean[], $9::ledger.transfer_code[], $10::text[],
  $11::bigint[]) ORDER BY n`;
const referencePattern = new RegExp(`^[!-~]{1,${referenceCharsMax}}$`);

function assertBatch(commands: readonly TransferCommand[]): void {
  if (commands.length < 1 || commands.length > commandsPerBatchMax)
    throw fail(
      'LEDGER_BATCH_INVALID',
      `a batch has 1 to ${commandsPerBatchMax} commands, this one ${commands.length}`,
    );
  for (const command of commands)
    if (!referencePattern.test(command.reference))
      throw fail(
        'LEDGER_BATCH_INVALID',
        `the reference of ${command.id} is not 1 to ${referenceCharsMax} printable ASCII characters`,
        { id: command.id },
      );
}

async function applyIn(
  queryable: Queryable,
  commands: readonly TransferCommand[],
): Promise<TransferResult[]> {
  const { rows } = await queryable.query<{ status: TransferStatus; account: string | null }>({
    name: 'ledger-apply-batch',
    text: applySql,
    values: batchColumns(commands),
  });
  return commands.map((command, index) => {
    const row = rows[index];
    if (row === undefined) throw new RangeError(`ledger.apply_batch gave no result for command ${index}`);
    return {
      id: command.id,
      status: row.status,
      ...(row.account === null ? {} : { account: accountPath(row.account) }),
    };
  });
}

/**
 * One statement is a transaction by itself, so the head is not held over round trips to this process. When a concurrent batch
 * used one of the ids, it runs again in a transaction, which repeats as often as needed.
 */
async function applyAlone(pool: Pool, commands: readonly TransferCommand[]): Promise<TransferResult[]> {
  try {
    return await applyIn(pool, commands);
  } catch (error) {
    if (!isRetryable(error)) throw error;
    return await inTransaction(pool, (tx) => applyIn(tx, commands));
  }
}

const errorOfStatus = {
  conflict: 'LEDGER_ID_CONFLICT',
  insufficient: 'LEDGER_INSUFFICIENT_FUNDS',
  'linked-failed': 'LEDGER_TRANSFER_INVALID',
  'unknown-account': 'LEDGER_UNKNOWN_ACCOUNT',
  'pending-not-found': 'LEDGER_PENDING_NOT_FOUND',
  'pending-resolved': 'LEDGER_PENDING_RESOLVED',
  'amount-exceeds-pending': 'LEDGER_AMOUNT_EXCEEDS_PENDING',
  invalid: 'LEDGER_TRANSFER_INVALID',
} as const;

/** Names the cause, not a `linked-failed` that merely follows from it. */
function assertApplied(commands: readonly TransferCommand[], results: readonly TransferResult[]): void {
  const failed = results.flatMap(({ id, status, account }, index) =>
    status === 'ok' || status === 'exists' ? [] : [{ id, status, account, command: commands[index] }],
  );
  const cause = failed.find(({ status }) => status !== 'linked-failed') ?? failed[0];
  if (cause === undefined) return;
  const { id, status, account, command } = cause;
  throw fail(
    errorOfStatus[status],
    `transfer ${id} (${command?.code ?? ''} of ${command?.reference ?? ''}) was not applied: ${status}${
      account === undefined ? '' : ` in ${account}`
    }`,
    {
      id,
      status,
      ...(account === undefined ? {} : { account }),
      ...(command === undefined ? {} : { code: command.code, reference: command.reference }),
    },
  );
}

async function openAccounts(queryable: Queryable, accounts: readonly AccountRef[]): Promise<void> {
  for (const { path } of accounts) accountKind(path);
  // Sorted, so that two callers that open the same accounts wait for each other instead of deadlocking.
  await queryable.query(
    `INSERT INTO ledger.account (path, asset)
       SELECT path, asset FROM unnest($1::text[], $2::text[]) AS u (path, asset) ORDER BY path, asset
     ON CONFLICT DO NOTHING`,
    [accounts.map(({ path }) => path), accounts.map(({ asset }) => asset)],
  );
}

async function balances(queryable: Queryable, filter: BalanceFilter): Promise<AccountBalance[]> {
  const { rows } = await queryable.query<BalanceRow>(
    `SELECT path, asset, debits_pending, debits_posted, credits_pending, credits_posted FROM ledger.account
      WHERE ($1::text IS NULL OR starts_with(path, $1)) AND ($2::text[] IS NULL OR path = ANY ($2))
        AND ($3::text IS NULL OR asset = $3)
      ORDER BY path, asset`,
    [filter.pathPrefix ?? null, filter.paths ?? null, filter.asset ?? null],
  );
  return rows.map(balanceOf);
}

async function transfersByReference(queryable: Queryable, reference: string): Promise<Transfer[]> {
  const { rows } = await queryable.query<TransferRow>(
    `SELECT t.seq, t.id, t.kind, d.path AS debit, c.path AS credit, d.asset, t.amount, t.pending_id, t.code, t.reference,
            t.at_ms, b.no AS batch
       FROM ledger.transfer AS t
       JOIN ledger.account AS d ON d.id = t.debit_account
       JOIN ledger.account AS c ON c.id = t.credit_account
       JOIN LATERAL (SELECT no FROM ledger.batch WHERE last_seq >= t.seq ORDER BY last_seq LIMIT 1) AS b ON true
      WHERE t.reference = $1 ORDER BY t.seq`,
    [reference],
  );
  return rows.map(transferOf);
}

async function totals(queryable: Queryable, asset: AssetId): Promise<LedgerTotals> {
  const { rows } = await queryable.query<{ customers: string; house: string; suspense: string }>(
    `SELECT coalesce(sum(net) FILTER (WHERE kind = 'customer-main'), 0) AS customers,
            coalesce(sum(net) FILTER (WHERE kind IN ('house-equity', 'house-income', 'house-network-fee')), 0) AS house,
            coalesce(sum(net) FILTER (WHERE kind = 'suspense'), 0) AS suspense
       FROM (SELECT kind, credits_posted - debits_posted AS net FROM ledger.account WHERE asset = $1) AS a`,
    [asset],
  );
  const [row = { customers: '0', house: '0', suspense: '0' }] = rows;
  return {
    asset,
    customers: parseSigned(row.customers),
    house: parseSigned(row.house),
    suspense: parseSigned(row.suspense),
  };
}

export function createLedger({ pool }: { readonly pool: Pool }): Ledger {
  return {
    openAccounts,
    apply: async (commands, tx) => {
      assertBatch(commands);
      return tx === undefined ? await applyAlone(pool, commands) : await applyIn(tx, commands);
    },
    applyOrThrow: async (commands, tx) => {
      assertBatch(commands);
      const results = await applyIn(tx, commands);
      assertApplied(commands, results);
      return results;
    },
    balances: (filter, queryable = pool) => balances(queryable, filter),
    transfersByReference: (reference, queryable = pool) => transfersByReference(queryable, reference),
    verify: async (queryable = pool) => {
      const { rows } = await queryable.query<LedgerProblem>(
        'SELECT "check", place, problem FROM ledger.verify() ORDER BY "check", place',
      );
      return { ok: rows.length === 0, problems: rows };
    },
    totals: (asset, queryable = pool) => totals(queryable, asset),
  };
}
