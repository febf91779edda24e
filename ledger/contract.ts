/**
 * What the ledger offers to the other parts: accounts named by path, transfer commands and their results, limits and
 * error codes. Pure. Modules move money only through the journal templates of `./journal.ts`, which are exported here.
 */
import type { Id } from '#core/ids';
import type { Amount, AssetId } from '#core/money';
import type { AccountPath, AccountRef } from './accounts.ts';
import type { TransferCode, TransferKind } from './transfers.ts';

export * from './accounts.ts';
export * from './adjustment-document.ts';
export * from './errors.ts';
export type * from './heads.ts';
export * from './journal.ts';
export * from './reconciliation.ts';
export * from './transfers.ts';

export interface AccountBalance extends AccountRef {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
  readonly closed: boolean;
  /** Posted, base units, signed by the account's side; only suspense can be negative. */
  readonly balance: bigint;
  /** `balance` less what is pending to leave; may be negative for a mirror whose holds wait for a sweep. */
  readonly available: bigint;
}
export interface BalanceFilter {
  readonly pathPrefix?: string;
  readonly paths?: readonly AccountPath[];
  readonly asset?: AssetId;
}
/** A row of the journal; where it ends a pending transfer, the legs are those of that one. */
export interface Transfer {
  /** Position in the journal: gap-free and in commit order. */
  readonly seq: bigint;
  readonly id: Id<'tr'>;
  readonly kind: TransferKind;
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  readonly amount: Amount;
  readonly pendingId?: Id<'tr'>;
  readonly code: TransferCode;
  readonly reference: string;
  readonly at?: number;
  readonly timeoutMs?: number;
  /** Of a balancing transfer: whose room capped it, and at most how much was asked for. */
  readonly balancing?: { readonly side: 'debit' | 'credit'; readonly maxUnits: bigint };
  readonly batch: bigint;
  /** When its batch was written, ms since 1970 by the ledger's clock. */
  readonly recordedMs: number;
}
/** Signed base units; the terms of the proof line of design section 8. */
export interface LedgerTotals {
  readonly asset: AssetId;
  /** Posted balances of all customer accounts except provisional. */
  readonly customers: bigint;
  /** Equity + income - network fees. */
  readonly house: bigint;
  readonly suspense: bigint;
}
export interface LedgerProblem {
  readonly check:
    | 'balance'
    | 'zero-sum'
    | 'register'
    | 'batch'
    | 'chain'
    | 'journal'
    | 'idempotency'
    | 'pending'
    | 'adjustment'
    | 'exported-head';
  /** The account, batch or transfer concerned. */
  readonly place: string;
  readonly problem: string;
}
/** Events of a stream with positions above `after`, up to `upTo`. */
export interface StreamPortion {
  /** Printable ASCII, at most 128 characters. */
  readonly stream: string;
  readonly after: bigint;
  readonly upTo: bigint;
}
/** Batches by number, both included. */
export interface BatchRange {
  readonly from: bigint;
  readonly to: bigint;
}
export interface LedgerVerification {
  readonly ok: boolean;
  readonly problems: readonly LedgerProblem[];
}
