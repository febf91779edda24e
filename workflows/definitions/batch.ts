/** `batch/<id>`: one claimed batch to its end. */
import { continueAsNew } from '@temporalio/workflow';
import { followPayments } from './payments.ts';
import { decisions } from './proxies.ts';
import type { BatchInput } from './settings.ts';

export async function batch(input: BatchInput): Promise<void> {
  await followPayments(input.chain, input.withdrawalIds, input.payments, () =>
    continueAsNew<typeof batch>(input),
  );
  await decisions.closeBatch({ batchId: input.batchId, withdrawalIds: input.withdrawalIds });
}
