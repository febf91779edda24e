/**
 * What the rest of the suite may know about withdrawals, deposits and their processes: states, views, the operations the
 * api calls, workflow ids. Pure. Amounts are decimal strings of base units everywhere here, because these shapes travel
 * through JSON and Temporal payloads, which cannot hold a bigint.
 */
import type { Sha256 } from '#core/canonical-json';
import type { ErrorCatalogue } from '#core/errors';
import type { Id } from '#core/ids';
import type { TransferKind } from '#ledger/contract';
import type { Approval, ApprovalStatement, Assertion, Obligations, SignedIntent } from '#policies/contract';

/** REQUESTED > SCREENED > PENDING_APPROVAL > APPROVED > QUEUED > SIGNING > BROADCAST > CONFIRMED > FINAL, or an end. */
export const withdrawalStates = [
  'REQUESTED',
  'SCREENED',
  'PENDING_APPROVAL',
  'APPROVED',
  'QUEUED',
  'SIGNING',
  'BROADCAST',
  'CONFIRMED',
  'FINAL',
  'REJECTED',
  'EXPIRED',
  'CANCELLED',
  'FAILED',
] as const;
export type WithdrawalState = (typeof withdrawalStates)[number];

/** Every permitted change; anything else is an invariant error. A reorg moves CONFIRMED back to BROADCAST. */
export const withdrawalTransitions: Readonly<Record<WithdrawalState, readonly WithdrawalState[]>> = {
  REQUESTED: ['SCREENED', 'REJECTED', 'CANCELLED'],
  SCREENED: ['PENDING_APPROVAL', 'APPROVED', 'REJECTED'],
  PENDING_APPROVAL: ['APPROVED', 'REJECTED', 'EXPIRED', 'CANCELLED'],
  APPROVED: ['QUEUED', 'CANCELLED', 'EXPIRED'],
  QUEUED: ['SIGNING', 'PENDING_APPROVAL', 'CANCELLED', 'EXPIRED'],
  SIGNING: ['BROADCAST', 'PENDING_APPROVAL', 'FAILED'],
  BROADCAST: ['CONFIRMED', 'FINAL', 'FAILED'],
  CONFIRMED: ['FINAL', 'BROADCAST', 'FAILED'],
  FINAL: [],
  REJECTED: [],
  EXPIRED: [],
  CANCELLED: [],
  FAILED: [],
};

export const depositStates = ['SEEN', 'FINAL', 'ORPHANED', 'ORPHANED_AFTER_FINAL'] as const;
export type DepositState = (typeof depositStates)[number];

export interface TimelineEntry {
  readonly at: number;
  readonly state: WithdrawalState;
  readonly event: string;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
}

export interface WithdrawalView {
  readonly id: Id<'wd'>;
  readonly accountId: Id<'acc'>;
  readonly asset: string;
  readonly address: string;
  readonly units: string;
  readonly state: WithdrawalState;
  readonly intentId: Id<'int'>;
  readonly intentHash: Sha256;
  readonly decision:
    | { readonly outcome: 'deny'; readonly rules: readonly string[]; readonly reason: string }
    | { readonly outcome: 'allow'; readonly rules: readonly string[]; readonly obligations: Obligations }
    | null;
  /** People still needed per group; empty when satisfied. */
  readonly missingApprovals: Readonly<Record<string, number>>;
  readonly txId: string | null;
  readonly feeUnits: string | null;
  readonly createdAt: number;
  readonly timeline: readonly TimelineEntry[];
}

export interface DepositView {
  readonly id: Id<'dep'>;
  readonly accountId: Id<'acc'>;
  readonly asset: string;
  readonly address: string;
  readonly units: string;
  readonly state: DepositState;
  readonly txId: string;
  readonly index: number;
  readonly blockHeight: number;
  readonly blockHash: string;
}

export interface BalanceView {
  readonly asset: string;
  /** Can be withdrawn now. */
  readonly available: string;
  /** Reserved by holds. */
  readonly held: string;
  /** Seen on chain, not yet final, not spendable. */
  readonly provisional: string;
}

/** What an approver needs to sign: the statement and its challenge (base64url of SHA-256 over canonical JSON). */
export interface ApprovalRequest {
  readonly withdrawal: WithdrawalView;
  readonly statement: ApprovalStatement;
  readonly challenge: string;
  readonly relyingPartyId: string;
  readonly credentialIds: readonly string[];
}

