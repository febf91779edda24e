/** Our own payments as the chain shows them: found in blocks, taken back by reorgs, settled at finality. */
import { attemptsOf, isCancel, outgoingOfTransaction, recordFinal, recordMined } from '#chains';
import type { BlockRef, MinedTransaction } from '#chains/contract';
import { invariant } from '#core/errors';
import { derivedId, type Id } from '#core/ids';
import { type Amount, amount, parseUnits } from '#core/money';
import { openCase, setHalt } from '#infra/cases';
import {
  type FeeOwner,
  networkFeePaid,
  sweepPaid,
  sweepReleased,
  withdrawalPaid,
  withdrawalReleased,
} from '#ledger/contract';
import { haltScopes } from './halts.ts';
import type { OwnAddress } from './ports.ts';
import { amountOf, count, type Payment, type SweepRow, type WithdrawalRow } from './rows.ts';
import { type EventDetails, moveSweep, moveWithdrawal } from './state.ts';
import type { StepWork } from './step-work.ts';

interface OutflowRow {
  readonly chain: string;
  readonly txid: string;
  readonly wallet_id: Id<'wal'>;
  readonly intent_id: Id<'int'> | null;
  readonly sender: string;
  readonly succeeded: boolean;
  readonly fee_units: string;
  readonly state: 'SEEN' | 'FINAL' | 'ORPHANED' | 'ORPHANED_AFTER_FINAL';
  readonly block_height: string;
  readonly block_hash: string;
  readonly block_at_ms: string;
}

async function paymentOf(work: StepWork, intentId: string): Promise<Payment> {
  const withdrawals = await work.tx.query<WithdrawalRow>(
    'SELECT * FROM operations.withdrawal WHERE intent_id = $1 FOR UPDATE',
    [intentId],
  );
  if (withdrawals.rows[0] !== undefined) return { kind: 'withdrawal', row: withdrawals.rows[0] };
  const sweeps = await work.tx.query<SweepRow>(
    'SELECT * FROM operations.sweep WHERE intent_id = $1 FOR UPDATE',
    [intentId],
  );
  const sweep = sweeps.rows[0];
  invariant(sweep !== undefined, 'a conflict set belongs to no withdrawal and no sweep', { intentId });
  return { kind: 'sweep', row: sweep };
}

/** A transaction of one of our addresses is in a block. */
export async function seeOutflow(
  work: StepWork,
  sender: OwnAddress,
  transaction: MinedTransaction,
  block: BlockRef,
): Promise<void> {
  const { tx, chain } = work;
  const owner = await outgoingOfTransaction(tx, chain, transaction.txId);
  await tx.query(
    `INSERT INTO operations.outflow (chain, txid, wallet_id, intent_id, sender, nonce, succeeded, fee_units, state,
       block_height, block_hash, block_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'SEEN', $9, $10, $11)
     ON CONFLICT (chain, txid) DO UPDATE SET state = 'SEEN', succeeded = $7, fee_units = $8, block_height = $9,
       block_hash = $10, block_at_ms = $11 WHERE outflow.state = 'ORPHANED'`,
    [
      chain,
      transaction.txId,
      sender.walletId,
      owner?.intentId ?? null,
      transaction.from,
      transaction.nonce,
      transaction.succeeded,
      transaction.feeUnits.toString(),
      block.height,
      block.hash,
      block.timeMs,
    ],
  );
  if (owner === undefined) {
    await haltForForeign(work, sender, transaction);
    return;
  }
  await recordMined(tx, owner.intentId, {
    state: 'mined',
    txId: transaction.txId,
    block,
    succeeded: transaction.succeeded,
    feeUnits: transaction.feeUnits,
    final: false,
  });
  await confirm(work, await paymentOf(work, owner.intentId), transaction.txId, block);
}

/** A payment from our key that no intent of ours asked for: the key may be in other hands. */
async function haltForForeign(
  work: StepWork,
  sender: OwnAddress,
  transaction: MinedTransaction,
): Promise<void> {
  await openCase(work.tx, {
    id: derivedId('case', `outflow-without-intent/${work.chain}/${transaction.txId}`),
    kind: 'outflow-without-intent',
    subject: `${work.chain}/${transaction.txId}`,
    details: { wallet: sender.walletId, sender: transaction.from, nonce: transaction.nonce },
  });
  await setHalt(work.tx, {
    scope: haltScopes.chain(work.chain),
    reason: `${transaction.txId} left ${transaction.from} without an intent of ours`,
  });
}

