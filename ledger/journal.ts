/**
 * The journal templates: the only way modules move money. Each returns the commands of one event of design section 8, with
 * ids derived from the business id, so that applying the same event again answers `exists`. `docs/journal.md` shows the legs
 * of each with an example that is run.
 */
export {
  accountClosed,
  accountReopened,
  adjustment,
  adjustmentHash,
  type OpeningSource,
  openingBalance,
} from './journal/corrections.ts';
export {
  type DepositLine,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
} from './journal/deposits.ts';
export { transferIdOf } from './journal/legs.ts';
export {
  type FeeOwner,
  feeCharged,
  networkFeePaid,
  networkFeeReleased,
  networkFeeReserve,
  withdrawalHold,
  withdrawalPaid,
  withdrawalReleased,
} from './journal/payments.ts';
export {
  type NetLine,
  type NetMove,
  type SpotMove,
  spotIn,
  spotOut,
  type TradeLine,
  tradeSettled,
  tradesNetted,
  tradesNettedInTurn,
} from './journal/trading.ts';
export {
  declareFloat,
  hotInflow,
  rebalancePaid,
  rebalanceReleased,
  rebalanceStart,
  sweepPaid,
  sweepReleased,
  sweepStart,
} from './journal/treasury.ts';
