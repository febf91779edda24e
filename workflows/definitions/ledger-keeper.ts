/**
 * `ledgerKeeper`: one chore of the ledger, for ever. Each chore has a run of its own, so that one which takes hours or fails
 * holds up no other.
 */
import { continueAsNew, isCancellation, log, sleep, workflowInfo } from '@temporalio/workflow';
import { chainReconciliation, ledgerChore } from './proxies.ts';
import type { LedgerKeeperInput } from './settings.ts';

async function once({ work }: LedgerKeeperInput): Promise<void> {
  if (work.chore === 'reconcile') await chainReconciliation(work.chain).reconcile({ chain: work.chain });
  else await ledgerChore(work.chore).keepLedger({ chore: work.chore });
}

export async function ledgerKeeper(input: LedgerKeeperInput): Promise<void> {
  while (!workflowInfo().continueAsNewSuggested) {
    try {
      await once(input);
    } catch (error) {
      if (isCancellation(error)) throw error;
      // Tried again without end, it should never fail here; if it does, the next turn is another try.
      log.error('ledger-keeper.failed', { chore: input.work.chore, error: String(error) });
    }
    await sleep(input.everyMs);
  }
  await continueAsNew<typeof ledgerKeeper>(input);
}
