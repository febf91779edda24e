/** Between main and spot: credited once, in order; debited first, then booked; what the engine cannot take goes back. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uuidOf } from '#core/ids';
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import { customerMain, customerSpot } from '#ledger/contract';
import type { CommandBody } from '../../../matching/commands.ts';
import {
  createEngineAccounts,
  createSpotFeed,
  reconcile,
  spotInTradable,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { coin, coinUnit, config, customer, type Exchange, openExchange, startUnits, usd } from './fixture.ts';

let pool: Pool;
let exchange: Exchange;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-spot' });
  exchange = await openExchange(pool, 'main', 3);
});
afterAll(async () => {
  await pool.end();
});

const balanceOf = async (
  path: ReturnType<typeof customerMain> | ReturnType<typeof customerSpot>,
  asset: typeof usd,
) => (await exchange.ledger.balances({ paths: [path], asset }))[0]?.balance ?? -1n;
async function settle(): Promise<void> {
  const settler = await exchange.settler();
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
}
async function expectEqual(): Promise<void> {
  await settle();
  const { engine, ledger, sequencer } = exchange;
  const { differences } = await reconcile({ pool, engine, ledger, readEventsOfCodes }, sequencer.engine);
  expect(differences).toEqual([]);
  expect(await verifySettlement(pool, engine)).toEqual([]);
}
/** The feed as another process would start it. */
const feedAgain = (submit = exchange.sequencer.submit) =>
  createSpotFeed({ ...exchange, pool, submit, readEventsOfCodes });
const rewind = async (): Promise<void> => {
  await pool.query('UPDATE matching.fed SET ledger_seq = 0, accounts = 0');
};

test('numbers are given out in order, once, and survive a start that forgot everything', async () => {
  const { rows } = await pool.query('SELECT number, account FROM matching.account ORDER BY number');
  expect(rows).toEqual([1, 2, 3].map((number) => ({ number, account: uuidOf(customer(number)) })));
  const { engine, sequencer } = exchange;
  await rewind();
  const accounts = createEngineAccounts({ pool, engine, submit: sequencer.submit });
  const asked = [7, 2, 9, 7, 8, 1].map(async (at) => await accounts.numberOf(customer(at)));
  expect(await Promise.all(asked)).toEqual([4, 2, 5, 4, 6, 1]);
  const opened = sequencer.lots.length;
  expect(await createEngineAccounts({ pool, engine, submit: sequencer.submit }).numberOf(customer(8))).toBe(
    6,
  );
  expect(sequencer.lots.length).toBe(opened);
  await expectEqual();
});

test('processes that ask at once get the same numbers', async () => {
  const give = async () =>
    (
      await pool.query<{ number: number }>('SELECT number FROM matching.give_numbers($1, $2)', [
        exchange.engine.no,
        [30, 31, 32].map((at) => uuidOf(customer(at))),
      ])
    ).rows;
  const answers = await Promise.all(Array.from({ length: 8 }, give));
  expect(new Set(answers.map((rows) => JSON.stringify(rows)))).toEqual(
    new Set([JSON.stringify([{ number: 7 }, { number: 8 }, { number: 9 }])]),
  );
});

test('fed again from the beginning of the journal, nothing is credited twice', async () => {
  await exchange.moveIn('one', 1, usd, 12_300n);
  await exchange.feed.step();
  const before = exchange.sequencer.engine.balance(1, 1);
  await rewind();
  const feed = feedAgain();
  while ((await feed.step()) > 0);
  expect(exchange.sequencer.engine.balance(1, 1)).toEqual(before);
  await expectEqual();
});

test('what is on its way into the engine is no difference', async () => {
  await exchange.moveIn('two', 2, usd, 500n);
  await expectEqual();
  await exchange.feed.step();
  await expectEqual();
});

