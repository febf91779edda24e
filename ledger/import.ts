/**
 * Accounts, opening balances and transfers from JSON lines (`./import/schema.ts`), with a result per line. Safe to run twice,
 * also after a crash in the middle: what is there answers `exists`. Memory is that of one portion, not of the file.
 *
 * Lines are applied in their order; the accounts of a portion are opened before its transfers. A chain of linked lines is
 * kept whole, and a line of it that cannot be used takes all of it with it.
 */
import { inTransaction, type Pool, type Queryable, type Tx } from '#infra/db';
import { accountKey } from './account-ids.ts';
import type { AccountRef } from './accounts.ts';
import { errorOfStatus } from './commands.ts';
import { ledgerErrors } from './errors.ts';
import { type ImportLine, type LineGroup, lineGroups } from './import/groups.ts';
import {
  commandsPerBatchMax,
  portionsOf,
  type TransferCommand,
  type TransferResult,
  type TransferStatus,
} from './transfers.ts';

/** Lines applied together: large enough that a batch costs little per line, small enough to see it move. About 4 MB. */
const portionLinesMax = 2_000;

/**
 * As a transfer's status; beside that `malformed`: the line cannot be read; `chain-too-long`: more linked lines than one
 * batch takes; `not-applied`: in strict mode, because of another line.
 */
export type ImportStatus = TransferStatus | 'malformed' | 'chain-too-long' | 'not-applied';
export interface ImportResult {
  /** Of the file, from 1. */
  readonly line: number;
  readonly type: 'account' | 'opening' | 'transfer' | 'malformed';
  /** Of the transfer. */
  readonly id?: string;
  readonly status: ImportStatus;
  /** Of every status but `ok` and `exists`. */
  readonly reason?: string;
}
export interface ImportSummary {
  /** Lines with a result; in strict mode those after the first failure have none. */
  readonly lines: number;
  readonly ok: number;
  readonly exists: number;
  readonly failed: number;
  /** Strict mode ended it before the end of the file. */
  readonly stopped: boolean;
}
export interface ImportPorts {
  readonly pool: Pool;
  /** The facade of the ledger. */
  readonly ledger: {
    openAccounts(queryable: Queryable, accounts: readonly AccountRef[]): Promise<void>;
    apply(commands: readonly TransferCommand[], tx?: Tx): Promise<TransferResult[]>;
  };
}

export const isImported = (status: ImportStatus): status is 'ok' | 'exists' =>
  status === 'ok' || status === 'exists';

function reasonOf({ status, account }: TransferResult): { reason?: string } {
  if (isImported(status)) return {};
  if (status === 'linked-failed') return { reason: chainFailed };
  const { why } = ledgerErrors[errorOfStatus[status]];
  return { reason: account === undefined ? why : `${why} (${account})` };
}
const chainFailed = 'Another line of the same chain failed.';

/** Opens what is not open; the keys of what was. */
async function openAccounts(
  queryable: Queryable,
  ledger: ImportPorts['ledger'],
  accounts: readonly AccountRef[],
): Promise<Set<string>> {
  if (accounts.length === 0) return new Set();
  const { rows } = await queryable.query<AccountRef>(
    `SELECT a.path, a.asset FROM unnest($1::text[], $2::text[]) AS u (path, asset)
       JOIN ledger.account AS a ON a.path = u.path AND a.asset = u.asset`,
    [accounts.map(({ path }) => path), accounts.map(({ asset }) => asset)],
  );
  await ledger.openAccounts(queryable, accounts);
  return new Set(rows.map(({ path, asset }) => accountKey(path, asset)));
}

function commandsOf(groups: readonly LineGroup[]): TransferCommand[] {
  return groups
    .filter(({ failure }) => failure === undefined)
    .flatMap(({ lines }) => lines)
    .flatMap(({ entry }) => ('command' in entry ? [entry.command] : []));
}

/** The result of a line that no ledger was asked about. */
function refused({ number: line, entry }: ImportLine, failure: LineGroup['failure']): ImportResult {
  if (entry.type === 'malformed') {
    const { type, reason, id } = entry;
    return { line, type, ...(id === undefined ? {} : { id }), status: 'malformed', reason };
  }
  const id = 'command' in entry ? { id: entry.command.id } : {};
  return failure === 'chain-too-long'
    ? {
        line,
        type: entry.type,
        ...id,
        status: failure,
        reason: `More than ${commandsPerBatchMax} lines are linked; a batch takes no more.`,
      }
    : { line, type: entry.type, ...id, status: 'linked-failed', reason: chainFailed };
}

