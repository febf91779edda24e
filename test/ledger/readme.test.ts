/** ledger/README.md: its example runs, its way of installing works, its tables are complete. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as ids from '#core/ids';
import * as money from '#core/money';
import { openPool, type Pool } from '#infra/db';
import * as facade from '#ledger';
import * as contract from '#ledger/contract';
import { migrate } from '../../infra/migrations.ts';
import { databaseForThisFile } from '../support/database.ts';

const readme = readFileSync('ledger/README.md', 'utf8');
/** Only what the README says to copy. */
const root = mkdtempSync(path.join(os.tmpdir(), 'ledger-only-'));
let pool: Pool;

beforeAll(async () => {
  pool = openPool({
    connectionString: await databaseForThisFile({ migrated: false }),
    applicationName: 'test-readme',
  });
  mkdirSync(path.join(root, 'ledger'));
  cpSync('ledger/sql', path.join(root, 'ledger/sql'), { recursive: true });
});
afterAll(async () => {
  await pool.end();
  rmSync(root, { recursive: true, force: true });
});

test('with only ledger/sql it makes the schema ledger and its own record', async () => {
  const applied = await migrate(pool, { root });
  expect(applied.length).toBeGreaterThan(5);
  const { rows } = await pool.query<{ schema: string }>(
    "SELECT DISTINCT schemaname AS schema FROM pg_tables WHERE schemaname !~ '^(pg_|information_)' ORDER BY 1",
  );
  expect(rows.map(({ schema }) => schema)).toEqual(['infra', 'ledger']);
});

test('the example does what it says, in ten lines', async () => {
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(example.trim().split('\n').length).toBeLessThanOrEqual(10);
  const [, told = ''] = /log\(.*\); \/\/ (.*)/.exec(example) ?? [];
  const logged: unknown[] = [];
  const scope = {
    ...ids,
    ...money,
    ...contract,
    ...facade,
    pool,
    log: (...values: unknown[]) => logged.push(...values),
  };
  await vm.runInNewContext(`(async () => {${example}})()`, scope);
  expect(logged).toEqual(['insufficient', 70n, { ok: true, problems: [] }]);
  expect(told).toBe('insufficient 70n { ok: true, problems: [] }');
});

test('it stands on what it says: a few files and packages', () => {
  const texts = readdirSync('ledger', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(path.join('ledger', file), 'utf8'));
  const imported = texts.flatMap((text) =>
    [...text.matchAll(/from '([^.'][^']*)'/g)].map(([, name = '']) => name),
  );
  const others = imported.filter((name) => !/^(#core\/|#ledger|node:)/.test(name));
  const named = others.map((name) => (name.startsWith('@') ? name.split('/').slice(0, 2).join('/') : name));
  const [, dependencies = ''] = /Dependencies: ([\s\S]*?)\n\n/.exec(readme) ?? [];
  for (const name of new Set(named))
    expect(name === '#infra/db' || dependencies.includes(`\`${name}\``), name).toBe(true);
  expect(named).toContain('#infra/db');
});

test('what it points to is there', () => {
  const pages = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, page = '']) => path.join('ledger', page));
  const files = [...readme.matchAll(/`((?:ledger|core|infra|test|tools|workflows)\/[\w./-]*)`/g)].map(
    ([, file = '']) => file,
  );
  expect(pages.length).toBeGreaterThan(2);
  expect([...pages, ...files].filter((file) => !existsSync(file))).toEqual([]);
});

test('every status and limit that it names is that of the code', () => {
  const named = [...readme.matchAll(/`([a-z-]+)`/g)].map((match) => match[1] ?? '');
  expect(contract.transferStatuses.filter((status) => !named.includes(status))).toEqual([]);
  expect(readme).toContain(`| ${contract.commandsPerBatchMax.toLocaleString('en')} |`);
  expect(readme).toContain(`| ${contract.referenceCharsMax} printable ASCII characters |`);
});
