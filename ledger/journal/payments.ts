/** Paying customers: the hold, its end, the network's fee, and the house's own. */
import type { Id } from '#core/ids';
import type { Amount } from '#core/money';
import { chainHot, customerMain, houseIncome, houseNetworkFee, type PayingMirror } from '../accounts.ts';
import type { TransferCommand } from '../transfers.ts';
import { post, reserve, resolve, resolvedStep, type Timed } from './legs.ts';

interface Withdrawal extends Timed {
  readonly withdrawalId: Id<'wd'>;
}

/** A withdrawal is requested: the amount is reserved against the hot address of the wallet that will pay. */
export function withdrawalHold(
  line: Withdrawal & {
    readonly accountId: Id<'acc'>;
    readonly walletId: Id<'wal'>;
    readonly amount: Amount;
  },
): TransferCommand[] {
  return [
    reserve({
      reference: line.withdrawalId,
      step: 'hold',
      debit: customerMain(line.accountId),
      credit: chainHot(line.walletId),
      amount: line.amount,
      code: 'withdrawal-hold',
      at: line.at,
    }),
  ];
}

/**
 * The payout is final: posts the hold. Paid and released share one id and differ in content, so whichever comes second is a
 * conflict.
 */
export function withdrawalPaid(line: Withdrawal & { readonly amount: Amount }): TransferCommand[] {
  const { withdrawalId: reference, amount, at } = line;
  return resolve({ reference, reserved: 'hold', amount, code: 'withdrawal-paid', at });
}

/** The withdrawal was rejected, cancelled, expired, or reverted on chain (then also {@link networkFeePaid}): voids the hold. */
export function withdrawalReleased(line: Withdrawal): TransferCommand[] {
  const { withdrawalId: reference, at } = line;
  return resolve({ reference, reserved: 'hold', code: 'withdrawal-released', at });
}

/** Who pays a network fee: one conflict set has one fee line, over all its attempts. */
export type FeeOwner = Id<'bat'> | Id<'wd'> | Id<'swp'> | Id<'reb'>;

interface NetworkFee extends Timed {
  readonly feeOwner: FeeOwner;
  /** Which reservation of the owner's fee is meant: 0 the first, one more after each that was released. */
  readonly round?: number;
}
const feeStep = (step: string, round = 0): string => (round === 0 ? step : `${round}/${step}`);
const feeSteps = (line: NetworkFee) => ({
  reference: line.feeOwner,
  reserved: feeStep('fee', line.round),
  ended: feeStep(`fee-${resolvedStep}`, line.round),
  code: 'network-fee' as const,
  at: line.at,
});

/** Before signing: reserves the most the network may take, from the mirror of the paying address. */
export function networkFeeReserve(
  line: NetworkFee & { readonly payer: PayingMirror; readonly cap: Amount },
): TransferCommand[] {
  return [
    reserve({
      reference: line.feeOwner,
      step: feeStep('fee', line.round),
      debit: houseNetworkFee,
      credit: line.payer,
      amount: line.cap,
      code: 'network-fee',
      at: line.at,
    }),
  ];
}

/** Mined: posts the fee the network took and releases the rest of the cap. */
export function networkFeePaid(line: NetworkFee & { readonly fee: Amount }): TransferCommand[] {
  return resolve({ ...feeSteps(line), amount: line.fee });
}

/** Nothing was mined and nothing can be any more: voids the reserved fee. */
export function networkFeeReleased(line: NetworkFee): TransferCommand[] {
  return resolve(feeSteps(line));
}

/** The house charges a customer a fee (a withdrawal's, for one); one per business event. */
export function feeCharged(
  line: Timed & {
    /** The event it is charged for: a `wd_` id, for one. */
    readonly reference: string;
    readonly accountId: Id<'acc'>;
    readonly amount: Amount;
  },
): TransferCommand[] {
  return [
    post({
      reference: line.reference,
      // Not `fee`: that is the network's, of the same withdrawal.
      step: 'house-fee',
      debit: customerMain(line.accountId),
      credit: houseIncome,
      amount: line.amount,
      code: 'fee',
      at: line.at,
    }),
  ];
}
