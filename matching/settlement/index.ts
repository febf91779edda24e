/**
 * Settlement: the engine owns spot accounts, the ledger main accounts. What moves between them and what is traded is booked
 * exactly once, whatever crashes. `docs/decisions/0020-settlement.md` says why it is so.
 */
export {
  createEngineAccounts,
  type EngineAccounts,
  type EngineAccountsOptions,
  type SubmitCommand,
} from './accounts.ts';
export { type EngineAmount, type EngineAsset, engineAmount, engineAssets, ledgerAmount } from './assets.ts';
export {
  type CandleRange,
  type CandleRow,
  type CandlesAtHead,
  candlesAtHead,
  candlesOf,
} from './candles.ts';
export { caseOfRefusal, settlementCaseKind } from './cases.ts';
export {
  type BookedDebit,
  debitOf,
  type FillRow,
  fillsOf,
  type HistoryPage,
  type TradeRow,
  tradesOf,
} from './history.ts';
export { ensureTradePartitions, type TradePartitionsOutcome } from './partitions.ts';
export type { SettlementHead } from './portion.ts';
export {
  type BalanceDifference,
  type EngineAtHead,
  type EngineBalances,
  type ReconcileOptions,
  type Reconciliation,
  reconcile,
} from './reconcile.ts';
export {
  type BookedPortion,
  type Refusal,
  type Settler,
  type SettlerOptions,
  startSettler,
} from './settler.ts';
export {
  createSpotFeed,
  type ReadLedger,
  type SpotFeed,
  type SpotFeedOptions,
  spotInTradable,
} from './spot-feed.ts';
export {
  findEngine,
  isOutage,
  openEngine,
  readHead as settledHead,
  type SettledEngine,
} from './store.ts';
export { type PortionRange, type SettlementProblem, verifySettlement } from './verify.ts';
