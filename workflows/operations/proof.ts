/** The books' half of the proof line: what we owe and own at the watcher's final cursor, read in one snapshot. */
import { cursorOf } from '#chains';
import type { AssetId } from '#core/money';
import { inTransaction } from '#infra/db';
import type { OperationsDeps } from './context.ts';

export interface BooksAtCursor {
  /** Null for an asset that lives on our books only: nothing of it is on any chain. */
  readonly chain: string | null;
  readonly asset: string;
  /** Everything up to this height is booked, and nothing above it; null without a chain. */
  readonly height: number | null;
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
    const add = async (asset: AssetId, at: Pick<BooksAtCursor, 'chain' | 'height'>): Promise<void> => {
      const { customers, house, suspense } = await deps.ledger.totals(asset, tx);
      lines.push({
        ...at,
        asset,
        customers: customers.toString(),
        house: house.toString(),
        suspense: suspense.toString(),
      });
    };
    for (const adapter of deps.chains.list) {
      const cursor = await cursorOf(tx, adapter.chain);
      if (cursor === undefined) continue;
      const at = { chain: adapter.chain, height: cursor.finalizedHeight };
      for (const asset of adapter.assets) await add(asset, at);
    }
    for (const asset of deps.ledgerAssets) await add(asset, { chain: null, height: null });
    return lines;
  });
}
