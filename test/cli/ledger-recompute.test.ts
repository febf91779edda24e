/** `ledger verify --recompute`: the books proven without the functions of the database, whose owner may have replaced them. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger } from '#ledger';
import { chainHot, customerMain } from '#ledger/contract';
import { showLedgerVerification } from '../../cli/commands/ledger-verify.ts';
import { createOutput } from '../../cli/output.ts';
import { accountOf, ether, post, walletOf } from '../ledger/fixture.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
let pool: Pool;
let superuser: pg.Client;

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-cli-recompute' });
  const ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice].map((path) => ({ path, asset: ether })),
  );
  await ledger.apply([post(hot, alice, 100n)]);
  await ledger.apply([post(hot, alice, 1n)]);
  superuser = await superuserOf(connectionString);
});
afterAll(async () => {
  await pool.end();
});

async function verifying(options: Parameters<typeof showLedgerVerification>[2], json = true) {
  let text = '';
  const output = createOutput(json, (part) => (text += part));
  const code = await showLedgerVerification(pool, { databaseUrl: '' }, options, output);
  return { code, text };
}

test('says what it computed, and without it that the database proved itself', async () => {
  const { code, text } = await verifying({ recompute: true });
  const { head, recomputed } = JSON.parse(text) as { head: { hash: string }; recomputed: unknown };
  expect([code, recomputed]).toEqual([0, { batch: '2', transfers: '2', hash: head.hash }]);
  expect((await verifying({ recompute: true }, false)).text).toContain(
    `recomputed here: 2 transfers up to batch 2, ${head.hash}`,
  );
  const trusting = await verifying({}, false);
  expect([trusting.code, trusting.text.includes('the database proved itself')]).toEqual([0, true]);
});

test('reads everything, so it takes no range', async () => {
  await expect(verifying({ recompute: true, from: '1', to: '1' })).rejects.toMatchObject({
    code: 'CLI_OPTION_INVALID',
  });
});

test('finds what a replaced `ledger.verify` does not', async () => {
  await superuser.query(`
    CREATE OR REPLACE FUNCTION ledger.verify() RETURNS TABLE ("check" text, place text, problem text)
      LANGUAGE plpgsql AS 'BEGIN RETURN; END';
    SET session_replication_role = 'replica';
    UPDATE ledger.transfer SET amount = amount + 5 WHERE seq = 1;
    UPDATE ledger.balance SET debits_posted = debits_posted + CASE account WHEN 1 THEN 5 ELSE 0 END,
                              credits_posted = credits_posted + CASE account WHEN 2 THEN 5 ELSE 0 END`);
  expect(await verifying({})).toMatchObject({ code: 0 });
  const { code, text } = await verifying({ recompute: true });
  expect([code, JSON.parse(text)]).toMatchObject([
    1,
    { ok: false, problems: [{ check: 'batch', place: 'batch 1' }] },
  ]);
});
