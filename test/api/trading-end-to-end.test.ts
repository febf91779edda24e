/**
 * The trading API as customers meet it: signed requests to a gateway that listens, over the link to the engine's own process, with
 * the ledger in a real PostgreSQL. Before the engine is there, with it, when it is killed, and after.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { derivedId } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createLogger } from '#infra/log';
import type { Ledger } from '#ledger';
import { customerMain } from '#ledger/contract';
import { type ReachedEngine, reachEngine } from '../../api/engine.ts';
import { createSupervisor, type Supervisor } from '../../infra/dev/processes.ts';
import {
  engineName,
  openCustomers,
  prepareEngine,
  type TestEngine,
  until,
} from '../matching/process/fixture.ts';
import { coin, customer, startUnits, usd } from '../matching/settlement/fixture.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type Answer, type Holder, send } from './signing.ts';
import { type Gateway, openGateway } from './trading-gateway.ts';

const folder = path.join(inject('runFolder'), 'trading-end-to-end');
const [alice, bob] = [customer(1), customer(2)];
const log = createLogger('test', { level: 'silent' });
/** So that a tick is 3 USD and a lot 0.000001 ETH. */
const decimals = new Map<string, number>([
  [coin, 18],
  [usd, 8],
  ['ledger:gold', 0],
]);
let databaseUrl = '';
let pool: Pool;
let ledger: Ledger;
let supervisor: Supervisor;
let engine: TestEngine;
let running: Awaited<ReturnType<TestEngine['start']>>;
let reached: ReachedEngine;
let gateway: Gateway;
let aliceKey: Holder;
let bobKey: Holder;

const reach = (name: string): ReachedEngine =>
  reachEngine(
    {
      url: `ws://127.0.0.1:${engine.linkPort}`,
      tokenFile: path.join(folder, 'link.token'),
      configFile: path.join(folder, 'engine-config.json'),
      name,
    },
    { pool, ledger, clock: { nowMs: () => Date.now() }, decimals, log },
  );
beforeAll(async () => {
  databaseUrl = await databaseForThisFile();
  pool = openPool({ connectionString: databaseUrl, applicationName: 'test-end-to-end' });
  ledger = await openCustomers(pool, 2);
  supervisor = createSupervisor();
  engine = await prepareEngine({ supervisor, folder, databaseUrl }, 'engine');
  reached = reach(engineName);
  gateway = await openGateway({ databaseUrl, trading: reached.trading, probes: { engine: reached.probe } });
  aliceKey = await gateway.holder({ accounts: [alice] });
  bobKey = await gateway.holder({ accounts: [bob] });
});
afterAll(async () => {
  await gateway.close();
  await reached.close();
  await supervisor.stopAll();
  await pool.end();
  rmSync(folder, { recursive: true, force: true });
});

const get = (url: string) => ({ method: 'GET', url });
const post = (url: string, body: object) => ({ method: 'POST', url, body });
const order = (side: 'buy' | 'sell', size: string, more: object = {}) =>
  post('/v1/orders', { market: 'ETH-USD', side, type: 'limit', price: '300', size, ...more });
const health = async () => await send(gateway.port, get('/health'));
const isOk = ({ status }: Answer) => status === 200;
const mainBalance = async (account: typeof alice, asset: typeof coin) =>
  (await ledger.balances({ paths: [customerMain(account)], asset }))[0]?.balance;

test('without the engine the api serves everything else, and says what is away', async () => {
  expect((await health()).json).toEqual({ ok: false, parts: { engine: 'down' } });
  for (const request of [get('/v1/markets'), order('buy', '1'), get('/v1/fills')])
    expect((await gateway.by(aliceKey, request)).json).toMatchObject({
      code: 'TRADING_UNAVAILABLE',
      status: 503,
    });
  expect((await gateway.by(aliceKey, get('/v1/assets'))).status).toBe(200);
  expect((await gateway.as('trading', get('/v1/api-keys'))).status).toBe(200);
});

