/** Inputs of the workflows. Durations are inputs, so that a test runs in seconds what production runs in hours. */
import type { LedgerChore } from '../contract.ts';

export interface ChainWatcherInput {
  readonly chain: string;
  readonly pollMs: number;
}
export interface WithdrawalInput {
  readonly withdrawalId: string;
  /** How often approvals are looked at without being told. */
  readonly pollMs: number;
}
/** One run per chore, and per chain for its reconciliation. */
export interface LedgerKeeperInput {
  readonly work: { readonly chore: LedgerChore } | { readonly chore: 'reconcile'; readonly chain: string };
  /** From the end of one turn to the next. */
  readonly everyMs: number;
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
