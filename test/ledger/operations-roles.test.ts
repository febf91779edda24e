/** A process with the role of docs/operations/ledger.md can do all that the facade offers, and change nothing. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { migrate } from '#infra/migrations';
import { createLedger, ensurePartitions, exportHead, type Ledger, openHeadKey, verifyHeads } from '#ledger';
import { chainHot, customerMain, type HeadWitnesses } from '#ledger/contract';
import { inclusionProof, publishedStatement, takeLiabilitiesSnapshot } from '#ledger/liabilities';
import { makeHeadKey } from '../../ledger/head-key.ts';
import { closeFixtures, temporaryFolder } from '../signer/fixture.ts';
import { databaseForThisFile } from '../support/database.ts';
import { askForServer } from '../support/servers.ts';
import { accountOf, ether, pending, post, postPending, voidPending, walletOf } from './fixture.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const bob = customerMain(accountOf('bob'));
const suffix = randomBytes(6).toString('hex');
const [writerRole, readerRole] = [`test_writer_${suffix}`, `test_reader_${suffix}`];
const denied = { code: '42501' };

let admin: pg.Client;
let writer: Pool;
let reader: Pool;
let ledger: Ledger;
let tables: string[];

/** The block of SQL in the document after the heading, for the role in it. */
function documented(heading: string): string {
  const text = readFileSync(new URL('../../docs/operations/ledger.md', import.meta.url), 'utf8');
  const block = text.split(`## ${heading}\n`)[1]?.split('```sql\n')[1]?.split('\n```')[0];
  if (block === undefined) throw new Error(`docs/operations/ledger.md has no SQL under ${heading}`);
  return block
    .replaceAll('strongroom_process', writerRole)
    .replaceAll('strongroom_auditor', readerRole)
    .replaceAll(/CREATE ROLE .*\n/g, '');
}

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  const { adminUrl = '' } = await askForServer('cluster');
  const url = new URL(adminUrl);
  url.pathname = new URL(connectionString).pathname;
  admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  await admin.query(
    `CREATE ROLE ${writerRole} LOGIN PASSWORD 'x'; CREATE ROLE ${readerRole} LOGIN PASSWORD 'x'`,
  );
  const owner = openPool({ connectionString, applicationName: 'test-owner' });
  await owner.query(documented('Roles'));
  await owner.end();
  const as = (role: string): Pool => {
    const own = new URL(connectionString);
    own.username = role;
    own.password = 'x';
    return openPool({ connectionString: own.href, applicationName: role });
  };
  writer = as(writerRole);
  reader = as(readerRole);
  ledger = createLedger({ pool: writer });
  const found = await admin.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class AS c
      WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1`,
  );
  tables = found.rows.map(({ name }) => name);
});
afterAll(async () => {
  await Promise.all([writer.end(), reader.end()]);
  await closeFixtures();
  for (const role of [writerRole, readerRole]) await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  await admin.end();
});

test('the writer does everything that the facade offers', async () => {
  expect(await migrate(writer)).toEqual([]);
  await ledger.openAccounts(
    writer,
    [hot, alice, bob].map((path) => ({ path, asset: ether })),
  );
  const [kept, released, due] = [
    pending(bob, hot, 1n),
    pending(bob, hot, 2n),
    { ...pending(bob, hot, 3n), timeoutMs: 1 },
  ];
  const results = [
    await ledger.apply([post(hot, alice, 100n), post(alice, bob, 50n)]),
    await ledger.apply([kept, released, due]),
    await ledger.apply([postPending(kept.id, 1n), voidPending(released.id)]),
  ].flat();
  expect(new Set(results.map(({ status }) => status))).toEqual(new Set(['ok']));
  expect(await ledger.applyPortion({ stream: 's', after: 0n, upTo: 7n }, [post(alice, bob, 1n)])).toBe('ok');
  expect(await ledger.streamPosition('s')).toBe(7n);
  await expect.poll(async () => await ledger.expireDue()).toBe(1);
  expect((await ledger.balances({ asset: ether })).map(({ balance }) => balance)).toEqual([99n, 49n, 50n]);
  expect(await ledger.transfersByReference('test')).toHaveLength(9);
  expect(await ledger.totals(ether)).toMatchObject({ customers: 99n });
  for (const verification of [
    ledger.verify(),
    ledger.verifyTotals(),
    ledger.verify(writer, { from: 1n, to: 3n }),
  ])
    expect(await verification).toEqual({ ok: true, problems: [] });
  expect(await ensurePartitions(writer)).toMatchObject({ state: 'done' });
  const status = await writer.query<{ status: string }>(
    `SELECT ledger.transfer_one(gen_random_uuid(), 'post', $1, $2, $3, 1, 'inflow', 'by-hand') AS status`,
    [hot, alice, ether],
  );
  expect(status.rows).toEqual([{ status: 'ok' }]);
});

test('the writer exports heads and publishes liabilities; the reader sees all but their secrets', async () => {
  const file = join(temporaryFolder(), 'ledger.pem');
  writeFileSync(file, makeHeadKey(), { mode: 0o600 });
  const key = openHeadKey(file);
  const clock = { nowMs: () => 1_790_000_000_000 };
  const nobody: HeadWitnesses = { publish: () => Promise.resolve([]), read: () => Promise.resolve([]) };
  expect(await exportHead({ pool: writer, key, witnesses: nobody, clock })).toMatchObject({ isNew: true });
  expect(await verifyHeads(reader, { publicKey: key.publicKey })).toMatchObject({ problems: [] });
  const random = { bytes: (length: number) => randomBytes(length) };
  const signed = await takeLiabilitiesSnapshot({ pool: writer, signer: key, clock, random });
  expect(await publishedStatement(reader)).toEqual(signed);
  const request = { account: accountOf('alice'), asset: ether };
  expect(await inclusionProof(writer, request)).toMatchObject({ signed });
  await expect(reader.query('SELECT FROM ledger.liabilities_secret')).rejects.toMatchObject(denied);
  const read = createLedger({ pool: reader });
  expect(await read.verify()).toMatchObject({ ok: true });
  expect(await read.balances({ asset: ether })).toHaveLength(3);
  await expect(read.apply([post(hot, alice, 1n)])).rejects.toMatchObject(denied);
  await expect(ensurePartitions(reader)).rejects.toMatchObject(denied);
});

describe('refused', () => {
  test('to change, remove or reshape any table of the ledger', async () => {
    expect(tables).toEqual(
      expect.arrayContaining(['transfer', 'transfer_rest', 'transfer_p1', 'balance', 'stream']),
    );
    for (const table of tables)
      for (const role of [writer, reader])
        for (const statement of [
          `UPDATE ledger.${table} SET ${await firstColumn(table)} = DEFAULT`,
          `DELETE FROM ledger.${table}`,
          `TRUNCATE ledger.${table}`,
          `ALTER TABLE ledger.${table} DISABLE TRIGGER ALL`,
          `ALTER TABLE ledger.${table} OWNER TO CURRENT_USER`,
          `DROP TABLE ledger.${table}`,
        ])
          await expect(role.query(statement), statement).rejects.toMatchObject(denied);
  });

  test('to add rows past the functions that keep the books true', async () => {
    const added = [
      'adjustment',
      'adjustment_approval',
      'exported_head',
      'liabilities_secret',
      'liabilities_snapshot',
      'liabilities_subtree',
    ];
    for (const role of [writer, reader]) {
      const { rows } = await role.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_class AS c WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p')
            AND has_table_privilege(c.oid, 'INSERT') ORDER BY 1`,
      );
      expect(rows.map(({ name }) => name)).toEqual(role === writer ? added : []);
    }
  });

  test('to choose the time, to grant, to make things, to switch triggers off', async () => {
    const { rows } = await writer.query<{ name: string }>(
      `SELECT proname AS name FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace
          AND has_function_privilege(oid, 'EXECUTE') ORDER BY 1`,
    );
    expect(rows.map(({ name }) => name)).toEqual([
      'advance_stream',
      'apply_batch',
      'ensure_partitions',
      'open_accounts',
      'transfer_one',
      'verify',
      'verify_batches',
      'verify_totals',
    ]);
    const nulls = Array.from({ length: 17 }, () => 'NULL').join(', ');
    for (const statement of [
      `SELECT * FROM ledger.apply_batch_at(${nulls})`,
      `SELECT ledger.grant_writer('${readerRole}')`,
      'SELECT ledger.add_partition()',
      'CREATE TABLE ledger.mine ()',
      'CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
      "SET session_replication_role = 'replica'",
      `SET ROLE ${new URL((await askForServer('cluster'))['suiteUrl'] ?? '').username}`,
    ])
      await expect(writer.query(statement), statement).rejects.toMatchObject(denied);
  });
});

async function firstColumn(table: string): Promise<string> {
  const { rows } = await admin.query<{ name: string }>(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1',
    [`ledger.${table}`],
  );
  return rows[0]?.name ?? '';
}
