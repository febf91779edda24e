/**
 * Takes a snapshot of what is owed to customers and stores it with its signed statement.
 *
 * One REPEATABLE READ transaction reads the ledger's head and every customer's balance, so the statement is about exactly
 * the batch it names, while transfers go on. It holds no lock on accounts. What it does not do: see `./verify.ts`.
 */
import { errorsOf, invariant, messageOf } from '#core/errors';
import { isId, uuidV7 } from '#core/ids';
import type { Clock, Random } from '#core/ports';
import { inTransaction, type Pool, type Tx } from '#infra/db';
import { hashBytes, leavesMax, liabilitiesDomain, readUnits, sumMax } from './encoding.ts';
import { liabilityErrors } from './errors.ts';
import { hashText } from './fields.ts';
import { LeafSet } from './leaf-set.ts';
import { commitmentOf, saltOf, treeScopeHash } from './salts.ts';
import {
  assetsMax,
  type LiabilitiesStatement,
  ledgerOf,
  readSignedStatement,
  type SignedStatement,
  statementBytes,
  statementHash,
  type TreeStatement,
} from './statement.ts';
import { insertSnapshot, insertSubtree, newestStatement } from './store.ts';
import { TreeBuilder, treeScope } from './tree.ts';

const fail = errorsOf(liabilityErrors);

/** Owed without condition. Provisional deposits are not: they are not final. Held amounts are: the posted balance counts. */
export const liabilityKinds = ['customer-main', 'customer-spot'] as const;
/** Path, asset, kind and the four sums of every account. */
export const balanceRelation = 'ledger.account_balance';
/** Customers per FETCH: a page is about 2 MB in this process. */
const pageRows = 10_000;
const secretBytes = 32;
/** Any fixed number; held until the snapshot is committed, so that two are never made at once. */
const snapshotLockKey = 7_305_871_017;

/** The ledger's Ed25519 key; the one of `ledger/head-key.ts` is one. */
export interface LiabilitiesSigner {
  /** Hex. */
  readonly publicKey: string;
  readonly signBytes: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;
}
export interface SnapshotPorts {
  readonly pool: Pool;
  readonly signer: LiabilitiesSigner;
  readonly clock: Clock;
  readonly random: Random;
}

interface AssetTotal {
  readonly asset: string;
  readonly customers: number;
  readonly units: bigint;
}

async function readTotals(tx: Tx): Promise<AssetTotal[]> {
  const { rows } = await tx.query<{ asset: string; customers: string; units: string }>(
    `SELECT asset COLLATE "C" AS asset, count(DISTINCT split_part(path, ':', 2)) AS customers,
            sum(credits_posted - debits_posted) AS units
       FROM ${balanceRelation} WHERE kind = ANY ($1) GROUP BY 1 ORDER BY 1`,
    [liabilityKinds],
  );
  return rows.map(({ asset, customers, units }) => ({
    asset,
    customers: Number.parseInt(customers, 10),
    units: BigInt(units),
  }));
}

function assertLimits(totals: readonly AssetTotal[]): void {
  if (totals.length === 0) throw fail('LEDGER_LIABILITIES_EMPTY', 'the ledger has no customer account yet');
  if (totals.length > assetsMax)
    throw fail(
      'LEDGER_LIABILITIES_LEAVES_INVALID',
      `${totals.length} assets, a statement holds ${assetsMax}`,
    );
  for (const { asset, customers, units } of totals) {
    if (customers > leavesMax)
      throw fail(
        'LEDGER_LIABILITIES_LEAVES_INVALID',
        `${customers} customers of ${asset}, a tree holds ${leavesMax}`,
      );
    if (units > sumMax)
      throw fail('LEDGER_LIABILITIES_LEAVES_INVALID', `the total of ${asset} does not fit into 32 bytes`);
  }
}

interface CustomerRow {
  readonly asset: string;
  readonly account: string;
  readonly units: string;
  /** Of the customer's accounts of this asset, the one with the lowest balance. */
  readonly lowest: string;
}

/** Every customer with the sum of their accounts, by asset. */
async function* customerRows(tx: Tx): AsyncGenerator<CustomerRow> {
  // A cursor's query takes no parameters in every driver; the kinds are constants of this file.
  await tx.query(`DECLARE liabilities NO SCROLL CURSOR FOR
    SELECT asset COLLATE "C" AS asset, split_part(path, ':', 2) AS account, sum(credits_posted - debits_posted) AS units,
           min(credits_posted - debits_posted) AS lowest
      FROM ${balanceRelation} WHERE kind IN (${liabilityKinds.map((kind) => `'${kind}'`).join(', ')})
     GROUP BY 1, 2 ORDER BY 1`);
  for (;;) {
    const { rows } = await tx.query<CustomerRow>(`FETCH ${pageRows} FROM liabilities`);
    yield* rows;
    if (rows.length < pageRows) break;
  }
  await tx.query('CLOSE liabilities');
}

