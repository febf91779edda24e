/** What other modules know of custody: wallets, their roots and addresses, and what a signature request gives back. */
import type { Id } from '#core/ids';
import type { ActivationAck, FinishedSignature, KeyStatement, Refusal, SignRequest } from '#custody/protocol';
import type { Queryable } from '#infra/db';
import type { Tier } from '#policies/contract';

export {
  type CommitteeFile,
  custodyErrors,
  hotPath,
  type Refusal,
  type SignRequest,
} from '#custody/protocol';

export const depositPathOf = (index: number): string => `m/0/${index}`;

export interface WalletSpec {
  /** `wal_<uuid>`, the same as in every co-signer's configuration. */
  readonly id: string;
  readonly vault: string;
  readonly tier: Tier;
  /** CAIP-2. */
  readonly chain: string;
}
/** A wallet's public root as all co-signers state it. */
export interface WalletRoot {
  readonly wallet: string;
  readonly epoch: number;
  /** Compressed SEC1, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** BIP32 chain code, 32 bytes. */
  readonly chainCode: Uint8Array;
  readonly transcriptHash: string;
  /** True when any co-signer made its share in development. */
  readonly dev: boolean;
  readonly statements: readonly KeyStatement[];
}
/** An address of ours, recomputed from the wallet's verified root. */
export interface OwnAddress {
  readonly walletId: Id<'wal'>;
  readonly chain: string;
  /** Canonical form. */
  readonly address: string;
  /** Below the wallet's root: `m/1/0` hot, `m/0/i` a deposit address. */
  readonly path: string;
  /** Absent for the hot address. */
  readonly accountId?: Id<'acc'>;
}

/** A sign request before its participants are chosen. */
export type SignOrder = Omit<SignRequest, 'participants'>;
export interface SignResult {
  readonly signature: FinishedSignature;
  readonly participants: readonly number[];
  readonly session: string;
  /** Co-signers that refused before a quorum agreed. */
  readonly refusals: readonly Refusal[];
  /** Sessions that ended without a result before this one, with the reason. */
  readonly aborted: readonly { readonly session: string; readonly reason: string }[];
}

export interface Coordinator {
  /** Runs the key ceremony up to activation. @throws CUSTODY_SIGNER_UNREACHABLE, CUSTODY_SESSION_ABORTED */
  dkg(wallet: string): Promise<readonly KeyStatement[]>;
  /** Finishes a ceremony whose acknowledgements are all there; safe to repeat. @throws CUSTODY_STATEMENT_INVALID */
  activate(acks: readonly ActivationAck[]): Promise<readonly KeyStatement[]>;
  /** The statements of all co-signers, not yet verified. @throws CUSTODY_SIGNER_UNREACHABLE, CUSTODY_WALLET_UNKNOWN */
  statements(wallet: string): Promise<readonly KeyStatement[]>;
  /**
   * @throws CUSTODY_REFUSED when no quorum is willing (details.refusals, one line per co-signer),
   * CUSTODY_SIGNER_UNREACHABLE, CUSTODY_SESSION_ABORTED, CUSTODY_BANNED
   */
  sign(order: SignOrder): Promise<SignResult>;
  /** Which co-signers answer their health page. */
  health(): Promise<readonly { readonly party: number; readonly ok: boolean; readonly detail: string }[]>;
  close(): void;
}

/** The facade of `#custody`. Every address it gives is recomputed; a row that differs is CUSTODY_STATEMENT_INVALID. */
export interface Custody {
  /**
   * Brings the wallet into being: key ceremony, statements of all co-signers, hot address. Does nothing to a wallet that
   * is complete; finishes one that was left half-way.
   * @throws CUSTODY_SIGNER_UNREACHABLE, CUSTODY_SESSION_ABORTED, CUSTODY_STATEMENT_INVALID
   */
  ensureWallet(wallet: WalletSpec): Promise<WalletRoot>;
  wallets(): Promise<readonly WalletSpec[]>;
  /** Loaded and verified. @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_STATEMENT_INVALID */
  walletRoot(walletId: string): Promise<WalletRoot>;
  /** @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_STATEMENT_INVALID, CUSTODY_ADDRESS_UNKNOWN */
  deriveAddress(walletId: string, path: string): Promise<string>;
  /** The account's deposit address, the same on every call. @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_STATEMENT_INVALID */
  newDepositAddress(
    options: { readonly walletId: Id<'wal'>; readonly accountId: Id<'acc'> },
    db?: Queryable,
  ): Promise<OwnAddress>;
  /** @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_STATEMENT_INVALID */
  hotAddress(walletId: Id<'wal'>): Promise<OwnAddress>;
  /** Those of the addresses that are ours, hot addresses included. @throws CUSTODY_STATEMENT_INVALID */
  findAddresses(chain: string, addresses: readonly string[], db?: Queryable): Promise<readonly OwnAddress[]>;
  addressesOf(walletId: string, db?: Queryable): Promise<readonly OwnAddress[]>;
  /** Addresses of the wallet by path, at most `limit` after the given path ('' for the first). @throws CUSTODY_STATEMENT_INVALID */
  addressPage(
    options: { readonly walletId: Id<'wal'>; readonly afterPath: string; readonly limit: number },
    db?: Queryable,
  ): Promise<readonly OwnAddress[]>;
  /** As {@link Coordinator.sign}. @throws CUSTODY_SIGNER_UNREACHABLE in a process without a coordinator */
  sign(order: SignOrder): Promise<SignResult>;
  /** Lets go of the connections to the co-signers. */
  close(): void;
}
