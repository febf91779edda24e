/**
 * The root statement of a snapshot: what is published and signed. Pure, safe in a browser.
 *
 * It binds, for every asset, root, total, depth and number of leaves; the ledger's newest batch at that moment; the time;
 * and the statement before it, so that a statement can neither be left out nor replaced later without a visible gap.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { canonicalJson, hashJson, type Sha256 } from '#core/canonical-json';
import { depthOf, leavesMax, liabilitiesDomain } from './encoding.ts';
import {
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

/** One statement names all assets; 1,000 of them make about 300 KB. */
export const assetsMax = 1_000;

export interface TreeStatement {
  readonly asset: string;
  readonly depth: number;
  readonly leafCount: number;
  readonly root: Sha256;
  /** The root's sum: all that is owed to customers, base units, decimal. */
  readonly total: string;
}
export interface LiabilitiesStatement {
  readonly domain: typeof liabilitiesDomain;
  readonly snapshotId: string;
  /** 1, 2, 3, … without gaps. */
  readonly number: number;
  /** Hash of statement `number - 1`; null for the first. */
  readonly previous: Sha256 | null;
  readonly takenAtMs: number;
  /** Which ledger: the SHA-256 of its Ed25519 public key, as in its signed heads. */
  readonly ledger: Sha256;
  /** The newest batch of the ledger that the balances contain: number, last transfer, chain hash. */
  readonly head: { readonly batch: string; readonly lastSeq: string; readonly hash: Sha256 };
  /** Which kinds of accounts are counted; one customer's accounts of an asset are one leaf. */
  readonly accountKinds: readonly string[];
  /** By asset, ascending. */
  readonly trees: readonly TreeStatement[];
}
export interface SignedStatement {
  readonly statement: LiabilitiesStatement;
  /** Ed25519 by the ledger's key over {@link statementBytes}, base64. */
  readonly signature: string;
}

const snapshotPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Printable ASCII without quotes and spaces; CAIP-19 ids are at most 211 long. */
export const assetPattern = /^[!#-[\]-~]{1,211}$/;
const positionPattern = /^(?:0|[1-9][0-9]{0,18})$/;

function treeOf(value: unknown, where: string): TreeStatement {
  const f = fieldsOf(value, ['asset', 'depth', 'leafCount', 'root', 'total'], where);
  const leafCount = countOf(f.leafCount, { min: 1, max: leavesMax }, `${where}.leafCount`);
  const depth = depthOf(leafCount);
  countOf(f.depth, { min: depth, max: depth }, `${where}.depth (with ${leafCount} leaves)`);
  return {
    asset: textOf(f.asset, assetPattern, `${where}.asset`),
    depth,
    leafCount,
    root: hashOf(f.root, `${where}.root`),
    total: unitsOf(f.total, `${where}.total`).toString(),
  };
}

function statementOf(value: unknown): LiabilitiesStatement {
  const where = 'the statement';
  const f = fieldsOf(
    value,
    ['domain', 'snapshotId', 'number', 'previous', 'takenAtMs', 'ledger', 'head', 'accountKinds', 'trees'],
    where,
  );
  const head = fieldsOf(f.head, ['batch', 'lastSeq', 'hash'], `${where}.head`);
  const kinds = listOf(f.accountKinds, 16, `${where}.accountKinds`);
  const trees = listOf(f.trees, assetsMax, `${where}.trees`).map((tree, i) =>
    treeOf(tree, `${where}.trees[${i}]`),
  );
  for (const [i, { asset }] of trees.entries())
    if (i > 0 && asset <= (trees[i - 1]?.asset ?? ''))
      throw new Defect(
        'malformed',
        `${where}.trees is not in ascending order of assets, or names ${asset} twice`,
      );
  return {
    domain: literalOf(f.domain, liabilitiesDomain, `${where}.domain`),
    snapshotId: textOf(f.snapshotId, snapshotPattern, `${where}.snapshotId`),
    number: countOf(f.number, { min: 1, max: Number.MAX_SAFE_INTEGER }, `${where}.number`),
    previous: f.number === 1 && f.previous === null ? null : hashOf(f.previous, `${where}.previous`),
    takenAtMs: countOf(f.takenAtMs, { min: 0, max: Number.MAX_SAFE_INTEGER }, `${where}.takenAtMs`),
    ledger: hashOf(f.ledger, `${where}.ledger`),
    head: {
      batch: textOf(head.batch, positionPattern, `${where}.head.batch`),
      lastSeq: textOf(head.lastSeq, positionPattern, `${where}.head.lastSeq`),
      hash: hashOf(head.hash, `${where}.head.hash`),
    },
    accountKinds: kinds.map((kind) => textOf(kind, /^[a-z-]{1,32}$/, `${where}.accountKinds`)),
    trees,
  };
}

/** What the ledger's key signs. */
export const statementBytes = (statement: LiabilitiesStatement): Uint8Array =>
  utf8ToBytes(canonicalJson(statement));
/** The name under which a statement is published and compared. */
export const statementHash = (statement: LiabilitiesStatement): Sha256 => hashJson(statement);

/** The name of a ledger in its statements. @param publicKey Ed25519, 32 bytes hex */
export const ledgerOf = (publicKey: string): Sha256 => hashText(sha256(hexToBytes(publicKey)));

/** @throws Defect malformed also for a text that decodes to the right bytes and is not what encoding them gives */
function signatureOf(value: unknown): string {
  const text = textOf(value, /^[A-Za-z0-9+/]{86}==$/, 'signature');
  if (btoa(atob(text)) !== text) throw new Defect('malformed', 'signature is not canonical base64');
  return text;
}

function verifies(signature: string, message: Uint8Array, publicKey: string): boolean {
  try {
    const bytes = Uint8Array.from(atob(signature), (character) => character.charCodeAt(0));
    // Strict RFC 8032 verification, not ZIP 215: one signature has one form.
    return ed25519.verify(bytes, message, hexToBytes(publicKey), { zip215: false });
  } catch {
    return false;
  }
}

/**
 * Reads a signed statement and checks its signature against the key the reader trusts.
 * @param publicKey pinned, hex; from where the exchange published it, never from the document
 * @throws Defect malformed, other-key, bad-signature
 */
export function readSignedStatement(value: unknown, publicKey: string): SignedStatement {
  const pinned = textOf(publicKey, hex32, "the ledger's pinned key");
  const f = fieldsOf(value, ['statement', 'signature'], 'the signed statement');
  const statement = statementOf(f.statement);
  const signature = signatureOf(f.signature);
  if (statement.ledger !== ledgerOf(pinned))
    throw new Defect(
      'other-key',
      `the statement is of the ledger ${statement.ledger}, the pinned key is that of ${ledgerOf(pinned)}`,
    );
  if (!verifies(signature, statementBytes(statement), pinned))
    throw new Defect(
      'bad-signature',
      'the signature of the statement does not verify under the pinned key: something in it was changed',
    );
  return { statement, signature };
}

export type StatementRefusal = 'malformed' | 'other-key' | 'bad-signature' | 'broken-sequence';

/**
 * Checks a row of published statements: each signed, each naming the one before it. With the first and the last one as
 * published elsewhere, none in between can have been left out or exchanged.
 */
export function verifyStatements(
  values: readonly unknown[],
  publicKey: string,
): { readonly ok: true } | Refused<StatementRefusal> {
  try {
    const statements = values.map((value) => readSignedStatement(value, publicKey).statement);
    for (const [i, { number, previous }] of statements.entries()) {
      const before = statements[i - 1];
      if (before !== undefined && (number !== before.number + 1 || previous !== statementHash(before)))
        throw new Defect(
          'broken-sequence',
          `statement ${number} does not continue statement ${before.number}`,
        );
    }
    return { ok: true };
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    return { ok: false, reason: error.reason as StatementRefusal, message: error.message };
  }
}
