/**
 * The auditor's bundle: a file of JSON lines with the signed statement and every leaf of every tree, and the check that
 * rebuilds all roots and totals from it. It names no accounts. The check needs memory for one subtree, not for the file.
 *
 *     {"format":"strongroom/liabilities-bundle/v1","signed":{…}}
 *     {"tree":"<asset>"}                                  one per asset, in the statement's order, then its leaves
 *     {"commitment":"sha256:<64 hex>","balance":"<base units>"}  in ascending order of the commitments
 */
import { isStrongroomError } from '#core/errors';
import type { Queryable } from '#infra/db';
import { hashBytes, nodeBytes, readUnits, writeUnits } from './encoding.ts';
import {
  bytesOfHash,
  Defect,
  fieldsOf,
  hashOf,
  hashText,
  literalOf,
  type Refused,
  unitsOf,
} from './fields.ts';
import { treeScopeHash } from './salts.ts';
import { readSignedStatement, type SignedStatement, statementHash, type TreeStatement } from './statement.ts';
import { publishedStatement, storedSubtrees } from './store.ts';
import { type LeavesProblem, type LiabilitiesTree, TreeBuilder, treeScope } from './tree.ts';

export const bundleFormat = 'strongroom/liabilities-bundle/v1';
/** The header with 1,000 assets is about 300 KB; a leaf is below 200. */
const lineCharactersMax = 1_048_576;

/** The lines of a stored snapshot, each with its line break. @throws LEDGER_LIABILITIES_NO_SNAPSHOT */
export async function* bundleLines(queryable: Queryable, snapshotId?: string): AsyncGenerator<string> {
  const signed = await publishedStatement(queryable, snapshotId);
  yield `${JSON.stringify({ format: bundleFormat, signed })}\n`;
  for (const { asset } of signed.statement.trees) {
    yield `${JSON.stringify({ tree: asset })}\n`;
    for await (const leaves of storedSubtrees(queryable, { number: signed.statement.number, asset })) {
      const lines: string[] = [];
      for (let at = 0; at < leaves.length; at += nodeBytes)
        lines.push(
          `{"commitment":"${hashText(leaves.subarray(at, at + hashBytes))}","balance":"${readUnits(leaves, at + hashBytes)}"}\n`,
        );
      yield lines.join('');
    }
  }
}

export type BundleRefusal =
  | 'malformed'
  | 'other-key'
  | 'bad-signature'
  | 'wrong-tree'
  | 'wrong-count'
  | 'wrong-order'
  | 'duplicate-leaf'
  | 'sum-overflow'
  | 'wrong-total'
  | 'wrong-root';
export interface AuditedBundle {
  readonly ok: true;
  readonly statementHash: string;
  readonly signed: SignedStatement;
}
export interface RefusedBundle extends Refused<BundleRefusal> {
  /** Of the file, from 1. */
  readonly line: number;
}
export type BundleVerdict = AuditedBundle | RefusedBundle;

const refusalOf: Readonly<Record<LeavesProblem, BundleRefusal>> = {
  duplicate: 'duplicate-leaf',
  order: 'wrong-order',
  count: 'wrong-count',
  overflow: 'sum-overflow',
};
const defect = (reason: BundleRefusal, message: string): Defect<BundleRefusal> => new Defect(reason, message);

async function* linesOf(chunks: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw defect('malformed', 'the file is not UTF-8 text');
    }
  };
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + (typeof chunk === 'string' ? chunk : decode(chunk))).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineCharactersMax)
      throw defect('malformed', `a line is longer than ${lineCharactersMax} characters`);
    yield* lines;
  }
  rest += decode();
  if (rest !== '') yield rest;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw defect('malformed', 'the line is not JSON');
  }
}

/** Reads line by line and knows where it is. */
class BundleReader {
  readonly #lines: AsyncGenerator<string>;
  line = 0;

  constructor(chunks: AsyncIterable<Uint8Array | string>) {
    this.#lines = linesOf(chunks);
  }

  /** `undefined` at the end of the file. */
  async next(): Promise<unknown> {
    this.line += 1;
    const read: IteratorResult<string, unknown> = await this.#lines.next();
    return read.done === true ? undefined : parse(read.value);
  }
}

const isTreeLine = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'tree' in value;

async function readTree(reader: BundleReader, snapshotId: string, published: TreeStatement): Promise<void> {
  const { asset, leafCount } = published;
  const head = await reader.next();
  if (head === undefined) throw defect('wrong-tree', `the file ends before the leaves of ${asset}`);
  const named = fieldsOf(head, ['tree'], 'the line').tree;
  if (named !== asset) throw defect('wrong-tree', `the leaves of ${asset} should follow here`);
  const builder = new TreeBuilder(treeScope(treeScopeHash(snapshotId, asset)));
  const leaf = new Uint8Array(nodeBytes);
  for (let count = 0; count < leafCount; count++) {
    const value = await reader.next();
    if (value === undefined || isTreeLine(value))
      throw defect('wrong-count', `${asset} has ${count} leaves, published are ${leafCount}`);
    const f = fieldsOf(value, ['commitment', 'balance'], 'the leaf');
    leaf.set(bytesOfHash(hashOf(f.commitment, 'commitment')));
    writeUnits(leaf, hashBytes, unitsOf(f.balance, 'balance'));
    builder.add(leaf);
  }
  assertTree(builder.finish().tree, published);
}

function assertTree(tree: LiabilitiesTree, published: TreeStatement): void {
  const total = readUnits(tree.root, hashBytes).toString();
  const root = hashText(tree.root.subarray(0, hashBytes));
  if (total !== published.total)
    throw defect(
      'wrong-total',
      `the leaves of ${published.asset} sum up to ${total}, published are ${published.total}`,
    );
  if (root !== published.root)
    throw defect(
      'wrong-root',
      `the leaves of ${published.asset} give the root ${root}, published is ${published.root}`,
    );
}

async function readBundle(reader: BundleReader, publicKey: string): Promise<SignedStatement> {
  const header = fieldsOf(await reader.next(), ['format', 'signed'], 'the header');
  literalOf(header.format, bundleFormat, 'format');
  const signed = readSignedStatement(header.signed, publicKey);
  for (const tree of signed.statement.trees) await readTree(reader, signed.statement.snapshotId, tree);
  const after = await reader.next();
  if (after !== undefined)
    throw isTreeLine(after)
      ? defect('wrong-tree', 'a tree follows that the statement does not name')
      : defect('wrong-count', 'more leaves follow than the statement says');
  return signed;
}

function refusal(error: unknown): Refused<BundleRefusal> | undefined {
  if (error instanceof Defect)
    return { ok: false, reason: error.reason as BundleRefusal, message: error.message };
  const problem = isStrongroomError(error) ? error.details['problem'] : undefined;
  if (isStrongroomError(error) && typeof problem === 'string' && problem in refusalOf)
    return { ok: false, reason: refusalOf[problem as LeavesProblem], message: error.message };
  return undefined;
}

/**
 * Rebuilds every tree of the bundle and compares it with the signed statement.
 * @param chunks the file in pieces; errors of reading it go through
 * @param publicKey the ledger's pinned key, hex
 */
export async function verifyBundle(
  chunks: AsyncIterable<Uint8Array | string>,
  publicKey: string,
): Promise<BundleVerdict> {
  const reader = new BundleReader(chunks);
  try {
    const signed = await readBundle(reader, publicKey);
    return { ok: true, statementHash: statementHash(signed.statement), signed };
  } catch (error) {
    const refused = refusal(error);
    if (refused === undefined) throw error;
    return { ...refused, line: reader.line };
  }
}
