/**
 * The wire between coordinator and co-signers. Pure: shapes and limits only, shared by both sides. Everything the
 * coordinator says may be a lie; every co-signer message between co-signers is an {@link Envelope} it cannot forge.
 */
import { z } from 'zod';
import { canonicalJson, type JsonValue } from '#core/canonical-json';
import type { ErrorCatalogue } from '#core/errors';
import {
  approvalSchema,
  approvalsMax,
  hexText,
  policySchema,
  rosterSchema,
  signedIntentSchema,
} from '#policies/contract';

export const protocolDomains = {
  envelope: 'strongroom/envelope/v1',
  contribution: 'strongroom/contribution/v1',
  sessionId: 'strongroom/session-id/v1',
  signId: 'strongroom/sign-id/v1',
  activationTest: 'strongroom/activation-test/v1',
  keyStatement: 'strongroom/key-statement/v1',
  echo: 'strongroom/echo/v1',
  activationAck: 'strongroom/activation-ack/v1',
  ledgerHead: 'strongroom/ledger-head/v1',
  witnessedHeads: 'strongroom/witnessed-heads/v1',
} as const;
export type ProtocolDomain = (typeof protocolDomains)[keyof typeof protocolDomains];

/** What an Ed25519 signature of this protocol covers: the fields and the domain, as canonical JSON in UTF-8. */
export function signedBytes(domain: ProtocolDomain, fields: Readonly<Record<string, JsonValue>>): Uint8Array {
  return Buffer.from(canonicalJson({ ...fields, domain }), 'utf8');
}

/** Largest request body a co-signer reads: a DKG round carries 160 KiB per peer, as base64 about 220 KiB, for 4 peers. */
export const requestBytesMax = 2 * 1024 * 1024;
/** Largest unsigned transaction, bytes. An EIP-1559 transfer has about 50. */
export const unsignedBytesMax = 128 * 1024;
export const intentsMax = 500;

/** A canonical path without hardened steps, at most four deep. */
export const pathPattern = /^m(?:\/(?:0|[1-9][0-9]{0,9})){1,4}$/;
/** Paths below a wallet's root (design section 14): what a co-signer signs for, and what an address may stand at. */
export const hotPath = 'm/1/0';
export const depositPathPattern = /^m\/0\/(?:0|[1-9][0-9]{0,9})$/;

const walletId = z.string().regex(/^wal_[0-9a-f-]{36}$/);
const sessionId = z.string().regex(/^ses_[0-9a-f-]{36}$/);
const party = z.number().int().min(1).max(255);
const sha = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const base64 = z.string().regex(/^[A-Za-z0-9+/]*={0,2}$/);

/** What a co-signer is asked to sign: never a digest, always the bytes and everything the decision rests on. */
export const signRequestSchema = z.strictObject({
  wallet: walletId,
  epoch: z.number().int().min(0),
  /** Path of the paying address below the wallet's root. */
  path: z.string().regex(pathPattern),
  /** CAIP-2. */
  chain: z.string().max(48),
  /** Unsigned transaction bytes: for EIP-1559 `02 || rlp([...])` without signature (EIP-2718, EIP-1559). */
  unsigned: hexText.max(unsignedBytesMax * 2),
  /** `pay` carries out the intents; `cancel` spends the recorded conflict set on nothing (zero value to itself). */
  purpose: z.enum(['pay', 'cancel']),
  intents: z.array(signedIntentSchema).min(1).max(intentsMax),
  facts: z.array(z.never()).max(0),
  approvals: z.array(z.strictObject({ intentId: z.string(), approval: approvalSchema })).max(approvalsMax),
  policyHash: sha,
  rosterHash: sha,
  /** Exactly t parties, ascending. */
  participants: z.array(party).min(2).max(255),
});
export type SignRequest = z.infer<typeof signRequestSchema>;

/** Names of the ten checks of design section 7, in their order. A refusal carries the one that refused. */
export const checkNames = [
  'decode',
  'digest',
  'intent',
  'pins',
  'approvals',
  'policy',
  'spend',
  'freeze',
  'conflict',
  'record',
] as const;
export type CheckName = (typeof checkNames)[number];

export interface Refusal {
  readonly check: CheckName;
  /** Stable, kebab-case: `output-mismatch`, `fee-above-cap`, `policy-denied` ... */
  readonly reason: string;
  /** One sentence for a person. Never a secret. */
  readonly message: string;
  readonly party: number;
}

