/**
 * Proof of liabilities: building the tree of one asset, one customer's proof, and its check by the browser-safe verifier.
 * In memory, without PostgreSQL. The tree is built with node's SHA-256 and, on fewer leaves, with noble's, as a peer.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { derivedId } from '#core/ids';
import {
  hashBytes,
  liabilitiesDomain,
  nodeBytes,
  readUnits,
  type Sha256Function,
} from '../ledger/liabilities/encoding.ts';
import { hashText } from '../ledger/liabilities/fields.ts';
import { LeafSet } from '../ledger/liabilities/leaf-set.ts';
import { commitmentOf, saltOf, treeScopeHash } from '../ledger/liabilities/salts.ts';
import { ledgerOf, type SignedStatement, statementBytes } from '../ledger/liabilities/statement.ts';
import {
  type LiabilitiesTree,
  leafPath,
  nodeSha256,
  type Subtree,
  subtreeLeaves,
  TreeBuilder,
  treeScope,
} from '../ledger/liabilities/tree.ts';
import { type InclusionProof, proofFormat, verifyInclusion } from '../ledger/liabilities/verify.ts';
import { benchArguments, benchRow, machineConditions, publishReport, quantile, ratio } from './report.ts';

const asset = 'ledger:bench';
const snapshotId = '01900000-0000-7000-8000-000000000000';
const scope = treeScopeHash(snapshotId, asset);
const secret = randomBytes(32);

const accountAt = (index: number): string => derivedId('acc', `bench ${index}`);
const balanceAt = (index: number): bigint => (BigInt(index) * 982_451_653n) % 10n ** 21n;

interface Measured {
  readonly operations: number;
  readonly elapsedMs: number;
  readonly latenciesMs: readonly number[];
}

function timed<T>(work: () => T): { readonly value: T; readonly elapsedMs: number } {
  const start = performance.now();
  const value = work();
  return { value, elapsedMs: performance.now() - start };
}

const once = (operations: number, elapsedMs: number): Measured => ({
  operations,
  elapsedMs,
  latenciesMs: [elapsedMs],
});

/** What a snapshot does with the rows it reads: salt, commit, collect. */
function collect(accounts: readonly string[]): LeafSet {
  const leaves = new LeafSet(accounts.length);
  for (const [index, account] of accounts.entries())
    leaves.add(commitmentOf(saltOf(secret, scope, account), account), balanceAt(index));
  return leaves;
}

interface Built {
  readonly tree: LiabilitiesTree;
  readonly subtrees: readonly Subtree[];
}

function build(leaves: LeafSet, sha256: Sha256Function): Built {
  const builder = new TreeBuilder(treeScope(scope, sha256));
  const subtrees: Subtree[] = [];
  for (const leaf of leaves.sorted()) {
    const full = builder.add(leaf);
    if (full !== undefined) subtrees.push(full);
  }
  const { tree, last } = builder.finish();
  return { tree, subtrees: [...subtrees, last] };
}

function signedStatement({ tree }: Built): { readonly signed: SignedStatement; readonly publicKey: string } {
  const keys = generateKeyPairSync('ed25519');
  const publicKey = keys.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
  const statement = {
    domain: liabilitiesDomain,
    snapshotId,
    number: 1,
    previous: null,
    takenAtMs: Date.now(),
    ledger: ledgerOf(publicKey),
    head: { batch: '1', lastSeq: '1', hash: hashText(createHash('sha256').digest()) },
    accountKinds: ['customer-main'],
    trees: [
      {
        asset,
        depth: tree.depth,
        leafCount: tree.leafCount,
        root: hashText(tree.root.subarray(0, hashBytes)),
        total: readUnits(tree.root, hashBytes).toString(),
      },
    ],
  } as const;
  const signature = sign(null, statementBytes(statement), keys.privateKey).toString('base64');
  return { signed: { statement, signature }, publicKey };
}

/** Where each sampled account's leaf is; the store finds it by halving, here the leaves are in memory. */
function indexesOf(built: Built, accounts: readonly string[]): Map<string, number> {
  const wanted = new Map(
    accounts.map((account) => [
      Buffer.from(commitmentOf(saltOf(secret, scope, account), account)).toString('hex'),
      account,
    ]),
  );
  const found = new Map<string, number>();
  for (const { number, leaves } of built.subtrees)
    for (let at = 0; at < leaves.length; at += nodeBytes) {
      const account = wanted.get(Buffer.from(leaves.subarray(at, at + hashBytes)).toString('hex'));
      if (account !== undefined) found.set(account, number * subtreeLeaves + at / nodeBytes);
    }
  return found;
}

