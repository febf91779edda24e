/** Snapshots of a real database, while transfers go on. */
import { randomBytes } from 'node:crypto';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { amount, assetId } from '#core/money';
import type { Clock, Random } from '#core/ports';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { type AccountPath, customerMain, customerProvisional, houseIncome, suspense } from '#ledger/contract';
import { sumMax } from '../../../ledger/liabilities/encoding.ts';
import {
  bundleLines,
  inclusionProof,
  liabilityKinds,
  publishedStatement,
  type SignedStatement,
  statementHash,
  takeLiabilitiesSnapshot,
  verifyBundle,
  verifyInclusion,
  verifyStatements,
} from '../../../ledger/liabilities/index.ts';
import { balanceRelation } from '../../../ledger/liabilities/snapshot.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { accountOf, ether, freshId, gold, pending, post, transferOf, walletOf } from '../fixture.ts';
import { ledgerKey, testKey } from './made-snapshot.ts';

const customers = 40;
const source = suspense(walletOf('source'));
const clock: Clock = { nowMs: () => 1_750_000_000_000 };
const random: Random = { bytes: (length) => randomBytes(length) };
let pool: Pool;
let ledger: Ledger;

const take = async (signer = ledgerKey): Promise<SignedStatement> =>
  await takeLiabilitiesSnapshot({ pool, signer, clock, random });
const main = (name: number): AccountPath => customerMain(accountOf(name));
const treeOf = ({ statement }: SignedStatement, asset: string) =>
  statement.trees.find((tree) => tree.asset === asset);

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'liabilities-test' });
  ledger = createLedger({ pool });
});
afterAll(async () => {
  await pool.end();
});

async function fund(): Promise<void> {
  const paths = Array.from({ length: customers }, (_, i) => main(i));
  await ledger.openAccounts(pool, [
    ...[source, houseIncome, ...paths, customerProvisional(accountOf(0))].map((path) => ({
      path,
      asset: ether,
    })),
    ...[source, main(0), main(1)].map((path) => ({ path, asset: gold })),
  ]);
  await inTransaction(
    pool,
    async (tx) =>
      await ledger.applyOrThrow(
        [
          ...paths.map((path, i) => post(source, path, BigInt(i) * 1000n)).slice(1),
          post(source, main(0), 7n, { asset: gold }),
          // Not owed yet, and owed although held.
          post(source, customerProvisional(accountOf(0)), 999_999n),
          pending(main(5), houseIncome, 4000n),
        ],
        tx,
      ),
  );
}

describe('before there is anything', () => {
  test('nothing to prove, and nothing published', async () => {
    await expect(take()).rejects.toMatchObject({ code: 'LEDGER_LIABILITIES_EMPTY' });
    await expect(publishedStatement(pool)).rejects.toMatchObject({ code: 'LEDGER_LIABILITIES_NO_SNAPSHOT' });
    await expect(inclusionProof(pool, { account: accountOf(0), asset: ether })).rejects.toMatchObject({
      code: 'LEDGER_LIABILITIES_NO_SNAPSHOT',
    });
  });
});

