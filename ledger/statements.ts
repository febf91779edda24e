/** What happened on an account, newest first, with the balance after each line. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { errorsOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import type { AccountPath, AccountRef, Side } from './accounts.ts';
import type { Transfer } from './contract.ts';
import { ledgerErrors } from './errors.ts';
import { type HistoryLimits, sumsAfter } from './history.ts';
import { transferColumns, transferJoins } from './reads.ts';
import { balanceFrom, parseSigned, type TransferRow, transferOf } from './rows.ts';
import { type AccountNow, journalBroken, noSums, readAccount, type Sums, undone, walkSql } from './walk.ts';

const fail = errorsOf(ledgerErrors);

/** Lines of one page: about 200 KB of JSON. */
export const statementLinesMax = 500;

export interface StatementLine extends Transfer {
  /** The side the account stands on; absent for closing and reopening it. */
  readonly side?: Side;
  readonly counterAccount?: AccountPath;
  /** Base units, signed: what the line added to the posted balance and, beside that, to what can be spent. */
  readonly change: bigint;
  readonly availableChange: bigint;
  /** After the line. */
  readonly balance: bigint;
  readonly available: bigint;
}
export interface StatementPage {
  /** Newest first. */
  readonly lines: readonly StatementLine[];
  /** The cursor of the next, older page; absent on the last one. */
  readonly next?: string;
}
export interface StatementQuery {
  readonly account: AccountRef;
  /** 1 to {@link statementLinesMax}. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly cursor?: string;
  /** For a cursor that another process made. */
  readonly limits?: HistoryLimits;
}

// ---------------------------------------------------------------- cursors

/** Where a page starts: the line `seq`, after which the account had `sums`. */
interface Position {
  readonly seq: bigint;
  readonly sums: Sums;
}
const cursorPattern = /^s1((?:\.(?:0|[1-9][0-9]{0,77})){6})\.([A-Za-z0-9_-]{43})$/;

/**
 * Makes and reads cursors. A cursor carries the sums at its line, so that a page costs no more the older it is; they are
 * believed only with this key's mark (HMAC-SHA-256) on them. Those of another process or a past life of this one are still
 * good for their place, and their sums are found again from the journal.
 */
export interface CursorKey {
  write(account: bigint, position: Position): string;
  /** @throws LEDGER_CURSOR_INVALID */
  read(account: AccountNow, cursor: string): { readonly seq: bigint; readonly sums?: Sums };
}

export function createCursorKey(secret: Uint8Array = randomBytes(32)): CursorKey {
  const markOf = (content: string): Buffer => createHmac('sha256', secret).update(content).digest();
  return {
    write: (account, { seq, sums }) => {
      const { debitsPending, debitsPosted, creditsPending, creditsPosted } = sums;
      const numbers = [account, seq, debitsPending, debitsPosted, creditsPending, creditsPosted];
      const content = numbers.map((units) => `.${units}`).join('');
      return `s1${content}.${markOf(content).toString('base64url')}`;
    },
    read: (account, cursor) => {
      const [, content, mark] = cursorPattern.exec(cursor) ?? [];
      if (content === undefined || mark === undefined)
        throw fail('LEDGER_CURSOR_INVALID', 'the cursor is not one that this ledger gives');
      const [of = 0n, seq = 0n, ...units] = content.slice(1).split('.').map(BigInt);
      const [debitsPending = 0n, debitsPosted = 0n, creditsPending = 0n, creditsPosted = 0n] = units;
      if (of !== account.id) throw fail('LEDGER_CURSOR_INVALID', 'the cursor belongs to another account');
      if (seq < 1n || seq > account.lastSeq)
        throw fail('LEDGER_CURSOR_INVALID', 'the cursor names a line that the account does not have');
      const isOurs = timingSafeEqual(markOf(content), Buffer.from(mark, 'base64url'));
      return isOurs ? { seq, sums: { debitsPending, debitsPosted, creditsPending, creditsPosted } } : { seq };
    },
  };
}
const keyOfThisProcess = createCursorKey();

// ---------------------------------------------------------------- lines

interface LineRow extends TransferRow {
  readonly is_debit: boolean;
  readonly before: string;
  readonly posted_change: string;
  readonly pending_change: string;
}

function changeOf(row: LineRow): Sums {
  const [pending, posted] = [parseSigned(row.pending_change), parseSigned(row.posted_change)];
  return row.is_debit
    ? { ...noSums, debitsPending: pending, debitsPosted: posted }
    : { ...noSums, creditsPending: pending, creditsPosted: posted };
}

