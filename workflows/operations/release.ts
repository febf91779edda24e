/** How a withdrawal ends without a payment: its state moves, and what was reserved for it is given back. */
import type { Tx } from '#infra/db';
import { networkFeeReleased, type TransferCommand, withdrawalReleased } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import type { WithdrawalRow } from './rows.ts';
import { moveWithdrawal, type WithdrawalEvent } from './state.ts';

/**
 * The commands are for the caller to apply, in one call and last: from there on every other writer of the ledger waits.
 * @throws WITHDRAWAL_STATE
 */
export async function endUnpaidUnbooked(
  tx: Tx,
  row: WithdrawalRow,
  to: 'REJECTED' | 'EXPIRED' | 'CANCELLED',
  event: WithdrawalEvent,
): Promise<{ readonly ended: WithdrawalRow; readonly commands: readonly TransferCommand[] }> {
  return {
    ended: await moveWithdrawal(tx, row, to, event, { fee_reserved: false }),
    commands: [
      ...withdrawalReleased({ withdrawalId: row.id, at: event.atMs }),
      ...(row.fee_reserved ? networkFeeReleased({ feeOwner: row.id, at: event.atMs }) : []),
    ],
  };
}

/** Ends and books; the last thing in its transaction. @throws WITHDRAWAL_STATE */
export async function endUnpaid(
  tx: Tx,
  deps: OperationsDeps,
  row: WithdrawalRow,
  to: 'REJECTED' | 'EXPIRED' | 'CANCELLED',
  event: WithdrawalEvent,
): Promise<WithdrawalRow> {
  const { ended, commands } = await endUnpaidUnbooked(tx, row, to, event);
  await deps.ledger.applyOrThrow(commands, tx);
  return ended;
}
