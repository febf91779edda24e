/** Activities: operations under the names workflows call, with our errors in Temporal's form. All are safe to run twice. */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { type ErrorKind, errorsOf, isStrongroomError, messageOf } from '#core/errors';
import { parseId } from '#core/ids';
import { type LedgerChore, workflowErrors } from '../contract.ts';
import { type ClaimedBatch, claimBatch, closeBatch } from '../operations/batches.ts';
import { certificate } from '../operations/certificates.ts';
import { tellingFailures } from '../operations/chore-failures.ts';
import type { OperationsDeps } from '../operations/context.ts';
import { decide, type ReviewOutcome, review } from '../operations/decide.ts';
import { follow } from '../operations/follow.ts';
import { keepLedger } from '../operations/ledger-keeping.ts';
import {
  type SendOutcome,
  type SignOutcome,
  sendPayment,
  signPayment,
  type TrackedPayment,
  trackPayment,
} from '../operations/payments.ts';
import { type ReconciliationRun, reconcile } from '../operations/reconciliation/index.ts';
import { readWithdrawal } from '../operations/rows.ts';
import { planSweeps } from '../operations/sweeps.ts';

const fail = errorsOf(workflowErrors);

/** Queue `workflows`: the database only. */
export interface DecisionActivities {
  decideWithdrawal(input: { withdrawalId: string }): Promise<ReviewOutcome>;
  reviewWithdrawal(input: { withdrawalId: string }): Promise<ReviewOutcome>;
  claimBatch(input: { batchId: string; walletId: string }): Promise<ClaimedBatch>;
  /** Also makes the certificates of the rows that were paid. */
  closeBatch(input: { batchId: string; withdrawalIds: readonly string[] }): Promise<void>;
}
/** Queue `workflows`: the ledger as a whole. */
export interface LedgerActivities {
  keepLedger(input: { chore: LedgerChore }): Promise<void>;
}
/** Queue `chain-<id>`: one chain's node. */
export interface ChainActivities {
  reconcile(input: { chain: string }): Promise<ReconciliationRun>;
  followChain(input: { chain: string }): Promise<{ caughtUp: boolean; height: number; halted: boolean }>;
  sendPayment(input: { paymentId: string }): Promise<SendOutcome>;
  trackPayment(input: { paymentId: string }): Promise<TrackedPayment>;
  planSweeps(input: { walletId: string }): Promise<{ sweepIds: readonly string[] }>;
}
/** Queue `signing`: the co-signers. */
export interface SigningActivities {
  signPayment(input: { paymentId: string; number: number }): Promise<SignOutcome>;
}

/** Of one call of `followChain`, so that a worker that stops does not wait long for it. */
const followForMs = 5_000;
/** A fifth of the heartbeat timeout in `definitions/proxies.ts`. */
const heartbeatEveryMs = 1_000;

/** Asking again cannot change these answers. Lost races, missing parts and halts can pass. */
const finalKinds: ReadonlySet<ErrorKind> = new Set(['invalid', 'not_found', 'forbidden', 'unauthenticated']);

/** `never`: a payment or a chain is not given up for any error; it stands still until somebody has removed the cause. */
type GivesUp = 'never' | 'on-final-errors';

/** Our error with its code as the type. */
function failureOf(error: unknown, givesUp: GivesUp): unknown {
  if (!isStrongroomError(error)) return error;
  return ApplicationFailure.create({
    message: error.message,
    type: error.code,
    nonRetryable: givesUp === 'on-final-errors' && !error.retryable && finalKinds.has(error.kind),
    details: [error.details],
    ...(error.cause === undefined ? {} : { cause: new Error(messageOf(error.cause)) }),
  });
}

function inTemporalForm<I, O>(givesUp: GivesUp, work: (input: I) => Promise<O>): (input: I) => Promise<O> {
  return async (input) => {
    const context = Context.current();
    const beat = setInterval(() => {
      context.heartbeat();
    }, heartbeatEveryMs);
    try {
      return await work(input);
    } catch (error) {
      throw failureOf(error, givesUp);
    } finally {
      clearInterval(beat);
    }
  };
}

async function followFor(
  deps: OperationsDeps,
  chain: string,
): Promise<{ caughtUp: boolean; height: number; halted: boolean }> {
  const until = performance.now() + followForMs;
  let height = 0;
  try {
    while (performance.now() < until) {
      const step = await follow(deps, chain);
      height = step.height;
      if (step.kind === 'idle') return { caughtUp: true, height, halted: false };
    }
    return { caughtUp: false, height, halted: false };
  } catch (error) {
    // Expected while a person works on the case: the watcher waits instead of failing.
    if (isStrongroomError(error) && error.code === 'CHAINS_HALTED')
      return { caughtUp: true, height, halted: true };
    throw error;
  }
}

export function createDecisionActivities(deps: OperationsDeps): DecisionActivities {
  return {
    decideWithdrawal: inTemporalForm('on-final-errors', ({ withdrawalId }) => decide(deps, withdrawalId)),
    reviewWithdrawal: inTemporalForm('on-final-errors', ({ withdrawalId }) => review(deps, withdrawalId)),
    claimBatch: inTemporalForm('on-final-errors', ({ batchId, walletId }) =>
      claimBatch(deps, { batchId: parseId('bat', batchId), walletId }),
    ),
    closeBatch: inTemporalForm('on-final-errors', async ({ batchId, withdrawalIds }) => {
      for (const id of withdrawalIds)
        if ((await readWithdrawal(deps.pool, id)).state === 'FINAL') await certificate(deps, id);
      if (!(await closeBatch(deps, batchId)))
        throw fail('BATCH_UNDER_WAY', `a payment of ${batchId} has not ended`, { batchId });
    }),
  };
}

const tryOf = (chore: string) => ({ chore, number: Context.current().info.attempt });

export function createLedgerActivities(deps: OperationsDeps): LedgerActivities {
  return {
    keepLedger: inTemporalForm('never', ({ chore }) =>
      tellingFailures(deps, tryOf(chore), () => keepLedger(deps, chore)),
    ),
  };
}

export function createChainActivities(deps: OperationsDeps): ChainActivities {
  return {
    reconcile: inTemporalForm('never', ({ chain }) =>
      tellingFailures(deps, tryOf(`reconcile/${chain}`), () => reconcile(deps, chain)),
    ),
    followChain: inTemporalForm('never', ({ chain }) => followFor(deps, chain)),
    sendPayment: inTemporalForm('never', (input) => sendPayment(deps, input)),
    trackPayment: inTemporalForm('never', (input) => trackPayment(deps, input)),
    planSweeps: inTemporalForm('never', async (input) => ({ sweepIds: await planSweeps(deps, input) })),
  };
}

export function createSigningActivities(deps: OperationsDeps): SigningActivities {
  return { signPayment: inTemporalForm('never', (input) => signPayment(deps, input)) };
}
