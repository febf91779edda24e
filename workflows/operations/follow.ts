/**
 * One step along a chain, in one transaction: the block or rollback is recorded, what it means for deposits, inflows and
 * our own payments is booked, and what became final is settled. Whatever the ledger says of a block it says from the same
 * commit on as the cursor, which is what lets the proof line be exact.
 */

import type { Block, FollowStep } from '#chains/contract';
import { chainId } from '#core/money';
import { inTransaction } from '#infra/db';
import { failpoint } from '#infra/failpoint';
import { commandsPerBatchMax, portionsOf } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import { finaliseDeposits, orphanDeposits, seeDeposit } from './deposits.ts';
import { finaliseInflows, orphanInflows, seeInflow } from './inflows.ts';
import { finaliseOutflows, orphanOutflows, seeOutflow } from './outflows.ts';
import type { OwnAddress } from './ports.ts';
import type { StepWork } from './step-work.ts';

export interface StepSummary {
  readonly kind: FollowStep['kind'];
  readonly height: number;
}

async function ownAddresses(work: StepWork, block: Block): Promise<ReadonlyMap<string, OwnAddress>> {
  const mentioned = new Set(
    block.transactions.flatMap((transaction) => [
      transaction.from,
      ...transaction.transfers.flatMap((transfer) => [transfer.from, transfer.to]),
    ]),
  );
  if (mentioned.size === 0) return new Map();
  const own = await work.deps.custody.findAddresses(work.chain, [...mentioned], work.tx);
  return new Map(own.map((each) => [each.address, each]));
}

async function readBlock(work: StepWork, block: Block): Promise<void> {
  const own = await ownAddresses(work, block);
  for (const transaction of block.transactions) {
    const sender = own.get(transaction.from);
    if (sender !== undefined) await seeOutflow(work, sender, transaction, block);
    for (const transfer of transaction.transfers) {
      const receiver = own.get(transfer.to);
      // Moves between our own addresses are settled as the payments they are.
      if (receiver === undefined || own.has(transfer.from) || transfer.units === 0n) continue;
      if (receiver.accountId === undefined) await seeInflow(work, receiver, transfer, block);
      else await seeDeposit(work, { ...receiver, accountId: receiver.accountId }, transfer, block);
    }
  }
}

async function finalise(work: StepWork, finalHeight: number): Promise<void> {
  await finaliseDeposits(work, finalHeight);
  await finaliseInflows(work, finalHeight);
  await finaliseOutflows(work, finalHeight);
}

async function applyCommands(work: StepWork): Promise<void> {
  for (const portion of portionsOf(work.commands, commandsPerBatchMax))
    await work.deps.ledger.applyOrThrow(portion, work.tx);
}

/** Records and books one step. Safe to repeat. @throws CHAINS_CURSOR_MOVED, LEDGER_* */
export async function bookStep(
  deps: OperationsDeps,
  chainText: string,
  step: FollowStep,
): Promise<StepSummary> {
  const chain = chainId(chainText);
  return await inTransaction(deps.pool, async (tx) => {
    const work: StepWork = { tx, deps, chain, commands: [], settled: [] };
    const recorded = await deps.chains.recordStep(tx, chain, step);
    if (step.kind === 'extend') await readBlock(work, step.block);
    if (step.kind === 'rollback') {
      const orphaned = step.orphaned.map((block) => block.hash);
      await orphanDeposits(work, orphaned);
      await orphanInflows(work, orphaned);
      await orphanOutflows(work, orphaned, recorded.unminedIntents);
    }
    const finalHeight = recorded.newlyFinal.at(-1)?.height;
    if (finalHeight !== undefined) await finalise(work, finalHeight);
    await applyCommands(work);
    if (work.settled.length > 0) failpoint('before-settle-commit');
    return { kind: step.kind, height: heightOf(step) };
  });
}

function heightOf(step: FollowStep): number {
  switch (step.kind) {
    case 'idle':
      return step.head.height;
    case 'extend':
      return step.block.height;
    case 'rollback':
      return step.ancestor.height;
  }
}

/** Reads the next step from the node and books it. @throws CHAINS_HALTED, CHAINS_NODE_UNAVAILABLE, CHAINS_NODE_INCONSISTENT */
export async function follow(deps: OperationsDeps, chain: string): Promise<StepSummary> {
  return await bookStep(deps, chain, await deps.chains.nextStep(chainId(chain), deps.pool));
}
