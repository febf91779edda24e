/**
 * The journal templates: the only way modules move money. Each returns the legs of one event of design section 8, with ids
 * derived from the business id, so that applying the same event again answers `exists`.
 */
import { derivedId, type Id } from '#core/ids';
import { type Amount, compare, isZero, subtract } from '#core/money';
import {
  type AccountPath,
  chainDeposit,
  chainHot,
  chainPending,
  customerMain,
  customerProvisional,
  houseEquity,
  houseNetworkFee,
  type PayingMirror,
  suspense,
} from './accounts.ts';
import type { TransferCode, TransferCommand } from './transfers.ts';

/** The id of a step of a business event; also how a pending transfer is found again when it is posted or voided. */
export const transferIdOf = (reference: string, step: string): Id<'tr'> =>
  derivedId('tr', `${reference}/${step}`);

export interface DepositLine {
  readonly depositId: Id<'dep'>;
  readonly walletId: Id<'wal'>;
  readonly accountId: Id<'acc'>;
  readonly amount: Amount;
  /**
   * 1 when the deposit is first seen, one more each time it is seen again after it was orphaned: the same transaction may
   * be mined again in another block, and must then be booked again.
   */
  readonly sighting: number;
  /** Block time, ms. */
  readonly at?: number;
}

const depositStep = (line: DepositLine, step: string): Id<'tr'> =>
  transferIdOf(line.depositId, `${line.sighting}/${step}`);
const when = (at: number | undefined): { at?: number } => (at === undefined ? {} : { at });

/** Debit chain:pending, credit customer:provisional. Not spendable. */
export function depositSeen(line: DepositLine): TransferCommand[] {
  return [
    {
      id: depositStep(line, 'seen'),
      kind: 'post',
      debit: chainPending(line.walletId),
      credit: customerProvisional(line.accountId),
      amount: line.amount,
      code: 'deposit-seen',
      reference: line.depositId,
      ...when(line.at),
    },
  ];
}

/**
 * Debit customer:provisional, credit chain:pending. The reversal has the same id whether the deposit became final or was
 * orphaned, and another code: whichever comes second is a conflict, so that a deposit cannot be both.
 */
function seenReversed(line: DepositLine, code: 'deposit-final' | 'deposit-reversed'): TransferCommand {
  return {
    id: depositStep(line, 'reversed'),
    kind: 'post',
    debit: customerProvisional(line.accountId),
    credit: chainPending(line.walletId),
    amount: line.amount,
    code,
    reference: line.depositId,
    ...when(line.at),
  };
}

/** Reverses the seen line, then debit chain:deposit, credit customer:main; both or neither. */
export function depositFinal(line: DepositLine): TransferCommand[] {
  return [
    { ...seenReversed(line, 'deposit-final'), linked: true },
    {
      id: depositStep(line, 'final'),
      kind: 'post',
      debit: chainDeposit(line.walletId),
      credit: customerMain(line.accountId),
      amount: line.amount,
      code: 'deposit-final',
      reference: line.depositId,
      ...when(line.at),
    },
  ];
}

/** Reverses the seen line. */
export function depositOrphanedBeforeFinal(line: DepositLine): TransferCommand[] {
  return [seenReversed(line, 'deposit-reversed')];
}

/**
 * Reverses the final line as far as the customer still has it (`available`, from balances); what was spent is a loss in
 * suspense. The caller halts the chain. `mirror` is chain:hot when the deposit was swept before it was orphaned.
 */
export function depositOrphanedAfterFinal(
  line: DepositLine & { readonly available: Amount; readonly mirror?: PayingMirror },
): TransferCommand[] {
  const fromCustomer = compare(line.available, line.amount) < 0 ? line.available : line.amount;
  const spent = subtract(line.amount, fromCustomer);
  const leg = (step: string, debit: AccountPath, amount: Amount, linked: boolean): TransferCommand => ({
    id: depositStep(line, step),
    kind: 'post',
    debit,
    credit: line.mirror ?? chainDeposit(line.walletId),
    amount,
    code: 'deposit-orphaned',
    reference: line.depositId,
    ...when(line.at),
    ...(linked ? { linked } : {}),
  });
  return [
    ...(isZero(fromCustomer)
      ? []
      : [leg('orphaned-customer', customerMain(line.accountId), fromCustomer, !isZero(spent))]),
    ...(isZero(spent) ? [] : [leg('orphaned-suspense', suspense(line.walletId), spent, false)]),
  ];
}

