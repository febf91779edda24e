import { createHash } from 'node:crypto';
import { sha256 } from '@noble/hashes/sha2.js';
import { describe, expect, test } from 'vitest';
import {
  depthOf,
  hashBytes,
  nodeBytes,
  readUnits,
  sumMax,
  writeUnits,
} from '../../../ledger/liabilities/encoding.ts';
import { commitmentOf, treeScopeHash } from '../../../ledger/liabilities/salts.ts';
import {
  leafPath,
  type Subtree,
  subtreeLeaves,
  TreeBuilder,
  treeScope,
} from '../../../ledger/liabilities/tree.ts';
import { type NaiveLeaf, naiveCommitment, naiveLevels, naivePath, naiveScope } from './naive.ts';

const snapshotId = '01900000-0000-7000-8000-00000000000a';
const asset = 'eip155:1/slip44:60';
const scope = treeScopeHash(snapshotId, asset);

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
/** Leaves in the order of their commitments, with balances of very different sizes. */
const leavesOf = (count: number): NaiveLeaf[] =>
  Array.from({ length: count }, (_, i) => ({
    commitment: digest(`leaf ${i}`),
    units: BigInt(`0x${digest(`units ${i}`)}`) >> BigInt(32 + ((i * 37) % 220)),
  })).sort((a, b) => (a.commitment < b.commitment ? -1 : 1));

function packed({ commitment, units }: NaiveLeaf): Uint8Array {
  const leaf = new Uint8Array(nodeBytes);
  leaf.set(Buffer.from(commitment, 'hex'));
  writeUnits(leaf, hashBytes, units);
  return leaf;
}