test('a debit of the engine is booked back to main once', async () => {
  const main = await balanceOf(customerMain(customer(1)), coin);
  exchange.sequencer.run({ kind: 'debit', account: 1, asset: 0, units: 1_000n });
  await settle();
  await settle();
  expect((await balanceOf(customerMain(customer(1)), coin)) - main).toBe(1_000n * coinUnit);
  await expectEqual();
});

test('fees that the house takes out of the engine are its income already', async () => {
  const order = { kind: 'place', market: 0, type: 'limit', price: 100, lots: 50 } as const;
  exchange.sequencer.run({ ...order, account: 1, side: 'sell', timeInForce: 'gtc' });
  exchange.sequencer.run({ ...order, account: 2, side: 'buy', timeInForce: 'ioc' });
  const fees = exchange.sequencer.engine.balance(0, 1).available;
  expect(fees).toBeGreaterThan(0n);
  exchange.sequencer.run({ kind: 'debit', account: 0, asset: 1, units: fees });
  await expectEqual();
  const [income] = await exchange.ledger.balances({ paths: ['house:income'], asset: usd });
  expect(income?.balance).toBe(fees * 100n);
});

test('a request for less than a unit is refused before it is booked; if it is booked all the same, it goes back', async () => {
  const odd = { reference: 'odd', accountId: customer(3), amount: amount(usd, 150n) };
  expect(() => spotInTradable(exchange.engine.assets, odd)).toThrow(
    expect.objectContaining({ code: 'MATCHING_AMOUNT_NOT_TRADABLE' }),
  );
  expect(spotInTradable(exchange.engine.assets, { ...odd, amount: amount(usd, 200n) })).toHaveLength(1);
  const main = await balanceOf(customerMain(customer(3)), usd);
  await exchange.moveIn('odd', 3, usd, 150n);
  await expect(expectEqual()).resolves.toBeUndefined();
  await exchange.feed.step();
  expect(await balanceOf(customerMain(customer(3)), usd)).toBe(main);
  await rewind();
  const feed = feedAgain();
  while ((await feed.step()) > 0);
  expect(await balanceOf(customerMain(customer(3)), usd)).toBe(main);
  await expectEqual();
});

test('what the engine refused and gave back stays back, even if it would be taken by now', async () => {
  await exchange.moveIn('full', 3, usd, 700n);
  const spot = await balanceOf(customerSpot(customer(3)), usd);
  const before = exchange.sequencer.engine.balance(3, 1);
  // An engine that is full, and a process that ends before it has noted that it fed this.
  const full = async (body: CommandBody) =>
    body.kind === 'credit'
      ? await Promise.resolve([
          {
            kind: 'rejected',
            seq: 1,
            index: 0,
            account: body.account,
            market: -1,
            reason: 'overflow',
          } as const,
        ])
      : await exchange.sequencer.submit(body);
  const { rows } = await pool.query<{ ledger_seq: string }>(
    'SELECT ledger_seq FROM matching.fed WHERE engine = $1',
    [exchange.engine.no],
  );
  await feedAgain(full).step();
  await pool.query('UPDATE matching.fed SET ledger_seq = $1', [rows[0]?.ledger_seq]);
  expect(await balanceOf(customerSpot(customer(3)), usd)).toBe(spot - 700n);
  const feed = feedAgain();
  while ((await feed.step()) > 0);
  expect(exchange.sequencer.engine.balance(3, 1)).toEqual(before);
  await expectEqual();
});

test('every customer has what they began with, less what they moved', async () => {
  // Three customers, of whom each began with as much; fees are all that left them, and what went through main came back.
  const total = (await exchange.ledger.balances({ pathPrefix: 'customer:', asset: coin })).reduce(
    (sum, { balance }) => sum + balance,
    0n,
  );
  const [income] = await exchange.ledger.balances({ paths: ['house:income'], asset: coin });
  expect(total + (income?.balance ?? 0n)).toBe(3n * 2n * (startUnits.get(coin) ?? 0n));
  expect(config.assets).toHaveLength(3);
});
