/** The books' half of the proof line: what we owe and own at the watcher's final cursor, read in one snapshot. */
import { cursorOf } from '#chains';
import { inTransaction } from '#infra/db';
import type { OperationsDeps } from './context.ts';

export interface BooksAtCursor {
  readonly chain: string;
  readonly asset: string;
  /** Everything up to this height is booked, and nothing above it. */
  readonly height: number;
  /** Signed decimal strings, base units. */
  readonly customers: string;
  readonly house: string;
  readonly suspense: string;
}

/** Empty for a chain that has no cursor yet. */
export async function booksAtCursor(deps: OperationsDeps): Promise<readonly BooksAtCursor[]> {
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    const lines: BooksAtCursor[] = [];
    for (const adapter of deps.chains.list) {
      const cursor = await cursorOf(tx, adapter.chain);
      if (cursor === undefined) continue;
      for (const asset of adapter.assets) {
        const totals = await deps.ledger.totals(asset, tx);
        lines.push({
          chain: adapter.chain,
          asset,
          height: cursor.finalizedHeight,
          customers: totals.customers.toString(),
          house: totals.house.toString(),
          suspense: totals.suspense.toString(),
        });
      }
    }
    return lines;
  });
}
