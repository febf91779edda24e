/**
 * Builds a Merkle-sum tree from leaves in ascending order of their commitments, and the path from a leaf to the root.
 *
 * The order is the shuffle: a commitment is a salted hash, so it says nothing about the account, and a strictly ascending
 * order shows to everyone that no leaf occurs twice. The tree is cut into subtrees of 1,024 leaves. Only their roots stay
 * in memory, and a proof reads one subtree and the roots.
 */
import nodeCrypto from 'node:crypto';
import { errorsOf } from '#core/errors';
import {
  depthMax,
  depthOf,
  hashBytes,
  leafBytes,
  leavesMax,
  nodeBytes,
  paddingBytes,
  parentBytes,
  type Sha256Function,
  sumBytes,
} from './encoding.ts';
import { liabilityErrors } from './errors.ts';

const fail = errorsOf(liabilityErrors);
/** `details.problem` of LEDGER_LIABILITIES_LEAVES_INVALID. */
export type LeavesProblem = 'duplicate' | 'order' | 'count' | 'overflow';
const invalid = (problem: LeavesProblem, message: string): Error =>
  fail('LEDGER_LIABILITIES_LEAVES_INVALID', message, { problem });

const subtreeDepth = 10;
/** 64 KiB of leaves: one row of the store, and about 5 ms of hashing for a proof. */
export const subtreeLeaves = 2 ** subtreeDepth;

/** In one call where node has it (20.12 and later), 1.5 times as fast as an object per hash. */
const hashInOneCall = nodeCrypto.hash as typeof nodeCrypto.hash | undefined;
export const nodeSha256: Sha256Function =
  hashInOneCall === undefined
    ? (bytes) => nodeCrypto.createHash('sha256').update(bytes).digest()
    : (bytes) => hashInOneCall('sha256', bytes, 'buffer');

/** A part of the tree; all but the last have 1,024 leaves. */
export interface Subtree {
  readonly number: number;
  /** Commitment and balance of each leaf, 64 bytes. */
  readonly leaves: Uint8Array;
  /** Hash and sum, 64 bytes. */
  readonly root: Uint8Array;
}
export interface LiabilitiesTree {
  readonly depth: number;
  readonly leafCount: number;
  /** Hash and sum, 64 bytes. */
  readonly root: Uint8Array;
}

/** The sum of two children, in words of 32 bits. @throws LEDGER_LIABILITIES_LEAVES_INVALID when it needs more than 32 bytes */
function writeSum(target: Uint8Array, offset: number, children: Uint8Array): void {
  const view = new DataView(children.buffer, children.byteOffset);
  const sum = new DataView(target.buffer, target.byteOffset + offset);
  let carry = 0;
  for (let at = sumBytes - 4; at >= 0; at -= 4) {
    const word = view.getUint32(hashBytes + at) + view.getUint32(nodeBytes + hashBytes + at) + carry;
    sum.setUint32(at, word >>> 0);
    carry = word > 0xffff_ffff ? 1 : 0;
  }
  if (carry !== 0) throw invalid('overflow', 'the sum of the balances does not fit into 32 bytes');
}

/** The nodes one level up; an odd one at the end is paired with `padding`. */
function levelAbove(nodes: Uint8Array, padding: Uint8Array, sha256: Sha256Function): Uint8Array {
  const pairBytes = 2 * nodeBytes;
  const above = new Uint8Array(Math.ceil(nodes.length / pairBytes) * nodeBytes);
  for (let at = 0, to = 0; at < nodes.length; at += pairBytes, to += nodeBytes) {
    let children = nodes.subarray(at, at + pairBytes);
    if (children.length < pairBytes) {
      children = new Uint8Array(pairBytes);
      children.set(nodes.subarray(at));
      children.set(padding, nodeBytes);
    }
    above.set(sha256(parentBytes(children)), to);
    writeSum(above, to + hashBytes, children);
  }
  return above;
}

/** The hashes that all parts of one tree share. */
export interface TreeScope {
  readonly sha256: Sha256Function;
  /** SHA-256 of `scopeBytes`. */
  readonly scope: Uint8Array;
  /** The node of a padding leaf and of each level above it that has nothing else below. */
  readonly paddings: readonly Uint8Array[];
}

export function treeScope(scope: Uint8Array, sha256: Sha256Function = nodeSha256): TreeScope {
  const leaf = new Uint8Array(nodeBytes);
  leaf.set(sha256(paddingBytes(scope)));
  const paddings: Uint8Array[] = [leaf];
  for (let node: Uint8Array = leaf; paddings.length < depthMax; paddings.push(node))
    node = levelAbove(node, node, sha256);
  return { sha256, scope, paddings };
}

function paddingAt(scope: TreeScope, level: number): Uint8Array {
  return onlyNode(scope.paddings[level]);
}