/**
 * `from`'s Ed25519 signature covers, under the envelope domain, all fields but `signature` and `payload`, the payload's
 * SHA-256, and the session's joint id. The joint id is derived by every party from a fresh contribution of each and never
 * travels, so that an envelope of an earlier session is worthless even where a coordinator uses its session id again.
 */
export const envelopeSchema = z.strictObject({
  session: sessionId,
  round: z.number().int().min(1).max(16),
  from: party,
  /** 0 = broadcast. */
  to: z.number().int().min(0).max(255),
  /** Position of this message in all that `from` sent in the session, from 0. */
  seq: z.number().int().min(0).max(65535),
  epoch: z.number().int().min(0),
  kind: z.enum(['mpc', 'echo', 'ack']),
  /** Broadcast: the payload. To one party: X25519 ephemeral key || nonce || AES-256-GCM ciphertext and tag. */
  payload: base64,
  /** Ed25519, base64. */
  signature: base64,
});
export type Envelope = z.infer<typeof envelopeSchema>;

/** A fresh 32-byte contribution to the session's id, signed by its party over {domain, session, party, subject, value}. */
export const contributionSchema = z.strictObject({
  party,
  /** 32 bytes hex. */
  value: hexText.length(64),
  /** SHA-256 of what the session is for: the canonical sign request or the DKG request. */
  subject: sha,
  signature: base64,
});
export type Contribution = z.infer<typeof contributionSchema>;

export const dkgRequestSchema = z.strictObject({
  wallet: walletId,
  threshold: z.number().int().min(2).max(255),
  parties: z.number().int().min(3).max(255),
  epoch: z.literal(0),
});
export type DkgRequest = z.infer<typeof dkgRequestSchema>;

/** Signed by a party after activation over canonical JSON of all fields but `signature`, with the key-statement domain. */
export const keyStatementSchema = z.strictObject({
  wallet: walletId,
  epoch: z.number().int().min(0),
  party,
  threshold: z.number().int().min(2),
  parties: z.number().int().min(3),
  /** Compressed SEC1, 33 bytes hex: the wallet's root (the account node). */
  publicKey: hexText.length(66),
  chainCode: hexText.length(64),
  transcriptHash: sha,
  /** True when made by a co-signer started with --dev. */
  dev: z.boolean(),
  signature: base64,
});
export type KeyStatement = z.infer<typeof keyStatementSchema>;

/** Who the co-signers are; written by the operator (the dev orchestrator on one machine), pinned by every process. */
export const committeeSchema = z.strictObject({
  threshold: z.number().int().min(2),
  members: z
    .array(
      z.strictObject({
        party,
        /** Base URL, `http://127.0.0.1:7101`. */
        url: z.url(),
        /** Ed25519 public key, 32 bytes hex. */
        signingKey: hexText.length(64),
        /** X25519 public key, 32 bytes hex. */
        encryptionKey: hexText.length(64),
      }),
    )
    .min(3)
    .max(255),
});
export type CommitteeFile = z.infer<typeof committeeSchema>;

/** Every t-subset of the parties, in lexical order: each of them must have signed before a key is used. */
export function quorumsOf(parties: readonly number[], threshold: number): readonly (readonly number[])[] {
  if (threshold === 0) return [[]];
  return parties.flatMap((party, index) =>
    quorumsOf(parties.slice(index + 1), threshold - 1).map((rest) => [party, ...rest]),
  );
}

/** A policy and roster with the signatures the previous roster asks for. */
export const bundleSchema = z.strictObject({
  policy: policySchema,
  roster: rosterSchema,
  approvals: z.array(
    z.strictObject({ group: z.string(), approver: z.string(), assertion: approvalSchema.shape.assertion }),
  ),
});
export type Bundle = z.infer<typeof bundleSchema>;

/** Signed by a party after all its test signatures: it holds a share of this key and has seen it work with every quorum. */
export const activationAckSchema = z.strictObject({
  wallet: walletId,
  epoch: z.number().int().min(0),
  party,
  publicKey: hexText.length(66),
  chainCode: hexText.length(64),
  transcriptHash: sha,
  signature: base64,
});
export type ActivationAck = z.infer<typeof activationAckSchema>;

// ---------------------------------------------------------------- heads of the ledger

/** Positive and within PostgreSQL's bigint, decimal. */
const position = z.string().regex(/^[1-9][0-9]{0,18}$/);
const natural = z.number().int().min(0);
/** 64 bytes. */
const signature = base64.length(88);
/**
 * The ledger's newest batch as the ledger states it; its key signs the canonical JSON. Written here once more and not taken
 * from the ledger: what a witness reads, it decodes by itself.
 */
