/** Addresses of an EVM chain from this co-signer's own key material. */
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { HDKey } from '@scure/bip32';

const addressBytes = 20;
const indexMax = 0x7fff_ffff; // BIP32: beyond lie the hardened indices, which have no public derivation
const pathPattern = /^m(?:\/(?:0|[1-9][0-9]{0,9}))*$/;

/** Mixed-case checksum form (EIP-55) of a 20-byte address. */
export function checksumAddress(address: Uint8Array): string {
  if (address.length !== addressBytes) throw new RangeError('an EVM address has 20 bytes');
  const hex = bytesToHex(address);
  const hash = bytesToHex(keccak_256(utf8ToBytes(hex)));
  const cased = [...hex].map((c, i) => (Number.parseInt(hash[i] ?? '0', 16) >= 8 ? c.toUpperCase() : c));
  return `0x${cased.join('')}`;
}

/** The address of a public key: the last 20 bytes of Keccak-256 over the uncompressed point without its prefix. */
export function addressOfPublicKey(publicKey: Uint8Array): string {
  const point = secp256k1.Point.fromBytes(publicKey).toBytes(false).subarray(1);
  return checksumAddress(keccak_256(point).subarray(-addressBytes));
}

/** Steps of a canonical non-hardened path below the wallet's root; undefined when it is not one. */
export function parsePath(path: string): readonly number[] | undefined {
  if (!pathPattern.test(path)) return undefined;
  const steps = path
    .split('/')
    .slice(1)
    .map((step) => Number.parseInt(step, 10));
  return steps.every((step) => step <= indexMax) ? steps : undefined;
}

/** Deposit addresses in use at a time; beyond it the cache starts anew. */
const cachedAddressesMax = 4096;

export type AddressAtPath = (publicKey: string, chainCode: string, path: string) => string | undefined;

/** {@link addressAtPath} that remembers: a hot address is asked for with every request, and each step costs milliseconds. */
export function cachedAddressAtPath(): AddressAtPath {
  const known = new Map<string, string>();
  return (publicKey, chainCode, path) => {
    const key = `${publicKey}/${chainCode}/${path}`;
    const found = known.get(key) ?? addressAtPath(publicKey, chainCode, path);
    if (found === undefined) return undefined;
    if (known.size >= cachedAddressesMax) known.clear();
    known.set(key, found);
    return found;
  };
}

/**
 * The address at a non-hardened path below the wallet's root (BIP32 CKDpub).
 * @param publicKey compressed SEC1, hex
 * @param chainCode 32 bytes, hex
 * @returns undefined for a path that is not canonical and non-hardened
 */
export function addressAtPath(publicKey: string, chainCode: string, path: string): string | undefined {
  const steps = parsePath(path);
  if (steps === undefined) return undefined;
  const root = new HDKey({ publicKey: hexToBytes(publicKey), chainCode: hexToBytes(chainCode) });
  const child = steps.reduce((node, step) => node.deriveChild(step), root).publicKey;
  return child === null ? undefined : addressOfPublicKey(child);
}
