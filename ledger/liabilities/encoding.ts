/**
 * The bytes of the Merkle-sum tree: what a leaf, a padding leaf and a parent are hashes of. Pure, safe in a browser.
 *
 * | hash of | bytes |
 * |---|---|
 * | scope | `LP(domain/tree) LP(snapshot id) LP(asset)` |
 * | commitment | `LP(domain/account) LP(salt, 32) LP(account id)` |
 * | leaf | `00 scope(32) commitment(32) balance(32)` |
 * | padding leaf, its sum is 0 | `02 scope(32)` |
 * | parent | `01 left hash(32) left sum(32) right hash(32) right sum(32)` |
 *
 * `LP(x)` is the length of x in four bytes, then x. Everything else has a fixed length, so two different inputs never
 * have the same bytes. Sums and balances are 32 bytes, unsigned, big-endian. A parent binds both sums of its children:
 * a parent that binds only their total lets each child claim the larger of the two (https://eprint.iacr.org/2018/1139).
 */
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';

export const liabilitiesDomain = 'strongroom/liabilities/v1';
export const hashBytes = 32;
export const sumBytes = 32;
/** A node is its hash and its sum; a leaf of the private store is its commitment and its balance: the same 64 bytes. */
export const nodeBytes = hashBytes + sumBytes;
/** Customers per asset: taking a snapshot keeps 76 bytes of each in memory, at 2^23 about 640 MB. */
export const leavesMax = 2 ** 23;
export const depthMax = 23;
/** A sum must fit into its 32 bytes; the ledger's numeric(78,0) could hold 8 times as much. */
export const sumMax = 2n ** 256n - 1n;

export type Sha256Function = (bytes: Uint8Array) => Uint8Array;

const leafTag = 0x00;
const parentTag = 0x01;
const paddingTag = 0x02;

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const prefix = new Uint8Array(4);
  new DataView(prefix.buffer).setUint32(0, bytes.length);
  return concatBytes(prefix, bytes);
}

const treePrefix = lengthPrefixed(utf8ToBytes(`${liabilitiesDomain}/tree`));
const accountPrefix = lengthPrefixed(utf8ToBytes(`${liabilitiesDomain}/account`));

/** One tree of one snapshot; every leaf is bound to it, so that none can be shown under another asset or snapshot. */
export function scopeBytes(snapshotId: string, asset: string): Uint8Array {
  return concatBytes(treePrefix, lengthPrefixed(utf8ToBytes(snapshotId)), lengthPrefixed(utf8ToBytes(asset)));
}

/** The salt hides the account from whoever sees the leaf; the account id keeps two customers from sharing one leaf. */
export function commitmentBytes(salt: Uint8Array, account: string): Uint8Array {
  return concatBytes(accountPrefix, lengthPrefixed(salt), lengthPrefixed(utf8ToBytes(account)));
}

/** @param leaf commitment and balance, 64 bytes */
export function leafBytes(scope: Uint8Array, leaf: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(leafTag), scope, leaf);
}

export function paddingBytes(scope: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(paddingTag), scope);
}

/** @param children two nodes, 128 bytes */
export function parentBytes(children: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * nodeBytes);
  bytes[0] = parentTag;
  bytes.set(children, 1);
  return bytes;
}

/** The levels above `leafCount` leaves: 0 for one leaf, where the leaf is the root. */
export function depthOf(leafCount: number): number {
  return leafCount <= 1 ? 0 : 32 - Math.clz32(leafCount - 1);
}

/** @param units 0 to {@link sumMax}; the caller has checked it */
export function writeUnits(target: Uint8Array, offset: number, units: bigint): void {
  const view = new DataView(target.buffer, target.byteOffset + offset, sumBytes);
  for (let word = 0; word < 4; word++)
    view.setBigUint64(word * 8, BigInt.asUintN(64, units >> BigInt(192 - word * 64)));
}

export function readUnits(bytes: Uint8Array, offset = 0): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, sumBytes);
  let units = 0n;
  for (let word = 0; word < 4; word++) units = (units << 64n) | view.getBigUint64(word * 8);
  return units;
}