test('from the main account to a trade, its fill and back; every coin is where the answers say', async () => {
  running = await engine.start();
  await until(health, isOk);
  const id = derivedId('spt', 'more coins');
  const move = { asset: coin, units: '500000000000000000', direction: 'to-spot' };
  const put = { method: 'PUT', url: `/v1/spot-transfers/${id}`, body: move };
  const moved = await until(
    async () => await gateway.by(aliceKey, put),
    ({ json }) => json['state'] !== 'pending',
  );
  expect(moved.json).toEqual({ ...move, id, accountId: alice, state: 'done' });
  const other = { ...put, body: { ...move, units: '1000000000' } };
  expect((await gateway.by(aliceKey, other)).json).toMatchObject({ code: 'TRADING_TRANSFER_CONFLICT' });
  expect((await gateway.by(bobKey, get(put.url))).json).toMatchObject({ code: 'TRADING_TRANSFER_UNKNOWN' });
  expect(await mainBalance(alice, coin)).toBe((startUnits.get(coin) ?? 0n) - 500_000_000_000_000_000n);

  const sold = await gateway.by(aliceKey, order('sell', '0.01', { clientOrderId: '18446744073709551615' }));
  expect(sold.json).toMatchObject({ status: 'open', clientOrderId: '18446744073709551615', fills: [] });
  const twice = await gateway.by(aliceKey, order('sell', '0.01', { clientOrderId: '18446744073709551615' }));
  expect(twice.json).toMatchObject({
    code: 'TRADING_ORDER_REJECTED',
    status: 409,
    details: { reason: 'duplicate-client-id' },
  });
  const batch = await gateway.by(
    bobKey,
    post('/v1/orders/batch', {
      orders: [order('buy', '0.004').body, order('buy', '0.004', { price: '301' }).body],
    }),
  );
  expect(batch.json).toMatchObject({
    results: [
      {
        ok: {
          status: 'filled',
          filled: '0.004000',
          fills: [{ price: '300', value: '1.200000', feeAsset: coin }],
        },
      },
      { problem: { code: 'TRADING_PRICE_OFF_TICK', status: 400 } },
    ],
  });
  expect((await gateway.by(bobKey, get('/v1/markets/ETH-USD/book?levels=5'))).json).toMatchObject({
    asks: [['300', '0.006000']],
    bids: [],
  });
  const settled = await until(
    async () => await gateway.by(bobKey, get('/v1/fills?limit=5')),
    ({ json }) => (json['fills'] as unknown[]).length > 0,
  );
  // 0.004 ETH less a quarter of a percent.
  expect(settled.json).toMatchObject({ fills: [{ size: '0.004000', fee: '0.000010000', role: 'taker' }] });
  const { json: spot } = await gateway.by(bobKey, get(`/v1/accounts/${bob}/spot`));
  expect(spot['balances']).toContainEqual({ asset: coin, available: '1.003990000', held: '0.000000000' });

  const back = { asset: coin, units: '3990000000000000', direction: 'to-main' };
  const returned = await gateway.by(bobKey, {
    method: 'PUT',
    url: `/v1/spot-transfers/${derivedId('spt', 'back')}`,
    body: back,
  });
  expect(returned.json).toMatchObject({ state: 'done' });
  expect(await mainBalance(bob, coin)).toBe((startUnits.get(coin) ?? 0n) + 3_990_000_000_000_000n);
});

test('an order is looked at, amended and cancelled by either of its names; and only by its account', async () => {
  const named = 'clientOrderId=18446744073709551615';
  const { json: seen } = await gateway.by(aliceKey, get(`/v1/orders/one?${named}`));
  expect(seen).toMatchObject({ status: 'open', filled: '0.004000', remaining: '0.006000' });
  const listed = await gateway.by(aliceKey, get('/v1/orders?market=ETH-USD'));
  expect(listed.json).toEqual({ orders: [seen] });
  const orderId = String(seen['orderId']);
  expect((await gateway.by(bobKey, get(`/v1/orders/one?orderId=${orderId}`))).json).toMatchObject({
    code: 'TRADING_ORDER_UNKNOWN',
  });
  const theirs = await gateway.by(bobKey, { method: 'DELETE', url: `/v1/orders?orderId=${orderId}` });
  expect(theirs.status).toBeGreaterThanOrEqual(400);
  const amended = await gateway.by(aliceKey, {
    method: 'PATCH',
    url: '/v1/orders',
    body: { orderId, size: '0.007' },
  });
  expect(amended.json).toMatchObject({ status: 'open', remaining: '0.003000' });
  const both = await gateway.by(aliceKey, get(`/v1/orders/one?${named}&orderId=${orderId}`));
  expect(both.json).toMatchObject({ code: 'TRADING_ORDER_NAME_INVALID', status: 400 });
  const cancelled = await gateway.by(aliceKey, { method: 'DELETE', url: `/v1/orders?${named}` });
  expect(cancelled.json).toMatchObject({ status: 'done', doneReason: 'cancelled', remaining: '0.003000' });
  expect((await gateway.by(aliceKey, get('/v1/orders'))).json).toEqual({ orders: [] });
});

