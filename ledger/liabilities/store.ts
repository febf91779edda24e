/** Rows of the published snapshots, and the proofs made from them. */
import { canonicalJson } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import type { Queryable, Tx } from '#infra/db';
import { hashBytes, nodeBytes, readUnits } from './encoding.ts';
import { liabilityErrors } from './errors.ts';
import { hashText } from './fields.ts';
import { commitmentOf, saltOf, treeScopeHash } from './salts.ts';
import type { LiabilitiesStatement, SignedStatement } from './statement.ts';
import { compareCommitments, leafPath, type Subtree, subtreeLeaves, treeScope } from './tree.ts';
import { type InclusionProof, proofFormat } from './verify.ts';

const fail = errorsOf(liabilityErrors);
const uniqueViolation = '23505';

interface TreeRef {
  /** Of the snapshot. */
  readonly number: number;
  readonly asset: string;
}
interface SnapshotRow {
  readonly statement: string;
  readonly signature: Buffer;
}

function signedOf(row: SnapshotRow): SignedStatement {
  return {
    // Ours, and every reader checks form and signature.
    statement: JSON.parse(row.statement) as LiabilitiesStatement,
    signature: row.signature.toString('base64'),
  };
}

export async function insertSubtree(tx: Tx, { number, asset }: TreeRef, subtree: Subtree): Promise<void> {
  await tx.query({
    name: 'liabilities-insert-subtree',
    text: `INSERT INTO ledger.liabilities_subtree (snapshot_no, asset, no, leaves, first_commitment, root)
           VALUES ($1, $2, $3, $4, substring($4::bytea FOR 32), $5)`,
    values: [number, asset, subtree.number, Buffer.from(subtree.leaves), Buffer.from(subtree.root)],
  });
}

/** @throws LEDGER_LIABILITIES_BUSY when another snapshot was committed meanwhile */
export async function insertSnapshot(tx: Tx, signed: SignedStatement, secret: Uint8Array): Promise<void> {
  const { statement } = signed;
  try {
    await tx.query('INSERT INTO ledger.liabilities_secret (snapshot_no, secret) VALUES ($1, $2)', [
      statement.number,
      Buffer.from(secret),
    ]);
    await tx.query(
      `INSERT INTO ledger.liabilities_snapshot (no, id, statement, signature) VALUES ($1, $2, $3, $4)`,
      [
        statement.number,
        statement.snapshotId,
        canonicalJson(statement),
        Buffer.from(signed.signature, 'base64'),
      ],
    );
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === uniqueViolation)
      throw fail('LEDGER_LIABILITIES_BUSY', `snapshot ${statement.number} was taken meanwhile`, {}, error);
    throw error;
  }
}

const snapshotColumns = 'statement, signature';

export async function newestStatement(queryable: Queryable): Promise<SignedStatement | undefined> {
  const { rows } = await queryable.query<SnapshotRow>(
    `SELECT ${snapshotColumns} FROM ledger.liabilities_snapshot ORDER BY no DESC LIMIT 1`,
  );
  return rows[0] === undefined ? undefined : signedOf(rows[0]);
}

/** A published statement as it was signed; without an id the newest. @throws LEDGER_LIABILITIES_NO_SNAPSHOT */
export async function publishedStatement(
  queryable: Queryable,
  snapshotId?: string,
): Promise<SignedStatement> {
  if (snapshotId === undefined) {
    const newest = await newestStatement(queryable);
    if (newest === undefined) throw fail('LEDGER_LIABILITIES_NO_SNAPSHOT', 'nothing was published yet');
    return newest;
  }
  // Compared as text: what is no uuid is simply not there.
  const { rows } = await queryable.query<SnapshotRow>(
    `SELECT ${snapshotColumns} FROM ledger.liabilities_snapshot WHERE id::text = $1`,
    [snapshotId],
  );
  if (rows[0] === undefined)
    throw fail('LEDGER_LIABILITIES_NO_SNAPSHOT', `there is no snapshot ${snapshotId.slice(0, 80)}`);
  return signedOf(rows[0]);
}

/** The leaves of one tree in order, as they are stored. */
export async function* storedSubtrees(
  queryable: Queryable,
  { number, asset }: TreeRef,
): AsyncGenerator<Uint8Array> {
  for (let no = 0; ; no++) {
    const { rows } = await queryable.query<{ leaves: Buffer }>(
      'SELECT leaves FROM ledger.liabilities_subtree WHERE snapshot_no = $1 AND asset = $2 AND no = $3',
      [number, asset, no],
    );
    if (rows[0] === undefined) return;
    yield rows[0].leaves;
  }
}

