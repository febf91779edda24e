/** The database's own record of signed heads (0015). Rows are evidence only after their signature was verified. */
import type { Queryable, Tx } from '#infra/db';
import { ledgerHeadDomain, type SignedHead } from './heads.ts';

interface ExportedRow {
  readonly ledger: Buffer;
  readonly batch_no: string;
  readonly last_seq: string;
  readonly hash: Buffer;
  readonly recorded_ms: string;
  readonly signed_ms: string;
  readonly signature: Buffer;
}

const shaOf = (bytes: Buffer): `sha256:${string}` => `sha256:${bytes.toString('hex')}`;
const bytesOf = (sha: string): Buffer => Buffer.from(sha.slice('sha256:'.length), 'hex');

const columns = 'ledger, batch_no, last_seq, hash, recorded_ms, signed_ms, signature';

const headOf = (row: ExportedRow): SignedHead => ({
  statement: {
    domain: ledgerHeadDomain,
    ledger: shaOf(row.ledger),
    batch: row.batch_no,
    lastSeq: row.last_seq,
    hash: shaOf(row.hash),
    recordedMs: Number.parseInt(row.recorded_ms, 10),
    signedMs: Number.parseInt(row.signed_ms, 10),
  },
  signature: row.signature.toString('base64'),
});

/** The newest rows of this ledger and those of the named batches, newest first. */
export async function readExportedHeads(
  db: Queryable,
  ledger: string,
  { newest, batches = [] }: { readonly newest: number; readonly batches?: readonly string[] },
): Promise<readonly SignedHead[]> {
  const { rows } = await db.query<ExportedRow>(
    `SELECT ${columns} FROM ledger.exported_head
      WHERE ledger = $1 AND batch_no = ANY ($3::bigint[] ||
              ARRAY(SELECT batch_no FROM ledger.exported_head WHERE ledger = $1 ORDER BY batch_no DESC LIMIT $2))
      ORDER BY batch_no DESC`,
    [bytesOf(ledger), newest, batches],
  );
  return rows.map(headOf);
}

/** The row of the first head of this ledger at or after a batch. */
export async function firstExportedHead(
  db: Queryable,
  ledger: string,
  batch: bigint,
): Promise<SignedHead | undefined> {
  const { rows } = await db.query<ExportedRow>(
    `SELECT ${columns} FROM ledger.exported_head WHERE ledger = $1 AND batch_no >= $2 ORDER BY batch_no LIMIT 1`,
    [bytesOf(ledger), batch],
  );
  return rows.map(headOf)[0];
}

/** Rows of this ledger that are not of the batch they name, newest first. */
export async function contradictedExports(
  db: Queryable,
  ledger: string,
  rowsMax: number,
): Promise<readonly SignedHead[]> {
  const { rows } = await db.query<ExportedRow>(
    `SELECT e.ledger, e.batch_no, e.last_seq, e.hash, e.recorded_ms, e.signed_ms, e.signature
       FROM ledger.exported_head AS e LEFT JOIN ledger.batch AS b ON b.no = e.batch_no
      WHERE e.ledger = $1 AND (b.last_seq, b.hash, b.recorded_ms) IS DISTINCT FROM (e.last_seq, e.hash, e.recorded_ms)
      ORDER BY e.batch_no DESC LIMIT $2`,
    [bytesOf(ledger), rowsMax],
  );
  return rows.map(headOf);
}

export async function saveExportedHead(tx: Tx, { statement, signature }: SignedHead): Promise<void> {
  await tx.query(
    `INSERT INTO ledger.exported_head (ledger, batch_no, last_seq, hash, recorded_ms, signed_ms, signature)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [
      bytesOf(statement.ledger),
      statement.batch,
      statement.lastSeq,
      bytesOf(statement.hash),
      statement.recordedMs,
      statement.signedMs,
      Buffer.from(signature, 'base64'),
    ],
  );
}