async function confirm(work: StepWork, payment: Payment, txId: string, block: BlockRef): Promise<void> {
  const details: EventDetails = { txId, height: block.height, block: block.hash };
  const atMs = work.deps.clock.nowMs();
  if (payment.kind === 'sweep') {
    let { row } = payment;
    if (row.state === 'SIGNING') row = await moveSweep(work.tx, row, 'BROADCAST');
    if (row.state === 'BROADCAST') await moveSweep(work.tx, row, 'CONFIRMED', { txid: txId });
    return;
  }
  let { row } = payment;
  // The answer to the broadcast may have been lost, or not be noted yet.
  if (row.state === 'SIGNING')
    row = await moveWithdrawal(work.tx, row, 'BROADCAST', { event: 'seen-in-block', atMs, details });
  if (row.state === 'BROADCAST')
    await moveWithdrawal(work.tx, row, 'CONFIRMED', { event: 'mined', atMs, details }, { txid: txId });
}

/** Back to BROADCAST for what a reorg took out of its block; the batch sends the stored bytes again. */
export async function orphanOutflows(
  work: StepWork,
  blockHashes: readonly string[],
  intentIds: readonly string[],
): Promise<void> {
  const { rows } = await work.tx.query<OutflowRow>(
    `UPDATE operations.outflow
        SET state = CASE state WHEN 'SEEN' THEN 'ORPHANED' ELSE 'ORPHANED_AFTER_FINAL' END
      WHERE chain = $1 AND block_hash = ANY($2) AND state IN ('SEEN', 'FINAL') RETURNING *`,
    [work.chain, blockHashes],
  );
  for (const intentId of intentIds) {
    const payment = await paymentOf(work, intentId);
    if (payment.row.state !== 'CONFIRMED') continue;
    if (payment.kind === 'sweep') await moveSweep(work.tx, payment.row, 'BROADCAST');
    else
      await moveWithdrawal(work.tx, payment.row, 'BROADCAST', {
        event: 'reorganised',
        atMs: work.deps.clock.nowMs(),
        details: { txId: payment.row.txid },
      });
  }
  for (const row of rows.filter((each) => each.state === 'ORPHANED_AFTER_FINAL')) {
    await openCase(work.tx, {
      id: derivedId('case', `payment-orphaned-after-final/${row.chain}/${row.txid}`),
      kind: 'payment-orphaned-after-final',
      subject: `${row.chain}/${row.txid}`,
      details: { intent: row.intent_id, block: row.block_hash },
    });
    await setHalt(work.tx, {
      scope: haltScopes.chain(work.chain),
      reason: `the settled payment ${row.txid} left the chain after it was final`,
    });
  }
}

/** Settles what is now final. */
export async function finaliseOutflows(work: StepWork, finalHeight: number): Promise<void> {
  const { rows } = await work.tx.query<OutflowRow>(
    `UPDATE operations.outflow SET state = 'FINAL' WHERE chain = $1 AND state = 'SEEN' AND block_height <= $2 RETURNING *`,
    [work.chain, finalHeight],
  );
  for (const row of rows) {
    // Without an intent the chain is halted and a case open; there is nothing of ours to settle.
    if (row.intent_id === null) continue;
    const block = {
      height: count(row.block_height),
      hash: row.block_hash,
      parentHash: '',
      timeMs: count(row.block_at_ms),
    };
    await recordFinal(work.tx, row.intent_id, block);
    work.settled.push(row.txid);
    const payment = await paymentOf(work, row.intent_id);
    if (payment.kind === 'sweep') await settleSweep(work, payment.row, row);
    else await settleWithdrawal(work, payment.row, row);
  }
}

function pushFee(work: StepWork, feeOwner: FeeOwner, outflow: OutflowRow, round = 0): Amount {
  const { nativeAsset } = work.deps.chains.adapter(work.chain);
  const fee = amount(nativeAsset, parseUnits(outflow.fee_units));
  work.commands.push(...networkFeePaid({ feeOwner, round, fee, at: count(outflow.block_at_ms) }));
  return fee;
}

