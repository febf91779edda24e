/** Trading as the api has it, over the real link to a real process of the engine that feeds, trades and settles. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { derivedId } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import { connectLink, type EngineLink } from '#matching/link';
import { createSupervisor, type Supervisor } from '../../../infra/dev/processes.ts';
import type { FeedMessage, SpotTransfer } from '../../../matching/trading/contract.ts';
import { createTrading, type Trading } from '../../../matching/trading/index.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { openCustomers, prepareEngine, type TestEngine, until } from '../process/fixture.ts';
import { coin, config, customer, startUnits, usd } from '../settlement/fixture.ts';

const folder = path.join(inject('runFolder'), 'trading');
const [alice, bob] = [customer(1), customer(2)];
const clock = { nowMs: () => Date.now() };
let pool: Pool;
let ledger: Ledger;
let supervisor: Supervisor;
let engine: TestEngine;
let running: Awaited<ReturnType<TestEngine['start']>>;
let link: EngineLink;
let trading: Trading;
const problems: unknown[] = [];

const open = (through: EngineLink = link) =>
  createTrading({
    pool,
    ledger,
    link: through,
    clock,
    // A tick is then 3 USD, a lot 0.000001 ETH.
    decimalsOf: (asset) => (asset === coin ? 18 : asset === usd ? 8 : 0),
    onProblem: (error) => problems.push(error),
  });
beforeAll(async () => {
  const databaseUrl = await databaseForThisFile();
  pool = openPool({ connectionString: databaseUrl, applicationName: 'test-trading' });
  ledger = await openCustomers(pool, 2);
  supervisor = createSupervisor();
  engine = await prepareEngine({ supervisor, folder, databaseUrl }, 'engine');
  link = connectLink({ url: `ws://127.0.0.1:${engine.linkPort}`, token: engine.token, config });
  trading = open();
});
afterAll(async () => {
  await trading.close();
  await link.close();
  await supervisor.stopAll();
  await pool.end();
  rmSync(folder, { recursive: true, force: true });
});
const code = (expected: string): unknown => expect.objectContaining({ code: expected });
const order = { market: 'ETH-USD', type: 'limit', price: '300', size: '0.01' } as const;

test('while there is no engine, everything says so at once', async () => {
  expect(() => trading.markets()).toThrow(code('TRADING_UNAVAILABLE'));
  expect(() => trading.feed.newestSeq('book/ETH-USD')).toThrow(code('TRADING_UNAVAILABLE'));
  await expect(trading.place({ ...order, accountId: alice, side: 'buy' })).rejects.toThrow(
    code('TRADING_UNAVAILABLE'),
  );
  const closed = open();
  await closed.close();
  await expect(closed.ready()).rejects.toThrow(code('TRADING_UNAVAILABLE'));
});

test('a trade, from main to spot and back: what is told, read and booked is the same', {
  timeout: 120_000,
}, async () => {
  running = await engine.start();
  await trading.ready();
  expect(trading.markets().map(({ id, tickSize, lotSize }) => [id, tickSize, lotSize])).toEqual([
    ['ETH-USD', '3', '0.000001'],
    ['GOLD-USD', '0.000000003', '1000'],
  ]);
  // What was moved to spot before the start is fed by the engine's process.
  await until(
    async () => (await trading.account(bob)).balances,
    (balances) => balances.some(({ asset }) => asset === usd),
  );
  const heard: FeedMessage[] = [];
  const subscription = trading.feed.subscribe(`account/${alice}`, {
    onMessage: (message) => heard.push(message),
    onReset: () => undefined,
  });

  const sold = await trading.place({ ...order, accountId: alice, side: 'sell', clientOrderId: '5' });
  expect(sold.status).toBe('open');
  expect(trading.book('ETH-USD', 10).asks).toEqual([['300', '0.010000']]);
  expect(await trading.openOrders({ accountId: alice, limit: 10 })).toMatchObject([{ clientOrderId: '5' }]);
  const [bought, refused] = await trading.placeAll([
    { ...order, accountId: bob, side: 'buy', size: '0.004' },
    { ...order, accountId: bob, side: 'buy', price: '301' },
  ]);
  expect(refused).toMatchObject({ code: 'TRADING_PRICE_OFF_TICK' });
  if (bought === undefined || bought instanceof Error) throw new Error('the order was taken');
  expect(bought).toMatchObject({ status: 'filled', filled: '0.004000' });
  expect(trading.ticker('ETH-USD').lastPrice).toBe('300');

  const [fill] = await until(
    async () => await trading.fills({ accountId: bob, limit: 10 }),
    (fills) => fills.length > 0,
  );
  expect([fill]).toEqual(bought.fills);
  const [own] = await trading.fills({ accountId: alice, market: 'ETH-USD', limit: 10 });
  expect(own).toMatchObject({ role: 'maker', side: 'sell', orderId: sold.orderId, tradeId: fill?.tradeId });
  expect(await trading.fills({ accountId: bob, before: fill?.tradeId ?? '', limit: 10 })).toEqual([]);
  expect(await trading.trades('ETH-USD', { limit: 10 })).toMatchObject([
    { tradeId: fill?.tradeId, size: '0.004000' },
  ]);
  expect(heard.flatMap((message) => ('changes' in message ? message.changes : []))).toContainEqual({
    kind: 'fill',
    fill: own,
  });
  if (subscription !== false) subscription.end();

  const back: SpotTransfer = {
    id: derivedId('spt', 'back'),
    accountId: bob,
    asset: coin,
    units: '3000000000000000',
    direction: 'to-main',
  };
  expect(await trading.moveSpot(back)).toEqual({ ...back, state: 'done' });
  expect(await trading.moveSpot(back)).toEqual({ ...back, state: 'done' });
  const [main] = await ledger.balances({ paths: [`customer:${bob}:main`], asset: coin });
  expect(main?.balance).toBe((startUnits.get(coin) ?? 0n) + 3_000_000_000_000_000n);
  const there: SpotTransfer = { ...back, id: derivedId('spt', 'there'), direction: 'to-spot' };
  expect(await trading.moveSpot(there)).toEqual({ ...there, state: 'done' });
  expect(await trading.cancel({ accountId: alice, clientOrderId: '5' })).toMatchObject({
    filled: '0.004000',
    remaining: '0.006000',
    doneReason: 'cancelled',
  });
});

test('a feed that a defect has ended is `away`, also when the defect is gone: nobody takes its silence for the market', {
  timeout: 60_000,
}, async () => {
  let isBroken = false;
  const defect = (): never => {
    throw new TypeError('a defect');
  };
  const broken: unknown[] = ['levels', 'ordersOf'];
  const view = () =>
    isBroken
      ? new Proxy(link.view(), {
          get: (of, name): unknown => (broken.includes(name) ? defect : Reflect.get(of, name, of)),
        })
      : link.view();
  const faulty = open(
    new Proxy(link, { get: (of, name): unknown => (name === 'view' ? view : Reflect.get(of, name, of)) }),
  );
  await faulty.ready();
  const told: string[] = [];
  faulty.onEngineStatus(({ engine: state }) => told.push(state));
  faulty.feed.subscribe('ticker/ETH-USD', { onMessage: () => undefined, onReset: () => undefined });
  expect(faulty.engineStatus().engine).toBe('live');
  isBroken = true;
  const placed = await trading.place({ ...order, accountId: alice, side: 'sell' });
  await trading.cancel({ accountId: alice, orderId: placed.orderId });
  isBroken = false;
  expect(faulty.engineStatus()).toMatchObject({ engine: 'away', seq: expect.any(Number) as number });
  expect(told).toEqual(['away']);
  expect(trading.engineStatus().engine).toBe('live');
  problems.length = 0;
  await faulty.close();
});

test('an engine that is killed: unavailable, then the same again without a loss', {
  timeout: 120_000,
}, async () => {
  const resting = await trading.place({ ...order, accountId: alice, side: 'sell' });
  const before = await trading.account(alice);
  process.kill(running.pid, 'SIGKILL');
  await running.exited;
  await until(
    async () => await Promise.resolve(link.state().connected),
    (connected) => !connected,
  );
  await expect(trading.place({ ...order, accountId: alice, side: 'sell' })).rejects.toThrow(
    code('TRADING_UNAVAILABLE'),
  );
  // What was asked for meanwhile is on its way, and goes on when the engine is back.
  const asked: SpotTransfer = {
    id: derivedId('spt', 'meanwhile'),
    accountId: alice,
    asset: usd,
    units: '100',
    direction: 'to-main',
  };
  expect(await trading.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
  await engine.start();
  await link.ready();
  expect(await trading.account(alice)).toMatchObject({ orders: before.orders, balances: before.balances });
  expect(await trading.order({ accountId: alice, orderId: resting.orderId })).toMatchObject({
    status: 'open',
  });
  const ended = await until(
    async () => await trading.moveSpot(asked),
    ({ state }) => state !== 'pending',
  );
  expect(ended.state).toBe('done');
});
