/** `withdrawal/<id>`: from the request to the queue. It decides nothing itself; activities do, over the database. */
import { continueAsNew, workflowInfo } from '@temporalio/workflow';
import { decisions } from './proxies.ts';
import type { WithdrawalInput } from './settings.ts';
import { listenForWake } from './wake.ts';

export async function withdrawal(input: WithdrawalInput): Promise<void> {
  const { withdrawalId, pollMs } = input;
  const wake = listenForWake();
  let { state, dueInMs } = await decisions.decideWithdrawal({ withdrawalId });
  while (state === 'PENDING_APPROVAL') {
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof withdrawal>(input);
    await wake.wait(Math.min(pollMs, dueInMs));
    ({ state, dueInMs } = await decisions.reviewWithdrawal({ withdrawalId }));
  }
}
