/** Reading what PostgreSQL answers: bigint and numeric columns come as text. */
import { invariant } from '#core/errors';

/** A height, nonce or time from a bigint column: a bounded count, never an amount. */
export function countOf(text: string): number {
  const value = Number.parseInt(text, 10);
  invariant(Number.isSafeInteger(value) && value >= 0, 'a stored count is out of range', { text });
  return value;
}

/** The one row a statement must have touched or found. */
export function onlyRow<R>(rows: readonly R[], what: string): R {
  const [row] = rows;
  invariant(row !== undefined && rows.length === 1, `expected one row: ${what}`, { rows: rows.length });
  return row;
}
