/** docs/journal.md is what the code and a real PostgreSQL give; its story leaves nothing behind. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { rolledBackPage } from '../../tools/journal-page/page.ts';
import { databaseForThisFile } from '../support/database.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-journal-page' });
});
afterAll(async () => {
  await pool.end();
});

test('docs/journal.md is what the code gives: else run npm run generate and commit it', async () => {
  const page = await rolledBackPage(pool);
  expect(`${page.trimEnd()}\n`).toBe(readFileSync('docs/journal.md', 'utf8'));
});

test('the page comes out alike again, and nothing of it stays', async () => {
  expect(await rolledBackPage(pool)).toBe(await rolledBackPage(pool));
  const { rows } = await pool.query('SELECT FROM ledger.account UNION ALL SELECT FROM ledger.transfer');
  expect(rows).toEqual([]);
});
