/**
 * The customer's check: is my balance part of the total that the exchange published? Runs in a browser; it needs the
 * proof, the ledger's public key, and what the customer knows by itself: account id, asset and balance.
 *
 * What a good proof shows: the published total of this asset contains this balance, counted under this account id, and no
 * sum on the way up is smaller than its parts. What it cannot show: that other customers are in the total too (each
 * checks their own; the auditor's bundle shows all leaves but not whose they are), that the exchange showed everyone the
 * same statement (compare its hash where it is published), that two people were not given the same account id, or that
 * the coins are there: this is a proof of what is owed, not of reserves. The siblings in a proof show sums of other
 * customers, the first one the balance of a single unnamed customer.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, hexToBytes } from '@noble/hashes/utils.js';
import type { Sha256 } from '#core/canonical-json';
import {
  commitmentBytes,
  depthMax,
  leafBytes,
  leavesMax,
  nodeBytes,
  parentBytes,
  scopeBytes,
  sumMax,
  writeUnits,
} from './encoding.ts';
import {
  bytesOfHash,
  countOf,
  Defect,
  fieldsOf,
  hashOf,
  hashText,
  hex32,
  listOf,
  literalOf,
  type Refused,
  textOf,
  unitsOf,
} from './fields.ts';
import {
  assetPattern,
  readSignedStatement,
  type SignedStatement,
  statementHash,
  type TreeStatement,
} from './statement.ts';

export const proofFormat = 'strongroom/liabilities-proof/v1';
const accountPattern = /^[!#-[\]-~]{1,128}$/;

/** A node on the way up, the one beside us. */
export interface ProofSibling {
  readonly hash: Sha256;
  /** Base units, decimal. */
  readonly sum: string;
}
export interface InclusionProof {
  readonly format: typeof proofFormat;
  readonly signed: SignedStatement;
  readonly account: string;
  readonly asset: string;
  readonly balance: string;
  /** 32 bytes, hex; with it the account can be found in the auditor's bundle, so it is for the customer alone. */
  readonly salt: string;
  /** Position of the leaf, from 0. */
  readonly index: number;
  /** From the leaf's neighbour to the root's child. */
  readonly path: readonly ProofSibling[];
}
/** What the customer knows without the exchange's proof. */
export interface ExpectedLiability {
  /** The ledger's pinned Ed25519 key, hex. */
  readonly publicKey: string;
  readonly account: string;
  readonly asset: string;
  /** Base units, decimal, as the customer's own statement says for that moment; held amounts count. */
  readonly balance: string;
  /** Which statement was published, when the customer has its hash. */
  readonly statementHash?: string;
}

export type InclusionRefusal =
  | 'malformed'
  | 'other-key'
  | 'bad-signature'
  | 'other-statement'
  | 'other-account'
  | 'other-asset'
  | 'asset-not-published'
  | 'wrong-balance'
  | 'wrong-path-length'
  | 'wrong-index'
  | 'sum-overflow'
  | 'wrong-total'
  | 'wrong-root';
export interface IncludedLiability {
  readonly ok: true;
  readonly statementHash: Sha256;
  readonly snapshotId: string;
  readonly takenAtMs: number;
  /** Base units, decimal. */
  readonly balance: string;
  readonly total: string;
}
export type InclusionVerdict = IncludedLiability | Refused<InclusionRefusal>;

const defect = (reason: InclusionRefusal, message: string): Defect<InclusionRefusal> =>
  new Defect(reason, message);

function readProof(value: unknown, publicKey: string): InclusionProof {
  const f = fieldsOf(
    value,
    ['format', 'signed', 'account', 'asset', 'balance', 'salt', 'index', 'path'],
    'the proof',
  );
  return {
    format: literalOf(f.format, proofFormat, 'format'),
    account: textOf(f.account, accountPattern, 'account'),
    asset: textOf(f.asset, assetPattern, 'asset'),
    balance: unitsOf(f.balance, 'balance').toString(),
    salt: textOf(f.salt, hex32, 'salt'),
    index: countOf(f.index, { min: 0, max: leavesMax - 1 }, 'index'),
    path: listOf(f.path, depthMax, 'path').map((item, level) => {
      const where = `path[${level}]`;
      const sibling = fieldsOf(item, ['hash', 'sum'], where);
      return {
        hash: hashOf(sibling.hash, `${where}.hash`),
        sum: unitsOf(sibling.sum, `${where}.sum`).toString(),
      };
    }),
    signed: readSignedStatement(f.signed, publicKey),
  };
}

