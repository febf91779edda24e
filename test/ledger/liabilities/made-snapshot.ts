/** A signed snapshot in memory, made with the parts of the product that make one in the database. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { derivedId, type Id } from '#core/ids';
import { hashBytes, liabilitiesDomain, nodeBytes, readUnits } from '../../../ledger/liabilities/encoding.ts';
import { hashText } from '../../../ledger/liabilities/fields.ts';
import { LeafSet } from '../../../ledger/liabilities/leaf-set.ts';
import { commitmentOf, saltOf, treeScopeHash } from '../../../ledger/liabilities/salts.ts';
import {
  type LiabilitiesStatement,
  ledgerOf,
  type SignedStatement,
  statementBytes,
} from '../../../ledger/liabilities/statement.ts';
import {
  leafPath,
  type Subtree,
  subtreeLeaves,
  TreeBuilder,
  treeScope,
} from '../../../ledger/liabilities/tree.ts';
import { type InclusionProof, proofFormat } from '../../../ledger/liabilities/verify.ts';

export interface TestKey {
  readonly publicKey: string;
  readonly signBytes: (bytes: Uint8Array) => Uint8Array;
}
export function testKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const der = publicKey.export({ format: 'der', type: 'spki' });
  return {
    publicKey: der.subarray(-32).toString('hex'),
    signBytes: (bytes) => sign(null, bytes, privateKey),
  };
}

export const ledgerKey = testKey();
export const customer = (name: string | number): Id<'acc'> => derivedId('acc', String(name));
const secret = createHash('sha256').update('a secret for tests').digest();

export function signedWith(key: TestKey, statement: LiabilitiesStatement): SignedStatement {
  return { statement, signature: Buffer.from(key.signBytes(statementBytes(statement))).toString('base64') };
}

export interface MadeTree {
  readonly asset: string;
  readonly leaves: Uint8Array;
  readonly roots: Uint8Array;
  readonly depth: number;
  readonly root: Uint8Array;
}
export interface MadeSnapshot {
  readonly signed: SignedStatement;
  readonly trees: readonly MadeTree[];
  proof(account: string, asset: string): InclusionProof;
  /** Lines without their breaks. */
  bundle(): string[];
}
export type Balances = Readonly<Record<string, ReadonlyMap<string, bigint>>>;

function makeTree(snapshotId: string, asset: string, balances: ReadonlyMap<string, bigint>): MadeTree {
  const scope = treeScopeHash(snapshotId, asset);
  const set = new LeafSet(balances.size);
  for (const [account, units] of balances)
    set.add(commitmentOf(saltOf(secret, scope, account), account), units);
  const builder = new TreeBuilder(treeScope(scope));
  const subtrees = [...set.sorted()].flatMap((leaf): Subtree[] => {
    const full = builder.add(leaf);
    return full === undefined ? [] : [full];
  });
  const { tree, last } = builder.finish();
  const all = [...subtrees, last];
  return {
    asset,
    leaves: Buffer.concat(all.map(({ leaves }) => leaves)),
    roots: Buffer.concat(all.map(({ root }) => root)),
    depth: tree.depth,
    root: tree.root,
  };
}

export function makeSnapshot(
  assets: Balances,
  changed: Partial<LiabilitiesStatement> = {},
  key: TestKey = ledgerKey,
): MadeSnapshot {
  const snapshotId = changed.snapshotId ?? '01900000-0000-7000-8000-000000000001';
  const trees = Object.keys(assets)
    .sort()
    .map((asset) => makeTree(snapshotId, asset, assets[asset] ?? new Map()));
  const statement: LiabilitiesStatement = {
    domain: liabilitiesDomain,
    snapshotId,
    number: 1,
    previous: null,
    takenAtMs: 1_750_000_000_123,
    ledger: ledgerOf(key.publicKey),
    head: { batch: '42', lastSeq: '1234', hash: hashText(secret) },
    accountKinds: ['customer-main', 'customer-spot'],
    trees: trees.map(({ asset, leaves, depth, root }) => ({
      asset,
      depth,
      leafCount: leaves.length / nodeBytes,
      root: hashText(root.subarray(0, hashBytes)),
      total: readUnits(root, hashBytes).toString(),
    })),
    ...changed,
  };
  const signed = signedWith(key, statement);
  return {
    signed,
    trees,
    proof: (account, asset) => proofOf(signed, trees, account, asset),
    bundle: () => bundleOf(signed, trees),
  };
}

const leavesOf = (tree: MadeTree): Uint8Array[] =>
  Array.from({ length: tree.leaves.length / nodeBytes }, (_, i) =>
    tree.leaves.subarray(i * nodeBytes, (i + 1) * nodeBytes),
  );

function proofOf(
  signed: SignedStatement,
  trees: readonly MadeTree[],
  account: string,
  asset: string,
): InclusionProof {
  const tree = trees.find((candidate) => candidate.asset === asset);
  if (tree === undefined) throw new Error(`no tree of ${asset}`);
  const scope = treeScopeHash(signed.statement.snapshotId, asset);
  const salt = saltOf(secret, scope, account);
  const commitment = Buffer.from(commitmentOf(salt, account));
  const index = leavesOf(tree).findIndex((leaf) => commitment.equals(leaf.subarray(0, hashBytes)));
  if (index < 0) throw new Error(`no leaf of ${account}`);
  const start = Math.floor(index / subtreeLeaves) * subtreeLeaves * nodeBytes;
  const leaves = tree.leaves.subarray(start, start + subtreeLeaves * nodeBytes);
  const { siblings } = leafPath(treeScope(scope), index, { leaves, roots: tree.roots, depth: tree.depth });
  return {
    format: proofFormat,
    signed,
    account,
    asset,
    balance: readUnits(tree.leaves, index * nodeBytes + hashBytes).toString(),
    salt: Buffer.from(salt).toString('hex'),
    index,
    path: siblings.map((node) => ({
      hash: hashText(node.subarray(0, hashBytes)),
      sum: readUnits(node, hashBytes).toString(),
    })),
  };
}

function bundleOf(signed: SignedStatement, trees: readonly MadeTree[]): string[] {
  return [
    JSON.stringify({ format: 'strongroom/liabilities-bundle/v1', signed }),
    ...trees.flatMap((tree) => [
      JSON.stringify({ tree: tree.asset }),
      ...leavesOf(tree).map((leaf) =>
        JSON.stringify({
          commitment: hashText(leaf.subarray(0, hashBytes)),
          balance: readUnits(leaf, hashBytes).toString(),
        }),
      ),
    ]),
  ];
}
