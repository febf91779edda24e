/** Balancing transfers, and accounts that are closed and opened again. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { type AccountPath, chainHot, customerMain, suspense, type TransferCommand } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountOf,
  closeAccount,
  ether,
  gold,
  pending,
  post,
  postPending,
  reopenAccount,
  voidPending,
  walletOf,
} from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
let main: AccountPath;
let other: AccountPath;
let hot: AccountPath;
let ownerless: AccountPath;
let runs = 0;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-kinds' });
  ledger = createLedger({ pool });
});
/** A wallet and two customers; the first has 100, the mirror as much. */
beforeEach(async () => {
  main = customerMain(accountOf(`main ${++runs}`));
  other = customerMain(accountOf(`other ${runs}`));
  hot = chainHot(walletOf(runs));
  ownerless = suspense(walletOf(runs));
  await ledger.openAccounts(
    pool,
    [main, other, hot, ownerless].map((path) => ({ path, asset: ether })),
  );
  expect(await statuses(post(hot, main, 100n))).toEqual(['ok']);
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});

const apply = async (...commands: TransferCommand[]) =>
  (await ledger.apply(commands)).map(({ id: _id, ...result }) => result);
const statuses = async (...commands: TransferCommand[]) =>
  (await apply(...commands)).map(({ status }) => status);
const balanceOf = async (path: AccountPath) => (await ledger.balances({ paths: [path], asset: ether }))[0];

describe('a balancing transfer', () => {
  test('moves what there is, less what is held, and says how much', async () => {
    expect(await statuses(pending(main, hot, 30n))).toEqual(['ok']);
    const all = post(main, other, 1_000n, { balancing: 'debit' });
    expect(await apply(all)).toEqual([{ status: 'ok', units: 70n }]);
    expect(await balanceOf(main)).toMatchObject({ balance: 30n, available: 0n });
    expect(await balanceOf(other)).toMatchObject({ balance: 70n });
    // Sent again it says what it did, not what it would do now.
    expect(await statuses(post(hot, main, 5n))).toEqual(['ok']);
    expect(await apply(all)).toEqual([{ status: 'exists', units: 70n }]);
    expect(await apply({ ...all, amount: { ...all.amount, units: 999n } })).toEqual([{ status: 'conflict' }]);
    const { balancing: _balancing, ...plain } = all;
    expect(await apply({ ...plain, amount: { ...all.amount, units: 70n } })).toEqual([
      { status: 'conflict' },
    ]);
    expect((await ledger.transfersByReference('test')).at(-2)).toMatchObject({
      amount: { units: 70n },
      balancing: { side: 'debit', maxUnits: 1_000n },
    });
  });

  test('moves no more than asked for, and nothing where there is nothing', async () => {
    expect(await apply(post(main, other, 99n, { balancing: 'debit' }))).toEqual([
      { status: 'ok', units: 99n },
    ]);
    expect(
      await apply(
        post(main, other, 9n, { balancing: 'debit' }),
        post(main, other, 9n, { balancing: 'debit' }),
      ),
    ).toEqual([
      { status: 'ok', units: 1n },
      { status: 'insufficient', account: main },
    ]);
  });

  test('of a mirror takes what its holds leave, as a credit', async () => {
    expect(await statuses(pending(main, hot, 60n))).toEqual(['ok']);
    const drain = post(ownerless, hot, 1_000n, { balancing: 'credit' });
    expect(await apply(drain)).toEqual([{ status: 'ok', units: 40n }]);
    expect(await balanceOf(hot)).toMatchObject({ balance: 60n, available: 0n });
    expect(await statuses(post(ownerless, hot, 1n, { balancing: 'credit' }))).toEqual(['insufficient']);
  });

  test('of an account without a floor moves all that was asked for', async () => {
    expect(await apply(post(ownerless, main, 7n, { balancing: 'debit' }))).toEqual([
      { status: 'ok', units: 7n },
    ]);
    expect(await balanceOf(ownerless)).toMatchObject({ balance: -7n });
  });

  test('can be a hold, which is posted up to what it got', async () => {
    const hold = pending(main, hot, 1_000n, { balancing: 'debit' });
    expect(await apply(hold)).toEqual([{ status: 'ok', units: 100n }]);
    expect(await statuses(postPending(hold.id, 101n), postPending(hold.id, 100n))).toEqual([
      'amount-exceeds-pending',
      'ok',
    ]);
  });

  test('sees what came before it in the batch and in its chain, and goes back with the chain', async () => {
    const chain = (last: TransferCommand): TransferCommand[] => [
      { ...post(hot, main, 11n), linked: true },
      { ...post(main, other, 500n, { balancing: 'debit' }), linked: true },
      last,
    ];
    expect(await apply(...chain(post(other, hot, 112n)))).toEqual([
      { status: 'linked-failed' },
      { status: 'linked-failed' },
      { status: 'insufficient', account: other },
    ]);
    expect(await apply(...chain(post(other, hot, 111n)))).toEqual([
      { status: 'ok' },
      { status: 'ok', units: 111n },
      { status: 'ok' },
    ]);
    expect(await balanceOf(main)).toMatchObject({ balance: 0n });
  });
});

describe('a closed account', () => {
  test('takes part in nothing until it is opened again', async () => {
    expect(await statuses(closeAccount(other))).toEqual(['ok']);
    expect(await balanceOf(other)).toMatchObject({ closed: true });
    expect(
      await apply(
        post(main, other, 1n),
        pending(main, other, 1n),
        post(main, other, 1n, { balancing: 'debit' }),
        closeAccount(other),
        post(main, hot, 1n),
      ),
    ).toEqual([...Array.from({ length: 4 }, () => ({ status: 'closed', account: other })), { status: 'ok' }]);
    expect(await statuses(reopenAccount(other), reopenAccount(other), post(main, other, 1n))).toEqual([
      'ok',
      'not-closed',
      'ok',
    ]);
    expect(await balanceOf(other)).toMatchObject({ closed: false, balance: 1n });
  });

  test('must be empty, holds in either direction included', async () => {
    expect(await apply(closeAccount(main))).toEqual([{ status: 'not-empty', account: main }]);
    const hold = pending(main, other, 5n);
    expect(await statuses(hold, closeAccount(other))).toEqual(['ok', 'not-empty']);
    expect(await statuses(voidPending(hold.id), closeAccount(other))).toEqual(['ok', 'ok']);
    expect(await statuses(post(main, hot, 100n), closeAccount(main))).toEqual(['ok', 'ok']);
  });

  test('closes for one asset, and can be sent again', async () => {
    await ledger.openAccounts(pool, [{ path: main, asset: gold }]);
    const close = closeAccount(main, gold);
    expect(await statuses(close)).toEqual(['ok']);
    expect(await statuses(close)).toEqual(['exists']);
    expect(await statuses(post(main, hot, 1n))).toEqual(['ok']);
    expect(await statuses({ ...reopenAccount(main, gold), id: close.id })).toEqual(['conflict']);
  });

  test('is open as before when its chain fails', async () => {
    const chain = [{ ...closeAccount(other), linked: true }, post(main, hot, 1_000n)];
    expect(await statuses(...chain, post(main, other, 1n))).toEqual(['linked-failed', 'insufficient', 'ok']);
    expect(await balanceOf(other)).toMatchObject({ closed: false, balance: 1n });
  });
});