function ownedUnits({ account, asset, units, lowest }: CustomerRow): bigint {
  invariant(
    isId('acc', account),
    `a customer account in ${asset} belongs to "${account}", which is no account id`,
  );
  if (BigInt(lowest) < 0n)
    throw fail(
      'LEDGER_LIABILITIES_NEGATIVE',
      `an account of customer ${account} in ${asset} has a posted balance of ${lowest}`,
      { account, asset, units: lowest },
    );
  return BigInt(units);
}

interface SnapshotKey {
  readonly number: number;
  readonly id: string;
  readonly secret: Uint8Array;
}

/** Sorts, builds and stores the tree of one asset, and compares its total with what the database itself summed up. */
async function storeTree(
  tx: Tx,
  key: SnapshotKey,
  leaves: LeafSet,
  total: AssetTotal,
): Promise<TreeStatement> {
  const { asset } = total;
  const builder = new TreeBuilder(treeScope(treeScopeHash(key.id, asset)));
  for (const leaf of leaves.sorted()) {
    const full = builder.add(leaf);
    if (full !== undefined) await insertSubtree(tx, { number: key.number, asset }, full);
  }
  const { tree, last } = builder.finish();
  await insertSubtree(tx, { number: key.number, asset }, last);
  const units = readUnits(tree.root, hashBytes);
  if (units !== total.units)
    throw fail(
      'LEDGER_LIABILITIES_STORED_FALSE',
      `the tree of ${asset} sums up to ${units}, the accounts to ${total.units}`,
      {
        asset,
        tree: units.toString(),
        accounts: total.units.toString(),
      },
    );
  return {
    asset,
    depth: tree.depth,
    leafCount: tree.leafCount,
    root: hashText(tree.root.subarray(0, hashBytes)),
    total: units.toString(),
  };
}

async function storeTrees(tx: Tx, key: SnapshotKey): Promise<TreeStatement[]> {
  const totals = await readTotals(tx);
  assertLimits(totals);
  const trees: TreeStatement[] = [];
  const rows = customerRows(tx);
  let row = await rows.next();
  for (const total of totals) {
    const scope = treeScopeHash(key.id, total.asset);
    const leaves = new LeafSet(total.customers);
    for (; row.done !== true && row.value.asset === total.asset; row = await rows.next())
      leaves.add(
        commitmentOf(saltOf(key.secret, scope, row.value.account), row.value.account),
        ownedUnits(row.value),
      );
    trees.push(await storeTree(tx, key, leaves, total));
  }
  invariant(row.done === true, 'customers of an asset that was not counted');
  return trees;
}

async function ledgerHead(tx: Tx): Promise<LiabilitiesStatement['head']> {
  const { rows } = await tx.query<{ batch_no: string; last_seq: string; hash: Buffer }>(
    'SELECT batch_no, last_seq, hash FROM ledger.head',
  );
  const [head] = rows;
  invariant(head !== undefined, 'ledger.head is empty');
  return { batch: head.batch_no, lastSeq: head.last_seq, hash: hashText(head.hash) };
}

async function signed(signer: LiabilitiesSigner, statement: LiabilitiesStatement): Promise<SignedStatement> {
  const signature = Buffer.from(await signer.signBytes(statementBytes(statement))).toString('base64');
  try {
    // Read back as any reader will: a statement that nobody can verify is not published.
    return readSignedStatement({ statement, signature }, signer.publicKey);
  } catch (error) {
    throw fail(
      'LEDGER_LIABILITIES_STORED_FALSE',
      `the new statement is not good: ${messageOf(error)}`,
      {},
      error,
    );
  }
}

/**
 * @returns the statement to publish; its name is {@link statementHash}
 * @throws LEDGER_LIABILITIES_NEGATIVE, LEDGER_LIABILITIES_EMPTY, LEDGER_LIABILITIES_BUSY,
 *   LEDGER_LIABILITIES_LEAVES_INVALID, LEDGER_LIABILITIES_STORED_FALSE; nothing is stored then
 */
export async function takeLiabilitiesSnapshot({
  pool,
  signer,
  clock,
  random,
}: SnapshotPorts): Promise<SignedStatement> {
  return await inTransaction(pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    const { rows } = await tx.query<{ locked: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS locked', [
      snapshotLockKey,
    ]);
    if (rows[0]?.locked !== true) throw fail('LEDGER_LIABILITIES_BUSY', 'another snapshot is being taken');
    const previous = await newestStatement(tx);
    const key: SnapshotKey = {
      number: (previous?.statement.number ?? 0) + 1,
      id: uuidV7(clock, random),
      secret: random.bytes(secretBytes),
    };
    const statement: LiabilitiesStatement = {
      domain: liabilitiesDomain,
      snapshotId: key.id,
      number: key.number,
      previous: previous === undefined ? null : statementHash(previous.statement),
      takenAtMs: clock.nowMs(),
      ledger: ledgerOf(signer.publicKey),
      head: await ledgerHead(tx),
      accountKinds: liabilityKinds,
      trees: await storeTrees(tx, key),
    };
    const result = await signed(signer, statement);
    await insertSnapshot(tx, result, key.secret);
    return result;
  });
}
