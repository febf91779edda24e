/**
 * The proof of liabilities as its documents describe it, written a second time with hex strings and recursion and nothing of
 * the product, to compare with.
 */
import { createHash } from 'node:crypto';

export interface NaiveNode {
  readonly hash: string;
  readonly sum: bigint;
}
export interface NaiveLeaf {
  readonly commitment: string;
  readonly units: bigint;
}

const sha = (hex: string): string => createHash('sha256').update(Buffer.from(hex, 'hex')).digest('hex');
const number = (value: bigint, bytes: number): string => value.toString(16).padStart(bytes * 2, '0');
const text = (value: string): string => Buffer.from(value, 'utf8').toString('hex');
const prefixed = (hex: string): string => number(BigInt(hex.length / 2), 4) + hex;

export const naiveScope = (snapshotId: string, asset: string): string =>
  sha(prefixed(text('strongroom/liabilities/v1/tree')) + prefixed(text(snapshotId)) + prefixed(text(asset)));

export const naiveCommitment = (salt: string, account: string): string =>
  sha(prefixed(text('strongroom/liabilities/v1/account')) + prefixed(salt) + prefixed(text(account)));

const naiveParent = (left: NaiveNode, right: NaiveNode): NaiveNode => ({
  hash: sha(`01${left.hash}${number(left.sum, 32)}${right.hash}${number(right.sum, 32)}`),
  sum: left.sum + right.sum,
});

/** All levels, padded to a power of two; the last has the root. */
export function naiveLevels(scope: string, leaves: readonly NaiveLeaf[]): NaiveNode[][] {
  let width = 1;
  while (width < leaves.length) width *= 2;
  const bottom = Array.from({ length: width }, (_, i) => {
    const leaf = leaves[i];
    return leaf === undefined
      ? { hash: sha(`02${scope}`), sum: 0n }
      : { hash: sha(`00${scope}${leaf.commitment}${number(leaf.units, 32)}`), sum: leaf.units };
  });
  const levels = [bottom];
  for (let below = bottom; below.length > 1; levels.push(below))
    below = Array.from({ length: below.length / 2 }, (_, i) => {
      const [left, right] = [below[2 * i], below[2 * i + 1]];
      if (left === undefined || right === undefined) throw new Error('not a power of two');
      return naiveParent(left, right);
    });
  return levels;
}

export const naivePath = (levels: readonly (readonly NaiveNode[])[], index: number): NaiveNode[] =>
  levels.slice(0, -1).map((nodes, level) => {
    const sibling = nodes[Math.floor(index / 2 ** level) ^ 1];
    if (sibling === undefined) throw new Error('no sibling');
    return sibling;
  });
