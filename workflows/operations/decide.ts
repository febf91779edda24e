/** The worker's side of the decision: evaluate, wait for people, queue. Every step may be repeated. */
import { inTransaction, type Tx } from '#infra/db';
import { evaluate } from '#policies';
import type { Decision } from '#policies/contract';
import type { WithdrawalState } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { pinDocuments, policyInputFor, readIntent } from './intents.ts';
import { judgeStored } from './judgement.ts';
import { endUnpaid, wakeBatcher } from './release.ts';
import { count, isCancelling, readWithdrawal, type WithdrawalRow } from './rows.ts';
import { moveWithdrawal, noteWithdrawal } from './state.ts';

export interface ReviewOutcome {
  readonly state: WithdrawalState;
  /** In how many milliseconds something is due by itself: the end of a wait, or the expiry. */
  readonly dueInMs: number;
}

function outcomeOf(deps: OperationsDeps, row: WithdrawalRow): ReviewOutcome {
  const nowMs = deps.clock.nowMs();
  const notBeforeMs = count(row.not_before_ms);
  const dueAtMs = notBeforeMs > nowMs ? notBeforeMs : count(row.not_after_ms);
  // Its process has nothing left to do once the end is decided; the batcher sees to the cancel.
  return { state: row.ending ?? row.state, dueInMs: Math.max(1, dueAtMs - nowMs + 1) };
}

async function evaluateWithdrawal(deps: OperationsDeps, tx: Tx, row: WithdrawalRow): Promise<Decision> {
  const { signed } = await readIntent(tx, row.intent_id);
  return evaluate(deps.policy, await policyInputFor(deps, signed.intent));
}

/** Writes the decision under the pins it was made with. */
async function decided(
  deps: OperationsDeps,
  tx: Tx,
  row: WithdrawalRow,
  decision: Decision,
  event: string,
): Promise<WithdrawalRow> {
  await pinDocuments(tx, deps);
  const delayMs = decision.outcome === 'allow' ? decision.obligations.delayMs : 0;
  return await noteWithdrawal(
    tx,
    row,
    {
      event,
      atMs: deps.clock.nowMs(),
      details: { outcome: decision.outcome, rules: decision.rules.join(' '), policy: deps.policyHash },
    },
    {
      decision: JSON.stringify(decision),
      policy_hash: deps.policyHash,
      roster_hash: deps.rosterHash,
      not_before_ms: Math.max(count(row.not_before_ms), count(row.created_at_ms) + delayMs),
    },
  );
}

/** SCREENED or PENDING_APPROVAL to QUEUED by way of APPROVED, and a hint to the batcher. */
async function queue(
  deps: OperationsDeps,
  tx: Tx,
  row: WithdrawalRow,
  event: string,
): Promise<WithdrawalRow> {
  const atMs = deps.clock.nowMs();
  const approved = await moveWithdrawal(tx, row, 'APPROVED', { event, atMs });
  const queued = await moveWithdrawal(
    tx,
    approved,
    'QUEUED',
    { event: 'queued', atMs },
    { queued_at: new Date(atMs) },
  );
  await wakeBatcher(tx, row);
  return queued;
}

/** REQUESTED to REJECTED, PENDING_APPROVAL or QUEUED. Leaves any other state as it is. */
export async function decide(deps: OperationsDeps, id: string): Promise<ReviewOutcome> {
  return await inTransaction(deps.pool, async (tx) => {
    const row = await readWithdrawal(tx, id, 'FOR UPDATE');
    if (row.state !== 'REQUESTED') return outcomeOf(deps, row);
    const atMs = deps.clock.nowMs();
    const decision = await evaluateWithdrawal(deps, tx, row);
    // No facts from outside in this cut, so screening has nothing to wait for.
    const screened = await decided(
      deps,
      tx,
      await moveWithdrawal(tx, row, 'SCREENED', { event: 'screened', atMs }),
      decision,
      'decided',
    );
    if (decision.outcome === 'deny')
      return outcomeOf(
        deps,
        await endUnpaid(tx, deps, screened, 'REJECTED', {
          event: 'denied-by-policy',
          atMs,
          details: { reason: decision.reason, rules: decision.rules.join(' ') },
        }),
      );
    const { approvals, delayMs } = decision.obligations;
    if (Object.keys(approvals).length === 0 && delayMs === 0)
      return outcomeOf(deps, await queue(deps, tx, screened, 'allowed-by-policy'));
    return outcomeOf(
      deps,
      await moveWithdrawal(tx, screened, 'PENDING_APPROVAL', {
        event: 'approvals-needed',
        atMs,
        details: { ...approvals, delayMs },
      }),
    );
  });
}

/** Evaluates again when another policy or roster is in force than the one the decision was made under. */
async function underPinsInForce(deps: OperationsDeps, tx: Tx, row: WithdrawalRow): Promise<WithdrawalRow> {
  if (row.policy_hash === deps.policyHash && row.roster_hash === deps.rosterHash) return row;
  return await decided(deps, tx, row, await evaluateWithdrawal(deps, tx, row), 'decided-again');
}

/** PENDING_APPROVAL to QUEUED, REJECTED or EXPIRED when people and clock have spoken. Leaves any other state as it is. */
export async function review(deps: OperationsDeps, id: string): Promise<ReviewOutcome> {
  return await inTransaction(deps.pool, async (tx) => {
    const locked = await readWithdrawal(tx, id, 'FOR UPDATE');
    if (locked.state !== 'PENDING_APPROVAL' || isCancelling(locked)) return outcomeOf(deps, locked);
    const atMs = deps.clock.nowMs();
    if (atMs > count(locked.not_after_ms))
      return outcomeOf(deps, await endUnpaid(tx, deps, locked, 'EXPIRED', { event: 'expired', atMs }));
    const row = await underPinsInForce(deps, tx, locked);
    if (row.decision?.outcome !== 'allow')
      return outcomeOf(
        deps,
        await endUnpaid(tx, deps, row, 'REJECTED', {
          event: 'denied-by-policy',
          atMs,
          details: { reason: row.decision?.reason ?? 'no decision' },
        }),
      );
    const judgement = await judgeStored(deps, tx, row);
    const rejecter = judgement.rejectedBy[0];
    if (rejecter !== undefined)
      return outcomeOf(
        deps,
        await endUnpaid(tx, deps, row, 'REJECTED', {
          event: 'rejected',
          atMs,
          details: { by: judgement.rejectedBy.join(' ') },
        }),
      );
    if (!judgement.satisfied || atMs < count(row.not_before_ms)) return outcomeOf(deps, row);
    return outcomeOf(deps, await queue(deps, tx, row, 'approved'));
  });
}