/** All levels from `nodes`, which lie `from` levels above the leaves, to `to`. */
function levels(scope: TreeScope, nodes: Uint8Array, from: number, to: number): Uint8Array[] {
  const all = [nodes];
  for (let level = from, below = nodes; level < to; level++) {
    below = levelAbove(below, paddingAt(scope, level), scope.sha256);
    all.push(below);
  }
  return all;
}

function leafNodes({ scope, sha256 }: TreeScope, leaves: Uint8Array): Uint8Array {
  const nodes = new Uint8Array(leaves); // not slice(): of a Buffer that is a view
  for (let at = 0; at < leaves.length; at += nodeBytes)
    nodes.set(sha256(leafBytes(scope, leaves.subarray(at, at + nodeBytes))), at);
  return nodes;
}

function onlyNode(level: Uint8Array | undefined): Uint8Array {
  if (level?.length !== nodeBytes) throw new RangeError('a tree ends in one root');
  return level;
}

/** Takes leaves in order, hands out each subtree as it is full. Memory: one subtree and 64 bytes per 1,024 leaves. */
export class TreeBuilder {
  readonly #scope: TreeScope;
  readonly #block = new Uint8Array(subtreeLeaves * nodeBytes);
  #inBlock = 0;
  #leafCount = 0;
  readonly #last = new Uint8Array(nodeBytes);
  readonly #roots: Uint8Array[] = [];

  constructor(scope: TreeScope) {
    this.#scope = scope;
  }

  /**
   * @param leaf commitment and balance, 64 bytes
   * @throws LEDGER_LIABILITIES_LEAVES_INVALID out of order, twice, too many, or when the sum needs more than 32 bytes
   */
  add(leaf: Uint8Array): Subtree | undefined {
    const full = this.#inBlock === subtreeLeaves ? this.#flush(subtreeDepth) : undefined;
    if (this.#leafCount === leavesMax) throw invalid('count', `a tree has at most ${leavesMax} leaves`);
    const order = this.#leafCount === 0 ? -1 : compareCommitments(this.#last, leaf);
    if (order === 0)
      throw invalid('duplicate', `leaf ${this.#leafCount} has the same commitment as the one before it`);
    if (order > 0)
      throw invalid('order', `leaf ${this.#leafCount} has a lower commitment than the one before it`);
    this.#block.set(leaf, this.#inBlock * nodeBytes);
    this.#last.set(leaf);
    this.#inBlock += 1;
    this.#leafCount += 1;
    return full;
  }

  #flush(depth: number): Subtree {
    const leaves = this.#block.slice(0, this.#inBlock * nodeBytes);
    const root = onlyNode(levels(this.#scope, leafNodes(this.#scope, leaves), 0, depth).at(-1));
    this.#inBlock = 0;
    this.#roots.push(root);
    return { number: this.#roots.length - 1, leaves, root };
  }

  /** @throws LEDGER_LIABILITIES_LEAVES_INVALID for a tree without leaves */
  finish(): { readonly tree: LiabilitiesTree; readonly last: Subtree } {
    if (this.#leafCount === 0) throw invalid('count', 'a tree has at least one leaf');
    const depth = depthOf(this.#leafCount);
    const last = this.#flush(Math.min(depth, subtreeDepth));
    const top = levels(this.#scope, Buffer.concat(this.#roots), subtreeDepth, depth);
    return { tree: { depth, leafCount: this.#leafCount, root: onlyNode(top.at(-1)) }, last };
  }
}

export function compareCommitments(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a.subarray(0, hashBytes), b.subarray(0, hashBytes));
}

export interface LeafPath {
  /** The siblings from the leaf to the root, 64 bytes each. */
  readonly siblings: readonly Uint8Array[];
  /** Recomputed from what was given, to be compared with the published one. */
  readonly root: Uint8Array;
}

/**
 * @param from the leaves of the subtree that holds leaf `index`, the roots of all subtrees, and the depth of the tree
 */
export function leafPath(
  scope: TreeScope,
  index: number,
  from: { readonly leaves: Uint8Array; readonly roots: Uint8Array; readonly depth: number },
): LeafPath {
  const lowerDepth = Math.min(from.depth, subtreeDepth);
  const lower = levels(scope, leafNodes(scope, from.leaves), 0, lowerDepth);
  const roots = new Uint8Array(from.roots);
  // Computed, not believed: a stored root that does not belong to the leaves shows in the root of the tree.
  roots.set(onlyNode(lower.at(-1)), Math.floor(index / subtreeLeaves) * nodeBytes);
  const upper = levels(scope, roots, subtreeDepth, from.depth);
  const siblings = Array.from({ length: from.depth }, (_, level) => {
    const isLower = level < subtreeDepth;
    const nodes = isLower ? lower[level] : upper[level - subtreeDepth];
    const at = (((isLower ? index % subtreeLeaves : index) >>> level) ^ 1) * nodeBytes;
    const node = nodes?.subarray(at, at + nodeBytes) ?? new Uint8Array();
    return node.length === nodeBytes ? node : paddingAt(scope, level);
  });
  return { siblings, root: onlyNode(upper.at(-1)) };
}