describe('a snapshot', () => {
  let first: SignedStatement;
  beforeAll(async () => {
    await fund();
    first = await take();
  });

  test('names batch, totals and number of customers; provisional is not owed, held is', async () => {
    const { rows } = await pool.query<{ batch_no: string; last_seq: string; hash: Buffer }>(
      'SELECT batch_no, last_seq, hash FROM ledger.head',
    );
    expect(first.statement).toMatchObject({
      number: 1,
      previous: null,
      takenAtMs: clock.nowMs(),
      head: {
        batch: rows[0]?.batch_no,
        lastSeq: rows[0]?.last_seq,
        hash: `sha256:${rows[0]?.hash.toString('hex') ?? ''}`,
      },
      accountKinds: liabilityKinds,
      trees: [
        { asset: ether, depth: 6, leafCount: customers, total: '780000' },
        { asset: gold, depth: 1, leafCount: 2, total: '7' },
      ],
    });
    expect((await ledger.totals(ether)).customers).toBe(780_000n);
  });

  test('every customer gets a proof that holds, over the wire', async () => {
    for (let i = 0; i < customers; i++) {
      const account = accountOf(i);
      const proof: unknown = JSON.parse(
        JSON.stringify(await inclusionProof(pool, { account, asset: ether })),
      );
      const expected = {
        publicKey: ledgerKey.publicKey,
        account,
        asset: ether,
        balance: (i * 1000).toString(),
      };
      expect(verifyInclusion(proof, expected)).toMatchObject({ ok: true, total: '780000' });
    }
  });

  test('the order of leaves says nothing about accounts: another snapshot has another', async () => {
    const again = await take();
    const indexes = async (snapshotId: string) =>
      await Promise.all(
        Array.from(
          { length: customers },
          async (_, i) =>
            (await inclusionProof(pool, { snapshotId, account: accountOf(i), asset: ether })).index,
        ),
      );
    const [before, after] = [
      await indexes(first.statement.snapshotId),
      await indexes(again.statement.snapshotId),
    ];
    expect(new Set(before).size).toBe(customers);
    expect(after).not.toEqual(before);
  });

  test('the same customer has another commitment in every tree', async () => {
    const salts = await Promise.all(
      [ether, gold].map(async (asset) => (await inclusionProof(pool, { account: accountOf(0), asset })).salt),
    );
    expect(salts[0]).not.toBe(salts[1]);
  });

  test('the bundle proves the statement', async () => {
    const verdict = await verifyBundle(bundleLines(pool, first.statement.snapshotId), ledgerKey.publicKey);
    expect(verdict).toEqual({ ok: true, statementHash: statementHash(first.statement), signed: first });
  });

  test('continues the one before it', async () => {
    const next = await take();
    expect(next.statement.previous).toBe(statementHash((await all()).at(-2)?.statement ?? first.statement));
    expect(verifyStatements(await all(), ledgerKey.publicKey)).toEqual({ ok: true });
    expect(await publishedStatement(pool)).toEqual(next);
  });

  test('a customer without an account of this asset, and an unknown snapshot, are told so', async () => {
    const request = { account: accountOf(39), asset: gold };
    await expect(inclusionProof(pool, request)).rejects.toMatchObject({ code: 'LEDGER_LIABILITIES_NO_LEAF' });
    await expect(inclusionProof(pool, { ...request, asset: 'ledger:none' })).rejects.toMatchObject({
      code: 'LEDGER_LIABILITIES_NO_LEAF',
    });
    for (const snapshotId of ['x', "' OR true --", accountOf(0)])
      await expect(inclusionProof(pool, { ...request, snapshotId })).rejects.toMatchObject({
        code: 'LEDGER_LIABILITIES_NO_SNAPSHOT',
      });
  });
});

async function all(): Promise<SignedStatement[]> {
  const { rows } = await pool.query<{ id: string }>('SELECT id FROM ledger.liabilities_snapshot ORDER BY no');
  return await Promise.all(rows.map(async ({ id }) => await publishedStatement(pool, id)));
}