/** Pending: debit customer:main, credit chain:hot of the wallet that will pay. */
export function withdrawalHold(line: {
  readonly withdrawalId: Id<'wd'>;
  readonly accountId: Id<'acc'>;
  readonly walletId: Id<'wal'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  return [
    {
      id: transferIdOf(line.withdrawalId, 'hold'),
      kind: 'pending',
      debit: customerMain(line.accountId),
      credit: chainHot(line.walletId),
      amount: line.amount,
      code: 'withdrawal-hold',
      reference: line.withdrawalId,
      ...when(line.at),
    },
  ];
}

const resolvedStep = 'resolved';

/** Ends a reservation: with an amount it posts, without one it voids. One id for both, so only one of them can happen. */
function resolve(line: {
  readonly reference: string;
  /** Steps of the reservation and of its end. */
  readonly reserved: string;
  readonly ended?: string;
  readonly amount?: Amount;
  readonly code: TransferCode;
  readonly at?: number | undefined;
}): TransferCommand[] {
  const { reference, reserved, ended = resolvedStep, amount, code, at } = line;
  const shared = {
    id: transferIdOf(reference, ended),
    pendingId: transferIdOf(reference, reserved),
    code,
    reference,
    ...when(at),
  };
  return [
    amount === undefined ? { ...shared, kind: 'void-pending' } : { ...shared, kind: 'post-pending', amount },
  ];
}

/**
 * Posts the hold at finality. Paid and released share one id and differ in content: whichever comes second is a conflict.
 */
export function withdrawalPaid(line: {
  readonly withdrawalId: Id<'wd'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  const { withdrawalId: reference, amount, at } = line;
  return resolve({ reference, reserved: 'hold', amount, code: 'withdrawal-paid', at });
}

/** Voids the hold: rejected, cancelled, expired, or reverted on chain (then also {@link networkFeePaid}). */
export function withdrawalReleased(line: {
  readonly withdrawalId: Id<'wd'>;
  readonly at?: number;
}): TransferCommand[] {
  const { withdrawalId: reference, at } = line;
  return resolve({ reference, reserved: 'hold', code: 'withdrawal-released', at });
}

/** Who pays a network fee: one conflict set of a batch, a withdrawal or a sweep has one fee line, over all its attempts. */
export type FeeOwner = Id<'bat'> | Id<'wd'> | Id<'swp'>;

/** Which reservation of the owner's fee is meant: 0 the first, one more after each that was released. */
interface FeeRound {
  readonly round?: number;
}
const feeStep = (step: string, round = 0): string => (round === 0 ? step : `${round}/${step}`);
const feeSteps = (line: FeeRound & { readonly feeOwner: FeeOwner; readonly at?: number }) => ({
  reference: line.feeOwner,
  reserved: feeStep('fee', line.round),
  ended: feeStep(`fee-${resolvedStep}`, line.round),
  code: 'network-fee' as const,
  at: line.at,
});

/** Pending at the cap, before signing: debit house:network-fee, credit the mirror of the paying address. */
export function networkFeeReserve(
  line: FeeRound & {
    readonly feeOwner: FeeOwner;
    readonly payer: PayingMirror;
    readonly cap: Amount;
    readonly at?: number;
  },
): TransferCommand[] {
  return [
    {
      id: transferIdOf(line.feeOwner, feeStep('fee', line.round)),
      kind: 'pending',
      debit: houseNetworkFee,
      credit: line.payer,
      amount: line.cap,
      code: 'network-fee',
      reference: line.feeOwner,
      ...when(line.at),
    },
  ];
}

/** Posts the actual fee and releases the rest of the cap. */
export function networkFeePaid(
  line: FeeRound & {
    readonly feeOwner: FeeOwner;
    readonly fee: Amount;
    readonly at?: number;
  },
): TransferCommand[] {
  return resolve({ ...feeSteps(line), amount: line.fee });
}

/** Voids the reserved fee: nothing was mined and nothing can be any more. */
export function networkFeeReleased(
  line: FeeRound & {
    readonly feeOwner: FeeOwner;
    readonly at?: number;
  },
): TransferCommand[] {
  return resolve(feeSteps(line));
}

/** Pending: debit chain:hot, credit chain:deposit of the same wallet. */
export function sweepStart(line: {
  readonly sweepId: Id<'swp'>;
  readonly walletId: Id<'wal'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  return [
    {
      id: transferIdOf(line.sweepId, 'start'),
      kind: 'pending',
      debit: chainHot(line.walletId),
      credit: chainDeposit(line.walletId),
      amount: line.amount,
      code: 'sweep',
      reference: line.sweepId,
      ...when(line.at),
    },
  ];
}

/** Posts the sweep at finality. */
export function sweepPaid(line: {
  readonly sweepId: Id<'swp'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  const { sweepId: reference, amount, at } = line;
  return resolve({ reference, reserved: 'start', amount, code: 'sweep', at });
}

/** Voids a sweep that failed on chain or can no longer be mined. */
export function sweepReleased(line: {
  readonly sweepId: Id<'swp'>;
  readonly at?: number;
}): TransferCommand[] {
  const { sweepId: reference, at } = line;
  return resolve({ reference, reserved: 'start', code: 'sweep', at });
}

/**
 * Value from outside at the hot address: debit chain:hot, credit suspense.
 * @param inflow `<chain id>/<txid>/<index>`, which names the inflow once and for all; book it when it is final
 */
export function hotInflow(line: {
  readonly inflow: string;
  readonly walletId: Id<'wal'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  return [
    {
      id: transferIdOf(line.inflow, 'inflow'),
      kind: 'post',
      debit: chainHot(line.walletId),
      credit: suspense(line.walletId),
      amount: line.amount,
      code: 'inflow',
      reference: line.inflow,
      ...when(line.at),
    },
  ];
}

/** Treasury declares an inflow to be the house's own: debit suspense, credit house:equity. */
export function declareFloat(line: {
  /** The inflow's name, as given to {@link hotInflow}. */
  readonly inflow: string;
  readonly walletId: Id<'wal'>;
  readonly amount: Amount;
  readonly at?: number;
}): TransferCommand[] {
  return [
    {
      id: transferIdOf(line.inflow, 'float'),
      kind: 'post',
      debit: suspense(line.walletId),
      credit: houseEquity,
      amount: line.amount,
      code: 'float',
      reference: line.inflow,
      ...when(line.at),
    },
  ];
}
