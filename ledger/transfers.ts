/** Transfer commands and what becomes of them. */
import type { Id } from '#core/ids';
import type { Amount, AssetId } from '#core/money';
import type { AccountPath } from './accounts.ts';

/** Why value moved; one per line of the journal table of design section 8. */
export const transferCodes = [
  'deposit-seen',
  'deposit-final',
  'deposit-reversed',
  'deposit-orphaned',
  'withdrawal-hold',
  'withdrawal-paid',
  'withdrawal-released',
  'hold-expired',
  'network-fee',
  'sweep',
  'rebalance',
  'inflow',
  'float',
  'fee',
  'spot-in',
  'spot-out',
  'trade',
  'trade-fee',
  'adjustment',
  'opening',
  'account-status',
] as const;
export type TransferCode = (typeof transferCodes)[number];

interface CommandBase {
  /** Made by the caller and sent again unchanged on a retry. Same id + same content: `exists`; other content: `conflict`. */
  readonly id: Id<'tr'>;
  readonly code: TransferCode;
  /** What this belongs to: a dep_, wd_, swp_ or bat_ id, or a transaction. Printable ASCII, at most {@link referenceCharsMax}. */
  readonly reference: string;
  /** The next command belongs to the same chain: either the whole chain applies or none of it. */
  readonly linked?: boolean;
  /** When it happened in the world, ms since 1970 (a block's time). Not part of the content that idempotency compares. */
  readonly at?: number;
}
/** `post` moves value now; `pending` reserves it until it is posted, voided or has expired. */
export interface MoveCommand extends CommandBase {
  readonly kind: 'post' | 'pending';
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  /** More than zero; with `balancing` at most this much. */
  readonly amount: Amount;
  /** `pending` only, ms, more than zero: from then on, by the ledger's clock, it can only expire. Without it it never does. */
  readonly timeoutMs?: number;
  /**
   * Moves what the named account has available, `amount` at most: `debit` of a customer or house account, `credit` of a
   * chain mirror; the others have no floor and are moved in full. `insufficient` when there is nothing.
   */
  readonly balancing?: 'debit' | 'credit';
}
/** Posts `amount` of a pending transfer along its own legs and releases the rest. */
export interface PostPendingCommand extends CommandBase {
  readonly kind: 'post-pending';
  readonly pendingId: Id<'tr'>;
  /** More than zero and at most the pending amount. */
  readonly amount: Amount;
}
/** Releases a pending transfer. */
export interface VoidPendingCommand extends CommandBase {
  readonly kind: 'void-pending';
  readonly pendingId: Id<'tr'>;
}
/** Releases a pending transfer whose timeout has passed; the ledger's keeper sends it. */
export interface ExpirePendingCommand extends CommandBase {
  readonly kind: 'expire-pending';
  readonly pendingId: Id<'tr'>;
}
/** A closed account takes part in no transfer. Only an account with nothing in it and no hold on it can be closed. */
export interface AccountStatusCommand extends CommandBase {
  readonly kind: 'close-account' | 'reopen-account';
  readonly account: AccountPath;
  readonly asset: AssetId;
}
export type TransferCommand =
  | MoveCommand
  | PostPendingCommand
  | VoidPendingCommand
  | ExpirePendingCommand
  | AccountStatusCommand;
export const transferKinds = [
  'post',
  'pending',
  'post-pending',
  'void-pending',
  'expire-pending',
  'close-account',
  'reopen-account',
] as const satisfies readonly TransferCommand['kind'][];
export type TransferKind = TransferCommand['kind'];

/**
 * `ok` applied now; `exists` applied before; the others applied nothing and did not use up the id.
 * `linked-failed`: another command of the same chain failed. `invalid`: amount zero or negative, both legs the same account, an
 * asset other than the pending transfer's, a timeout or balancing where none belongs, or a chain whose last command is
 * `linked`. `overflow`: an account's sum would have more than 78 digits. `closed`, `not-closed`, `not-empty`: the account's
 * status forbids it. `pending-not-due`: too early to expire. `not-approved`: an adjustment that no second person approved, or
 * not as approved.
 */
export const transferStatuses = [
  'ok',
  'exists',
  'conflict',
  'insufficient',
  'linked-failed',
  'unknown-account',
  'pending-not-found',
  'pending-resolved',
  'pending-expired',
  'pending-not-due',
  'amount-exceeds-pending',
  'overflow',
  'closed',
  'not-closed',
  'not-empty',
  'not-approved',
  'invalid',
] as const;
export type TransferStatus = (typeof transferStatuses)[number];

export interface TransferResult {
  readonly id: Id<'tr'>;
  readonly status: TransferStatus;
  /** The account that is unknown, closed or not empty, has too little or would have too much. */
  readonly account?: AccountPath;
  /** Base units a balancing transfer moved. */
  readonly units?: bigint;
}

/** Above this one statement keeps all other writers waiting for too long (about 0.25 s measured on 2 cores). */
export const commandsPerBatchMax = 8_000;
/** An id with its prefix has 40 characters; a transaction hash with a chain and an index has under 120. */
export const referenceCharsMax = 128;

/**
 * `commands` in portions that one batch takes, in order. A linked chain stays whole, because cut in two it would not apply.
 * @param commandsMax at least the length of the longest chain
 */
export function portionsOf(
  commands: readonly TransferCommand[],
  commandsMax: number,
): readonly (readonly TransferCommand[])[] {
  const portions: TransferCommand[][] = [];
  let chain: TransferCommand[] = [];
  for (const command of commands) {
    chain.push(command);
    if (command.linked === true) continue;
    const last = portions.at(-1);
    if (last === undefined || last.length + chain.length > commandsMax) portions.push(chain);
    else last.push(...chain);
    chain = [];
  }
  // An unfinished chain is for the ledger to refuse.
  if (chain.length > 0) portions.push(chain);
  return portions;
}
