/**
 * The hash chain, computed here from the rows of the database and not by it: what a batch's rows hash to, and that every
 * batch from there on continues the one before up to the head.
 */
import { errorsOf, invariant } from '#core/errors';
import type { Queryable } from '#infra/db';
import { areRowsOf, type BatchHeader, firstPrevious, hashOfHeader, headersOf, linesOf } from './chain.ts';
import { ledgerErrors } from './errors.ts';
import { firstExportedHead } from './exported-heads.ts';
import { ledgerIdOf, verifyHead } from './heads.ts';

const fail = errorsOf(ledgerErrors);

/** Batches followed by one question: ten seconds of work. What lies beyond is for `verify`. */
export const hashPathBatchesMax = 1_000_000;
/** A changed batch breaks the next one too; a person needs the first few. */
const problemsMax = 20;

export interface HashPath {
  /** The batch that holds the transfer, and its hash as it is stored; that its rows give another one is a problem. */
  readonly batch: bigint;
  readonly firstSeq: bigint;
  readonly lastSeq: bigint;
  readonly recordedMs: number;
  readonly hash: string;
  /** How far the chain was followed, and how many links that are. */
  readonly upTo: { readonly batch: bigint; readonly hash: string; readonly isHead: boolean };
  readonly links: number;
  /** The first head signed after the transfer, if the ledger's key is given and there is one on the way. */
  readonly signedHead?: { readonly batch: bigint; readonly signedMs: number };
  /** What does not fit, the first {@link problemsMax} places; none means that the path holds. */
  readonly problems: readonly string[];
}

async function hasItsRows(queryable: Queryable, header: BatchHeader): Promise<boolean> {
  const lines: (string | null)[] = [];
  const range = { from: BigInt(header.first_seq), to: BigInt(header.last_seq) };
  for await (const { line } of linesOf(queryable, range)) lines.push(line);
  return areRowsOf(header, lines);
}

interface NamedHead {
  readonly batch: bigint;
  readonly hash: string;
  readonly signedMs: number;
}

/** The first head at or after a batch that this key signed. @throws LEDGER_HEAD_INVALID */
async function signedHeadAfter(
  queryable: Queryable,
  batch: bigint,
  publicKey: string,
): Promise<NamedHead | undefined> {
  const shown = await firstExportedHead(queryable, ledgerIdOf(publicKey), batch);
  if (shown === undefined) return undefined;
  const { statement } = verifyHead(shown, publicKey);
  return { batch: BigInt(statement.batch), hash: statement.hash, signedMs: statement.signedMs };
}

async function readHead(queryable: Queryable): Promise<{ readonly batch: bigint; readonly hash: Buffer }> {
  const { rows } = await queryable.query<{ batch_no: string; hash: Buffer }>(
    'SELECT batch_no, hash FROM ledger.head',
  );
  const [head] = rows;
  invariant(head !== undefined, 'ledger.head is empty');
  return { batch: BigInt(head.batch_no), hash: head.hash };
}

const textOf = (hash: Buffer): string => `sha256:${hash.toString('hex')}`;

/**
 * From the batch of a transfer to the head.
 * @param options.publicKey the ledger's, Ed25519, 32 bytes hex: also finds a signed head on the way
 * @throws LEDGER_TRANSFER_UNKNOWN for a batch that is not there, LEDGER_HEAD_INVALID
 */
export async function hashPath(
  queryable: Queryable,
  batch: bigint,
  options: { readonly publicKey?: string; readonly batchesMax?: number } = {},
): Promise<HashPath> {
  const { publicKey, batchesMax = hashPathBatchesMax } = options;
  const signed = publicKey === undefined ? undefined : await signedHeadAfter(queryable, batch, publicKey);
  const head = await readHead(queryable);
  const to = head.batch - batch >= BigInt(batchesMax) ? batch + BigInt(batchesMax) - 1n : head.batch;
  const problems: string[] = [];
  const note = (problem: string): void => {
    if (problems.length < problemsMax) problems.push(problem);
  };
  let first: BatchHeader | undefined;
  let last: { readonly no: bigint; readonly hash: Buffer } | undefined;
  let links = 0;
  for await (const header of headersOf(queryable, { from: batch, to })) {
    const no = BigInt(header.no);
    const hash = hashOfHeader(header);
    if (first === undefined) {
      if (no !== batch) break;
      first = header;
      if (!(await hasItsRows(queryable, header)))
        note(`the transfers of batch ${no} are not those it was written with`);
      if (no === 1n && !header.prev_hash.equals(firstPrevious)) note('batch 1 does not start the chain');
    } else if (last !== undefined && (no !== last.no + 1n || !header.prev_hash.equals(last.hash)))
      note(`batch ${no} does not continue batch ${last.no}`);
    if (!hash.equals(header.hash)) note(`the hash of batch ${no} is not that of its content`);
    if (signed?.batch === no && signed.hash !== textOf(hash))
      note(`batch ${no} is not the one whose head was signed`);
    last = { no, hash };
    links += 1;
  }
  if (first === undefined || last === undefined)
    throw fail('LEDGER_TRANSFER_UNKNOWN', `there is no batch ${batch}`, { batch: batch.toString() });
  if (last.no !== to) note(`batches after ${last.no} are missing`);
  const isHead = last.no === head.batch;
  if (isHead && !last.hash.equals(head.hash)) note('the head is not the newest batch');
  return {
    batch,
    firstSeq: BigInt(first.first_seq),
    lastSeq: BigInt(first.last_seq),
    recordedMs: Number.parseInt(first.recorded_ms, 10),
    hash: textOf(first.hash),
    upTo: { batch: last.no, hash: textOf(last.hash), isHead },
    links: links - 1,
    ...(signed === undefined || signed.batch > last.no
      ? {}
      : { signedHead: { batch: signed.batch, signedMs: signed.signedMs } }),
    problems,
  };
}