describe('while transfers go on', () => {
  test('the totals are those of exactly the batch that the statement names', async () => {
    let running = true;
    const writer = async (from: number): Promise<void> => {
      for (let n = 0; running; n++) {
        const to = (from + n) % (customers - 1);
        const units = BigInt(n + 2);
        await ledger.apply([post(source, main(to), units), post(main(customers - 1), houseIncome, 1n)]);
      }
    };
    const writers = [1, 2, 3].map(async (from) => {
      await writer(from);
    });
    const taken: SignedStatement[] = [];
    for (let i = 0; i < 6; i++) taken.push(await take());
    running = false;
    await Promise.all(writers);
    const heads = new Set(taken.map(({ statement }) => statement.head.batch));
    expect(heads.size).toBeGreaterThan(1);
    for (const signed of taken) {
      expect(treeOf(signed, ether)?.total).toBe(await customersUpTo(signed.statement.head.lastSeq));
      expect(
        (await verifyBundle(bundleLines(pool, signed.statement.snapshotId), ledgerKey.publicKey)).ok,
      ).toBe(true);
    }
  });

  /** From the journal alone: what went to customers less what left them, up to one transfer. */
  async function customersUpTo(lastSeq: string): Promise<string> {
    const { rows } = await pool.query<{ total: string }>(
      `SELECT sum(CASE WHEN c.kind = 'customer-main' THEN t.amount ELSE 0 END - CASE WHEN d.kind = 'customer-main' THEN t.amount ELSE 0 END) AS total
         FROM ledger.transfer AS t JOIN ledger.account AS d ON d.id = t.debit_account JOIN ledger.account AS c ON c.id = t.credit_account
        WHERE t.seq <= $1 AND t.kind = 'post' AND d.asset = $2`,
      [lastSeq, ether],
    );
    return rows[0]?.total ?? '';
  }

  test('two at once: one is taken, the other is told to wait', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let reached = (): void => undefined;
    const signing = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const slow = takeLiabilitiesSnapshot({
      pool,
      clock,
      random,
      signer: {
        ...ledgerKey,
        signBytes: async (bytes) => {
          reached();
          await held;
          return ledgerKey.signBytes(bytes);
        },
      },
    });
    await signing;
    await expect(take()).rejects.toMatchObject({ code: 'LEDGER_LIABILITIES_BUSY', retryable: true });
    release();
    expect((await slow).statement.number).toBe((await all()).length);
  });
});

describe('what must never be published', () => {
  test('a statement that its own key does not verify: nothing of it is stored', async () => {
    const before = (await all()).length;
    await expect(take({ ...ledgerKey, signBytes: testKey().signBytes })).rejects.toMatchObject({
      code: 'LEDGER_LIABILITIES_STORED_FALSE',
    });
    expect((await all()).length).toBe(before);
    const { rows } = await pool.query<{ n: string }>(
      'SELECT count(*) AS n FROM ledger.liabilities_subtree WHERE snapshot_no > $1',
      [before],
    );
    expect(rows[0]?.n).toBe('0');
  });

  test('a negative balance, also one that another account of the customer covers', async () => {
    await withSpotAccount(-3n, async (one) => {
      await expect(
        takeLiabilitiesSnapshot({ pool: one, signer: ledgerKey, clock, random }),
      ).rejects.toMatchObject({
        code: 'LEDGER_LIABILITIES_NEGATIVE',
        message: expect.stringContaining(accountOf(2)) as unknown,
        details: { account: accountOf(2), asset: ether, units: '-3' },
      });
    });
  });
});

test('a total that needs more than 32 bytes is not published', async () => {
  await withSpotAccount(sumMax, async (one) => {
    await expect(
      takeLiabilitiesSnapshot({ pool: one, signer: ledgerKey, clock, random }),
    ).rejects.toMatchObject({
      code: 'LEDGER_LIABILITIES_LEAVES_INVALID',
      message: `the total of ${ether} does not fit into 32 bytes`,
    });
  });
});

test("a customer's main and spot accounts are one leaf", async () => {
  const before = treeOf(await take(), ether);
  await withSpotAccount(3n, async (one) => {
    const tree = treeOf(
      await takeLiabilitiesSnapshot({ pool: one, signer: ledgerKey, clock, random }),
      ether,
    );
    expect(tree?.leafCount).toBe(before?.leafCount);
    expect(BigInt(tree?.total ?? 0)).toBe(BigInt(before?.total ?? 0) + 3n);
  });
});

/** Shows a snapshot the balances with a spot account of customer 2 beside them, in a transaction that is rolled back. */
async function withSpotAccount(units: bigint, work: (one: Pool) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(`ALTER TABLE ${balanceRelation} RENAME TO real_balances`);
    await client.query(`CREATE VIEW ${balanceRelation} AS
      SELECT path, asset, kind, credits_posted, debits_posted FROM ledger.real_balances
      UNION ALL
      SELECT replace(path, ':main', ':spot'), asset, 'customer-spot', greatest(${units}, 0), greatest(-(${units}), 0)
        FROM ledger.real_balances WHERE path = '${main(2)}' AND asset = '${ether}'`);
    await work(inside(client));
  } finally {
    await client.query('ROLLBACK');
    client.release();
  }
}

