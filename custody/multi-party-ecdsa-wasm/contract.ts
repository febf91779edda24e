/**
 * What a threshold-ECDSA engine offers to a co-signer. The built-in engine (`./index.ts`) runs DKLs23 in a WASM module;
 * another engine (an HSM, a licensed library) can stand behind the same interface.
 *
 * The engine does the cryptography only. Who may take part, whether the message may be signed, authenticating and
 * encrypting messages, echoing broadcasts and remembering bans are the co-signer's work.
 */
import type { ErrorCatalogue } from '#core/errors';

/** Committees are n = 2t - 1 (2-of-3, 3-of-5): two quorums always share a co-signer. Parties are 1..n. */
export interface Committee {
  readonly threshold: number;
  readonly parties: number;
}

/** A message leaving this party. `to: 0` is a broadcast. */
export interface OutgoingMessage {
  readonly to: number;
  readonly payload: Uint8Array;
}
/** A message that arrived here; the caller has authenticated `from` and whether it was a broadcast. */
export interface IncomingMessage {
  readonly from: number;
  readonly broadcast: boolean;
  readonly payload: Uint8Array;
}

export interface ShareInfo {
  readonly threshold: number;
  readonly parties: number;
  readonly party: number;
  /** Compressed SEC1 point of the key at the asked path, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** BIP32 chain code at the asked path, 32 bytes. */
  readonly chainCode: Uint8Array;
}
export interface DkgResult extends ShareInfo {
  /** Opaque and secret; no integrity of its own, so store it under AEAD only. Zero it after use. */
  readonly share: Uint8Array;
  /** SHA-256 over every broadcast of the run; all parties must have the same before a share is activated. */
  readonly transcriptHash: Uint8Array;
}
export interface EcdsaSignature {
  /** r || s, 64 bytes, s in the lower half (EIP-2, BIP-62). */
  readonly compact: Uint8Array;
  /** Recovery id 0 or 1, flipped whenever s was. */
  readonly recoveryId: 0 | 1;
  /** The child public key that verifies it, 33 bytes. */
  readonly publicKey: Uint8Array;
}

export type StepResult<R> =
  | { readonly state: 'more'; readonly messages: readonly OutgoingMessage[] }
  | { readonly state: 'done'; readonly result: R };

/** One protocol run in one module instance. An error, the end or `dispose` destroys it and zeroes its memory. */
export interface EngineSession<R> {
  /** What this party sends in round 1. */
  readonly messages: readonly OutgoingMessage[];
  /**
   * Takes all messages of the current round.
   * @throws MPC_ABORTED (details.party is the blamed party or 0, details.ban says whether it must be banned for good),
   * MPC_TRAP, MPC_INPUT
   */
  step(inbox: readonly IncomingMessage[]): Promise<StepResult<R>>;
  dispose(): void;
}

export interface ThresholdEcdsaEngine {
  readonly name: string;
  /** False: a start outside development needs the operator's explicit acceptance. */
  readonly audited: boolean;
  /** @throws MPC_INPUT for a committee that is not n = 2t - 1 or a session id shorter than 32 bytes */
  newDkg(options: {
    committee: Committee;
    party: number;
    sessionId: Uint8Array;
  }): Promise<EngineSession<DkgResult>>;
  /**
   * @param path canonical non-hardened path, `m/0/7`; `m` is the root
   * @param signId unique; the caller consumes it durably before any message of the session leaves
   * @param signers exactly `threshold` distinct parties, this one included, ascending
   */
  newSigning(options: {
    share: Uint8Array;
    path: string;
    digest: Uint8Array;
    signId: Uint8Array;
    signers: readonly number[];
  }): Promise<EngineSession<EcdsaSignature>>;
  shareInfo(options: { share: Uint8Array; path: string }): Promise<ShareInfo>;
  close(): Promise<void>;
}

/** Largest payload accepted from one peer in one round, bytes (measured sizes in docs/decisions, plus a margin). */
export const payloadBytesMax = {
  sign: [32 * 1024, 64 * 1024, 1024],
  dkg: [1024, 1024, 160 * 1024],
} as const;

export const mpcErrors = {
  MPC_ABORTED: {
    kind: 'aborted',
    why: 'The threshold protocol ended because a party sent something that does not verify.',
    whatToDo: 'Look at the blamed party; a retry runs in a new session, and not with a banned party.',
    retryable: true,
  },
  MPC_TRAP: {
    kind: 'aborted',
    why: 'The signing module stopped abnormally; its instance was discarded and only this session is lost.',
    whatToDo:
      'Retry in a new session; if it repeats, save the log and check the module with npm run check:mpc.',
    retryable: true,
  },
  MPC_INPUT: {
    kind: 'invalid',
    why: 'The engine was called with a committee, index, path, digest, share or message it does not accept.',
    whatToDo:
      'Correct the named input; paths are non-hardened and canonical (m/0/7), committees are n = 2t - 1.',
  },
  MPC_MODULE: {
    kind: 'unavailable',
    why: 'The built signing module is missing, is not the one its provenance names, or asks for unknown imports.',
    whatToDo:
      'Restore custody/multi-party-ecdsa-wasm from the repository or rebuild it with npm run build:mpc.',
  },
  MPC_RANDOMNESS: {
    kind: 'invariant',
    why: 'The randomness given to the signing module failed its self-test.',
    whatToDo: 'Do not use this machine for signing until its random source is understood.',
  },
  MPC_BUSY: {
    kind: 'limited',
    why: 'Every signing thread holds as many open sessions as it may, or the engine was closed.',
    whatToDo: 'Wait for running sessions to end, dispose of abandoned ones, or configure more threads.',
    retryable: true,
  },
  MPC_UNAUDITED: {
    kind: 'forbidden',
    why: 'The built-in threshold-ECDSA engine has had no outside audit.',
    whatToDo: 'Set acceptUnauditedEcdsaEngine to true if you accept that, or plug in another engine.',
  },
} as const satisfies ErrorCatalogue;
