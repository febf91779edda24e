import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, customerMain, type TransferCommand, type TransferResult } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, pending, post, postPending, voidPending, walletOf } from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
const hot = chainHot(walletOf('w'));
const mains = Array.from({ length: 10 }, (_, index) => customerMain(accountOf(index)));
const mainOf = (index: number) => mains[index % mains.length] ?? hot;

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-ledger', connectionsMax: 24 });
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, ...mains].map((path) => ({ path, asset: ether })),
  );
  await ledger.apply(mains.map((main) => post(hot, main, 1000n)));
});
afterAll(async () => {
  await pool.end();
});

const count = (results: readonly TransferResult[], status: string): number =>
  results.filter((result) => result.status === status).length;

test('100 withdrawals at once never take more than there is', async () => {
  const main = mainOf(0);
  const results = (
    await Promise.all(
      Array.from({ length: 100 }, () =>
        inTransaction(pool, (tx) => ledger.apply([pending(main, hot, 30n)], tx)),
      ),
    )
  ).flat();
  expect(count(results, 'ok')).toBe(33);
  expect(count(results, 'insufficient')).toBe(67);
  const [balance] = await ledger.balances({ paths: [main] });
  expect(balance).toMatchObject({ balance: 1000n, available: 10n });
});

test('one id sent by many at once applies once, also on other accounts', async () => {
  const same = post(mainOf(1), hot, 5n);
  const results = (
    await Promise.all(Array.from({ length: 12 }, () => createLedger({ pool }).apply([same])))
  ).flat();
  expect([count(results, 'ok'), count(results, 'exists')]).toEqual([1, 11]);
  const { id } = post(hot, mainOf(1), 1n);
  const forked = Array.from({ length: 8 }, (_, index) => ({ ...pending(mainOf(index + 1), hot, 5n), id }));
  const forks = (await Promise.all(forked.map((command) => createLedger({ pool }).apply([command])))).flat();
  expect([count(forks, 'ok'), count(forks, 'conflict')]).toEqual([1, 7]);
});

test('writers on the same accounts in any order conserve and meet no deadlock', {
  timeout: 60_000,
}, async () => {
  const deadlocksBefore = await deadlocks();
  let seed = 42;
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const writers = Promise.all(
    Array.from({ length: 16 }, async () => {
      // As in a process of its own: what one ledger gets is written in groups, one or two at a time.
      const own = createLedger({ pool });
      for (let round = 0; round < 6; round++) {
        const commands = Array.from({ length: 20 }, (): TransferCommand[] => {
          const from = next(10);
          const to = (from + 1 + next(9)) % 10;
          const hold = pending(mainOf(from), hot, BigInt(1 + next(20)));
          return [
            post(mainOf(from), mainOf(to), BigInt(1 + next(200)), { linked: next(3) === 0 }),
            post(mainOf(to), hot, BigInt(1 + next(3))),
            hold,
            next(2) === 0 ? postPending(hold.id, 1n) : voidPending(hold.id),
          ];
        }).flat();
        const results = await own.apply(commands);
        expect(results).toHaveLength(commands.length);
        // A row that changed while its lock was waited for must not get lost.
        expect(count(results, 'unknown-account')).toBe(0);
      }
    }),
  );
  // One snapshot: the books are true at any moment, also between two batches of others.
  for (let look = 0; look < 3; look++) expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await writers;
  expect(await deadlocks()).toBe(deadlocksBefore);
  const balances = await ledger.balances({});
  const held = balances.filter(({ path }) => path !== hot);
  expect(held.every(({ available }) => available >= 0n)).toBe(true);
  const mirror = balances.find(({ path }) => path === hot);
  expect(mirror?.balance).toBe(held.reduce((total, { balance }) => total + balance, 0n));
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});

async function deadlocks(): Promise<string> {
  const { rows } = await pool.query<{ deadlocks: string }>(
    'SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()',
  );
  return rows[0]?.deadlocks ?? 'unknown';
}
