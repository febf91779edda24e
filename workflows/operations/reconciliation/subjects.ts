/** What one run looks at: everything that may still change, what stands as a break, and a page of all the rest. */
import { outgoingPage } from '#chains';
import type { ChainId } from '#core/money';
import type { Tx } from '#infra/db';
import type { OperationsDeps, WalletSettings } from '../context.ts';
import type { OwnAddress } from '../ports.ts';
import { type Progress, positionOf } from '../progress.ts';

/** Deposit addresses asked of the node per wallet and run; with the two calls each about 1,000, seconds on a near node. */
const addressesPerRun = 500;
/** Ended conflict sets looked at again per run; each costs three indexed reads. */
const endedPerRun = 200;
/** One open batch per wallet and the open sweeps are at most hundreds; this many is a defect that shows as such. */
const openMax = 2_000;
/** Breaks looked at again in every run, oldest first; more are one incident, and the rounds come by the rest. */
const standingMax = 500;

const addressScope = (walletId: string): string => `addresses/${walletId}`;
const paymentScope = (chain: string): string => `payments/${chain}`;

async function standingSubjects(tx: Tx, chain: ChainId, checks: readonly string[]): Promise<string[]> {
  const { rows } = await tx.query<{ subject: string }>(
    `SELECT subject FROM operations.reconciliation_break WHERE chain = $1 AND check_name = ANY($2)
      GROUP BY subject ORDER BY min(first_at), subject LIMIT ${standingMax}`,
    [chain, checks],
  );
  return rows.map((row) => row.subject);
}

export interface WalletAddresses {
  readonly hot: OwnAddress;
  /** Deposit addresses of this run. */
  readonly deposit: readonly OwnAddress[];
  /** Whether these are all the wallet has. */
  readonly isComplete: boolean;
  readonly progress: Progress;
}

export async function addressesToCheck(
  deps: OperationsDeps,
  tx: Tx,
  wallet: WalletSettings,
): Promise<WalletAddresses> {
  const afterPath = await positionOf(tx, addressScope(wallet.id), '');
  const hot = await deps.custody.hotAddress(wallet.id);
  const page = await deps.custody.addressPage({ walletId: wallet.id, afterPath, limit: addressesPerRun }, tx);
  const suspected = await deps.custody.findAddresses(
    wallet.chain,
    await standingSubjects(tx, wallet.chain, ['address', 'sent']),
    tx,
  );
  const byAddress = new Map([...page, ...suspected].map((each) => [each.address, each]));
  const isLast = page.length < addressesPerRun;
  return {
    hot,
    deposit: [...byAddress.values()].filter(
      ({ walletId, path }) => walletId === wallet.id && path !== hot.path,
    ),
    isComplete: afterPath === '' && isLast,
    progress: { scope: addressScope(wallet.id), position: isLast ? '' : (page.at(-1)?.path ?? '') },
  };
}

export async function intentsToCheck(
  tx: Tx,
  chain: ChainId,
): Promise<{ readonly intentIds: readonly string[]; readonly progress: Progress }> {
  const after = await positionOf(tx, paymentScope(chain), '0');
  const page = await outgoingPage(tx, chain, { after, limit: endedPerRun, openMax });
  const { rows } = await tx.query<{ intent_id: string }>(
    `WITH standing AS (SELECT subject FROM operations.reconciliation_break
                        WHERE chain = $1 AND subject ~ '^(wd|swp|int)_'
                        GROUP BY subject ORDER BY min(first_at), subject LIMIT ${standingMax})
     SELECT intent_id FROM operations.withdrawal WHERE id IN (SELECT subject FROM standing)
     UNION SELECT intent_id FROM operations.sweep WHERE id IN (SELECT subject FROM standing)
     UNION SELECT subject FROM standing WHERE starts_with(subject, 'int_')`,
    [chain],
  );
  return {
    intentIds: [...new Set([...page.intentIds, ...rows.map((row) => row.intent_id)])],
    progress: { scope: paymentScope(chain), position: page.next },
  };
}
