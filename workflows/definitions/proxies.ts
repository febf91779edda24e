/** Activities as workflows call them: by queue, with the time one try may take and how it is repeated. */
import { proxyActivities } from '@temporalio/workflow';
import type { ChainActivities, DecisionActivities, SigningActivities } from '../activities/index.ts';
import { taskQueues } from '../contract.ts';

/** Without end: a payment is never given up because a server was away for long. */
const retry = { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '10s' } as const;

/** Activities beat every second; a worker that died is noticed after this, and the activity runs again elsewhere. */
const heartbeatTimeout = '5s';

export const decisions = proxyActivities<DecisionActivities>({
  taskQueue: taskQueues.workflows,
  startToCloseTimeout: '30s',
  heartbeatTimeout,
  retry,
});
export const signing = proxyActivities<SigningActivities>({
  taskQueue: taskQueues.signing,
  // Two MPC sessions and the node, on a busy machine.
  startToCloseTimeout: '60s',
  heartbeatTimeout,
  retry,
});
export const chainActivities = (chain: string): ChainActivities =>
  proxyActivities<ChainActivities>({
    taskQueue: taskQueues.chain(chain),
    startToCloseTimeout: '60s',
    heartbeatTimeout,
    retry,
  });
