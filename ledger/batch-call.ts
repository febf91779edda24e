/** One call of `ledger.apply_batch`: commands to columns, rows to results. */
import { uuidOf } from '#core/ids';
import { type AssetId, parseUnits } from '#core/money';
import type { Queryable } from '#infra/db';
import {
  type AccountIds,
  type AccountName,
  accountKey,
  createAccountIds,
  type RegisterMark,
} from './account-ids.ts';
import {
  type AccountPath,
  accountPath,
  type TransferCommand,
  type TransferResult,
  type TransferStatus,
} from './contract.ts';

const applySql = `SELECT n, status, account, amount FROM ledger.apply_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
  $13, $14, $15, $16)`;

type Leg = readonly [path: AccountPath, asset: AssetId];

/** The accounts a command names itself; those of a pending transfer are the ledger's to find. */
function legsOf(command: TransferCommand): readonly [Leg, Leg] | undefined {
  if (command.kind === 'post' || command.kind === 'pending')
    return [
      [command.debit, command.amount.asset],
      [command.credit, command.amount.asset],
    ];
  if (command.kind === 'close-account' || command.kind === 'reopen-account') {
    const leg: Leg = [command.account, command.asset];
    return [leg, leg];
  }
  return undefined;
}

/**
 * An array in PostgreSQL's text form of values that need no quotes: numbers, uuids, words. The driver's own way would quote
 * and escape each of some thousand values.
 */
const plainArray = (values: readonly (string | number | boolean)[]): string => `{${values.join(',')}}`;
/** As {@link plainArray}, null where a command has none, and null as a whole if none has one. */
function sparseArray(values: readonly (string | number | undefined)[]): string | null {
  return values.every((value) => value === undefined)
    ? null
    : `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}
/** References and assets are printable ASCII, which may hold quotes, commas and braces. */
const quotedText = (value: string): string => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;

function columnsOf(
  commands: readonly TransferCommand[],
  ids: ReadonlyMap<string, number>,
  mark: RegisterMark,
): unknown[] {
  const legs = commands.map(legsOf);
  // An account that is not open gets an id that none has, so that the ledger still sees where two legs name the same.
  const unknown = new Map<string, number>();
  const idOf = (leg: Leg | undefined): number | undefined => {
    if (leg === undefined) return undefined;
    const key = accountKey(...leg);
    const id = ids.get(key) ?? unknown.get(key) ?? -1 - unknown.size;
    if (id < 0) unknown.set(key, id);
    return id;
  };
  const debits = legs.map((pair) => idOf(pair?.[0]));
  const credits = legs.map((pair) => idOf(pair?.[1]));
  // In the order of ids: neighbours in the index are looked up one after the other.
  const accounts = [...new Set([...debits, ...credits])]
    .filter((id) => id !== undefined)
    .sort((a, b) => a - b);
  const positions = new Map(accounts.map((id, at) => [id, at + 1]));
  const positionOf = (id: number | undefined) => (id === undefined ? undefined : positions.get(id));
  const orNull = (value: number | undefined) => value ?? 'NULL';
  return [
    mark.id,
    mark.hash,
    plainArray(accounts),
    plainArray(commands.map((c) => uuidOf(c.id))),
    plainArray(commands.map((c) => c.kind)),
    plainArray(debits.map((id) => orNull(positionOf(id)))),
    plainArray(credits.map((id) => orNull(positionOf(id)))),
    sparseArray(commands.map((c) => ('amount' in c ? c.amount.units.toString() : undefined))),
    sparseArray(commands.map((c) => (c.kind === 'post-pending' ? quotedText(c.amount.asset) : undefined))),
    sparseArray(commands.map((c) => ('pendingId' in c ? uuidOf(c.pendingId) : undefined))),
    plainArray(commands.map((c) => c.linked ?? false)),
    plainArray(commands.map((c) => c.code)),
    plainArray(commands.map((c) => quotedText(c.reference))),
    sparseArray(commands.map((c) => c.at)),
    sparseArray(commands.map((c) => ('timeoutMs' in c ? c.timeoutMs : undefined))),
    sparseArray(commands.map((c) => ('balancing' in c ? c.balancing : undefined))),
  ];
}

interface ResultRow {
  readonly n: number;
  readonly status: TransferStatus;
  readonly account: string | null;
  readonly amount: string | null;
}

/** The account a command names that is not open. */
function unknownAccount(command: TransferCommand, ids: ReadonlyMap<string, number>): AccountPath | undefined {
  return legsOf(command)?.find((leg) => !ids.has(accountKey(...leg)))?.[0];
}

function resultsOf(
  commands: readonly TransferCommand[],
  rows: readonly ResultRow[],
  ids: ReadonlyMap<string, number>,
): TransferResult[] {
  const results: TransferResult[] = commands.map(({ id }) => ({ id, status: 'ok' }));
  for (const { n, status, account, amount } of rows) {
    const command = commands[n - 1];
    if (command === undefined)
      throw new RangeError(`ledger.apply_batch answered for command ${n} of ${commands.length}`);
    const path =
      status === 'unknown-account'
        ? unknownAccount(command, ids)
        : account === null
          ? undefined
          : accountPath(account);
    results[n - 1] = {
      id: command.id,
      status,
      ...(path === undefined ? {} : { account: path }),
      ...(amount === null ? {} : { units: parseUnits(amount) }),
    };
  }
  return results;
}

function namesOf(commands: readonly TransferCommand[]): ReadonlyMap<string, AccountName> {
  const names = new Map<string, AccountName>();
  for (const command of commands)
    for (const [path, asset] of legsOf(command) ?? []) names.set(accountKey(path, asset), { path, asset });
  return names;
}

/** A batch as `ledger.apply_batch` takes it. */
export interface PreparedBatch {
  readonly commands: readonly TransferCommand[];
  readonly ids: ReadonlyMap<string, number>;
  readonly columns: readonly unknown[];
}

/**
 * What can be done before the transaction that applies it. The commands must be valid (`assertCommands`).
 * @param remembered ids known from before; without it they are read anew, as in a transaction that may have opened accounts
 */
export async function prepareBatch(
  queryable: Queryable,
  commands: readonly TransferCommand[],
  remembered?: AccountIds,
): Promise<PreparedBatch> {
  const { ids, mark } = await (remembered ?? createAccountIds()).resolve(queryable, namesOf(commands));
  return { commands, ids, columns: columnsOf(commands, ids, mark) };
}

export async function applyPreparedBatch(
  queryable: Queryable,
  { commands, ids, columns }: PreparedBatch,
): Promise<TransferResult[]> {
  const { rows } = await queryable.query<ResultRow>({
    name: 'ledger-apply-batch',
    text: applySql,
    values: [...columns],
  });
  return resultsOf(commands, rows, ids);
}

/** Both at once; `remembered` as of {@link prepareBatch}. */
export async function applyBatch(
  queryable: Queryable,
  commands: readonly TransferCommand[],
  remembered?: AccountIds,
): Promise<TransferResult[]> {
  return await applyPreparedBatch(queryable, await prepareBatch(queryable, commands, remembered));
}

/** SQLSTATE of `ledger.apply_batch`: an account is not the one the caller remembers. */
export const registerDiffers = 'LG010';
