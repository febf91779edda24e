/** Activities as workflows call them: by queue, with the time one try may take and how it is repeated. */
import { proxyActivities } from '@temporalio/workflow';
import type {
  ChainActivities,
  DecisionActivities,
  LedgerActivities,
  SigningActivities,
} from '../activities/index.ts';
import { type LedgerChore, taskQueues } from '../contract.ts';

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
/** Without end as well; slower, because nobody waits for it. `operations/chore-failures.ts` counts on these pauses. */
const choreRetry = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '60s' } as const;
/** A look at the whole journal: at 100,000 rows a second 12 hours are 4 billion. */
const journalTimeout = '12h';

export const ledgerChore = (chore: LedgerChore): LedgerActivities =>
  proxyActivities<LedgerActivities>({
    taskQueue: taskQueues.workflows,
    startToCloseTimeout: chore === 'verify-journal' ? journalTimeout : '10m',
    heartbeatTimeout,
    retry: choreRetry,
  });
/** Apart, because it asks the node much: some hundred addresses and blocks. */
export const chainReconciliation = (chain: string): Pick<ChainActivities, 'reconcile'> =>
  proxyActivities<Pick<ChainActivities, 'reconcile'>>({
    taskQueue: taskQueues.chain(chain),
    startToCloseTimeout: '10m',
    heartbeatTimeout,
    retry: choreRetry,
  });
export const chainActivities = (chain: string): ChainActivities =>
  proxyActivities<ChainActivities>({
    taskQueue: taskQueues.chain(chain),
    startToCloseTimeout: '60s',
    heartbeatTimeout,
    retry,
  });
