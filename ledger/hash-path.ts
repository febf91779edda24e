/**
 * The hash chain, computed here from the rows of the database and not by it: what a batch's rows hash to, and that every
 * batch from there on continues the one before up to the head. The formulas are those of `sql/0010_tables.sql`.
 */
import { createHash } from 'node:crypto';
import { errorsOf, invariant } from '#core/errors';
import type { Queryable } from '#infra/db';
import { ledgerErrors } from './errors.ts';
import { readExportedHeads } from './exported-heads.ts';
import { ledgerIdOf, verifyHead } from './heads.ts';

const fail = errorsOf(ledgerErrors);

/** Batches followed by one question: ten seconds of work. What lies beyond is for `verify`. */
export const hashPathBatchesMax = 1_000_000;
/** Headers in memory at once. */
const headersPerPage = 5_000;

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const firstPrevious = sha256('strongroom/ledger/v1');
const noAccounts = sha256('strongroom/ledger/accounts/v1');

export interface HashPath {
  /** The batch that holds the transfer, its rows and its hash, recomputed. */
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
  /** What does not fit; none means that the path holds. */
  readonly problems: readonly string[];
}

interface Header {
  readonly no: string;
  readonly first_seq: string;
  readonly last_seq: string;
  readonly recorded_ms: string;
  readonly accounts: string;
  readonly rows_hash: Buffer;
  readonly prev_hash: Buffer;
  readonly hash: Buffer;
  readonly accounts_hash: Buffer | null;
}

const hashOfHeader = (h: Header): Buffer =>
  sha256(
    h.prev_hash,
    `${h.no}|${h.first_seq}|${h.last_seq}|${h.recorded_ms}|${h.accounts}|`,
    h.accounts_hash ?? noAccounts,
    h.rows_hash,
  );

async function* headersFrom(queryable: Queryable, from: bigint, to: bigint): AsyncGenerator<Header, void> {
  for (let next = from; next <= to; next += BigInt(headersPerPage)) {
    const { rows } = await queryable.query<Header>(
      `SELECT b.no, b.first_seq, b.last_seq, b.recorded_ms, b.accounts, b.rows_hash, b.prev_hash, b.hash,
              a.hash AS accounts_hash
         FROM ledger.batch AS b LEFT JOIN ledger.account AS a ON a.id = b.accounts
        WHERE b.no >= $1 AND b.no <= $2 AND b.no < $1 + ${headersPerPage} ORDER BY b.no`,
      [next, to],
    );
    yield* rows;
  }
}

/** SHA-256 over one line per transfer, as `ledger.transfer_line` writes it: the columns in this order. */
async function rowsHash(queryable: Queryable, { first_seq, last_seq }: Header): Promise<Buffer> {
  const { rows } = await queryable.query<Record<string, string | null>>(
    `SELECT seq, id, kind, debit_account, credit_account, debit_before, credit_before, amount, pending_id, code, at_ms,
            timeout_ms, balancing::text || amount_max::text AS balanced, reference
       FROM ledger.transfer WHERE seq BETWEEN $1 AND $2 ORDER BY seq`,
    [first_seq, last_seq],
  );
  const lines = rows.map((row) => Object.values(row).map((field) => field ?? ''));
  return sha256(lines.map((fields) => fields.join('|')).join('\n'));
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
  const ledger = ledgerIdOf(publicKey);
  const { rows } = await queryable.query<{ batch_no: string }>(
    `SELECT batch_no FROM ledger.exported_head WHERE ledger = $1 AND batch_no >= $2 ORDER BY batch_no LIMIT 1`,
    [Buffer.from(ledger.slice('sha256:'.length), 'hex'), batch],
  );
  const [first] = rows;
  if (first === undefined) return undefined;
  const [shown] = await readExportedHeads(queryable, ledger, { newest: 0, batches: [first.batch_no] });
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
  let first: Header | undefined;
  let last: { readonly no: bigint; readonly hash: Buffer } | undefined;
  let links = 0;
  for await (const header of headersFrom(queryable, batch, to)) {
    const no = BigInt(header.no);
    const hash = hashOfHeader(header);
    if (first === undefined) {
      if (no !== batch) break;
      first = header;
      if (!(await rowsHash(queryable, header)).equals(header.rows_hash))
        problems.push(`the transfers of batch ${no} are not those it was written with`);
      if (no === 1n && !header.prev_hash.equals(firstPrevious))
        problems.push('batch 1 does not start the chain');
    } else if (last !== undefined && (no !== last.no + 1n || !header.prev_hash.equals(last.hash)))
      problems.push(`batch ${no} does not continue batch ${last.no}`);
    if (!hash.equals(header.hash)) problems.push(`the hash of batch ${no} is not that of its content`);
    if (signed?.batch === no && signed.hash !== textOf(hash))
      problems.push(`batch ${no} is not the one whose head was signed`);
    last = { no, hash };
    links += 1;
  }
  if (first === undefined || last === undefined)
    throw fail('LEDGER_TRANSFER_UNKNOWN', `there is no batch ${batch}`, { batch: batch.toString() });
  if (last.no !== to) problems.push(`batches after ${last.no} are missing`);
  const isHead = last.no === head.batch;
  if (isHead && !last.hash.equals(head.hash)) problems.push('the head is not the newest batch');
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
