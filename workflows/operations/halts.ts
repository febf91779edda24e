/** What stops payments: a halt of the ledger, of the chain or of the wallet. Every step that leads to a payment asks here. */
import { haltScopeOf } from '#chains';
import { chainErrors } from '#chains/contract';
import { errorsOf } from '#core/errors';
import { chainId } from '#core/money';
import { type Halt, haltOf } from '#infra/cases';
import type { Queryable } from '#infra/db';

const fail = errorsOf(chainErrors);

export const haltScopes = {
  /** The books are not what they must be: nothing is paid from any wallet. */
  ledger: 'ledger',
  /** The watcher stands still too. */
  chain: (chain: string): string => haltScopeOf(chainId(chain)),
  /** Payments of one wallet; its chain is followed on. */
  wallet: (walletId: string): string => `wallet:${walletId}`,
} as const;

/** The first halt that covers the wallet. */
export async function haltCovering(
  db: Queryable,
  wallet: { readonly chain: string; readonly id: string },
): Promise<Halt | undefined> {
  for (const scope of [haltScopes.ledger, haltScopes.chain(wallet.chain), haltScopes.wallet(wallet.id)]) {
    const halt = await haltOf(db, scope);
    if (halt !== undefined) return halt;
  }
  return undefined;
}

/** @throws CHAINS_HALTED */
export async function assertRunning(
  db: Queryable,
  wallet: { readonly chain: string; readonly id: string },
): Promise<void> {
  const halt = await haltCovering(db, wallet);
  if (halt !== undefined)
    throw fail('CHAINS_HALTED', `${halt.scope} is halted: ${halt.reason}`, { scope: halt.scope });
}