function lineOf(account: AccountRef, row: LineRow, after: Sums, before: Sums): StatementLine {
  const transfer = transferOf(row);
  const of = (sums: Sums) => balanceFrom(account, { ...sums, closed: false });
  const [now, was] = [of(after), of(before)];
  const isMove = transfer.debit !== transfer.credit;
  return {
    ...transfer,
    ...(isMove
      ? {
          side: row.is_debit ? 'debit' : 'credit',
          counterAccount: row.is_debit ? transfer.credit : transfer.debit,
        }
      : {}),
    change: now.balance - was.balance,
    availableChange: now.available - was.available,
    balance: now.balance,
    available: now.available,
  };
}

/** At most `count` lines from a position on, and the position after them. */
async function readLines(
  queryable: Queryable,
  of: { readonly account: AccountRef; readonly id: bigint },
  from: Position,
  count: number,
): Promise<{ readonly lines: StatementLine[]; readonly rest: Position }> {
  const { rows } = await queryable.query<LineRow>(
    `${walkSql}
     SELECT w.is_debit, w.before, w.posted AS posted_change, w.pending AS pending_change, ${transferColumns}
       FROM walk AS w JOIN ledger.transfer AS t ON t.seq = w.seq ${transferJoins} ORDER BY w.n`,
    [of.id, from.seq, 0, count],
  );
  let { seq, sums } = from;
  const lines: StatementLine[] = [];
  for (const row of rows) {
    if (BigInt(row.seq) !== seq) throw journalBroken(`transfer ${seq} of account ${of.id} is missing`);
    const before = undone(sums, changeOf(row));
    lines.push(lineOf(of.account, row, sums, before));
    seq = BigInt(row.before);
    sums = before;
  }
  if (lines.length < count && seq > 0n) throw journalBroken(`transfer ${seq} of account ${of.id} is missing`);
  if (seq === 0n && Object.values(sums).some((units) => units !== 0n))
    throw journalBroken(`account ${of.id} had something before its first transfer`);
  return { lines, rest: { seq, sums } };
}

async function isLineOf(queryable: Queryable, account: bigint, seq: bigint): Promise<boolean> {
  const { rowCount } = await queryable.query(
    'SELECT FROM ledger.transfer WHERE seq = $2 AND (debit_account = $1 OR credit_account = $1)',
    [account, seq],
  );
  return rowCount === 1;
}

/**
 * One page of an account's statement. What is written meanwhile never moves the pages of a statement already begun.
 *
 * Cost: a few lookups per line. A cursor that this process did not make also costs what `balanceAt` costs.
 * @throws LEDGER_UNKNOWN_ACCOUNT, LEDGER_QUESTION_INVALID, LEDGER_CURSOR_INVALID, LEDGER_HISTORY_LIMITED,
 *   LEDGER_JOURNAL_BROKEN
 */
export async function statementPage(
  queryable: Queryable,
  { account, limit, cursor, limits }: StatementQuery,
  key: CursorKey = keyOfThisProcess,
): Promise<StatementPage> {
  if (!Number.isInteger(limit) || limit < 1 || limit > statementLinesMax)
    throw fail('LEDGER_QUESTION_INVALID', `a page has 1 to ${statementLinesMax} lines, not ${limit}`);
  const now = await readAccount(queryable, account);
  let from: Position = { seq: now.lastSeq, sums: now.sums };
  if (cursor !== undefined) {
    const { seq, sums } = key.read(now, cursor);
    // Only what is not marked may name a line that is none.
    if (sums === undefined && !(await isLineOf(queryable, now.id, seq)))
      throw fail('LEDGER_CURSOR_INVALID', 'the cursor names a line that the account does not have');
    from = { seq, sums: sums ?? (await sumsAfter(queryable, now, seq, limits)) };
  }
  const { lines, rest } = await readLines(queryable, { account, id: now.id }, from, limit);
  return { lines, ...(rest.seq === 0n ? {} : { next: key.write(now.id, rest) }) };
}

/**
 * The whole statement as of one moment, newest first, a page at a time in memory.
 * @throws LEDGER_UNKNOWN_ACCOUNT, LEDGER_JOURNAL_BROKEN
 */
export async function* statementLines(
  queryable: Queryable,
  account: AccountRef,
): AsyncGenerator<StatementLine, void> {
  const now = await readAccount(queryable, account);
  let at: Position = { seq: now.lastSeq, sums: now.sums };
  do {
    const { lines, rest } = await readLines(queryable, { account, id: now.id }, at, statementLinesMax);
    yield* lines;
    at = rest;
  } while (at.seq > 0n);
}
