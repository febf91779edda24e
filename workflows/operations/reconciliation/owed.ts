/** The proof line within the books: all mirrors of an asset against everything that is owed and owned of it. */
import type { AssetId } from '#core/money';
import type { Tx } from '#infra/db';
import type { AccountBalance, Quantity } from '#ledger/contract';
import type { OperationsDeps } from '../context.ts';

/** @param mirrors of the asset, from the same snapshot as `tx` */
export async function owedQuantity(
  deps: OperationsDeps,
  tx: Tx,
  asset: AssetId,
  mirrors: readonly AccountBalance[],
): Promise<Quantity> {
  const totals = await deps.ledger.totals(asset, tx);
  // What is only seen is owed to nobody yet: it stands against the provisional accounts.
  const standing = mirrors.filter(({ path }) => !path.startsWith('chain:pending:'));
  return {
    check: 'owed',
    subject: asset,
    unit: asset,
    walletId: null,
    booked: totals.customers + totals.house + totals.suspense,
    observed: standing.reduce((sum, { balance }) => sum + balance, 0n),
    unposted: 0n,
    source: 'snapshot',
  };
}

export const mirrorsOf = async (deps: OperationsDeps, tx: Tx, asset: AssetId): Promise<AccountBalance[]> =>
  await deps.ledger.balances({ pathPrefix: 'chain:', asset }, tx);
