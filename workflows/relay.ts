/** Tells the workflows what the database says: standing processes are started, outbox messages become wake-ups. */

import { setTimeout as delay } from 'node:timers/promises';
import {
  type Client,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { messageOf } from '#core/errors';
import type { Pool } from '#infra/db';
import type { Logger } from '#infra/log';
import { type OutboxMessage, relay } from '#infra/outbox';
import {
  type LedgerChore,
  ledgerChores,
  outboxTopics,
  taskQueues,
  wakeSignalName,
  workflowIds,
} from './contract.ts';
import type {
  ChainWatcherInput,
  LedgerKeeperInput,
  WalletEntityInput,
  WithdrawalInput,
} from './definitions/settings.ts';

/** Messages taken at once; their rows stay locked meanwhile. */
const messagesMax = 50;

interface Intervals {
  readonly chainPollMs: number;
  readonly withdrawalPollMs: number;
  readonly batcherPollMs: number;
  readonly sweeperPollMs: number;
  readonly paymentPollMs: number;
  readonly stuckAfterMs: number;
  readonly outboxPollMs: number;
  readonly ledgerPollMs: number;
  readonly reconcileEveryMs: number;
  readonly verifyEveryMs: number;
  readonly exportHeadEveryMs: number;
  readonly verifyHeadsEveryMs: number;
}
export interface RelayTargets {
  readonly client: Client;
  readonly intervals: Intervals;
  readonly wallets: readonly { readonly id: string; readonly chain: string }[];
}

const standing = {
  taskQueue: taskQueues.workflows,
  workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
  workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
} as const;

function entityInput(targets: RelayTargets, walletId: string, pollMs: number): WalletEntityInput | undefined {
  const wallet = targets.wallets.find((each) => each.id === walletId);
  if (wallet === undefined) return undefined;
  const { paymentPollMs, stuckAfterMs } = targets.intervals;
  return {
    chain: wallet.chain,
    walletId: wallet.id,
    pollMs,
    payments: { pollMs: paymentPollMs, stuckAfterMs },
  };
}

function keepers(chains: readonly string[], intervals: Intervals): readonly LedgerKeeperInput[] {
  const every: Readonly<Record<LedgerChore, number>> = {
    'expire-holds': intervals.ledgerPollMs,
    'add-partitions': intervals.ledgerPollMs,
    'check-books': intervals.ledgerPollMs,
    'verify-journal': intervals.verifyEveryMs,
    'export-head': intervals.exportHeadEveryMs,
    'verify-heads': intervals.verifyHeadsEveryMs,
  };
  return [
    ...ledgerChores.map((chore) => ({ work: { chore }, everyMs: every[chore] })),
    ...chains.map((chain) => ({
      work: { chore: 'reconcile' as const, chain },
      everyMs: intervals.reconcileEveryMs,
    })),
  ];
}

/**
 * A keeper waits between two turns for as long as it was told at its start. Told otherwise now, it starts anew: a chore may
 * be cut off anywhere, and a setting must not need a new database to be heard.
 */
async function startKeeper({ client }: RelayTargets, input: LedgerKeeperInput): Promise<void> {
  const { work, everyMs } = input;
  const chain = work.chore === 'reconcile' ? work.chain : undefined;
  const workflowId = workflowIds.ledgerKeeper(work.chore, chain);
  const known = await client.workflow
    .getHandle(workflowId)
    .describe()
    .catch((error: unknown) => {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    });
  if (known?.status.name === 'RUNNING' && known.memo?.['everyMs'] === everyMs) return;
  await client.workflow.start('ledgerKeeper', {
    ...standing,
    workflowIdConflictPolicy: WorkflowIdConflictPolicy.TERMINATE_EXISTING,
    workflowId,
    args: [input],
    memo: { everyMs },
  });
}

/** Starts what runs for ever, or finds it running. */
export async function startStandingWorkflows(targets: RelayTargets): Promise<void> {
  const { client, intervals, wallets } = targets;
  const chains = [...new Set(wallets.map((wallet) => wallet.chain))];
  for (const chain of chains) {
    const input: ChainWatcherInput = { chain, pollMs: intervals.chainPollMs };
    await client.workflow.start('chainWatcher', {
      ...standing,
      workflowId: workflowIds.chainWatcher(chain),
      args: [input],
    });
  }
  for (const input of keepers(chains, intervals)) await startKeeper(targets, input);
  for (const wallet of wallets) {
    await wakeEntity(targets, 'batcher', wallet.id);
    await wakeEntity(targets, 'sweeper', wallet.id);
  }
}

async function wakeEntity(
  targets: RelayTargets,
  kind: 'batcher' | 'sweeper',
  walletId: string,
): Promise<void> {
  const { batcherPollMs, sweeperPollMs } = targets.intervals;
  const input = entityInput(targets, walletId, kind === 'batcher' ? batcherPollMs : sweeperPollMs);
  // A wallet that is served by another worker.
  if (input === undefined) return;
  await targets.client.workflow.signalWithStart(kind, {
    ...standing,
    workflowId: workflowIds[kind](input.chain, walletId),
    args: [input],
    signal: wakeSignalName,
  });
}

async function deliver(targets: RelayTargets, message: OutboxMessage): Promise<void> {
  switch (message.topic) {
    case outboxTopics.batcher:
    case outboxTopics.sweeper:
      await wakeEntity(targets, message.topic, message.key);
      return;
    case outboxTopics.withdrawal: {
      const input: WithdrawalInput = {
        withdrawalId: message.key,
        pollMs: targets.intervals.withdrawalPollMs,
      };
      await targets.client.workflow.signalWithStart('withdrawal', {
        ...standing,
        workflowId: workflowIds.withdrawal(message.key),
        args: [input],
        signal: wakeSignalName,
      });
      return;
    }
    default:
      throw new RangeError(`no receiver for the topic ${message.topic}`);
  }
}

export interface RunningRelay {
  /** Resolves when the round under way has ended. */
  stop(): Promise<void>;
}

/** Delivers until it is stopped. What fails stays in the outbox and comes again. */
export function startRelay(pool: Pool, targets: RelayTargets, log: Logger): RunningRelay {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      let delivered = 0;
      try {
        delivered = await relay(pool, (message) => deliver(targets, message), { batchMax: messagesMax });
      } catch (error) {
        log.warn({ err: error, reason: messageOf(error) }, 'outbox.failed');
      }
      if (delivered === 0)
        await delay(targets.intervals.outboxPollMs, undefined, { signal: stopping.signal }).catch(
          () => undefined,
        );
    }
  };
  const running = run();
  return {
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}
