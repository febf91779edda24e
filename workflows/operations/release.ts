/** How a withdrawal ends without a payment: its state moves, and what was reserved for it is given back. */
import type { Tx } from '#infra/db';
import { networkFeeReleased, withdrawalReleased } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import type { WithdrawalRow } from './rows.ts';
import { moveWithdrawal, type WithdrawalEvent } from './state.ts';

/** @throws WITHDRAWAL_STATE */
export async function endUnpaid(
  tx: Tx,
  deps: OperationsDeps,
  row: WithdrawalRow,
  to: 'REJECTED' | 'EXPIRED' | 'CANCELLED',
  event: WithdrawalEvent,
): Promise<WithdrawalRow> {
  const ended = await moveWithdrawal(tx, row, to, event, { fee_reserved: false });
  await deps.ledger.applyOrThrow(
    [
      ...withdrawalReleased({ withdrawalId: row.id, at: event.atMs }),
      ...(row.fee_reserved ? networkFeeReleased({ feeOwner: row.id, at: event.atMs }) : []),
    ],
    tx,
  );
  return ended;
}
