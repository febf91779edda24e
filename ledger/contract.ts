/**
 * What the ledger offers to the other parts: accounts named by path, transfer commands and their results, limits and
 * error codes. Pure. Modules move money only through the journal templates of `./journal.ts`, which are exported here.
 */
import type { ErrorCatalogue } from '#core/errors';
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import { isId } from '#core/ids';
import type { Amount, AssetId } from '#core/money';

export * from './journal.ts';

// ---------------------------------------------------------------- accounts

/** An account is a path and an asset; the same path may exist once per asset. */
export type AccountPath =
  | `customer:${Id<'acc'>}:main`
  | `customer:${Id<'acc'>}:provisional`
  | `chain:pending:${Id<'wal'>}`
  | `chain:deposit:${Id<'wal'>}`
  | `chain:hot:${Id<'wal'>}`
  | `suspense:${Id<'wal'>}`
  | 'house:equity'
  | 'house:income'
  | 'house:network-fee';
/** The chain mirrors that an address can pay from. */
export type PayingMirror = `chain:deposit:${Id<'wal'>}` | `chain:hot:${Id<'wal'>}`;

export interface AccountRef {
  readonly path: AccountPath;
  readonly asset: AssetId;
}

export const customerMain = (accountId: Id<'acc'>) => `customer:${accountId}:main` as const;
export const customerProvisional = (accountId: Id<'acc'>) => `customer:${accountId}:provisional` as const;
/** Mirror of deposits that are seen on chain and not final. */
export const chainPending = (walletId: Id<'wal'>) => `chain:pending:${walletId}` as const;
/** Mirror of the final balance of all deposit addresses of one wallet. */
export const chainDeposit = (walletId: Id<'wal'>) => `chain:deposit:${walletId}` as const;
/** Mirror of the hot address of one wallet. */
export const chainHot = (walletId: Id<'wal'>) => `chain:hot:${walletId}` as const;
/** Value on chain that has no owner on our books yet, or a loss that nobody has taken yet (negative). */
export const suspense = (walletId: Id<'wal'>) => `suspense:${walletId}` as const;
export const houseEquity = 'house:equity' as const;
export const houseIncome = 'house:income' as const;
export const houseNetworkFee = 'house:network-fee' as const;

export const accountKinds = [
  'customer-main',
  'customer-provisional',
  'chain-pending',
  'chain-deposit',
  'chain-hot',
  'suspense',
  'house-equity',
  'house-income',
  'house-network-fee',
] as const;
export type AccountKind = (typeof accountKinds)[number];

/** `credit`: balance = credits - debits. `debit`: balance = debits - credits. */
export type Side = 'credit' | 'debit';
/**
 * What the database refuses.
 * `held`: debits posted + pending may not exceed credits posted, so that a hold counts as spent.
 * `posted`: the posted balance may not be negative; pending lines are not looked at, else the hold of a customer whose
 * deposit is not swept yet would be refused. `none`: either sign.
 */
export type Floor = 'held' | 'posted' | 'none';

/** Side and floor follow from the kind, and the kind from the path. The SQL function `ledger.kind_of` says the same. */
export const accountRules: Readonly<Record<AccountKind, { readonly side: Side; readonly floor: Floor }>> = {
  'customer-main': { side: 'credit', floor: 'held' },
  'customer-provisional': { side: 'credit', floor: 'held' },
  'chain-pending': { side: 'debit', floor: 'posted' },
  'chain-deposit': { side: 'debit', floor: 'posted' },
  'chain-hot': { side: 'debit', floor: 'posted' },
  suspense: { side: 'credit', floor: 'none' },
  'house-equity': { side: 'credit', floor: 'held' },
  'house-income': { side: 'credit', floor: 'held' },
  'house-network-fee': { side: 'debit', floor: 'posted' },
};

/** @throws LEDGER_ACCOUNT_PATH_INVALID */
export function accountKind(path: string): AccountKind {
  const [first = '', second = '', third = '', ...rest] = path.split(':');
  if (rest.length === 0) {
    if (first === 'customer' && isId('acc', second) && (third === 'main' || third === 'provisional'))
      return `customer-${third}`;
    if (first === 'chain' && isId('wal', third))
      if (second === 'pending' || second === 'deposit' || second === 'hot') return `chain-${second}`;
    if (first === 'suspense' && isId('wal', second) && third === '') return 'suspense';
    if (path === houseEquity) return 'house-equity';
    if (path === houseIncome) return 'house-income';
    if (path === houseNetworkFee) return 'house-network-fee';
  }
  throw errorsOf(ledgerErrors)(
    'LEDGER_ACCOUNT_PATH_INVALID',
    `"${path.slice(0, 120)}" is not the path of a ledger account`,
  );
}

