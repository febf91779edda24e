/** Intents: reading them, naming them by hash, signing and checking them, and what a policy sees of them. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { canonicalJson, hashJson, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { assetId, chainOf, parseUnits, unitsMax } from '#core/money';
import { decodeBase64url, encodeBase64url } from './base64url.ts';
import {
  domains,
  type Intent,
  intentSchema,
  type PolicyInput,
  policyErrors,
  type Roster,
  type SignedIntent,
  type Tier,
} from './contract.ts';
import { readDocument } from './schema-errors.ts';

const fail = errorsOf(policyErrors);

/** `intentHash`: SHA-256 of the canonical JSON (RFC 8785). */
export const intentHash = (intent: Intent): Sha256 => hashJson(intent);

/** The bytes an initiator signs: canonical JSON of `{domain, intentHash}` as UTF-8. */
export function intentSigningBytes(hash: Sha256): Uint8Array {
  return utf8ToBytes(canonicalJson({ domain: domains.intent, intentHash: hash }));
}

/** Total of the outputs, base units of the intent's asset. @throws CORE_AMOUNT_INVALID */
export const intentUnits = (intent: Intent): bigint =>
  intent.outputs.reduce((total, output) => total + parseUnits(output.units), 0n);

/** The fee cap, base units of the chain's own asset. @throws CORE_AMOUNT_INVALID */
export const feeCapUnits = (intent: Intent): bigint => parseUnits(intent.feeCap.units);

/**
 * Reads an intent: its form, and what a form cannot say. Every output and so the total is above zero, the total fits an
 * amount, both assets are of one chain, and it ends after it begins.
 * @throws POLICY_DOCUMENT_INVALID naming the field
 */
export function parseIntent(value: unknown): { readonly intent: Intent; readonly intentHash: Sha256 } {
  const intent = readDocument(intentSchema, value, 'intent');
  const refuse = (field: string, why: string) =>
    fail('POLICY_DOCUMENT_INVALID', `intent: ${field}: ${why}`, { field });
  const assetOf = (field: string, text: string) => {
    try {
      return assetId(text);
    } catch (error) {
      throw fail(
        'POLICY_DOCUMENT_INVALID',
        `intent: ${field}: "${text}" is not an asset id`,
        { field },
        error,
      );
    }
  };
  const chain = chainOf(assetOf('asset', intent.asset));
  if (chain === undefined) throw refuse('asset', 'an asset of our books only cannot be paid out on a chain');
  if (chainOf(assetOf('feeCap.asset', intent.feeCap.asset)) !== chain)
    throw refuse('feeCap.asset', `is not of the chain ${chain} that the payment is on`);
  intent.outputs.forEach((output, at) => {
    if (parseUnits(output.units) === 0n)
      throw refuse(`outputs[${at}].units`, 'an output of zero pays nobody');
  });
  if (intentUnits(intent) > unitsMax) throw refuse('outputs', 'the total has more than 78 digits');
  if (intent.notAfter <= intent.createdAt) throw refuse('notAfter', 'is not after createdAt');
  return { intent, intentHash: intentHash(intent) };
}

/** Signs an intent as a service of the roster. `secretKey`: Ed25519 seed, 32 bytes (RFC 8032). */
export function signIntent(intent: Intent, keyId: string, secretKey: Uint8Array): SignedIntent {
  const signature = ed25519.sign(intentSigningBytes(intentHash(intent)), secretKey);
  return { intent, keyId, signature: encodeBase64url(signature) };
}

type IntentDefect = 'initiator-unknown' | 'key-unknown' | 'signature-invalid';

/** Ed25519 by RFC 8032's own stricter rules (no ZIP 215), one signature per message and key. */
export type VerifyEd25519 = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean;
const verifyInNoble: VerifyEd25519 = (signature, message, publicKey) =>
  ed25519.verify(signature, message, publicKey, { zip215: false });

/**
 * Whether the initiator the intent names has signed it with a key the roster gives it; the first defect. Never throws.
 * @param verify a co-signer brings its platform's verification, which is thirty times as fast
 */
export function intentDefect(
  signed: SignedIntent,
  roster: Roster,
  verify: VerifyEd25519 = verifyInNoble,
): IntentDefect | undefined {
  const service = roster.services.find((candidate) => candidate.id === signed.intent.initiator);
  if (service === undefined) return 'initiator-unknown';
  const key = service.keys.find((candidate) => candidate.id === signed.keyId);
  if (key === undefined) return 'key-unknown';
  const signature = decodeBase64url(signed.signature);
  if (signature === undefined) return 'signature-invalid';
  try {
    const message = intentSigningBytes(intentHash(signed.intent));
    return verify(signature, message, hexToBytes(key.publicKey)) ? undefined : 'signature-invalid';
  } catch {
    return 'signature-invalid';
  }
}

/** Roles of an initiator. People have none in this cut, because the roster gives them no key to sign intents with. */
export function rolesOf(roster: Roster, initiator: string): readonly string[] {
  return roster.services.find((service) => service.id === initiator)?.roles ?? [];
}

/**
 * What the policy sees of an intent. `isOwnHot` answers from the caller's own derivation, never from a message; it alone
 * decides the class of a destination.
 */
export function policyInputOf(
  intent: Intent,
  options: { readonly roster: Roster; readonly tier: Tier; readonly isOwnHot: (address: string) => boolean },
): PolicyInput {
  return {
    action: intent.action,
    initiatorRoles: rolesOf(options.roster, intent.initiator),
    tier: options.tier,
    vault: intent.vault,
    asset: intent.asset,
    units: intentUnits(intent),
    feeCapUnits: feeCapUnits(intent),
    destinations: intent.outputs.map(({ address }) => ({
      class: options.isOwnHot(address) ? 'own-hot' : 'external',
      address,
    })),
  };
}
