/** Activities as workflows call them: by queue, with the time one try may take and how it is repeated. */
import { proxyActivities } from '@temporalio/workflow';
import type {
  ChainActivities,
  DecisionActivities,
  LedgerActivities,
  SigningActivities,
} from '../activities/index.ts';
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
export const ledgerActivities = proxyActivities<LedgerActivities>({
  taskQueue: taskQueues.workflows,
  // A deep look reads the whole journal: at 100,000 rows a second an hour is 360 million.
  startToCloseTimeout: '1h',
  heartbeatTimeout,
  retry,
});
/** Apart, because it asks the node much: some hundred addresses and blocks. */
export const chainReconciliation = (chain: string): Pick<ChainActivities, 'reconcile'> =>
  proxyActivities<Pick<ChainActivities, 'reconcile'>>({
    taskQueue: taskQueues.chain(chain),
    startToCloseTimeout: '10m',
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