function nodeOf(hash: Uint8Array, sum: bigint): Uint8Array {
  const node = new Uint8Array(nodeBytes);
  node.set(hash);
  writeUnits(node, hash.length, sum);
  return node;
}

/** From the leaf to the root; the sum stays a bigint, so that it cannot wrap around unseen. */
function climb(proof: InclusionProof): { readonly root: Sha256; readonly total: bigint } {
  const scope = sha256(scopeBytes(proof.signed.statement.snapshotId, proof.asset));
  const commitment = sha256(commitmentBytes(hexToBytes(proof.salt), proof.account));
  let sum = BigInt(proof.balance);
  let hash = sha256(leafBytes(scope, nodeOf(commitment, sum)));
  for (const [level, sibling] of proof.path.entries()) {
    const own = nodeOf(hash, sum);
    const other = nodeOf(bytesOfHash(sibling.hash), BigInt(sibling.sum));
    const isRight = (proof.index >>> level) % 2 === 1;
    hash = sha256(parentBytes(isRight ? concatBytes(other, own) : concatBytes(own, other)));
    sum += BigInt(sibling.sum);
    if (sum > sumMax)
      throw defect(
        'sum-overflow',
        `above path[${level}] the sum no longer fits into 32 bytes, which could hide a debt`,
      );
  }
  return { root: hashText(hash), total: sum };
}

function assertExpected(proof: InclusionProof, expected: ExpectedLiability): TreeStatement {
  const { statement } = proof.signed;
  if (expected.statementHash !== undefined && statementHash(statement) !== expected.statementHash)
    throw defect(
      'other-statement',
      `the proof rests on the statement ${statementHash(statement)}, not on the published ${String(expected.statementHash).slice(0, 80)}`,
    );
  if (proof.account !== expected.account)
    throw defect(
      'other-account',
      `the proof is about the account ${proof.account}, not about ${String(expected.account).slice(0, 128)}`,
    );
  if (proof.asset !== expected.asset)
    throw defect(
      'other-asset',
      `the proof is about ${proof.asset}, not about ${String(expected.asset).slice(0, 211)}`,
    );
  const tree = statement.trees.find(({ asset }) => asset === proof.asset);
  if (tree === undefined)
    throw defect('asset-not-published', `the statement has no total for ${proof.asset}`);
  if (proof.balance !== expected.balance)
    throw defect(
      'wrong-balance',
      `the proof counts ${proof.balance} units, the customer was told ${String(expected.balance).slice(0, 80)}`,
    );
  if (proof.path.length !== tree.depth)
    throw defect(
      'wrong-path-length',
      `the path has ${proof.path.length} steps, the published tree has ${tree.depth} levels`,
    );
  if (proof.index >= tree.leafCount)
    throw defect('wrong-index', `there is no leaf ${proof.index} among ${tree.leafCount}`);
  return tree;
}

/** Never throws: whatever is wrong with the proof, the answer names it. */
export function verifyInclusion(proof: unknown, expected: ExpectedLiability): InclusionVerdict {
  try {
    const read = readProof(proof, expected.publicKey);
    const tree = assertExpected(read, expected);
    const { root, total } = climb(read);
    if (total.toString() !== tree.total)
      throw defect('wrong-total', `the sums lead to a total of ${total}, published is ${tree.total}`);
    if (root !== tree.root)
      throw defect(
        'wrong-root',
        `the hashes lead to the root ${root}, published is ${tree.root}: a value on the way was changed`,
      );
    const { statement } = read.signed;
    const { snapshotId, takenAtMs } = statement;
    return {
      ok: true,
      statementHash: statementHash(statement),
      snapshotId,
      takenAtMs,
      balance: read.balance,
      total: tree.total,
    };
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return { ok: false, reason: error.reason as InclusionRefusal, message: error.message };
  }
}