function measureProofs(built: Built, accounts: readonly string[], signed: SignedStatement) {
  const roots = Buffer.concat(built.subtrees.map(({ root }) => root));
  const indexes = indexesOf(built, accounts);
  const latenciesMs: number[] = [];
  const proofs = accounts.map((account): InclusionProof => {
    const index = indexes.get(account) ?? 0;
    const { value, elapsedMs } = timed(() => {
      const subtree = built.subtrees[Math.floor(index / subtreeLeaves)];
      if (subtree === undefined) throw new RangeError(`no subtree of leaf ${index}`);
      const { siblings } = leafPath(treeScope(scope), index, {
        leaves: subtree.leaves,
        roots,
        depth: built.tree.depth,
      });
      const balance = readUnits(subtree.leaves, (index % subtreeLeaves) * nodeBytes + hashBytes).toString();
      const path = siblings.map((node) => ({
        hash: hashText(node.subarray(0, hashBytes)),
        sum: readUnits(node, hashBytes).toString(),
      }));
      const salt = Buffer.from(saltOf(secret, scope, account)).toString('hex');
      return { format: proofFormat, signed, account, asset, balance, salt, index, path } as const;
    });
    latenciesMs.push(elapsedMs);
    return value;
  });
  return { proofs, latenciesMs };
}

function measureVerification(proofs: readonly InclusionProof[], publicKey: string): number[] {
  return proofs.map((proof) => {
    const expected = { publicKey, account: proof.account, asset, balance: proof.balance };
    const { value, elapsedMs } = timed(() => verifyInclusion(proof, expected));
    if (!value.ok) throw new Error(`a proof of the bench does not hold: ${value.message}`);
    return elapsedMs;
  });
}

/** Builds again and again, so that the two can take turns. */
function repeated(leaves: LeafSet, sha256: Sha256Function) {
  const latenciesMs: number[] = [];
  let root = '';
  return {
    once: (): void => {
      const { value, elapsedMs } = timed(() => build(leaves, sha256));
      latenciesMs.push(elapsedMs);
      root = hashText(value.tree.root);
    },
    root: () => root,
    measured: (): Measured => ({
      operations: peerLeaves * latenciesMs.length,
      elapsedMs: sumOf(latenciesMs),
      latenciesMs,
    }),
  };
}

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mebibytes = (bytes: number): number => Math.round(bytes / 2 ** 20);

const { quick, jsonFile } = benchArguments();
const leafCount = quick ? 100_000 : 1_000_000;
const peerLeaves = 100_000;
const peerRounds = 5;
const samples = quick ? 300 : 1_000;

const accounts = Array.from({ length: leafCount }, (_, index) => accountAt(index));
const before = process.memoryUsage();
const collected = timed(() => collect(accounts));
const built = timed(() => build(collected.value, nodeSha256));
// The bench keeps the subtrees that a snapshot hands to the database, so this is more than a snapshot needs.
const after = process.memoryUsage();

const peer = collect(accounts.slice(0, peerLeaves));
const onNode = repeated(peer, nodeSha256);
const onNoble = repeated(peer, nobleSha256);
for (let round = 0; round < peerRounds; round++) for (const run of [onNode, onNoble]) run.once();
if (onNode.root() !== onNoble.root()) throw new Error('two roots of the same leaves');

const { signed, publicKey } = signedStatement(built.value);
const sampled = Array.from(
  { length: samples },
  (_, i) => accounts[Math.floor((i * leafCount) / samples)] ?? '',
);
const proving = measureProofs(built.value, sampled, signed);
const verifyMs = measureVerification(proving.proofs, publicKey);

publishReport(
  {
    bench: 'liabilities',
    conditions: {
      ...machineConditions(),
      leaves: leafCount,
      depth: built.value.tree.depth,
      residentMiB: mebibytes(after.rss),
      residentMiBBefore: mebibytes(before.rss),
      peakResidentMiB: Math.round(process.resourceUsage().maxRSS / 1024),
      proofBytes: JSON.stringify(proving.proofs[0]).length,
      samples,
    },
    rows: [
      benchRow('strongroom', 'salt and commit a leaf', once(leafCount, collected.elapsedMs)),
      benchRow('strongroom', 'sort and build, leaves', once(leafCount, built.elapsedMs)),
      benchRow('strongroom', 'all of it, leaves', once(leafCount, collected.elapsedMs + built.elapsedMs)),
      benchRow('node:crypto', `build ${peerLeaves} leaves`, onNode.measured()),
      benchRow('noble', `build ${peerLeaves} leaves`, onNoble.measured()),
      benchRow('strongroom', 'proof', {
        operations: samples,
        elapsedMs: sumOf(proving.latenciesMs),
        latenciesMs: proving.latenciesMs,
      }),
      benchRow('noble verifier', 'verify, signature included', {
        operations: samples,
        elapsedMs: sumOf(verifyMs),
        latenciesMs: verifyMs,
      }),
    ],
    ratios: {
      nodeOverNoble: ratio(
        quantile(onNoble.measured().latenciesMs, 0.5),
        quantile(onNode.measured().latenciesMs, 0.5),
      ),
    },
  },
  jsonFile,
);
