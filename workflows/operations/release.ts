/**
 * How a withdrawal goes back to the people or ends without a payment, and what becomes of its reservations: a nonce for
 * which nothing was ever built is given back together with the fee; one with a stored attempt is kept, and used up by a
 * cancel before the hold is released (docs/decisions/0014). The ledger commands are for the caller to apply, in one call
 * and last: from there on every other writer of the ledger waits.
 */
import { releaseConflictSet } from '#chains';
import { invariant } from '#core/errors';
import type { Tx } from '#infra/db';
import { enqueue } from '#infra/outbox';
import { networkFeeReleased, type TransferCommand, withdrawalReleased } from '#ledger/contract';
import { outboxTopics } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { count, type WithdrawalRow } from './rows.ts';
import { moveWithdrawal, noteWithdrawal, type WithdrawalEvent } from './state.ts';

type Ending = NonNullable<WithdrawalRow['ending']>;
interface GivenBack {
  readonly columns: { nonce?: null; fee_reserved?: boolean; fee_round?: number };
  readonly commands: readonly TransferCommand[];
}

/** A hint to the batcher of the wallet that there may be something to claim. */
export async function wakeBatcher(
  tx: Tx,
  { chain, wallet_id: walletId }: { readonly chain: string; readonly wallet_id: string },
): Promise<void> {
  await enqueue(tx, { topic: outboxTopics.batcher, key: walletId, payload: { chain, walletId } });
}

/** Undefined when the row holds a nonce that something was built for: it keeps nonce and fee. */
async function giveBack(tx: Tx, row: WithdrawalRow, atMs: number): Promise<GivenBack | undefined> {
  if (row.nonce !== null && !(await releaseConflictSet(tx, row.intent_id))) return undefined;
  if (!row.fee_reserved) return { columns: { nonce: null }, commands: [] };
  return {
    columns: { nonce: null, fee_reserved: false, fee_round: row.fee_round + 1 },
    commands: networkFeeReleased({ feeOwner: row.id, round: row.fee_round, at: atMs }),
  };
}

/** QUEUED or SIGNING back to PENDING_APPROVAL, and its process is started again. @throws WITHDRAWAL_STATE */
export async function returnToPeople(
  tx: Tx,
  row: WithdrawalRow,
  event: WithdrawalEvent,
  notBeforeMs = 0,
): Promise<readonly TransferCommand[]> {
  const given = await giveBack(tx, row, event.atMs);
  await moveWithdrawal(tx, row, 'PENDING_APPROVAL', event, {
    batch_id: null,
    not_before_ms: Math.max(count(row.not_before_ms), notBeforeMs),
    ...given?.columns,
  });
  await enqueue(tx, { topic: outboxTopics.withdrawal, key: row.id, payload: {} });
  return given?.commands ?? [];
}

/**
 * Ends the row and releases its hold; with a nonce that something was built for it only notes how the row is to end, and
 * hands it to the batcher for the cancel.
 * @throws WITHDRAWAL_STATE
 */
export async function endUnpaidUnbooked(
  tx: Tx,
  row: WithdrawalRow,
  to: Ending,
  event: WithdrawalEvent,
): Promise<{ readonly ended: WithdrawalRow; readonly commands: readonly TransferCommand[] }> {
  const given = await giveBack(tx, row, event.atMs);
  if (given !== undefined)
    return {
      ended: await moveWithdrawal(tx, row, to, event, given.columns),
      commands: [...withdrawalReleased({ withdrawalId: row.id, at: event.atMs }), ...given.commands],
    };
  invariant(row.state === 'PENDING_APPROVAL', 'a row with a built payment ends from PENDING_APPROVAL', {
    id: row.id,
    state: row.state,
  });
  const details = { ...event.details, ending: to, cancelOfNonce: row.nonce };
  const ended = await noteWithdrawal(tx, row, { ...event, details }, { ending: to });
  await wakeBatcher(tx, row);
  return { ended, commands: [] };
}

/** Ends and books; the last thing in its transaction. @throws WITHDRAWAL_STATE */
export async function endUnpaid(
  tx: Tx,
  deps: OperationsDeps,
  row: WithdrawalRow,
  to: Ending,
  event: WithdrawalEvent,
): Promise<WithdrawalRow> {
  const { ended, commands } = await endUnpaidUnbooked(tx, row, to, event);
  if (commands.length > 0) await deps.ledger.applyOrThrow(commands, tx);
  return ended;
}