/** A pool whose only connection is inside a transaction of the test already. */
function inside(client: PoolClient): Pool {
  const query = async (text: string, values?: unknown[]): Promise<unknown> =>
    /^(BEGIN|COMMIT|ROLLBACK|SET TRANSACTION)/.test(text) ? { rows: [] } : await client.query(text, values);
  const connection = { query, on: () => undefined, off: () => undefined, release: () => undefined };
  return { connect: async () => connection } as unknown as Pool;
}

describe('what is stored', () => {
  test.each(['snapshot', 'secret', 'subtree'])('liabilities_%s is append-only', async (table) => {
    const column = { snapshot: 'statement', secret: 'secret', subtree: 'root' }[table] ?? '';
    for (const statement of [
      `UPDATE ledger.liabilities_${table} SET ${column} = ${column}`,
      `DELETE FROM ledger.liabilities_${table}`,
      `TRUNCATE ledger.liabilities_${table}`,
    ])
      await expect(pool.query(statement)).rejects.toMatchObject({ code: '42501' });
    await pool.query(`GRANT UPDATE ON ledger.liabilities_${table} TO CURRENT_USER`);
    await expect(
      pool.query(`UPDATE ledger.liabilities_${table} SET ${column} = ${column}`),
    ).rejects.toMatchObject({ code: 'LG001' });
  });

  test('leaves changed behind its back give no proof', async () => {
    const { statement } = await publishedStatement(pool);
    await pool.query(
      `GRANT UPDATE ON ledger.liabilities_subtree TO CURRENT_USER; ALTER TABLE ledger.liabilities_subtree DISABLE TRIGGER USER`,
    );
    await pool.query(
      `UPDATE ledger.liabilities_subtree SET leaves = set_byte(leaves, length(leaves) - 1, (get_byte(leaves, length(leaves) - 1) + 1) % 256)
        WHERE snapshot_no = $1 AND asset = $2`,
      [statement.number, ether],
    );
    await expect(inclusionProof(pool, { account: accountOf(1), asset: ether })).rejects.toMatchObject({
      code: 'LEDGER_LIABILITIES_STORED_FALSE',
    });
    expect(await verifyBundle(bundleLines(pool), ledgerKey.publicKey)).toMatchObject({
      ok: false,
      reason: 'wrong-total',
    });
  });
});