/** Everything that proves one payout, self-contained; `strongroom certificate verify FILE` checks it offline. */
export interface Certificate {
  readonly format: 'strongroom/certificate/v1';
  readonly withdrawalId: string;
  readonly intent: SignedIntent;
  readonly intentHash: Sha256;
  readonly policy: { readonly hash: Sha256; readonly document: unknown };
  readonly roster: { readonly hash: Sha256; readonly document: unknown };
  readonly decision: unknown;
  readonly approvals: readonly Approval[];
  readonly wallet: {
    readonly id: string;
    readonly publicKey: string;
    readonly chainCode: string;
    readonly path: string;
  };
  readonly keyStatements: readonly unknown[];
  readonly transaction: { readonly txId: string; readonly raw: string; readonly sender: string };
  /** A claim until checked with --node. */
  readonly inclusion: { readonly height: number; readonly blockHash: string; readonly feeUnits: string };
  readonly journal: readonly {
    readonly id: string;
    readonly kind: TransferKind;
    readonly debit: string;
    readonly credit: string;
    readonly asset: string;
    readonly units: string;
    readonly code: string;
  }[];
}

/** The cross-module operations; each is one database transaction and safe to repeat with the same id. */
export interface Operations {
  /** Same id again: same answer. @throws WITHDRAWAL_* , LEDGER_*, CHAINS_*, CORE_* */
  createAccount(options: { id: string }): Promise<{ id: string; created: boolean }>;
  depositAddress(options: {
    accountId: string;
    asset: string;
  }): Promise<{ address: string; asset: string; path: string; walletId: string }>;
  balances(accountId: string): Promise<readonly BalanceView[]>;
  deposits(accountId: string): Promise<readonly DepositView[]>;
  requestWithdrawal(options: {
    id: string;
    accountId: string;
    asset: string;
    address: string;
    units: string;
  }): Promise<WithdrawalView>;
  withdrawal(id: string): Promise<WithdrawalView>;
  withdrawals(filter: {
    state?: WithdrawalState;
    accountId?: string;
    limit?: number;
    after?: string;
  }): Promise<readonly WithdrawalView[]>;
  approvalRequest(options: {
    withdrawalId: string;
    decision: 'approve' | 'reject';
    group: string;
    approver: string;
  }): Promise<ApprovalRequest>;
  submitApproval(options: {
    withdrawalId: string;
    decision: 'approve' | 'reject';
    group: string;
    approver: string;
    notAfter: number;
    assertion: Assertion;
  }): Promise<WithdrawalView>;
  cancelWithdrawal(id: string): Promise<WithdrawalView>;
  certificate(withdrawalId: string): Promise<Certificate>;
}

/** What is done for the ledger from time to time; see `operations/ledger-keeping.ts`. */
export const ledgerChores = [
  'expire-holds',
  'add-partitions',
  'check-books',
  'verify-journal',
  'export-head',
  'verify-heads',
] as const;
export type LedgerChore = (typeof ledgerChores)[number];

/** Temporal names. Ids are business ids, so that a second start finds the first. */
export const temporalNamespace = 'strongroom';
export const taskQueues = {
  workflows: 'workflows',
  signing: 'signing',
  chain: (chain: string): string => `chain-${chain}`,
} as const;
export const workflowIds = {
  chainWatcher: (chainName: string): string => `chainWatcher/${chainName}`,
  /** One per chore; reconciliation has one per chain. */
  ledgerKeeper: (chore: LedgerChore | 'reconcile', chain?: string): string =>
    ['ledgerKeeper', chore, ...(chain === undefined ? [] : [chain])].join('/'),
  withdrawal: (id: string): string => `withdrawal/${id}`,
  batcher: (chain: string, walletId: string): string => `batcher/${chain}/${walletId}`,
  batch: (id: string): string => `batch/${id}`,
  sweeper: (chain: string, walletId: string): string => `sweeper/${chain}/${walletId}`,
  sweep: (id: string): string => `sweep/${id}`,
} as const;

/** Outbox topics: what the worker is told of, always as a hint to look into the database. */
export const outboxTopics = {
  /** Key: withdrawal id. Starts or wakes its workflow. */
  withdrawal: 'withdrawal',
  /** Key: wallet id. Wakes its batcher. */
  batcher: 'batcher',
  /** Key: wallet id. Wakes its sweeper. */
  sweeper: 'sweeper',
} as const;
/** The only signal there is: "look again". It carries nothing, so that a forged or lost one can do no harm. */
export const wakeSignalName = 'wake';

