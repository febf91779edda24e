/**
 * The co-signer's own check of a WebAuthn assertion (W3C WebAuthn Level 3, section 7.2), on noble P-256 and nothing else,
 * so that it can be read in one sitting. It differs from the specification where we can be stricter:
 * - no extension is ever asked for, so authenticator data is exactly 37 bytes and its AT and ED flags are clear;
 * - user presence and user verification are always demanded;
 * - an assertion made inside a frame of another origin is refused (`crossOrigin`, `topOrigin`);
 * - the signature counter is not judged: a co-signer keeps no state per passkey, and synced passkeys always send 0. What
 *   it would protect against, a replay, is stopped by the challenge, which names one intent.
 */
import { p256 } from '@noble/curves/nist.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { decodeBase64url, encodeBase64url } from './base64url.ts';
import type { ApprovalDefect, Assertion } from './contract.ts';

/** Section 6.1: 32 bytes RP id hash, 1 byte flags, 4 bytes counter. */
const authenticatorDataLength = 37;
const flagsOffset = 32;
const flag = {
  userPresent: 0x01,
  userVerified: 0x04,
  backupEligible: 0x08,
  backupState: 0x10,
  attestedData: 0x40,
  extensionData: 0x80,
};

interface ExpectedAssertion {
  /** 32 bytes: SHA-256 over the canonical JSON of the statement this process rebuilt itself. */
  readonly challenge: Uint8Array;
  readonly relyingParty: { readonly id: string; readonly origins: readonly string[] };
  /** Uncompressed SEC1 point from the roster, 65 bytes hex. */
  readonly publicKey: string;
}

/** The first defect of the assertion, or undefined when it is good. Never throws. */
export function assertionDefect(
  assertion: Assertion,
  expected: ExpectedAssertion,
): ApprovalDefect | undefined {
  const authenticatorData = decodeBase64url(assertion.authenticatorData);
  const clientDataBytes = decodeBase64url(assertion.clientDataJSON);
  const signature = decodeBase64url(assertion.signature);
  if (authenticatorData === undefined || clientDataBytes === undefined || signature === undefined)
    return 'malformed';
  const clientData = parseClientData(clientDataBytes);
  if (clientData === undefined) return 'malformed';

  if (clientData['type'] !== 'webauthn.get') return 'type-mismatch';
  if (clientData['challenge'] !== encodeBase64url(expected.challenge)) return 'challenge-mismatch';
  const origin = clientData['origin'];
  if (typeof origin !== 'string' || !expected.relyingParty.origins.includes(origin)) return 'origin-mismatch';
  if (clientData['crossOrigin'] !== undefined && clientData['crossOrigin'] !== false)
    return 'origin-mismatch';
  if (clientData['topOrigin'] !== undefined) return 'origin-mismatch';

  if (authenticatorData.length !== authenticatorDataLength) return 'malformed';
  const flags = authenticatorData[flagsOffset] ?? 0;
  if ((flags & (flag.attestedData | flag.extensionData)) !== 0) return 'malformed';
  if ((flags & flag.backupState) !== 0 && (flags & flag.backupEligible) === 0) return 'malformed';
  const relyingPartyIdHash = sha256(utf8ToBytes(expected.relyingParty.id));
  if (!sameBytes(authenticatorData.subarray(0, flagsOffset), relyingPartyIdHash))
    return 'relying-party-mismatch';
  if ((flags & flag.userPresent) === 0) return 'user-not-present';
  if ((flags & flag.userVerified) === 0) return 'user-not-verified';

  const signed = concatBytes(authenticatorData, sha256(clientDataBytes));
  return signatureHolds(signature, signed, expected.publicKey) ? undefined : 'signature-invalid';
}

/** Section 5.8.1. Fields that a client adds are allowed, as the specification demands. */
function parseClientData(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
    );
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function signatureHolds(signature: Uint8Array, signed: Uint8Array, publicKeyHex: string): boolean {
  try {
    // Authenticators do not normalise s, hence lowS off; prehash is SHA-256, which is what ES256 means.
    return p256.verify(signature, signed, hexToBytes(publicKeyHex), {
      format: 'der',
      prehash: true,
      lowS: false,
    });
  } catch {
    return false; // not DER, not a point
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
