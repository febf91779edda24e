/** The house moves its own stock: sweeps, rebalances between tiers, inflows from outside. */
import type { Id } from '#core/ids';
import type { Amount } from '#core/money';
import { chainDeposit, chainHot, houseEquity, suspense, type TierMirror } from '../accounts.ts';
import type { TransferCommand } from '../transfers.ts';
import { post, reserve, resolve, type Timed } from './legs.ts';

interface Sweep extends Timed {
  readonly sweepId: Id<'swp'>;
}

/** A sweep is signed: the amount is reserved between the deposit mirror and the hot mirror of one wallet. */
export function sweepStart(
  line: Sweep & { readonly walletId: Id<'wal'>; readonly amount: Amount },
): TransferCommand[] {
  return [
    reserve({
      reference: line.sweepId,
      step: 'start',
      debit: chainHot(line.walletId),
      credit: chainDeposit(line.walletId),
      amount: line.amount,
      code: 'sweep',
      at: line.at,
    }),
  ];
}

/** The sweep is final: posts it. */
export function sweepPaid(line: Sweep & { readonly amount: Amount }): TransferCommand[] {
  const { sweepId: reference, amount, at } = line;
  return resolve({ reference, reserved: 'start', amount, code: 'sweep', at });
}

/** The sweep failed on chain or can no longer be mined: voids it. */
export function sweepReleased(line: Sweep): TransferCommand[] {
  const { sweepId: reference, at } = line;
  return resolve({ reference, reserved: 'start', code: 'sweep', at });
}

interface Rebalance extends Timed {
  readonly rebalanceId: Id<'reb'>;
}

/** A move between tiers is signed (hot, warm, cold; a refill or a drain): reserves it between the two mirrors. */
export function rebalanceStart(
  line: Rebalance & { readonly from: TierMirror; readonly to: TierMirror; readonly amount: Amount },
): TransferCommand[] {
  return [
    reserve({
      reference: line.rebalanceId,
      step: 'start',
      debit: line.to,
      credit: line.from,
      amount: line.amount,
      code: 'rebalance',
      at: line.at,
    }),
  ];
}

/** The move is final: posts it. */
export function rebalancePaid(line: Rebalance & { readonly amount: Amount }): TransferCommand[] {
  const { rebalanceId: reference, amount, at } = line;
  return resolve({ reference, reserved: 'start', amount, code: 'rebalance', at });
}

/** The move failed on chain or can no longer be mined: voids it. */
export function rebalanceReleased(line: Rebalance): TransferCommand[] {
  const { rebalanceId: reference, at } = line;
  return resolve({ reference, reserved: 'start', code: 'rebalance', at });
}

interface Inflow extends Timed {
  /** `<chain id>/<txid>/<index>`, which names the inflow once and for all. */
  readonly inflow: string;
  readonly walletId: Id<'wal'>;
  readonly amount: Amount;
}

/** Value from outside is final at the hot address: it has no owner on our books yet. */
export function hotInflow(line: Inflow): TransferCommand[] {
  return [
    post({
      reference: line.inflow,
      step: 'inflow',
      debit: chainHot(line.walletId),
      credit: suspense(line.walletId),
      amount: line.amount,
      code: 'inflow',
      at: line.at,
    }),
  ];
}

/** Treasury declares an inflow to be the house's own; named as it was for {@link hotInflow}. */
export function declareFloat(line: Inflow): TransferCommand[] {
  return [
    post({
      reference: line.inflow,
      step: 'float',
      debit: suspense(line.walletId),
      credit: houseEquity,
      amount: line.amount,
      code: 'float',
      at: line.at,
    }),
  ];
}