/** Rows one answer lists at most: a page of views fits into a few hundred KiB and a person reads no longer list. */
export const pageRowsMax = 200;

/** Most withdrawals one batch claims: on Ethereum one transaction each, one nonce after the other. */
export const batchRowsMax = 20;

export const workflowErrors = {
  ACCOUNT_UNKNOWN: {
    kind: 'not_found',
    why: 'No customer account has this id.',
    whatToDo: 'Create the account first, or correct the id.',
  },
  WITHDRAWAL_UNKNOWN: {
    kind: 'not_found',
    why: 'No withdrawal has this id.',
    whatToDo: 'Correct the id, or request the withdrawal.',
  },
  WITHDRAWAL_ID_REUSED: {
    kind: 'conflict',
    why: 'This id was used before for a withdrawal with other content.',
    whatToDo: 'Make a new id for a new withdrawal; repeat the same content to get the first answer again.',
  },
  WITHDRAWAL_AMOUNT_INVALID: {
    kind: 'invalid',
    why: 'The amount is zero or not a whole number of base units.',
    whatToDo: 'Send a positive whole number of base units as a decimal string.',
  },
  WITHDRAWAL_ADDRESS_OWN: {
    kind: 'invalid',
    why: 'The destination is one of our own addresses.',
    whatToDo: 'Send to an address outside; moves between customers are not withdrawals.',
  },
  WITHDRAWAL_STATE: {
    kind: 'conflict',
    why: 'The withdrawal is not in a state in which this can be done.',
    whatToDo: 'Read its current state and timeline; it may have been decided in the meantime.',
  },
  WITHDRAWAL_NOT_FINAL: {
    kind: 'conflict',
    why: 'A certificate exists only for a withdrawal whose payment is final.',
    whatToDo: 'Wait until the state is FINAL.',
    retryable: true,
  },
  WITHDRAWAL_LIMIT: {
    kind: 'limited',
    why: 'A list was asked for with more rows than one page may have.',
    whatToDo: 'Ask for at most the named number and page with `after`.',
  },
  WALLET_NOT_READY: {
    kind: 'unavailable',
    why: 'The wallet for this asset has no activated key yet.',
    whatToDo: 'Wait for the key ceremony of the co-signers, or look at their log files.',
    retryable: true,
  },
  INFLOW_UNKNOWN: {
    kind: 'not_found',
    why: 'No final inflow at a hot address has this transaction and index.',
    whatToDo: 'Wait until it is final, and name the transaction and index as the list of inflows does.',
  },
  BATCH_UNKNOWN: {
    kind: 'not_found',
    why: 'No batch has this id.',
    whatToDo: 'Look at the batches of the wallet; a batch exists from its claim on.',
  },
  BATCH_UNDER_WAY: {
    kind: 'conflict',
    why: 'A batch was to be closed although one of its payments has not ended; its wallet waits until it has.',
    whatToDo: 'Look at the rows of the batch and at the open cases; it is tried again.',
    retryable: true,
  },
  CASE_UNKNOWN: {
    kind: 'not_found',
    why: 'No case has this id.',
    whatToDo: 'List the open cases and use an id from there.',
  },
  CASE_OWNER_UNKNOWN: {
    kind: 'invalid',
    why: 'A case was to be given to somebody who is not in the roster.',
    whatToDo: 'Name a person of the roster by their id.',
  },
  HALT_UNKNOWN: {
    kind: 'not_found',
    why: 'Nothing is halted under this scope; it may have been lifted already.',
    whatToDo: 'List the halts (`strongroom cases`) and use a scope from there.',
  },
  LEDGER_HEADS_UNKEPT: {
    kind: 'unavailable',
    why: 'A co-signer did not record the newest signed head of the ledger, or could not be asked for those it has.',
    whatToDo:
      "Look whether the named co-signer is up, and whether its configuration has the ledger's public key (`ledgerPublicKey`). The others have the head; it is tried again.",
    retryable: true,
  },
  LEDGER_PARTITIONS_BUSY: {
    kind: 'unavailable',
    why: 'New partitions of the journal could not be added, because something reads or copies all of it.',
    whatToDo:
      'Nothing for some minutes; if it goes on, look for a dump or a query that holds locks on ledger.transfer.',
    retryable: true,
  },
  DEPOSIT_AFTER_FINAL_ORPHANED: {
    kind: 'invariant',
    why: 'A credited deposit left the chain after it was final.',
    whatToDo: 'The chain is halted; work on the open case before lifting the halt.',
  },
} as const satisfies ErrorCatalogue;
