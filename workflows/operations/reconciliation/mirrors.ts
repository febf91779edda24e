/** The mirrors of an asset as a whole: against what is owed and owned of it, and whether somebody looks at each of them. */
import type { AssetId } from '#core/money';
import type { Tx } from '#infra/db';
import type { AccountBalance, Quantity } from '#ledger/contract';
import type { OperationsDeps, WalletSettings } from '../context.ts';

export const mirrorsOf = async (deps: OperationsDeps, tx: Tx, asset: AssetId): Promise<AccountBalance[]> =>
  await deps.ledger.balances({ pathPrefix: 'chain:', asset }, tx);

/**
 * The proof line within the books: all mirrors of an asset, whatever their tier, against everything that is owed and owned.
 * @param mirrors of the asset, from the same snapshot as `tx`
 */
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

const walletOf = (path: string): string => path.slice(path.lastIndexOf(':') + 1);

/** One line per mirror of a wallet that is not configured: value there is on the books and nobody sees it. */
export const unwatchedQuantities = (
  asset: AssetId,
  mirrors: readonly AccountBalance[],
  wallets: readonly WalletSettings[],
): Quantity[] =>
  mirrors
    .filter(({ path }) => !wallets.some(({ id }) => id === walletOf(path)))
    .map(({ path, balance }) => ({
      check: 'unwatched',
      subject: path,
      unit: asset,
      walletId: walletOf(path),
      booked: balance,
      observed: 0n,
      unposted: 0n,
      source: 'snapshot',
    }));
