/**
 * The server that the writer talks to is replaced by one that lost the newest commits. Both registers begin alike: their hashes
 * follow from the accounts alone.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { type AccountPath, chainHot, customerMain } from '#ledger/contract';
import { createAccountIds } from '../../ledger/account-ids.ts';
import { applyBatch } from '../../ledger/batch-call.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, post, walletOf } from './fixture.ts';

const hot = chainHot(walletOf('w'));
const [alice, lost, stranger, newcomer] = ['alice', 'lost', 'stranger', 'newcomer'].map((name) =>
  customerMain(accountOf(name)),
) as [AccountPath, AccountPath, AccountPath, AccountPath];

let primary: Pool;
let replica: Pool;
let answering: Pool;
/** Connects to whichever server answers at the moment, as through one address. */
const pool = { query: (statement: never) => answering.query(statement) } as unknown as Pool;
let ledger: Ledger;

async function openAll(on: Pool, paths: readonly AccountPath[]): Promise<void> {
  for (const path of paths) await createLedger({ pool: on }).openAccounts(on, [{ path, asset: ether }]);
}
async function balanceOn(on: Pool, path: AccountPath): Promise<bigint | undefined> {
  return (await createLedger({ pool: on }).balances({ paths: [path] }))[0]?.balance;
}
const idOn = async (on: Pool, path: AccountPath) =>
  (await on.query<{ id: string }>('SELECT id FROM ledger.account WHERE path = $1', [path])).rows[0]?.id;

beforeAll(async () => {
  const open = async (name: string) =>
    openPool({ connectionString: await databaseForThisFile(), applicationName: name });
  [primary, replica] = [await open('test-primary'), await open('test-replica')];
  await openAll(primary, [hot, alice, lost]);
  await openAll(replica, [hot, alice, stranger, newcomer]);
  // What the primary alone knew has the number of somebody else.
  expect(await idOn(replica, stranger)).toBe(await idOn(primary, lost));
});
beforeEach(() => {
  answering = primary;
  ledger = createLedger({ pool });
});
afterAll(async () => {
  for (const each of [primary, replica])
    expect(await createLedger({ pool: each }).verify()).toEqual({ ok: true, problems: [] });
  await Promise.all([primary.end(), replica.end()]);
});

const statuses = async (...commands: Parameters<Ledger['apply']>[0]) =>
  (await ledger.apply(commands)).map(({ status }) => status);

test('an id that means another account now moves nothing', async () => {
  expect(await statuses(post(hot, lost, 5n), post(hot, alice, 1n))).toEqual(['ok', 'ok']);
  answering = replica;
  expect(await statuses(post(hot, lost, 5n), post(hot, alice, 1n))).toEqual(['unknown-account', 'ok']);
  expect(await balanceOn(replica, stranger)).toBe(0n);
});

test('nor when the same batch names an account that only the new server has', async () => {
  expect(await statuses(post(hot, lost, 5n))).toEqual(['ok']);
  answering = replica;
  expect(await statuses(post(hot, lost, 5n), post(hot, newcomer, 2n))).toEqual(['unknown-account', 'ok']);
  expect(await balanceOn(replica, stranger)).toBe(0n);
  expect(await balanceOn(replica, newcomer)).toBe(2n);
});

test('the ledger itself refuses the mark of another register', async () => {
  const ids = createAccountIds();
  await applyBatch(primary, [post(hot, lost, 1n)], ids);
  await expect(applyBatch(replica, [post(hot, alice, 1n)], ids)).rejects.toMatchObject({ code: 'LG010' });
});

test('what was prepared on the one is refused by the other, and can be prepared again', async () => {
  const commands = [post(hot, lost, 7n)];
  const batch = await ledger.prepare(commands);
  await expect(inTransaction(replica, (tx) => ledger.applyPrepared(batch, tx))).rejects.toMatchObject({
    code: 'LEDGER_REGISTER_DIFFERS',
    kind: 'unavailable',
  });
  answering = replica;
  const again = await ledger.prepare(commands);
  await expect(inTransaction(replica, (tx) => ledger.applyPrepared(again, tx))).rejects.toMatchObject({
    code: 'LEDGER_UNKNOWN_ACCOUNT',
  });
  const other = await ledger.prepare([post(hot, alice, 7n)]);
  expect(await inTransaction(replica, (tx) => ledger.applyPrepared(other, tx))).toMatchObject([
    { status: 'ok' },
  ]);
  expect(await balanceOn(replica, stranger)).toBe(0n);
});