function build(leaves: readonly NaiveLeaf[], hash?: typeof sha256) {
  const builder = new TreeBuilder(treeScope(scope, hash));
  const subtrees: Subtree[] = [];
  for (const leaf of leaves) {
    const full = builder.add(packed(leaf));
    if (full !== undefined) subtrees.push(full);
  }
  const { tree, last } = builder.finish();
  return { tree, subtrees: [...subtrees, last] };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const naiveNode = (node: Uint8Array) => ({
  hash: hex(node.subarray(0, hashBytes)),
  sum: readUnits(node, hashBytes),
});

describe('the bytes', () => {
  test('a number of 32 bytes is read as it was written', () => {
    for (const units of [0n, 1n, 2n ** 64n, 2n ** 128n + 2n ** 64n + 7n, 10n ** 77n, sumMax]) {
      const bytes = new Uint8Array(40);
      writeUnits(bytes, 4, units);
      expect(hex(bytes.subarray(4, 36))).toBe(units.toString(16).padStart(64, '0'));
      expect(readUnits(bytes, 4)).toBe(units);
    }
  });

  test('scope and commitment are those of the second implementation', () => {
    expect(hex(scope)).toBe(naiveScope(snapshotId, asset));
    const salt = digest('salt');
    expect(hex(commitmentOf(Buffer.from(salt, 'hex'), 'acc_1'))).toBe(naiveCommitment(salt, 'acc_1'));
  });

  test('where one text ends and the next begins is part of the scope', () => {
    expect(hex(treeScopeHash('ab', 'c'))).not.toBe(hex(treeScopeHash('a', 'bc')));
  });

  test('the depth is the number of halvings down to one leaf', () => {
    expect([1, 2, 3, 4, 5, 1024, 1025, 2 ** 23].map(depthOf)).toEqual([0, 1, 2, 2, 3, 10, 11, 23]);
  });
});

describe('the tree', () => {
  // Fixed for good: published statements must stay verifiable.
  test('the root of three known leaves', () => {
    const leaves = [1n, 20n, 300n].map((units, i) => ({ commitment: `${i + 1}`.repeat(64), units }));
    const { tree } = build(leaves);
    expect(naiveNode(tree.root)).toEqual({
      hash: 'd17da8199b7cc42cc5f38bad72576c71825c3d1b0fd88c13f01d7248cdc0bdb4',
      sum: 321n,
    });
    expect(naiveNode(tree.root)).toEqual(naiveLevels(naiveScope(snapshotId, asset), leaves).at(-1)?.[0]);
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 9, 33, 1023, 1024, 1025, 2048, 2049, 3100])(
    '%i leaves: root and paths are those of the second implementation',
    (count) => {
      const leaves = leavesOf(count);
      const levels = naiveLevels(naiveScope(snapshotId, asset), leaves);
      const { tree, subtrees } = build(leaves);
      expect(tree).toMatchObject({ depth: levels.length - 1, leafCount: count });
      expect(naiveNode(tree.root)).toEqual(levels.at(-1)?.[0]);
      const roots = Buffer.concat(subtrees.map(({ root }) => root));
      for (const index of [0, 1, Math.floor(count / 2), count - 2, count - 1].filter(
        (i) => i >= 0 && i < count,
      )) {
        const subtree = subtrees[Math.floor(index / subtreeLeaves)];
        if (subtree === undefined) throw new Error('no subtree');
        const path = leafPath(treeScope(scope), index, { leaves: subtree.leaves, roots, depth: tree.depth });
        expect(path.siblings.map(naiveNode)).toEqual(naivePath(levels, index));
        expect(naiveNode(path.root)).toEqual(levels.at(-1)?.[0]);
      }
    },
  );

  test('the path leaves what it was given as it was', () => {
    const { tree, subtrees } = build(leavesOf(1500));
    const roots = Buffer.concat(subtrees.map(({ root }) => root));
    const leaves = Buffer.from(subtrees[1]?.leaves ?? []);
    const before = [hex(roots), hex(leaves)];
    leafPath(treeScope(scope), 1200, { leaves, roots, depth: tree.depth });
    expect([hex(roots), hex(leaves)]).toEqual(before);
  });

  test('another implementation of SHA-256 gives the same root', () => {
    expect(hex(build(leavesOf(77), sha256).tree.root)).toBe(hex(build(leavesOf(77)).tree.root));
  });

  test('subtrees hold the leaves in order', () => {
    const leaves = leavesOf(2500);
    const { subtrees } = build(leaves);
    expect(subtrees.map(({ number, leaves: own }) => [number, own.length / nodeBytes])).toEqual([
      [0, 1024],
      [1, 1024],
      [2, 452],
    ]);
    expect(hex(Buffer.concat(subtrees.map((subtree) => subtree.leaves)))).toBe(
      hex(Buffer.concat(leaves.map(packed))),
    );
  });
});

describe('what is refused', () => {
  const problem = (leaves: readonly NaiveLeaf[]): unknown => {
    try {
      build(leaves);
    } catch (error) {
      return error;
    }
    return undefined;
  };

  test('the same leaf twice, also with another balance', () => {
    const [first, second] = leavesOf(2) as [NaiveLeaf, NaiveLeaf];
    expect(problem([first, { ...first, units: 5n }, second])).toMatchObject({
      code: 'LEDGER_LIABILITIES_LEAVES_INVALID',
      details: { problem: 'duplicate' },
    });
  });

  test('leaves out of order', () => {
    expect(problem(leavesOf(5).reverse())).toMatchObject({ details: { problem: 'order' } });
  });

  test('a sum that needs more than 32 bytes; one that just fits is taken', () => {
    const [first, second] = leavesOf(2) as [NaiveLeaf, NaiveLeaf];
    expect(
      problem([
        { ...first, units: sumMax },
        { ...second, units: 1n },
      ]),
    ).toMatchObject({ details: { problem: 'overflow' } });
    const { tree } = build([
      { ...first, units: sumMax - 1n },
      { ...second, units: 1n },
    ]);
    expect(readUnits(tree.root, hashBytes)).toBe(sumMax);
  });

  test('a tree without leaves', () => {
    expect(problem([])).toMatchObject({ details: { problem: 'count' } });
  });
});