/** Position of a commitment in packed leaves, by halving. */
function positionOf(leaves: Uint8Array, commitment: Uint8Array): number | undefined {
  for (let low = 0, high = leaves.length / nodeBytes - 1; low <= high; ) {
    const middle = (low + high) >>> 1;
    const order = compareCommitments(
      leaves.subarray(middle * nodeBytes, (middle + 1) * nodeBytes),
      commitment,
    );
    if (order === 0) return middle;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
}

interface FoundLeaf {
  readonly index: number;
  readonly balance: string;
  /** Of its subtree. */
  readonly leaves: Uint8Array;
}

async function findLeaf(
  queryable: Queryable,
  { number, asset }: TreeRef,
  commitment: Uint8Array,
): Promise<FoundLeaf | undefined> {
  const { rows } = await queryable.query<{ no: number; leaves: Buffer }>(
    `SELECT no, leaves FROM ledger.liabilities_subtree
      WHERE snapshot_no = $1 AND asset = $2 AND first_commitment <= $3 ORDER BY first_commitment DESC LIMIT 1`,
    [number, asset, Buffer.from(commitment)],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const position = positionOf(row.leaves, commitment);
  if (position === undefined) return undefined;
  return {
    index: row.no * subtreeLeaves + position,
    balance: readUnits(row.leaves, position * nodeBytes + hashBytes).toString(),
    leaves: row.leaves,
  };
}

async function storedSecret(queryable: Queryable, number: number): Promise<Uint8Array> {
  const { rows } = await queryable.query<{ secret: Buffer }>(
    'SELECT secret FROM ledger.liabilities_secret WHERE snapshot_no = $1',
    [number],
  );
  if (rows[0] === undefined)
    throw fail('LEDGER_LIABILITIES_STORED_FALSE', `the secret of snapshot ${number} is missing`);
  return rows[0].secret;
}

export interface ProofRequest {
  /** The newest when absent. */
  readonly snapshotId?: string;
  readonly account: string;
  readonly asset: string;
}

/**
 * The proof for one customer. Whoever has it knows this customer's balance at that time: give it to that customer only.
 * @throws LEDGER_LIABILITIES_NO_SNAPSHOT, LEDGER_LIABILITIES_NO_LEAF, LEDGER_LIABILITIES_STORED_FALSE
 */
export async function inclusionProof(queryable: Queryable, request: ProofRequest): Promise<InclusionProof> {
  const { account, asset } = request;
  const signed = await publishedStatement(queryable, request.snapshotId);
  const { number, snapshotId, trees } = signed.statement;
  const tree = trees.find((candidate) => candidate.asset === asset);
  const scope = treeScopeHash(snapshotId, asset);
  const salt = saltOf(await storedSecret(queryable, number), scope, account);
  const found =
    tree === undefined
      ? undefined
      : await findLeaf(queryable, { number, asset }, commitmentOf(salt, account));
  if (tree === undefined || found === undefined)
    throw fail(
      'LEDGER_LIABILITIES_NO_LEAF',
      `snapshot ${snapshotId} has no leaf of ${account} for ${asset}`,
      {
        snapshotId,
        account,
        asset,
      },
    );
  const { rows } = await queryable.query<{ root: Buffer }>(
    'SELECT root FROM ledger.liabilities_subtree WHERE snapshot_no = $1 AND asset = $2 ORDER BY no',
    [number, asset],
  );
  const roots = Buffer.concat(rows.map(({ root }) => root));
  const { siblings, root } = leafPath(treeScope(scope), found.index, { ...found, roots, depth: tree.depth });
  // The root's hash binds the sums below it, and so its own.
  if (hashText(root.subarray(0, hashBytes)) !== tree.root)
    throw fail(
      'LEDGER_LIABILITIES_STORED_FALSE',
      `the stored leaves of snapshot ${snapshotId} for ${asset} do not give the signed root`,
      {
        snapshotId,
        asset,
      },
    );
  return {
    format: proofFormat,
    signed,
    account,
    asset,
    balance: found.balance,
    salt: Buffer.from(salt).toString('hex'),
    index: found.index,
    path: siblings.map((node) => ({
      hash: hashText(node.subarray(0, hashBytes)),
      sum: readUnits(node, hashBytes).toString(),
    })),
  };
}
