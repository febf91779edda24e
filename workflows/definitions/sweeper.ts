/** `sweeper/<chain>/<wallet>`: brings what lies at deposit addresses to the hot address, each address by `sweep/<id>`. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  continueAsNew,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import { taskQueues, workflowIds } from '../contract.ts';
import { followPayments } from './payments.ts';
import { chainActivities } from './proxies.ts';
import type { SweepInput, WalletEntityInput } from './settings.ts';
import { listenForWake } from './wake.ts';

export async function sweep(input: SweepInput): Promise<void> {
  await followPayments(input.chain, [input.sweepId], input.payments, () =>
    continueAsNew<typeof sweep>(input),
  );
}

async function startSweep(input: WalletEntityInput, sweepId: string): Promise<void> {
  const { chain, payments } = input;
  try {
    await startChild(sweep, {
      workflowId: workflowIds.sweep(sweepId),
      taskQueue: taskQueues.workflows,
      args: [{ chain, sweepId, payments }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

export async function sweeper(input: WalletEntityInput): Promise<void> {
  const wake = listenForWake();
  const started = new Set<string>();
  while (!workflowInfo().continueAsNewSuggested) {
    const { sweepIds } = await chainActivities(input.chain).planSweeps({ walletId: input.walletId });
    for (const sweepId of sweepIds) {
      if (started.has(sweepId)) continue;
      started.add(sweepId);
      await startSweep(input, sweepId);
    }
    await wake.wait(input.pollMs);
  }
  await continueAsNew<typeof sweeper>(input);
}
