import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { migrate, migrationFiles } from '#infra/migrations';
import { databaseForThisFile } from '../support/database.ts';

let pool: Pool;
let root: string;

beforeAll(async () => {
  pool = openPool({
    connectionString: await databaseForThisFile({ migrated: false }),
    applicationName: 'test',
  });
});
beforeEach(async () => {
  await pool.query('DROP SCHEMA IF EXISTS infra CASCADE; DROP TABLE IF EXISTS a, b, c, one');
  root = mkdtempSync(path.join(os.tmpdir(), 'migrations-'));
});
afterAll(async () => {
  await pool.end();
  rmSync(root, { recursive: true, force: true });
});

function put(module: string, name: string, text: string): void {
  mkdirSync(path.join(root, module, 'sql'), { recursive: true });
  writeFileSync(path.join(root, module, 'sql', name), text);
}
const tables = async (): Promise<string[]> => {
  const { rows } = await pool.query<{ name: string }>(
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
  );
  return rows.map((row) => row.name);
};

test('modules are migrated in the order of the numbers, once', async () => {
  put('ledger', '0002_second.sql', 'ALTER TABLE a ADD COLUMN y text; CREATE TABLE b ();');
  put('chains/ethereum', '0003_third.sql', 'CREATE TABLE c ();');
  put('infra', '0001_first.sql', 'CREATE TABLE a ();');
  expect(await migrate(pool, { root })).toEqual([
    '0001_infra_first',
    '0002_ledger_second',
    '0003_chains-ethereum_third',
  ]);
  expect(await tables()).toEqual(['a', 'b', 'c']);
  expect(await migrate(pool, { root })).toEqual([]);
});

test('processes that start at once migrate once', async () => {
  put('infra', '0001_one.sql', 'SELECT pg_sleep(0.2); CREATE TABLE one ();');
  const applied = await Promise.all([1, 2, 3, 4].map(async () => await migrate(pool, { root })));
  expect(applied.flat()).toEqual(['0001_infra_one']);
});

test('a failing migration leaves nothing of the run', async () => {
  put('infra', '0001_good.sql', 'CREATE TABLE a ();');
  put('infra', '0002_bad.sql', 'CREATE TABLE b (); SELECT nonsense;');
  await expect(migrate(pool, { root })).rejects.toMatchObject({
    code: 'INFRA_MIGRATION_FAILED',
    details: { migration: '0002_infra_bad' },
  });
  expect(await tables()).toEqual([]);
  put('infra', '0002_bad.sql', 'CREATE TABLE b ();');
  expect(await migrate(pool, { root })).toHaveLength(2);
});

test('an applied file that was edited or removed is detected', async () => {
  put('infra', '0001_first.sql', 'CREATE TABLE a ();');
  put('infra', '0002_second.sql', 'CREATE TABLE b ();');
  await migrate(pool, { root });
  put('infra', '0001_first.sql', 'CREATE TABLE a (x int);');
  const edited = { code: 'INFRA_MIGRATION_EDITED', details: { changed: ['0001_infra_first'] } };
  await expect(migrate(pool, { root })).rejects.toMatchObject(edited);
  rmSync(path.join(root, 'infra/sql/0001_first.sql'));
  await expect(migrate(pool, { root })).rejects.toMatchObject(edited);
});

test('a late migration with a lower number than an applied one is refused', async () => {
  put('infra', '0002_second.sql', 'CREATE TABLE b ();');
  await migrate(pool, { root });
  put('infra', '0001_late.sql', 'CREATE TABLE a ();');
  await expect(migrate(pool, { root })).rejects.toMatchObject({ code: 'INFRA_MIGRATION_FAILED' });
  expect(await tables()).toEqual(['b']);
});

test('two files of one number, and a name without number, are refused', () => {
  put('infra', '0001_first.sql', '');
  put('ledger', '0001_other.sql', '');
  const refused = expect.objectContaining({ code: 'INFRA_MIGRATION_FILE_INVALID' }) as Error;
  expect(() => migrationFiles(root)).toThrow(refused);
  rmSync(path.join(root, 'ledger'), { recursive: true });
  put('infra', 'later.sql', '');
  expect(() => migrationFiles(root)).toThrow(refused);
});

test("the suite's own migrations apply", async () => {
  const own = migrationFiles();
  expect(own.map((file) => file.name)).toEqual(
    expect.arrayContaining(['0001_infra_outbox', '0002_infra_cases']),
  );
});

test.each([
  ['nobody listens', 'postgres://u:hunter2@127.0.0.1:1/x'],
  ['the address is no address', 'postgres://u:hunter2@not a host/x'],
])(
  'a database that cannot be reached is named, without its password: %s',
  async (_name, connectionString) => {
    const unreachable = openPool({ connectionString, applicationName: 'test' });
    const error = await migrate(unreachable).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toMatchObject({ code: 'INFRA_DATABASE_UNREACHABLE', retryable: true });
    expect(error?.message).not.toContain('hunter2');
    await unreachable.end();
  },
);
