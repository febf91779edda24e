/** The client over the gateway itself, stream included: each call arrives signed, and comes back as what the route gives. */
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '#core/ids';
import { assetId } from '#core/money';
import { createAuthenticate, tokenDigest } from '../../../api/auth.ts';
import { createTradingClient, type TradingClient } from '../../../api/client/index.ts';
import type { ApiKey } from '../../../api/keys/contract.ts';
import { buildServer, type ServerOptions } from '../../../api/server.ts';
import { attachStream, type Stream } from '../../../api/stream/index.ts';
import { createTradingAuth } from '../../../api/trading-auth.ts';
import { createEngineCommands } from '../../../matching/trading/commands.ts';
import type { SpotTransferView, TradingOperations } from '../../../matching/trading/contract.ts';
import { createMarkets } from '../../../matching/trading/markets.ts';
import { createOrders } from '../../../matching/trading/orders.ts';
import { type World, worldOf } from '../../matching/trading/feed/exchange.ts';
import { newHolder } from '../signing.ts';
import { account, config, ethUsd, openingCommands, order, tradingOf } from '../stream/fixture.ts';

const token = 't'.repeat(43);
const clock = { nowMs: () => Date.now() };
const holder = newHolder();
const eth = assetId('ledger:eth');
let world: World;
let app: Awaited<ReturnType<typeof buildServer>>;
let stream: Stream;
let client: TradingClient;
let baseUrl: string;
const moved: unknown[] = [];

/** Of a real engine; what needs the ledger answers what it was asked. */
function operationsOf(): TradingOperations {
  const commands = createEngineCommands(world.link);
  const { scales, accounts, feed } = world;
  const orders = createOrders({ commands, scales, accounts });
  const markets = createMarkets({ commands, scales, accounts });
  const view = (asked: object): SpotTransferView => {
    moved.push(asked);
    return { state: 'done', ...asked } as SpotTransferView;
  };
  const rest: Partial<TradingOperations> = {
    markets: () => markets.markets(),
    placeAll: async (all) => await orders.placeAll(all),
    openOrders: async (asked) => await orders.openOrders(asked),
    order: async (name) => await orders.order(name),
    trades: async (market, page) => await feed.recentTrades(market, page),
    candles: async (market, range) => await feed.candles(market, range),
    fills: async (asked) => {
      moved.push(asked);
      return await Promise.resolve([]);
    },
    moveSpot: async (transfer) => await Promise.resolve(view(transfer)),
    spotTransfer: async (id) =>
      await Promise.resolve(
        view({ id, accountId: account(1), asset: eth, units: '5', direction: 'to-main' }),
      ),
  };
  return { ...tradingOf(world), ...rest } as TradingOperations;
}

beforeAll(async () => {
  world = worldOf({ seed: 1, config });
  world.run(openingCommands);
  const key: ApiKey = {
    ...holder,
    name: 'a test',
    accounts: [account(1), account(2)],
    permissions: ['read', 'trade', 'transfer'],
    rateTier: 'standard',
    createdAtMs: 0,
    createdBy: 'service',
    revoked: null,
  };
  const authenticate = createAuthenticate({
    tokens: [{ name: 'service', role: 'trading', sha256: tokenDigest(token) }],
  });
  const keys = { find: async (id: string) => await Promise.resolve(id === key.id ? key : undefined) };
  const auth = createTradingAuth({ authenticate, keys, clock });
  const trading = operationsOf();
  app = await buildServer({
    operations: {} as ServerOptions['operations'],
    authenticate,
    keys: keys as ServerOptions['keys'],
    auth,
    trading,
    assets: [],
    probes: {},
  });
  stream = attachStream(app.server, { trading, auth });
  await app.listen({ host: '127.0.0.1', port: 0 });
  baseUrl = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  client = createTradingClient({ baseUrl: `${baseUrl}/`, key: holder });
});
afterAll(async () => {
  await stream.close();
  await app.close();
});