const ledgerHeadSchema = z.strictObject({
  domain: z.literal(protocolDomains.ledgerHead),
  /** SHA-256 of the ledger's raw public key. */
  ledger: sha,
  batch: position,
  lastSeq: position,
  hash: sha,
  recordedMs: natural,
  signedMs: natural,
});
export const signedLedgerHeadSchema = z.strictObject({ statement: ledgerHeadSchema, signature });
export type SignedLedgerHead = z.infer<typeof signedLedgerHeadSchema>;

/** Heads in one answer: with one a minute an hour and a half of them, 50 KiB. */
export const ledgerHeadsReadMax = 100;
/** 32 fresh bytes of the asker: an answer of another day is no answer. */
const challenge = hexText.length(64);
export const recordLedgerHeadSchema = z.strictObject({ challenge, head: z.unknown() });
export const readLedgerHeadsSchema = z.strictObject({
  challenge,
  count: z.number().int().min(1).max(ledgerHeadsReadMax),
  /** Only heads of this batch and below; all when absent. */
  upTo: position.optional(),
});
/** A head with its place in the co-signer's decision log and the time of that record. */
const witnessedHeadSchema = z.strictObject({ head: signedLedgerHeadSchema, seq: natural, at: natural });
export type WitnessedHead = z.infer<typeof witnessedHeadSchema>;
/** Signed by the co-signer's identity key over all fields but `signature`, newest head first. */
export const witnessedHeadsSchema = z.strictObject({
  party,
  /** SHA-256 of the question's canonical JSON, challenge and all: who relays it cannot have asked for less. */
  question: sha,
  heads: z.array(witnessedHeadSchema).max(ledgerHeadsReadMax),
  signature,
});
export type WitnessedHeads = z.infer<typeof witnessedHeadsSchema>;

// ---------------------------------------------------------------- requests and answers

/** Largest number of envelopes in one request: a broadcast and a direct message of every other party. */
export const envelopesMax = 512;

const contributions = z.array(contributionSchema).min(2).max(255);
const envelopes = z.array(envelopeSchema).max(envelopesMax);
export const openSigningSchema = z.strictObject({ session: sessionId, request: z.unknown() });
export const openDkgSchema = z.strictObject({ session: sessionId, request: dkgRequestSchema });
export const startSchema = z.strictObject({ session: sessionId, contributions });
export const stepSchema = z.strictObject({ session: sessionId, envelopes });
/** A test signature of one quorum with the shares of a key ceremony that is not activated yet. */
export const testStartSchema = z.strictObject({
  session: sessionId,
  participants: z.array(party).min(2).max(255),
});
export const testStepSchema = testStartSchema.extend({ envelopes });
export const ackRequestSchema = z.strictObject({ session: sessionId });
export const activateSchema = z.strictObject({ acks: z.array(activationAckSchema).min(3).max(255) });

export interface OpenAnswer {
  readonly contribution: Contribution;
}
export interface FinishedSignature {
  /** r || s, 64 bytes hex, low s. */
  readonly compact: string;
  readonly recoveryId: 0 | 1;
  /** Compressed child public key, hex. */
  readonly publicKey: string;
}
export type StepAnswer =
  | { readonly state: 'more'; readonly envelopes: readonly Envelope[] }
  | { readonly state: 'done'; readonly signature?: FinishedSignature };
