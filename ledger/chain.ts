/**
 * The formulas of the hash chain, those of `sql/0010_tables.sql`, and the rows they are over: so that it can be computed here
 * and not by the database, whose functions its owner can replace.
 */
import { createHash } from 'node:crypto';
import type { Queryable } from '#infra/db';

/** Headers in memory at once: 2 MB. */
const headersPerPage = 5_000;
/** Lines in memory at once: 3 MB. */
const linesPerPage = 20_000;

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
/** What the first batch continues. */
export const firstPrevious = sha256('strongroom/ledger/v1');
/** The register's hash before the first account. */
export const noAccounts = sha256('strongroom/ledger/accounts/v1');

export interface BatchHeader {
  readonly no: string;
  readonly first_seq: string;
  readonly last_seq: string;
  readonly recorded_ms: string;
  readonly accounts: string;
  readonly rows_hash: Buffer;
  readonly prev_hash: Buffer;
  readonly hash: Buffer;
  readonly accounts_hash: Buffer | null;
}

export const hashOfHeader = (h: BatchHeader): Buffer =>
  sha256(
    h.prev_hash,
    `${h.no}|${h.first_seq}|${h.last_seq}|${h.recorded_ms}|${h.accounts}|`,
    h.accounts_hash ?? noAccounts,
    h.rows_hash,
  );

export const hashOfAccount = (
  before: Uint8Array,
  { id, path, asset }: { readonly id: string; readonly path: string; readonly asset: string },
): Buffer => sha256(before, `${id}|${path}|${asset}`);

/** In order, batches that are missing left out. */
export async function* headersOf(
  queryable: Queryable,
  range: { readonly from: bigint; readonly to: bigint },
): AsyncGenerator<BatchHeader, void> {
  for (let next = range.from; next <= range.to; next += BigInt(headersPerPage)) {
    const { rows } = await queryable.query<BatchHeader>(
      `SELECT b.no, b.first_seq, b.last_seq, b.recorded_ms, b.accounts, b.rows_hash, b.prev_hash, b.hash,
              a.hash AS accounts_hash
         FROM ledger.batch AS b LEFT JOIN ledger.account AS a ON a.id = b.accounts
        WHERE b.no >= $1 AND b.no <= $2 AND b.no < $1 + ${headersPerPage} ORDER BY b.no`,
      [next, range.to],
    );
    yield* rows;
  }
}

/** `ledger.transfer_line` of `t`, spelled out; NULL where a column is that must not be. */
const lineSql = `t.seq || '|' || t.id || '|' || t.kind || '|' || t.debit_account || '|' || t.credit_account || '|' ||
  t.debit_before || '|' || t.credit_before || '|' || t.amount || '|' || coalesce(t.pending_id::text, '') || '|' ||
  t.code || '|' || coalesce(t.at_ms::text, '') || '|' || coalesce(t.timeout_ms::text, '') || '|' ||
  coalesce(t.balancing::text, '') || coalesce(t.amount_max::text, '') || '|' || t.reference`;

export interface TransferLine {
  readonly seq: string;
  /** What the hash of the batch is over. Null, or with a line break in it: not the line of one transfer. */
  readonly line: string | null;
}

/** In order, transfers that are missing left out. */
export async function* linesOf(
  queryable: Queryable,
  range: { readonly from: bigint; readonly to: bigint },
): AsyncGenerator<TransferLine, void> {
  for (let next = range.from; next <= range.to; ) {
    const { rows } = await queryable.query<TransferLine>(
      `SELECT t.seq, ${lineSql} AS line FROM ledger.transfer AS t
        WHERE t.seq >= $1 AND t.seq <= $2 ORDER BY t.seq LIMIT ${linesPerPage}`,
      [next, range.to],
    );
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < linesPerPage) return;
    next = BigInt(last.seq) + 1n;
  }
}

/**
 * Whether these are the transfers the batch was written with: one line each, as many as it says, and their hash. A line break
 * in a reference would let one transfer give the lines of two.
 */
export function areRowsOf(header: BatchHeader, lines: readonly (string | null)[]): boolean {
  return (
    BigInt(lines.length) === BigInt(header.last_seq) - BigInt(header.first_seq) + 1n &&
    lines.every((line) => line !== null && !line.includes('\n')) &&
    sha256(lines.join('\n')).equals(header.rows_hash)
  );
}