describe('market data', () => {
  test('markets, one market, book, ticker, trades, candles', async () => {
    expect((await client.markets()).map(({ id }) => id)).toEqual(['ETH-USD', 'USD-ETH']);
    expect(await client.market(ethUsd)).toMatchObject({ tickSize: '0.01' });
    await client.place(order());
    await client.place(order({ side: 'buy', accountId: account(2), size: '0.4' }));
    expect(await client.book(ethUsd, 5)).toMatchObject({
      asks: [['100.00', '0.6000']],
      bids: [],
      engine: 'live',
    });
    expect(await client.ticker(ethUsd)).toMatchObject({ lastPrice: '100.00' });
    const [trade] = await client.trades(ethUsd, { limit: 1 });
    expect(trade).toMatchObject({ price: '100.00', size: '0.4000', side: 'buy' });
    expect(await client.candles(ethUsd, { interval: '1h' })).toEqual(expect.any(Array));
    await client.cancelAll({ accountId: account(1), market: ethUsd });
  });
});

describe('orders', () => {
  test('placed, looked at, amended, cancelled; by either name', async () => {
    const { orderId } = await client.place(order({ clientOrderId: '7' }));
    const name = { accountId: account(1), orderId };
    expect(await client.order(name)).toMatchObject({ orderId, clientOrderId: '7', status: 'open' });
    expect(await client.amend(name, { size: '0.5' })).toMatchObject({ remaining: '0.5000' });
    const open = await client.openOrders({ accountId: account(1), market: ethUsd, limit: 10 });
    expect(open.map((found) => found.orderId)).toEqual([orderId]);
    expect((await client.account(account(1))).orders).toEqual(open);
    expect(await client.cancel({ accountId: account(1), clientOrderId: '7' })).toMatchObject({ orderId });
  });

  test('of a batch each has its own answer', async () => {
    const outcomes = await client.placeAll([order(), order({ price: '100.001' })]);
    expect(outcomes).toMatchObject([{ status: 'open' }, { code: 'TRADING_PRICE_OFF_TICK', kind: 'invalid' }]);
    expect(await client.cancelAll({ accountId: account(1) })).toEqual({ cancelled: 1 });
    await client.place(order({ clientOrderId: '70' }));
    const name = { accountId: account(1), clientOrderId: '70' };
    expect(await client.cancelEach([name, name])).toMatchObject([
      { doneReason: 'cancelled' },
      { code: 'TRADING_ORDER_UNKNOWN', kind: 'not_found' },
    ]);
  });

  test('a refusal is thrown under its own code, with what it says', async () => {
    await expect(client.place(order({ accountId: account(3) }))).rejects.toMatchObject({
      code: 'API_ACCOUNT_FORBIDDEN',
      kind: 'forbidden',
      retryable: false,
      details: { status: 403 },
    });
    const far = client.place(order({ price: '9000' }));
    await expect(far).rejects.toMatchObject({
      code: 'TRADING_ORDER_REJECTED',
      details: { reason: 'invalid-price' },
    });
  });
});

test('fills and transfers are asked for as they were meant', async () => {
  const id = newId('spt', clock, { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) });
  const transfer = { id, accountId: account(1), asset: eth, units: '5', direction: 'to-spot' } as const;
  expect(await client.fills({ accountId: account(1), before: '12-1' })).toEqual([]);
  expect(await client.moveSpot(transfer)).toEqual({ ...transfer, state: 'done' });
  expect(await client.spotTransfer(id)).toMatchObject({ id, state: 'done' });
  expect(moved.slice(0, 2)).toEqual([{ accountId: account(1), before: '12-1', limit: 100 }, transfer]);
});

test('the same client speaks to the stream beside the routes', async () => {
  const live = client.stream();
  const seqs: number[] = [];
  await live.subscribe({ channel: 'book', market: ethUsd }, { onMessage: ({ seq }) => seqs.push(seq) });
  const { seq } = await client.place(order());
  await live.ping();
  expect(seqs).toEqual([seq]);
  await client.cancelAll({ accountId: account(1) });
  await live.close();
});

test('a stranger’s client, and an address where nobody is, say what is wrong', async () => {
  const stranger = createTradingClient({ baseUrl, key: newHolder() });
  await expect(stranger.markets()).rejects.toMatchObject({
    code: 'API_SIGNATURE_INVALID',
    kind: 'unauthenticated',
  });
  const service = createTradingClient({ baseUrl, token });
  expect(await service.markets()).toHaveLength(2);
  const nobody = createTradingClient({ baseUrl: 'http://127.0.0.1:1', token });
  await expect(nobody.markets()).rejects.toMatchObject({ code: 'API_CLIENT_NO_ANSWER' });
});
