/**
 * The last check before a signature leaves: low s, ranges, verification and key recovery, all with code that shares
 * nothing with the engine (@noble/curves). Pure; the co-signer calls it again on what it hands out.
 */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { errorsOf } from '#core/errors';
import { type EcdsaSignature, mpcErrors } from './contract.ts';

const fail = errorsOf(mpcErrors);
/** Order of the group (SEC 2, 2.4.1). */
const order = secp256k1.Point.Fn.ORDER;
const halfOrder = order >> 1n;

export interface RawSignature {
  /** r || s, 64 bytes. */
  readonly compact: Uint8Array;
  readonly recoveryId: number;
  /** Compressed SEC1 point, 33 bytes. */
  readonly publicKey: Uint8Array;
}

function refuse(reason: string): never {
  throw fail('MPC_ABORTED', `signature refused: ${reason}`, { party: 0, ban: false, reason });
}

function toScalar(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/**
 * Brings s to the lower half (EIP-2, BIP-62 rule 5) and flips the recovery id with it: -s belongs to the point -R,
 * whose y has the other parity.
 * @throws MPC_ABORTED for r or s outside 1..n-1, or a recovery id other than 0 or 1. (2 and 3 mean r was reduced, which
 * happens with probability 2^-127 and which Ethereum does not accept.)
 */
export function normaliseSignature(raw: RawSignature): EcdsaSignature {
  if (raw.compact.length !== 64) refuse('length');
  const r = toScalar(raw.compact.subarray(0, 32));
  const s = toScalar(raw.compact.subarray(32));
  if (r === 0n || r >= order || s === 0n || s >= order) refuse('r or s out of range');
  if (raw.recoveryId !== 0 && raw.recoveryId !== 1) refuse('recovery id');
  if (s <= halfOrder) return { ...raw, recoveryId: raw.recoveryId };
  const compact = raw.compact.slice();
  compact.set(Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex'), 32);
  return { ...raw, compact, recoveryId: raw.recoveryId === 0 ? 1 : 0 };
}

/**
 * @param digest 32 bytes that were signed
 * @throws MPC_ABORTED when the signature does not verify under its public key, has a high s, or recovers another key
 */
export function verifySignature(signature: EcdsaSignature, digest: Uint8Array): void {
  const { compact, publicKey, recoveryId } = signature;
  const options = { prehash: false, lowS: true } as const;
  if (!secp256k1.verify(compact, digest, publicKey, options)) refuse('it does not verify');
  const recovered = secp256k1.Signature.fromBytes(compact)
    .addRecoveryBit(recoveryId)
    .recoverPublicKey(digest)
    .toBytes(true);
  if (Buffer.compare(recovered, publicKey) !== 0) refuse('it recovers another key');
}
