/** Deposits: provisional when seen, credited when final, taken back when their block leaves the chain. */
import type { Id } from '#core/ids';
import { type Amount, compare, isZero, subtract } from '#core/money';
import {
  chainDeposit,
  chainPending,
  customerMain,
  customerProvisional,
  type PayingMirror,
  suspense,
} from '../accounts.ts';
import type { MoveCommand, TransferCommand } from '../transfers.ts';
import { chained, type Leg, post, type Timed } from './legs.ts';

export interface DepositLine extends Timed {
  readonly depositId: Id<'dep'>;
  readonly walletId: Id<'wal'>;
  readonly accountId: Id<'acc'>;
  readonly amount: Amount;
  /**
   * 1 when the deposit is first seen, one more each time it is seen again after it was orphaned: the same transaction may
   * be mined again in another block, and must then be booked again.
   */
  readonly sighting: number;
}

/** A leg of the deposit, of its full amount unless told otherwise. */
const legOf = (
  line: DepositLine,
  leg: Pick<Leg, 'step' | 'debit' | 'credit' | 'code'> & { readonly amount?: Amount },
): MoveCommand =>
  post({
    reference: line.depositId,
    amount: line.amount,
    at: line.at,
    ...leg,
    step: `${line.sighting}/${leg.step}`,
  });

/** A deposit is in a block that may still leave the chain: shown to the customer, not spendable. */
export function depositSeen(line: DepositLine): TransferCommand[] {
  return [
    legOf(line, {
      step: 'seen',
      debit: chainPending(line.walletId),
      credit: customerProvisional(line.accountId),
      code: 'deposit-seen',
    }),
  ];
}

/**
 * The reversal has the same id whether the deposit became final or was orphaned, and another code: whichever comes second
 * is a conflict, so that a deposit cannot be both.
 */
const seenReversed = (line: DepositLine, code: 'deposit-final' | 'deposit-reversed'): MoveCommand =>
  legOf(line, {
    step: 'reversed',
    debit: customerProvisional(line.accountId),
    credit: chainPending(line.walletId),
    code,
  });

/** A deposit is final: the provisional line is reversed and the customer credited, both or neither. */
export function depositFinal(line: DepositLine): TransferCommand[] {
  return chained([
    seenReversed(line, 'deposit-final'),
    legOf(line, {
      step: 'final',
      debit: chainDeposit(line.walletId),
      credit: customerMain(line.accountId),
      code: 'deposit-final',
    }),
  ]);
}

/** The block left the chain before the deposit was final: the provisional line is reversed. */
export function depositOrphanedBeforeFinal(line: DepositLine): TransferCommand[] {
  return [seenReversed(line, 'deposit-reversed')];
}

/**
 * The block left the chain after the customer was credited: what the customer still has is taken back, what was spent is a
 * loss in suspense until somebody takes it. The caller halts the chain.
 *
 * `available` is what the customer still has, from balances; `mirror` is chain:hot when the deposit was swept before.
 */
export function depositOrphanedAfterFinal(
  line: DepositLine & { readonly available: Amount; readonly mirror?: PayingMirror },
): TransferCommand[] {
  const fromCustomer = compare(line.available, line.amount) < 0 ? line.available : line.amount;
  const parts = [
    { step: 'orphaned-customer', debit: customerMain(line.accountId), amount: fromCustomer },
    {
      step: 'orphaned-suspense',
      debit: suspense(line.walletId),
      amount: subtract(line.amount, fromCustomer),
    },
  ];
  const credit = line.mirror ?? chainDeposit(line.walletId);
  return chained(
    parts
      .filter(({ amount }) => !isZero(amount))
      .map((part) => legOf(line, { ...part, credit, code: 'deposit-orphaned' })),
  );
}