/** Applies the groups, and gives a result for each of their lines in their order. */
async function applyGroups(
  { pool, ledger }: ImportPorts,
  groups: readonly LineGroup[],
  tx?: Tx,
): Promise<ImportResult[]> {
  const lines = groups.flatMap((group) => group.lines.map((line) => ({ line, failure: group.failure })));
  const open = await openAccounts(
    tx ?? pool,
    ledger,
    lines.flatMap(({ line: { entry } }) => (entry.type === 'account' ? [entry.account] : [])),
  );
  const results: TransferResult[] = [];
  for (const portion of portionsOf(commandsOf(groups), commandsPerBatchMax))
    results.push(...(await ledger.apply(portion, tx)));
  const next = results.values();
  return lines.map(({ line, failure }): ImportResult => {
    const { number, entry } = line;
    if (entry.type === 'account') {
      const key = accountKey(entry.account.path, entry.account.asset);
      const status = open.has(key) ? 'exists' : 'ok';
      open.add(key);
      return { line: number, type: 'account', status };
    }
    const result = failure === undefined && entry.type !== 'malformed' ? next.next().value : undefined;
    if (result === undefined || entry.type === 'malformed') return refused(line, failure);
    return { line: number, type: entry.type, id: result.id, status: result.status, ...reasonOf(result) };
  });
}

const notApplied = (result: ImportResult): ImportResult =>
  result.status === 'ok'
    ? { ...result, status: 'not-applied', reason: 'Another line of the same portion failed.' }
    : result;

class Undo extends Error {
  readonly results: readonly ImportResult[];
  constructor(results: readonly ImportResult[]) {
    super('rolled back');
    this.results = results;
  }
}

/** All of it or nothing. */
async function applyWhole(
  ports: ImportPorts,
  groups: readonly LineGroup[],
): Promise<readonly ImportResult[]> {
  try {
    return await inTransaction(ports.pool, async (tx) => {
      const results = await applyGroups(ports, groups, tx);
      if (!results.every(({ status }) => isImported(status))) throw new Undo(results.map(notApplied));
      return results;
    });
  } catch (error) {
    if (error instanceof Undo) return error.results;
    throw error;
  }
}

async function* portionsOfLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<readonly LineGroup[], void> {
  let groups: LineGroup[] = [];
  let lines = 0;
  for await (const group of lineGroups(chunks)) {
    groups.push(group);
    lines += group.lines.length;
    if (lines < portionLinesMax) continue;
    yield groups;
    groups = [];
    lines = 0;
  }
  if (groups.length > 0) yield groups;
}

/** What strict mode refuses before anything is applied. */
async function* malformedLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ImportResult, void> {
  for await (const { lines, failure } of lineGroups(chunks))
    for (const line of lines)
      if (line.entry.type === 'malformed' || failure === 'chain-too-long') yield refused(line, failure);
}

/**
 * Results come in the order of the lines, each after its portion is committed.
 *
 * @param open gives the bytes of the file, each time from its start; strict mode reads it twice
 * @param options.strict nothing is applied when a line is malformed; after that each portion of about 2,000 lines is applied
 *   whole or not at all, and the first one that is not is the last
 * @throws LEDGER_OUTCOME_UNKNOWN and what the database throws: run it again
 */
export async function* importLines(
  ports: ImportPorts,
  open: () => AsyncIterable<Uint8Array>,
  { strict = false }: { readonly strict?: boolean } = {},
): AsyncGenerator<ImportResult, ImportSummary> {
  const count = { lines: 0, ok: 0, exists: 0, failed: 0 };
  const counted = (result: ImportResult): ImportResult => {
    count.lines += 1;
    count[isImported(result.status) ? result.status : 'failed'] += 1;
    return result;
  };
  if (strict) {
    for await (const result of malformedLines(open())) yield counted(result);
    if (count.failed > 0) return { ...count, stopped: true };
  }
  for await (const groups of portionsOfLines(open())) {
    const results = strict ? await applyWhole(ports, groups) : await applyGroups(ports, groups);
    for (const result of results) yield counted(result);
    if (strict && count.failed > 0) return { ...count, stopped: true };
  }
  return { ...count, stopped: false };
}