// ---------------------------------------------------------------- transfers

/** Why value moved; one per line of the journal table of design section 8. */
export const transferCodes = [
  'deposit-seen',
  'deposit-final',
  'deposit-reversed',
  'deposit-orphaned',
  'withdrawal-hold',
  'withdrawal-paid',
  'withdrawal-released',
  'network-fee',
  'sweep',
  'inflow',
  'float',
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
/** `post` moves value now; `pending` reserves it until it is posted or voided. */
export interface MoveCommand extends CommandBase {
  readonly kind: 'post' | 'pending';
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  /** More than zero. */
  readonly amount: Amount;
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
export type TransferCommand = MoveCommand | PostPendingCommand | VoidPendingCommand;
export type TransferKind = TransferCommand['kind'];

/**
 * `ok` applied now; `exists` applied before; the others applied nothing and did not use up the id.
 * `linked-failed`: another command of the same chain failed. `invalid`: amount zero, both legs the same account, an asset
 * other than the pending transfer's, or a chain whose last command is `linked`.
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
  'amount-exceeds-pending',
  'invalid',
] as const;
export type TransferStatus = (typeof transferStatuses)[number];

export interface TransferResult {
  readonly id: Id<'tr'>;
  readonly status: TransferStatus;
  /** The account that is unknown or has too little. */
  readonly account?: AccountPath;
}

/** Above this one statement holds its locks for too long (about 0.3 s measured on 2 cores). */
export const commandsPerBatchMax = 8_000;
/** An id with its prefix has 40 characters; a transaction hash with a chain and an index has under 120. */
export const referenceCharsMax = 128;

// ---------------------------------------------------------------- reading

export interface AccountBalance extends AccountRef {
  readonly debitsPending: bigint;
  readonly debitsPosted: bigint;
  readonly creditsPending: bigint;
  readonly creditsPosted: bigint;
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
/** A row of the journal; for `post-pending` and `void-pending` the legs are those of the pending transfer. */
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
  readonly batch: bigint;
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
  readonly check: 'balance' | 'zero-sum' | 'batch' | 'chain' | 'journal' | 'idempotency' | 'pending';
  /** The account, batch or transfer concerned. */
  readonly place: string;
  readonly problem: string;
}
export interface LedgerVerification {
  readonly ok: boolean;
  readonly problems: readonly LedgerProblem[];
}

export const ledgerErrors = {
  LEDGER_ACCOUNT_PATH_INVALID: {
    kind: 'invalid',
    why: 'A text is not the path of a ledger account.',
    whatToDo: 'Build paths with the named constructors of #ledger/contract.',
  },
  LEDGER_BATCH_INVALID: {
    kind: 'invalid',
    why: 'A batch is empty, longer than the limit, or one of its references has other than printable ASCII characters.',
    whatToDo: 'Split the batch, or correct the reference the message names.',
  },
  LEDGER_INSUFFICIENT_FUNDS: {
    kind: 'conflict',
    why: 'A transfer would take more from an account than it holds, holds on it included.',
    whatToDo: 'Ask for at most the available balance; nothing was written.',
  },
  LEDGER_ID_CONFLICT: {
    kind: 'conflict',
    why: 'The id was used before for a transfer with other content.',
    whatToDo: 'Make a new id for a new request; send a retry with the same content.',
  },
  LEDGER_UNKNOWN_ACCOUNT: {
    kind: 'not_found',
    why: 'A transfer names an account that was never opened for this asset.',
    whatToDo: 'Open the account first (openAccounts), or correct the path and asset.',
  },
  LEDGER_PENDING_NOT_FOUND: {
    kind: 'not_found',
    why: 'The pending transfer to post or void does not exist.',
    whatToDo: 'Check that the hold was made, and under which id.',
  },
  LEDGER_PENDING_RESOLVED: {
    kind: 'conflict',
    why: 'The pending transfer was already posted or voided.',
    whatToDo: 'Read the journal for its reference; a hold is resolved once.',
  },
  LEDGER_AMOUNT_EXCEEDS_PENDING: {
    kind: 'invalid',
    why: 'More was to be posted than the pending transfer reserved.',
    whatToDo: 'Post at most the reserved amount; a fee above its cap is a case for a person.',
  },
  LEDGER_TRANSFER_INVALID: {
    kind: 'invalid',
    why: 'A transfer has a zero amount, the same account on both sides, the wrong asset, or a chain left open.',
    whatToDo: 'Correct the named transfer.',
  },
} as const satisfies ErrorCatalogue;
