/** `ledgerKeeper`: keeps the ledger going, proves it, and compares it with the chains, for ever. */
import { continueAsNew, sleep, workflowInfo } from '@temporalio/workflow';
import { chainReconciliation, ledgerActivities } from './proxies.ts';
import type { LedgerKeeperInput } from './settings.ts';

/** Due when it has been waited for long enough, counted in our own sleeps. */
class Period {
  readonly #everyMs: number;
  waitedMs: number;

  constructor(everyMs: number, waitedMs: number = everyMs) {
    this.#everyMs = everyMs;
    this.waitedMs = waitedMs;
  }

  /** Whether it is due; the next period begins then. */
  isDue(): boolean {
    if (this.waitedMs < this.#everyMs) return false;
    this.waitedMs = 0;
    return true;
  }
}

export async function ledgerKeeper(input: LedgerKeeperInput): Promise<void> {
  const { waited } = input;
  const verify = new Period(input.verifyEveryMs, waited?.verifyMs);
  const reconcile = new Period(input.reconcileEveryMs, waited?.reconcileMs);
  const exportHead = new Period(input.exportHeadEveryMs, waited?.exportHeadMs);
  while (!workflowInfo().continueAsNewSuggested) {
    await ledgerActivities.keepLedger();
    await ledgerActivities.checkBooks({ isDeep: verify.isDue() });
    if (exportHead.isDue()) await ledgerActivities.exportLedgerHead();
    if (reconcile.isDue())
      await Promise.all(input.chains.map((chain) => chainReconciliation(chain).reconcile({ chain })));
    await sleep(input.pollMs);
    for (const period of [verify, reconcile, exportHead]) period.waitedMs += input.pollMs;
  }
  await continueAsNew<typeof ledgerKeeper>({
    ...input,
    waited: {
      verifyMs: verify.waitedMs,
      reconcileMs: reconcile.waitedMs,
      exportHeadMs: exportHead.waitedMs,
    },
  });
}
