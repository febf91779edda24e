/**
 * A head of the ledger, signed: what the newest batch was at a moment, stated under the ledger's own key, so that it can be
 * held against the database later by whoever kept it. Pure.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { canonicalJson, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { ledgerErrors } from './errors.ts';

const fail = errorsOf(ledgerErrors);

/** In every statement, so that a signature for this can be used for nothing else. */
export const ledgerHeadDomain = 'strongroom/ledger-head/v1';
const bigintMax = 2n ** 63n - 1n; // what a PostgreSQL bigint holds

const sha = z.custom<Sha256>(
  (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
  'sha256:<64 hex>',
);
const position = z
  .string()
  .regex(/^[1-9][0-9]{0,18}$/, 'a positive decimal number')
  .refine((text) => BigInt(text) <= bigintMax, 'above 2^63 - 1');
const unixMs = z.int().min(0);

export const ledgerHeadSchema = z.strictObject({
  domain: z.literal(ledgerHeadDomain),
  /** Which ledger: {@link ledgerIdOf} its public key. */
  ledger: sha,
  batch: position,
  /** Of the batch: every transfer up to it is bound by `hash`. */
  lastSeq: position,
  hash: sha,
  /** When the batch was recorded, by the database's clock. */
  recordedMs: unixMs,
  /** When this was signed, by the clock of the process that exported it. */
  signedMs: unixMs,
});
export type LedgerHead = z.output<typeof ledgerHeadSchema>;

const signedHeadSchema = z.strictObject({
  statement: ledgerHeadSchema,
  /** Ed25519 over {@link headSigningBytes}, base64. */
  signature: z.string().regex(/^[A-Za-z0-9+/]{86}==$/, '64 bytes as base64'),
});
export type SignedHead = z.output<typeof signedHeadSchema>;

/** A ledger is named by its key. @param publicKey Ed25519, 32 bytes hex */
export function ledgerIdOf(publicKey: string): Sha256 {
  return `sha256:${bytesToHex(sha256(hexToBytes(publicKey)))}`;
}

/** What the signature covers: the statement as canonical JSON (RFC 8785) in UTF-8. */
export function headSigningBytes(statement: LedgerHead): Uint8Array {
  return utf8ToBytes(canonicalJson(statement));
}

/** Which batch a head claims to be of, its signature not looked at; undefined for what has not the form of a head. */
export function statedHead(value: unknown): LedgerHead | undefined {
  const parsed = signedHeadSchema.safeParse(value);
  return parsed.success ? parsed.data.statement : undefined;
}

function isSignedBy({ statement, signature }: SignedHead, publicKey: string): boolean {
  try {
    const bytes = Uint8Array.from(atob(signature), (character) => character.charCodeAt(0));
    // Strict RFC 8032 verification, not ZIP 215.
    return ed25519.verify(bytes, headSigningBytes(statement), hexToBytes(publicKey), { zip215: false });
  } catch {
    return false;
  }
}

/**
 * The head, if the ledger with this key signed it.
 * @param publicKey Ed25519, 32 bytes hex
 * @throws LEDGER_HEAD_INVALID
 */
export function verifyHead(value: unknown, publicKey: string): SignedHead {
  const refuse = (reason: string): Error =>
    fail('LEDGER_HEAD_INVALID', `a ledger head is not valid: ${reason}`, { reason });
  const parsed = signedHeadSchema.safeParse(value);
  if (!parsed.success)
    throw refuse(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  if (parsed.data.statement.ledger !== ledgerIdOf(publicKey)) throw refuse('it is of another ledger');
  if (!isSignedBy(parsed.data, publicKey)) throw refuse("the ledger's key did not sign it");
  return parsed.data;
}

/** Whether both state the same, apart from when it was signed. */
export function isSameHead(a: LedgerHead, b: LedgerHead): boolean {
  return (
    a.ledger === b.ledger &&
    a.batch === b.batch &&
    a.lastSeq === b.lastSeq &&
    a.hash === b.hash &&
    a.recordedMs === b.recordedMs
  );
}

// ---------------------------------------------------------------- who keeps heads

/** Heads of one keeper in one answer: with one a minute an hour and a half of them. */
export const headsReadMax = 100;

/** What one witness did with a head. */
export type HeadAnswer =
  | {
      readonly party: number;
      readonly state: 'recorded';
      readonly atMs: number;
      /** The head it had recorded before this one, unverified; absent for the first. */
      readonly previous?: unknown;
    }
  | {
      readonly party: number;
      readonly state: 'refused';
      readonly code: string;
      readonly reason: string;
      /** What it says it has recorded instead, unverified: a {@link SignedHead} if it is honest. */
      readonly recorded?: unknown;
    }
  /** No answer, or none that can be believed. */
  | { readonly party: number; readonly state: 'failed'; readonly code: string; readonly reason: string };

/** Heads of one witness, newest first; that the witness said so is verified, the heads themselves are not. */
export type HeadsHeld =
  | {
      readonly party: number;
      readonly state: 'read';
      readonly heads: readonly { readonly head: unknown; readonly atMs: number }[];
    }
  | { readonly party: number; readonly state: 'failed'; readonly code: string; readonly reason: string };

/** Those who keep heads outside the database: in the suite the co-signers. Never throws for one that does not answer. */
export interface HeadWitnesses {
  publish(head: SignedHead): Promise<readonly HeadAnswer[]>;
  /**
   * The newest heads of each.
   * @param count per witness, 1 to {@link headsReadMax}
   * @param upTo only heads of this batch and below, decimal
   */
  read(count: number, upTo?: string): Promise<readonly HeadsHeld[]>;
}