describe('a stored snapshot that was tampered with gives no proof that holds', () => {
  const account = accountOf(1);
  const expected = { publicKey: ledgerKey.publicKey, account, asset: ether };
  /** What a customer is told: the error of who serves the proof, or the reason of who checks it. */
  async function answer(client: PoolClient, balance: string): Promise<string> {
    try {
      const verdict = verifyInclusion(await inclusionProof(client, { account, asset: ether }), {
        ...expected,
        balance,
      });
      return verdict.ok ? 'ok' : verdict.reason;
    } catch (error) {
      return isStrongroomError(error) ? error.code : String(error);
    }
  }
  const inSnapshot = 'snapshot_no = (SELECT max(no) FROM ledger.liabilities_snapshot)';
  const newest = 'no = (SELECT max(no) FROM ledger.liabilities_snapshot)';
  const inTree = `${inSnapshot} AND asset = '${ether}'`;

  test.each([
    [
      'its statement changed',
      `UPDATE ledger.liabilities_snapshot SET statement = replace(statement, '"takenAtMs":1', '"takenAtMs":2') WHERE ${newest}`,
      'bad-signature',
    ],
    [
      'its signature changed',
      `UPDATE ledger.liabilities_snapshot SET signature = set_byte(signature, 0, 255 - get_byte(signature, 0)) WHERE ${newest}`,
      'bad-signature',
    ],
    [
      'its secret changed',
      `UPDATE ledger.liabilities_secret SET secret = sha256(secret) WHERE ${inSnapshot}`,
      'LEDGER_LIABILITIES_NO_LEAF',
    ],
    [
      'its secret removed',
      `DELETE FROM ledger.liabilities_secret WHERE ${inSnapshot}`,
      'LEDGER_LIABILITIES_STORED_FALSE',
    ],
    [
      'its leaves removed',
      `DELETE FROM ledger.liabilities_subtree WHERE ${inTree}`,
      'LEDGER_LIABILITIES_NO_LEAF',
    ],
    [
      'two leaves in each other’s place',
      `UPDATE ledger.liabilities_subtree SET leaves = substring(leaves FROM 65 FOR 64) || substring(leaves FOR 64) || substring(leaves FROM 129),
              first_commitment = substring(leaves FROM 65 FOR 32) WHERE ${inTree}`,
      'LEDGER_LIABILITIES_STORED_FALSE',
    ],
    [
      'its last leaf left out',
      `UPDATE ledger.liabilities_subtree SET leaves = substring(leaves FOR length(leaves) - 64) WHERE ${inTree}`,
      'LEDGER_LIABILITIES_STORED_FALSE',
    ],
    [
      'a leaf twice',
      `UPDATE ledger.liabilities_subtree SET leaves = leaves || substring(leaves FROM length(leaves) - 63) WHERE ${inTree}`,
      'LEDGER_LIABILITIES_STORED_FALSE',
    ],
    [
      'its leaves called those of another asset',
      `UPDATE ledger.liabilities_subtree SET asset = CASE asset WHEN '${ether}' THEN 'x' ELSE '${ether}' END WHERE ${inSnapshot}`,
      'LEDGER_LIABILITIES_NO_LEAF',
    ],
  ])('%s', async (_what, statement, reason) => {
    await take();
    const { balance } = await inclusionProof(pool, { account, asset: ether });
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      expect(await answer(client, balance)).toBe('ok');
      for (const table of ['snapshot', 'secret', 'subtree'])
        await client.query(
          `GRANT UPDATE, DELETE ON ledger.liabilities_${table} TO CURRENT_USER; ALTER TABLE ledger.liabilities_${table} DISABLE TRIGGER USER`,
        );
      expect((await client.query(statement)).rowCount).toBeGreaterThan(0);
      // The position of another leaf may have moved into our place: then what is served does not reach the root.
      expect([reason, 'LEDGER_LIABILITIES_NO_LEAF']).toContain(await answer(client, balance));
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});

test('more customers than a page and a subtree: read, built and proven', { timeout: 120_000 }, async () => {
  const silver = assetId('ledger:silver');
  const count = 12_345;
  const rows = Array.from({ length: count }, (_, i) => accountOf(`many ${i}`));
  const accounts = rows.map((account) => ({ path: customerMain(account), asset: silver }));
  for (let at = 0; at < count; at += 2000) await ledger.openAccounts(pool, accounts.slice(at, at + 2000));
  await ledger.openAccounts(pool, [{ path: source, asset: silver }]);
  for (let at = 0; at < count; at += 2000)
    await ledger.apply(
      rows.slice(at, at + 2000).map((account, i) => ({
        id: freshId(),
        kind: 'post',
        debit: source,
        credit: customerMain(account),
        amount: amount(silver, BigInt(at + i + 1)),
        code: 'inflow',
        reference: transferOf(1),
      })),
    );
  const signed = await take();
  expect(treeOf(signed, silver)).toMatchObject({
    depth: 14,
    leafCount: count,
    total: ((count * (count + 1)) / 2).toString(),
  });
  for (const i of [0, 1, 999, 9_999, 10_000, 12_344]) {
    const account = rows[i] ?? '';
    const proof = await inclusionProof(pool, { account, asset: silver });
    expect(
      verifyInclusion(proof, {
        publicKey: ledgerKey.publicKey,
        account,
        asset: silver,
        balance: (i + 1).toString(),
      }).ok,
    ).toBe(true);
  }
  expect(
    await verifyBundle(bundleLines(pool, signed.statement.snapshotId), ledgerKey.publicKey),
  ).toMatchObject({ ok: true });
});
