/** Partitions come before the transfers that need them, and transfers that came first are not lost to anything. */
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, customerMain } from '#ledger/contract';
import { ensurePartitions, partitionsAhead } from '../../ledger/operations.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, post, transferOf, walletOf } from './fixture.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const partitionRows = 50;

let pool: Pool;
let ledger: Ledger;
let databases: string[];

beforeAll(async () => {
  const tests = Array.from({ length: 7 });
  databases = await Promise.all(tests.map(async () => await databaseForThisFile()));
});
/** A new ledger with one small partition. */
beforeEach(async () => {
  const connectionString = databases.pop();
  if (connectionString === undefined) throw new RangeError('there are more tests than databases');
  pool = openPool({ connectionString, applicationName: 'test-operations' });
  await pool.query(`
    DROP TABLE ledger.transfer_p0, ledger.transfer_p1;
    CREATE OR REPLACE FUNCTION ledger.partition_rows() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN ${partitionRows};
    SELECT ledger.add_partition()`);
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice].map((path) => ({ path, asset: ether })),
  );
});
afterEach(async () => {
  await pool.end();
});

const ranges = async (): Promise<string[]> => {
  const { rows } = await pool.query<{ text: string }>(
    "SELECT name || ' ' || first_seq || '-' || last_seq AS text FROM ledger.transfer_partition ORDER BY first_seq",
  );
  return rows.map(({ text }) => text);
};
const inRest = async (): Promise<number> => {
  const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM ledger.transfer_rest');
  return rows[0]?.n ?? -1;
};
const book = async (count: number): Promise<void> => {
  await ledger.apply(Array.from({ length: count }, () => post(hot, alice, 1n)));
};
const proven = async (transfers: number): Promise<void> => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  const [balance] = await ledger.balances({ paths: [alice] });
  expect(balance?.balance).toBe(BigInt(transfers));
};

test('as many are ready as were asked for, and none is made twice', async () => {
  const made = {
    state: 'done',
    changes: ['p1', 'p2', 'p3'].map((p) => ({ partition: `transfer_${p}`, action: 'added' })),
  };
  expect(await ensurePartitions(pool)).toEqual(made);
  expect(await ensurePartitions(pool)).toEqual({ state: 'done', changes: [] });
  expect(await ranges()).toEqual([
    'transfer_p0 1-50',
    'transfer_p1 51-100',
    'transfer_p2 101-150',
    'transfer_p3 151-200',
  ]);
  await book(1);
  expect(await ensurePartitions(pool)).toMatchObject({ changes: [{ partition: 'transfer_p4' }] });
  for (const ahead of [0, 65])
    await expect(ensurePartitions(pool, ahead)).rejects.toMatchObject({ code: 'LG003' });
  expect(partitionsAhead).toBe(4);
});

test('writers go on over the edges of partitions while others make them', async () => {
  const [writers, batches, size] = [4, 20, 7];
  const commands = Array.from({ length: writers * batches }, (_, batch) =>
    Array.from({ length: size }, (_unused, at) => ({
      ...post(hot, alice, 1n),
      id: transferOf(`edge ${batch} ${at}`),
    })),
  );
  const keep = async (): Promise<void> => {
    for (let at = 0; at < 30; at++) await ensurePartitions(pool, 1 + (at % 3));
  };
  await Promise.all([
    keep(),
    keep(),
    ...Array.from({ length: writers }, async (_, lane) => {
      for (let at = lane; at < commands.length; at += writers)
        await inTransaction(pool, async (tx) => await ledger.applyOrThrow(commands[at] ?? [], tx));
    }),
  ]);
  await expect.poll(async () => (await ensurePartitions(pool)).state).toBe('done');
  expect(await inRest()).toBe(0);
  const total = writers * batches * size;
  await proven(total);
  const { rows } = await pool.query<{ partition: string; n: number }>(
    'SELECT tableoid::regclass::text AS partition, count(*)::int AS n FROM ledger.transfer GROUP BY 1 ORDER BY min(seq)',
  );
  expect(rows.reduce((sum, { n }) => sum + n, 0)).toBe(total);
  expect(rows.length).toBeGreaterThan(3);
  const again = await ledger.apply(commands.flat());
  expect(new Set(again.map(({ status }) => status))).toEqual(new Set(['exists']));
});

