/** `chainWatcher/<chain>`: follows one chain for ever, a stretch of blocks per activity. */
import { continueAsNew, sleep, workflowInfo } from '@temporalio/workflow';
import { chainActivities } from './proxies.ts';
import type { ChainWatcherInput } from './settings.ts';

export async function chainWatcher(input: ChainWatcherInput): Promise<void> {
  const { followChain } = chainActivities(input.chain);
  while (!workflowInfo().continueAsNewSuggested) {
    const { caughtUp } = await followChain({ chain: input.chain });
    if (caughtUp) await sleep(input.pollMs);
  }
  await continueAsNew<typeof chainWatcher>(input);
}