/** What was mined is what was meant to be paid: the last look before the books say so. */
async function assertPays(
  work: StepWork,
  intentId: string,
  txId: string,
  to: string,
  units: string,
): Promise<void> {
  const attempt = (await attemptsOf(work.tx, intentId)).find((each) => each.signed?.txId === txId);
  invariant(
    attempt !== undefined && attempt.unsigned.to === to && attempt.unsigned.units === parseUnits(units),
    'a mined transaction does not pay what its intent says',
    { intentId, txId },
  );
}

/** The nonce is used up and nothing was paid: only now the hold is released. */
async function settleCancel(work: StepWork, row: WithdrawalRow, outflow: OutflowRow): Promise<void> {
  const { ending } = row;
  invariant(ending !== null, 'a cancel was signed for a withdrawal that has not ended', { id: row.id });
  const fee = pushFee(work, row.id, outflow, row.fee_round);
  const details = { txId: outflow.txid, height: count(outflow.block_height), nonce: row.nonce };
  const atMs = work.deps.clock.nowMs();
  work.commands.push(...withdrawalReleased({ withdrawalId: row.id, at: count(outflow.block_at_ms) }));
  await moveWithdrawal(
    work.tx,
    row,
    ending,
    { event: 'cancelled-on-chain', atMs, details },
    { fee_units: fee.units.toString(), fee_reserved: false },
  );
}

/** Bytes that were never sent by us paid a withdrawal that waits for people or has ended: nothing is booked, a person looks. */
async function haltForUnsent(work: StepWork, row: WithdrawalRow, outflow: OutflowRow): Promise<void> {
  await openCase(work.tx, {
    id: derivedId('case', `payment-not-under-way/${row.id}`),
    kind: 'payment-not-under-way',
    subject: row.id,
    details: { txId: outflow.txid, state: row.state, hold: 'kept' },
  });
  await setHalt(work.tx, {
    scope: haltScopes.chain(work.chain),
    reason: `${outflow.txid} paid ${row.id}, which is ${row.state}`,
  });
}

async function settleWithdrawal(work: StepWork, row: WithdrawalRow, outflow: OutflowRow): Promise<void> {
  const mined = (await attemptsOf(work.tx, row.intent_id)).find((each) => each.signed?.txId === outflow.txid);
  if (mined !== undefined && isCancel(mined.unsigned)) {
    await settleCancel(work, row, outflow);
    return;
  }
  if (row.state !== 'BROADCAST' && row.state !== 'CONFIRMED') {
    await haltForUnsent(work, row, outflow);
    return;
  }
  await assertPays(work, row.intent_id, outflow.txid, row.address, row.units);
  const at = count(outflow.block_at_ms);
  const atMs = work.deps.clock.nowMs();
  const fee = pushFee(work, row.id, outflow, row.fee_round);
  const columns = { fee_units: fee.units.toString(), fee_reserved: false, txid: outflow.txid };
  const details = { txId: outflow.txid, height: count(outflow.block_height), feeUnits: columns.fee_units };
  if (outflow.succeeded) {
    work.commands.push(...withdrawalPaid({ withdrawalId: row.id, amount: amountOf(row), at }));
    await moveWithdrawal(work.tx, row, 'FINAL', { event: 'final', atMs, details }, columns);
  } else {
    work.commands.push(...withdrawalReleased({ withdrawalId: row.id, at }));
    await moveWithdrawal(work.tx, row, 'FAILED', { event: 'reverted-on-chain', atMs, details }, columns);
  }
}

async function settleSweep(work: StepWork, row: SweepRow, outflow: OutflowRow): Promise<void> {
  const hot = await work.deps.custody.hotAddress(row.wallet_id);
  await assertPays(work, row.intent_id, outflow.txid, hot.address, row.units);
  const at = count(outflow.block_at_ms);
  const fee = pushFee(work, row.id, outflow);
  const columns = { feeUnits: fee.units.toString(), txid: outflow.txid };
  if (outflow.succeeded) {
    work.commands.push(...sweepPaid({ sweepId: row.id, amount: amountOf(row), at }));
    await moveSweep(work.tx, row, 'FINAL', columns);
  } else {
    work.commands.push(...sweepReleased({ sweepId: row.id, at }));
    await moveSweep(work.tx, row, 'FAILED', columns);
  }
}
