/** `batcher/<chain>/<wallet>`: claims what is queued and has it paid, one batch at a time. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  continueAsNew,
  ParentClosePolicy,
  startChild,
  uuid4,
  WorkflowIdReusePolicy,
  workflowInfo,
} from '@temporalio/workflow';
import { taskQueues, workflowIds } from '../contract.ts';
import { batch } from './batch.ts';
import { decisions } from './proxies.ts';
import type { WalletEntityInput } from './settings.ts';
import { listenForWake } from './wake.ts';

/** UUIDv8 (RFC 9562 section 5.8) out of the workflow's own random version 4: our ids have version 7 or 8. */
const batchIdOf = (uuid: string): string => `bat_${uuid.slice(0, 14)}8${uuid.slice(15)}`;

async function startBatch(
  input: WalletEntityInput,
  batchId: string,
  withdrawalIds: readonly string[],
): Promise<void> {
  const { chain, payments } = input;
  try {
    await startChild(batch, {
      workflowId: workflowIds.batch(batchId),
      taskQueue: taskQueues.workflows,
      args: [{ chain, batchId, withdrawalIds, payments }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
    });
  } catch (error) {
    // It runs already, or has just ended.
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

export async function batcher(input: WalletEntityInput): Promise<void> {
  const wake = listenForWake();
  let followed: string | undefined;
  while (!workflowInfo().continueAsNewSuggested) {
    const claimed = await decisions.claimBatch({ batchId: batchIdOf(uuid4()), walletId: input.walletId });
    if (claimed.batchId !== null && claimed.batchId !== followed) {
      followed = claimed.batchId;
      await startBatch(input, claimed.batchId, claimed.withdrawalIds);
    }
    await wake.wait(input.pollMs);
  }
  await continueAsNew<typeof batcher>(input);
}