export interface IdentityAnswer {
  readonly party: number;
  /** Ed25519, hex. */
  readonly signingKey: string;
  /** X25519, hex. */
  readonly encryptionKey: string;
}
/** How a co-signer answers when it does not do what it was asked. */
export const errorAnswerSchema = z.object({
  code: z.string().max(64),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type ErrorAnswer = z.infer<typeof errorAnswerSchema>;

export const custodyErrors = {
  CUSTODY_REFUSED: {
    kind: 'forbidden',
    why: 'A co-signer refused to take part; details.check names which of its ten checks, details.reason why.',
    whatToDo:
      'Read the reason. A refusal is a decision, not a fault: the same request will be refused again.',
  },
  CUSTODY_SIGNER_UNREACHABLE: {
    kind: 'unavailable',
    why: 'Too few co-signers answered to form a quorum.',
    whatToDo: 'Start the named co-signers and look at their log files; the request is retried.',
    retryable: true,
  },
  CUSTODY_SESSION_ABORTED: {
    kind: 'aborted',
    why: 'An MPC session ended before its coordinator had a result; whatever was signed binds this conflict set only.',
    whatToDo:
      'It is retried in a new session; if one party is blamed again and again, look at that co-signer.',
    retryable: true,
  },
  CUSTODY_ENVELOPE_INVALID: {
    kind: 'invalid',
    why: 'A message between co-signers was forged, replayed, misaddressed or of another session, round or epoch.',
    whatToDo: 'Look at the coordinator and the network between the co-signers; the session was ended.',
  },
  CUSTODY_BANNED: {
    kind: 'forbidden',
    why: 'A co-signer has banned a counterparty whose messages proved a cheat (or corruption that looks like one).',
    whatToDo: 'Do not sign with that pair again; investigate, then replace the party by a reshare.',
  },
  CUSTODY_WALLET_UNKNOWN: {
    kind: 'not_found',
    why: 'No wallet, or no active share of that epoch, has this id.',
    whatToDo: 'Check the wallet id; a wallet exists after its key ceremony was activated by all co-signers.',
  },
  CUSTODY_STATEMENT_INVALID: {
    kind: 'invariant',
    why: "The co-signers' key statements are missing, contradict each other or do not verify against the committee file.",
    whatToDo: 'Use no address of this wallet until it is understood which process shows another key.',
  },
  CUSTODY_REQUEST_INVALID: {
    kind: 'invalid',
    why: 'A request to a co-signer is too large, not JSON, or not of the form its schema asks for.',
    whatToDo: 'Correct the field the message names; the co-signer did nothing.',
  },
  CUSTODY_SIGNER_FAILED: {
    kind: 'invariant',
    why: 'A co-signer failed in a way it does not know.',
    whatToDo: 'Read its log file; the request gave no other answer, and a retry runs in a new session.',
  },
  CUSTODY_SESSION_UNKNOWN: {
    kind: 'not_found',
    why: 'A co-signer has no such session: it ended, was idle for too long, or its process was restarted.',
    whatToDo: 'Nothing to repair: sessions are never resumed, the request is retried in a new one.',
    retryable: true,
  },
  CUSTODY_SESSION_CONFLICT: {
    kind: 'conflict',
    why: 'A session id was used before, or the session is at another step than the request.',
    whatToDo: 'Open a new session with a new id.',
    retryable: true,
  },
  CUSTODY_SESSIONS_LIMITED: {
    kind: 'limited',
    why: 'The co-signer holds as many sessions as it takes at once, or a party has aborted too often.',
    whatToDo: 'Wait for running sessions; if a party is named, look at that co-signer.',
    retryable: true,
  },
  CUSTODY_WALLET_ACTIVE: {
    kind: 'conflict',
    why: 'The wallet has an activated key already; a key ceremony runs once per wallet.',
    whatToDo: 'Use the wallet as it is, or configure a new wallet id for a new key.',
  },
  CUSTODY_ADDRESS_UNKNOWN: {
    kind: 'not_found',
    why: 'No address of ours is recorded with this wallet, path or text.',
    whatToDo: 'Check the wallet id and the path; a wallet has addresses after its key ceremony.',
  },
  CUSTODY_LEDGER_HEAD_REFUSED: {
    kind: 'forbidden',
    why: 'A co-signer takes no such ledger head: malformed, of a ledger it has not pinned, or not signed by its key.',
    whatToDo: "Compare ledgerPublicKey in the co-signer's configuration with the ledger's own key file.",
  },
  CUSTODY_LEDGER_HEAD_CONFLICT: {
    kind: 'conflict',
    why: 'A signed ledger head contradicts one the co-signer has recorded: another hash, an earlier batch, or too few transfers.',
    whatToDo:
      'Stop writing to the ledger and compare it with the head in details.recorded: it was rewritten or restored from an old copy.',
  },
  CUSTODY_LEDGER_HEADS_LIMITED: {
    kind: 'limited',
    why: 'The co-signer has recorded as many ledger heads in this hour as it takes.',
    whatToDo: 'Wait; the next export publishes the newest head again. Export less often if this comes back.',
    retryable: true,
  },
  CUSTODY_CONFIG_INVALID: {
    kind: 'invalid',
    why: "A co-signer's configuration, key file, committee file, policy or roster cannot be used.",
    whatToDo:
      'Correct the named file or field; outside --dev no development roster, plain key or unaudited engine is taken.',
  },
  CUSTODY_STORE_CORRUPT: {
    kind: 'invariant',
    why: "A co-signer's own store does not verify: a broken log chain, a share that does not decrypt, a clock behind the log.",
    whatToDo: 'Keep the co-signer stopped; compare its log head with what other co-signers and backups know.',
  },
} as const satisfies ErrorCatalogue;
