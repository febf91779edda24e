/** Inputs of the workflows. Durations are inputs, so that a test runs in seconds what production runs in hours. */

export interface ChainWatcherInput {
  readonly chain: string;
  readonly pollMs: number;
}
export interface WithdrawalInput {
  readonly withdrawalId: string;
  /** How often approvals are looked at without being told. */
  readonly pollMs: number;
}
/** One for all chains and the ledger. Each period is counted in looks, so that it is rounded up to a multiple of `pollMs`. */
export interface LedgerKeeperInput {
  readonly chains: readonly string[];
  /** Between two looks: chores, and the cheap check of the books. */
  readonly pollMs: number;
  /** Between two reconciliations of a chain. */
  readonly reconcileEveryMs: number;
  /** Between two proofs of the whole ledger from its journal. */
  readonly verifyEveryMs: number;
  /** Between two exports of the ledger's head. */
  readonly exportHeadEveryMs: number;
  /** How long each of these three has been waited for, from the run before; absent: all are due at once. */
  readonly waited?: {
    readonly reconcileMs: number;
    readonly verifyMs: number;
    readonly exportHeadMs: number;
  };
}
/** Pace of following one payment. */
export interface PaymentPace {
  readonly pollMs: number;
  /** A payment that a node holds and that is not mined for so long is replaced by a dearer one. */
  readonly stuckAfterMs: number;
}
/** `batcher` and `sweeper`: one of each per wallet. */
export interface WalletEntityInput {
  readonly chain: string;
  readonly walletId: string;
  /** How often work is looked for without being told. */
  readonly pollMs: number;
  readonly payments: PaymentPace;
}
export interface BatchInput {
  readonly chain: string;
  readonly batchId: string;
  readonly withdrawalIds: readonly string[];
  readonly payments: PaymentPace;
}
export interface SweepInput {
  readonly chain: string;
  readonly sweepId: string;
  readonly payments: PaymentPace;
}
