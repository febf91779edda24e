/** The seams inside a co-signer: what the session runner asks of the checks and of the key store. */
import type { Refusal, SignRequest } from '#custody/protocol';

/** A request that passed all checks, with what the co-signer itself computed from it. */
export interface Authorisation {
  readonly request: SignRequest;
  /** SHA-256 of the canonical request: what the sessions of all participants must agree on. */
  readonly requestHash: string;
  /** 32 bytes, computed from the unsigned bytes by this co-signer. */
  readonly digest: Uint8Array;
  readonly wallet: string;
  readonly epoch: number;
  readonly path: string;
  /** Canonical address of the child key at `path`, from this co-signer's own share. */
  readonly sender: string;
}
export type CheckOutcome =
  | { readonly ok: true; readonly authorisation: Authorisation }
  | { readonly ok: false; readonly refusal: Refusal };

/** The ten checks of design section 7. */
export interface Gatekeeper {
  /** Runs every check but writes nothing, except refusals and first sights to the decision log. */
  check(request: unknown): Promise<CheckOutcome>;
  /**
   * Re-checks pins, times, spend, freeze and conflict and writes spend, conflict set, consumed sign id and the log record in ONE
   * transaction synced to disk. Only after it returns ok may the first protocol message leave.
   */
  commit(authorisation: Authorisation, signId: Uint8Array, session: string): Promise<CheckOutcome>;
  /** Logs how the session ended (signed with signature hash, or aborted). */
  conclude(
    authorisation: Authorisation,
    session: string,
    outcome: { readonly signed: boolean; readonly detail: string },
  ): void;
}

/** Key shares at rest, one per wallet and epoch, sealed with AES-256-GCM (associated data: wallet, party, epoch, curve). */
export interface ShareStore {
  /** The active share, decrypted; the caller zeroes it. @throws CUSTODY_WALLET_UNKNOWN, CUSTODY_STORE_CORRUPT */
  open(wallet: string, epoch: number): Uint8Array;
  activeEpoch(wallet: string): number | undefined;
  /** Stores a share that is not yet usable for requests. */
  savePending(wallet: string, epoch: number, share: Uint8Array, facts: ShareFacts): void;
  /** Opens a pending share for the activation test signatures only. */
  openPending(wallet: string, epoch: number): Uint8Array;
  activate(wallet: string, epoch: number): void;
  facts(wallet: string, epoch: number): ShareFacts | undefined;
}
export interface ShareFacts {
  readonly threshold: number;
  readonly parties: number;
  /** Hex. */
  readonly publicKey: string;
  readonly chainCode: string;
  readonly transcriptHash: string;
  readonly dev: boolean;
}

/** Durable one-time ids and bans (guard rails 5 and 6). */
export interface SessionGuard {
  /** False when the id was consumed before; durable before it returns true. */
  consume(id: string): boolean;
  ban(party: number, reason: string): void;
  isBanned(party: number): boolean;
  /** Counts a recoverable abort blamed on a party. */
  recordAbort(party: number): void;
  /** Whether the party's aborts of the last hour are above the limit: no session with it is opened or started. */
  isPaused(party: number): boolean;
}
