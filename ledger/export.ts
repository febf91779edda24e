/**
 * Journal and statements as text for other programs: JSON lines, which are exact and complete, and CSV as of RFC 4180 for
 * spreadsheets. Each part is one line with its line break, so that a file of any length is written as it is read.
 */
import { errorsOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import type { AccountRef } from './accounts.ts';
import type { Transfer } from './contract.ts';
import { ledgerErrors } from './errors.ts';
import { eventsPerPortionMax, newestSeq, readEvents } from './events.ts';
import type { BalanceAt } from './history.ts';
import { type StatementLine, statementLines } from './statements.ts';

const fail = errorsOf(ledgerErrors);

export const exportFormats = ['csv', 'jsonl'] as const;
export type ExportFormat = (typeof exportFormats)[number];

type Cell = string | bigint | number | undefined;
type Columns<T> = Readonly<Record<string, (row: T) => Cell>>;

const journalColumns: Columns<Transfer> = {
  seq: (t) => t.seq,
  id: (t) => t.id,
  kind: (t) => t.kind,
  debit: (t) => t.debit,
  credit: (t) => t.credit,
  asset: (t) => t.amount.asset,
  units: (t) => t.amount.units,
  pendingId: (t) => t.pendingId,
  code: (t) => t.code,
  reference: (t) => t.reference,
  atMs: (t) => t.at,
  timeoutMs: (t) => t.timeoutMs,
  balancing: (t) => t.balancing?.side,
  unitsMax: (t) => t.balancing?.maxUnits,
  batch: (t) => t.batch,
  recordedMs: (t) => t.recordedMs,
};
const statementColumns: Columns<StatementLine> = {
  seq: (t) => t.seq,
  recordedMs: (t) => t.recordedMs,
  atMs: (t) => t.at,
  kind: (t) => t.kind,
  code: (t) => t.code,
  reference: (t) => t.reference,
  counterAccount: (t) => t.counterAccount,
  side: (t) => t.side,
  units: (t) => t.amount.units,
  asset: (t) => t.amount.asset,
  change: (t) => t.change,
  availableChange: (t) => t.availableChange,
  balance: (t) => t.balance,
  available: (t) => t.available,
  id: (t) => t.id,
  pendingId: (t) => t.pendingId,
  batch: (t) => t.batch,
};

/**
 * A cell of CSV (RFC 4180, section 2). Text that a spreadsheet would run as a formula gets an apostrophe in front, as OWASP
 * advises ("CSV Injection"); a reference is the only text somebody else may have chosen. Also after a semicolon: where that
 * separates cells (half of Europe), quotes in the middle of a line do not keep the rest of the text in its cell. Numbers are
 * ours and stay as they are, minus sign included.
 */
function csvCell(cell: Cell): string {
  if (typeof cell !== 'string') return cell === undefined ? '' : cell.toString();
  const text = cell.replaceAll(/(^|;"*)(?=[=+\-@\t\r])/g, "$1'");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
const csvLine = (cells: readonly Cell[]): string => `${cells.map(csvCell).join(',')}\r\n`;

/** Amounts and positions as decimal strings: a JSON number is rounded by most readers. */
function jsonOf<T>(columns: Columns<T>, row: T): Record<string, string | number | undefined> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, of]) => {
      const cell = of(row);
      return [name, typeof cell === 'bigint' ? cell.toString() : cell];
    }),
  );
}
export const transferJson = (transfer: Transfer) => jsonOf(journalColumns, transfer);
export const balanceJson = (at: BalanceAt): Record<string, string | number | boolean> => ({
  account: at.path,
  asset: at.asset,
  balance: at.balance.toString(),
  available: at.available.toString(),
  debitsPending: at.debitsPending.toString(),
  debitsPosted: at.debitsPosted.toString(),
  creditsPending: at.creditsPending.toString(),
  creditsPosted: at.creditsPosted.toString(),
  closed: at.closed,
  batch: at.batch.toString(),
  lastSeq: at.lastSeq.toString(),
  recordedMs: at.recordedMs,
});
export const statementLineJson = (line: StatementLine) => jsonOf(statementColumns, line);

async function* written<T>(
  columns: Columns<T>,
  rows: AsyncIterable<T>,
  format: ExportFormat,
): AsyncGenerator<string, void> {
  if (format === 'csv') yield csvLine(Object.keys(columns));
  for await (const row of rows)
    yield format === 'csv'
      ? csvLine(Object.values(columns).map((of) => of(row)))
      : `${JSON.stringify(jsonOf(columns, row))}\n`;
}

/** Positions of the journal, both included; `to` is by default the newest when the export starts. */
export interface SeqRange {
  readonly from: bigint;
  readonly to?: bigint;
}

async function* transfersIn(queryable: Queryable, { from, to }: SeqRange): AsyncGenerator<Transfer, void> {
  const newest = await newestSeq(queryable);
  const last = to === undefined || to > newest ? newest : to;
  for (let after = from - 1n; after < last; ) {
    const limit =
      last - after < BigInt(eventsPerPortionMax)
        ? Number.parseInt(`${last - after}`, 10)
        : eventsPerPortionMax;
    yield* await readEvents(queryable, { after, limit });
    after += BigInt(limit);
  }
}

/**
 * The journal in its order, oldest first. @throws LEDGER_QUESTION_INVALID, LEDGER_JOURNAL_BROKEN
 */
export function exportJournal(
  queryable: Queryable,
  range: SeqRange,
  format: ExportFormat,
): AsyncGenerator<string, void> {
  if (range.from < 1n || (range.to !== undefined && range.to < range.from))
    throw fail(
      'LEDGER_QUESTION_INVALID',
      `${range.from} to ${range.to ?? 'the end'} is no range of the journal, which starts at 1`,
    );
  return written(journalColumns, transfersIn(queryable, range), format);
}

/** The whole statement of an account, newest first. @throws LEDGER_UNKNOWN_ACCOUNT, LEDGER_JOURNAL_BROKEN */
export function exportStatement(
  queryable: Queryable,
  account: AccountRef,
  format: ExportFormat,
): AsyncGenerator<string, void> {
  return written(statementColumns, statementLines(queryable, account), format);
}