test('a transfer that comes while its partition is being made waits for it', async () => {
  await book(partitionRows);
  const keeper = await pool.connect();
  try {
    await keeper.query('BEGIN');
    await keeper.query('SELECT ledger.ensure_partitions(1)');
    const booked = book(1);
    await expect
      .poll(async () => (await pool.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount)
      .toBeGreaterThan(0);
    await keeper.query('COMMIT');
    await booked;
  } finally {
    keeper.release();
  }
  expect(await inRest()).toBe(0);
  await proven(partitionRows + 1);
});

test('transfers that found no partition become one where they are', async () => {
  await book(40);
  await book(75);
  expect(await inRest()).toBe(65);
  const again = post(hot, alice, 1n);
  await ledger.apply([again]);
  expect(await ensurePartitions(pool, 2)).toEqual({
    state: 'done',
    changes: [
      { partition: 'transfer_p1', action: 'rest-attached' },
      { partition: 'transfer_p2', action: 'added' },
      { partition: 'transfer_p3', action: 'added' },
      { partition: 'transfer_p0', action: 'sealed' },
    ],
  });
  expect(await inRest()).toBe(0);
  expect(await ranges()).toEqual([
    'transfer_p0 1-50',
    'transfer_p1 51-150',
    'transfer_p2 151-200',
    'transfer_p3 201-250',
  ]);
  await book(60);
  expect(await inRest()).toBe(0);
  await proven(176);
  expect((await ledger.apply([again]))[0]?.status).toBe('exists');
});

test('every partition refuses change, also one that took the place of another', async () => {
  await book(60);
  await ensurePartitions(pool, 1);
  await book(60);
  const names = ['transfer_p0', 'transfer_p1', 'transfer_p2', 'transfer_rest'];
  for (const name of names) {
    for (const statement of [
      `UPDATE ledger.${name} SET amount = 2`,
      `DELETE FROM ledger.${name}`,
      `TRUNCATE ledger.${name}`,
    ])
      await expect(pool.query(statement), statement).rejects.toMatchObject({ code: '42501' });
  }
  const { rows } = await pool.query<{ name: string; triggers: string[]; indexes: number; checks: number }>(
    `SELECT c.relname AS name, array(SELECT tgname::text FROM pg_trigger WHERE tgrelid = c.oid ORDER BY 1) AS triggers,
            (SELECT count(*)::int FROM pg_index WHERE indrelid = c.oid AND indisvalid) AS indexes,
            (SELECT count(*)::int FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c') AS checks
       FROM pg_class AS c WHERE c.oid = ANY ($1::regclass[]) OR c.oid = 'ledger.transfer'::regclass ORDER BY 1`,
    [names.map((name) => `ledger.${name}`)],
  );
  const [journal, ...partitions] = rows;
  expect(partitions).toHaveLength(names.length);
  for (const { triggers, indexes, checks } of partitions)
    expect({ triggers, indexes, checks }).toEqual({
      triggers: journal?.triggers,
      indexes: journal?.indexes,
      checks: journal?.checks,
    });
});

test('whoever reads the whole journal makes it wait for the next call, not the writers', async () => {
  await book(10);
  await inTransaction(pool, async (reader) => {
    await reader.query('SELECT count(*) FROM ledger.transfer');
    expect(await ensurePartitions(pool)).toEqual({ state: 'busy' });
    await book(60);
    expect(await ensurePartitions(pool)).toEqual({ state: 'busy' });
    expect(await inRest()).toBe(20);
    await book(1);
  });
  expect(await ensurePartitions(pool)).toMatchObject({ state: 'done' });
  expect(await inRest()).toBe(0);
  await proven(71);
});

test('a full partition is sealed once: vacuum freezes what is left of it', async () => {
  await book(49);
  const sealed = { partition: 'transfer_p0', action: 'sealed' };
  expect(await ensurePartitions(pool)).not.toMatchObject({
    changes: expect.arrayContaining([sealed]) as unknown,
  });
  await book(1);
  expect(await ensurePartitions(pool)).toMatchObject({
    changes: expect.arrayContaining([sealed]) as unknown,
  });
  expect(await ensurePartitions(pool)).toEqual({ state: 'done', changes: [] });
  const { rows } = await pool.query<{ options: string[] }>(
    "SELECT reloptions AS options FROM pg_class WHERE oid = 'ledger.transfer_p0'::regclass",
  );
  expect(rows[0]?.options).toEqual(
    expect.arrayContaining(['autovacuum_freeze_min_age=0', 'autovacuum_vacuum_insert_threshold=0']),
  );
});