test('operators halt a market and block an account: new orders are refused, cancels go on', async () => {
  for (const price of ['300', '303']) await gateway.by(aliceKey, order('sell', '0.001', { price }));
  const state = async (to: string) =>
    await gateway.as('treasury', { method: 'PUT', url: '/v1/markets/ETH-USD/state', body: { state: to } });
  expect((await state('halted')).json).toMatchObject({ id: 'ETH-USD', state: 'halted' });
  expect((await gateway.by(bobKey, order('buy', '0.001'))).json).toMatchObject({
    code: 'TRADING_ORDER_REJECTED',
    details: { reason: 'market-closed' },
  });
  await state('open');
  const settings = { blocked: true, feeTier: 0 };
  const url = `/v1/accounts/${alice}/trading`;
  expect((await gateway.as('compliance', { method: 'PUT', url, body: settings })).json).toEqual(settings);
  expect((await gateway.by(aliceKey, order('sell', '0.001'))).json).toMatchObject({
    details: { reason: 'account-blocked' },
  });
  expect((await gateway.by(aliceKey, post('/v1/orders/cancel-all', {}))).json).toEqual({ cancelled: 2 });
  await gateway.as('compliance', { method: 'PUT', url, body: { ...settings, blocked: false } });
});

test('an engine that is killed takes nothing with it that was answered, and the api goes on meanwhile', async () => {
  const resting = await gateway.by(aliceKey, order('sell', '0.002'));
  expect(resting.json).toMatchObject({ status: 'open' });
  process.kill(running.pid, 'SIGKILL');
  await running.exited;
  await until(health, (answer) => !isOk(answer));
  expect((await gateway.by(aliceKey, order('sell', '0.002'))).json).toMatchObject({
    code: 'TRADING_UNAVAILABLE',
    retryable: true,
  });
  expect((await gateway.by(aliceKey, get('/v1/assets'))).status).toBe(200);
  running = await engine.start();
  await until(health, isOk);
  const { json } = await gateway.by(aliceKey, get('/v1/orders'));
  expect(json).toMatchObject({
    orders: [{ orderId: resting.json['orderId'], status: 'open', remaining: '0.002000' }],
  });
});

test('an engine of another name is not traded with', async () => {
  const other = reach('backup');
  const apart = await openGateway({ databaseUrl, trading: other.trading, probes: { engine: other.probe } });
  try {
    const probed = async () => {
      try {
        await other.probe();
        return '';
      } catch (error) {
        return String(error);
      }
    };
    await until(probed, (text) => text.includes('refuses the link: it is engine main, not backup'));
    await until(
      async () => await apart.by(aliceKey, order('sell', '0.001')),
      ({ json }) => json['code'] === 'TRADING_UNAVAILABLE',
    );
  } finally {
    await apart.close();
    await other.close();
  }
});

test('files that do not fit stop the start and are named', () => {
  const connection = {
    url: 'ws://127.0.0.1:1',
    tokenFile: path.join(folder, 'link.token'),
    configFile: path.join(folder, 'engine-config.json'),
    name: engineName,
  };
  const deps = { pool, ledger, clock: { nowMs: () => 0 }, decimals, log };
  expect(() => reachEngine({ ...connection, tokenFile: `${folder}/none` }, deps)).toThrow(
    /none cannot be read/,
  );
  expect(() => reachEngine({ ...connection, configFile: `${folder}/none.json` }, deps)).toThrow(/none\.json/);
  expect(() => reachEngine(connection, { ...deps, decimals: new Map([[usd, 8]]) })).toThrow(
    /ledgerAssets: eip155.*gold/,
  );
});
