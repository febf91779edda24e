/** The routes of trading over a gateway that listens: who may, for which account, in which form. The engine is a recorder. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { errorsOf } from '#core/errors';
import { derivedId } from '#core/ids';
import { assetId } from '#core/money';
import {
  type EngineState,
  type MarketView,
  type OrderOutcome,
  type OrderView,
  type SpotTransferView,
  type TradingOperations,
  tradingErrors,
} from '#matching/trading/contract';
import { databaseForThisFile } from '../support/database.ts';
import { type Holder, newAccount, newHolder, nextMs, send, signedBy } from './signing.ts';
import { type Gateway, openGateway, type Role } from './trading-gateway.ts';

const fail = errorsOf(tradingErrors);
const mine = newAccount();
const second = newAccount();
const stranger = newAccount();
const market: MarketView = {
  id: 'ETH-USD',
  base: assetId('eip155:31337/slip44:60'),
  quote: assetId('ledger:usd'),
  state: 'open',
  tickSize: '0.01',
  lotSize: '0.0001',
  minSize: '0.0001',
  maxSize: '1000',
  maxValue: '5000000',
  minPrice: '0.01',
  maxPrice: '10000',
  bandLow: '1500',
  bandHigh: '2500',
  collarPpm: 50_000,
  fees: [{ makerPpm: 1_000, takerPpm: 2_000 }],
  lastPrice: null,
};
const outcome: OrderOutcome = {
  orderId: '7',
  clientOrderId: '1',
  market: 'ETH-USD',
  seq: 7,
  status: 'filled',
  doneReason: null,
  filled: '1',
  remaining: '0',
  fills: [
    {
      tradeId: '7-1',
      orderId: '7',
      accountId: mine,
      market: 'ETH-USD',
      side: 'buy',
      role: 'taker',
      price: '2000.5',
      size: '1',
      value: '2000.5',
      fee: '0.002',
      feeAsset: market.base,
      timeMs: 1,
    },
  ],
};
const open: OrderView = {
  orderId: '7',
  clientOrderId: null,
  accountId: mine,
  market: 'ETH-USD',
  side: 'buy',
  type: 'limit',
  timeInForce: 'gtc',
  postOnly: false,
  selfTrade: 'cancel-taker',
  status: 'open',
  price: '2000.5',
  triggerPrice: null,
  size: '1',
  filled: '0',
  remaining: '1',
  displaySize: null,
  budgetLeft: null,
};
const transfers = new Map<string, SpotTransferView>();

let engineNow: EngineState = 'live';
let calls: (readonly [string, ...unknown[]])[] = [];
const heard = <T>(name: string, answer: (...args: never[]) => T) =>
  ((...args: never[]) => {
    calls.push([name, ...args]);
    return answer(...args);
  }) as (...args: unknown[]) => T;
const trading = {
  engineStatus: () => ({ engine: engineNow, sinceMs: 1, seq: 7 }),
  markets: heard('markets', () => [market]),
  market: heard('market', () => market),
  book: heard('book', () => ({ market: 'ETH-USD', seq: 7, timeMs: 1, bids: [['2000', '1']], asks: [] })),
  ticker: heard('ticker', () => ({
    market: 'ETH-USD',
    seq: 7,
    timeMs: 1,
    state: 'open',
    lastPrice: null,
    bestBid: ['2000', '1'],
    bestAsk: null,
    open24h: null,
    high24h: null,
    low24h: null,
    size24h: '0',
    value24h: '0',
  })),
  trades: heard('trades', async () => await Promise.resolve([])),
  candles: heard('candles', async () => await Promise.resolve([])),
  place: heard('place', async () => await Promise.resolve(outcome)),
  placeAll: heard(
    'placeAll',
    async (orders: readonly unknown[]) =>
      await Promise.resolve(
        orders.map((_, place) => {
          if (place === 1) return fail('TRADING_ORDER_REJECTED', 'refused', { reason: 'would-cross' });
          return place === 2 ? new Error('password=hunter2') : outcome;
        }),
      ),
  ),
  cancelEach: heard(
    'cancelEach',
    async (names: readonly unknown[]) =>
      await Promise.resolve(
        names.map((_, place) =>
          place === 1 ? fail('TRADING_ORDER_UNKNOWN', 'none', { reason: 'unknown-order' }) : outcome,
        ),
      ),
  ),
  amend: heard('amend', async () => await Promise.resolve(outcome)),
  cancel: heard('cancel', async () => await Promise.resolve(outcome)),
  cancelAll: heard('cancelAll', async () => await Promise.resolve({ cancelled: 3 })),
  openOrders: heard('openOrders', async () => await Promise.resolve([open])),
  order: heard('order', async () => await Promise.resolve(open)),
  fills: heard('fills', async () => await Promise.resolve(outcome.fills)),
  account: heard(
    'account',
    async () =>
      await Promise.resolve({
        accountId: mine,
        seq: 7,
        timeMs: 1,
        orders: [open],
        balances: [{ asset: market.base, available: '1', held: '0' }],
      }),
  ),
  moveSpot: heard('moveSpot', async (transfer: SpotTransferView) => {
    const view = { ...transfer, state: 'done' as const };
    transfers.set(transfer.id, view);
    return await Promise.resolve(view);
  }),
  spotTransfer: heard('spotTransfer', async (id: string) => {
    const found = transfers.get(id);
    if (found === undefined)
      throw fail('TRADING_TRANSFER_UNKNOWN', `no transfer between main and spot ${id}`);
    return await Promise.resolve(found);
  }),
  setMarketState: heard('setMarketState', async () => await Promise.resolve({ ...market, state: 'halted' })),
  setBand: heard('setBand', async () => await Promise.resolve(market)),
  setAccount: heard('setAccount', async (_id: string, settings: object) => await Promise.resolve(settings)),
} as unknown as TradingOperations;

let gateway: Gateway;
let unreachable: Gateway;
let all: Holder;
let two: Holder;
let reader: Holder;
beforeAll(async () => {
  const databaseUrl = await databaseForThisFile();
  gateway = await openGateway({ databaseUrl, trading });
  unreachable = await openGateway({ databaseUrl });
  all = await gateway.holder({ accounts: [mine] });
  two = await gateway.holder({ accounts: [mine, second] });
  reader = await gateway.holder({ accounts: [mine], permissions: ['read'] });
});
afterAll(async () => {
  await gateway.close();
  await unreachable.close();
});
beforeEach(() => {
  engineNow = 'live';
  calls = [];
});

const order = { market: 'ETH-USD', side: 'buy', type: 'limit', price: '2000.50', size: '1' };
const get = (url: string) => ({ method: 'GET', url });
const post = (url: string, body: object) => ({ method: 'POST', url, body });
const transferId = derivedId('spt', 'one');
const transfer = { asset: market.base, units: '1000000000000000000', direction: 'to-spot' };

/** Every route of trading: the request of a key of one account, what the engine hears, and the permission it takes. */
const routes = [
  ['read', get('/v1/markets'), ['markets']],
  ['read', get('/v1/markets/ETH-USD'), ['market', 'ETH-USD']],
  ['read', get('/v1/markets/ETH-USD/book'), ['book', 'ETH-USD', 50]],
  ['read', get('/v1/markets/ETH-USD/book?levels=1000'), ['book', 'ETH-USD', 1_000]],
  ['read', get('/v1/markets/ETH-USD/ticker'), ['ticker', 'ETH-USD']],
  [
    'read',
    get('/v1/markets/ETH-USD/trades?before=7-1&limit=5'),
    ['trades', 'ETH-USD', { before: '7-1', limit: 5 }],
  ],
  ['read', get('/v1/markets/ETH-USD/trades'), ['trades', 'ETH-USD', { limit: 100 }]],
  [
    'read',
    get('/v1/markets/ETH-USD/candles?interval=1m&fromMs=60000&toMs=120000'),
    ['candles', 'ETH-USD', { interval: '1m', fromMs: 60_000, toMs: 120_000, limit: 100 }],
  ],
  ['trade', post('/v1/orders', order), ['place', { ...order, accountId: mine }]],
  ['trade', post('/v1/orders/batch', { orders: [order] }), ['placeAll', [{ ...order, accountId: mine }]]],
  [
    'trade',
    { method: 'PATCH', url: '/v1/orders', body: { clientOrderId: '18446744073709551615', size: '2' } },
    ['amend', { accountId: mine, clientOrderId: '18446744073709551615' }, { size: '2' }],
  ],
  ['trade', { method: 'DELETE', url: '/v1/orders?orderId=7' }, ['cancel', { accountId: mine, orderId: '7' }]],
  [
    'trade',
    post('/v1/orders/cancel-all', { market: 'ETH-USD' }),
    ['cancelAll', { accountId: mine, market: 'ETH-USD' }],
  ],
  ['trade', post('/v1/orders/cancel-all', {}), ['cancelAll', { accountId: mine }]],
  [
    'trade',
    post('/v1/orders/cancel-batch', { orders: [{ orderId: '7' }, { clientOrderId: '1' }] }),
    [
      'cancelEach',
      [
        { accountId: mine, orderId: '7' },
        { accountId: mine, clientOrderId: '1' },
      ],
    ],
  ],
  ['read', get('/v1/orders?after=5'), ['openOrders', { accountId: mine, after: '5', limit: 100 }]],
  ['read', get('/v1/orders/one?clientOrderId=1'), ['order', { accountId: mine, clientOrderId: '1' }]],
  [
    'read',
    get('/v1/fills?market=ETH-USD&before=7-1&limit=500'),
    ['fills', { accountId: mine, market: 'ETH-USD', before: '7-1', limit: 500 }],
  ],
  ['read', get(`/v1/accounts/${mine}/spot`), ['account', mine]],
  [
    'transfer',
    { method: 'PUT', url: `/v1/spot-transfers/${transferId}`, body: transfer },
    ['moveSpot', { ...transfer, id: transferId, accountId: mine }],
  ],
  ['read', get(`/v1/spot-transfers/${transferId}`), ['spotTransfer', transferId]],
] as const;

test('each route is one call of trading, for the account of the key', async () => {
  for (const [, request, call] of routes) {
    calls = [];
    const answer = await gateway.by(all, request);
    expect(answer, `${request.method} ${request.url}`).toMatchObject({ status: 200 });
    expect(calls, request.url).toEqual([call]);
  }
});

test('each route needs its permission, and without it reaches nothing', async () => {
  for (const permission of ['read', 'trade', 'transfer'] as const) {
    const others = (['read', 'trade', 'transfer'] as const).filter((each) => each !== permission);
    const holder = await gateway.holder({ accounts: [mine], permissions: others });
    for (const [needed, request] of routes) {
      calls = [];
      const { status, json } = await gateway.by(holder, request);
      if (needed !== permission) expect(status, request.url).toBe(200);
      else {
        expect(json, request.url).toMatchObject({ code: 'API_FORBIDDEN', details: { needs: [permission] } });
        expect(calls).toEqual([]);
      }
    }
  }
});

test('a token of the backend trades for any account and names it; people at desks look', async () => {
  const placed = await gateway.as('trading', post('/v1/orders', { ...order, accountId: stranger }));
  expect(placed.json).toEqual(JSON.parse(JSON.stringify(outcome)));
  expect(calls).toEqual([['place', { ...order, accountId: stranger }]]);
  const unnamed = await gateway.as('trading', post('/v1/orders', order));
  expect(unnamed.json).toMatchObject({ code: 'API_ACCOUNT_NEEDED', status: 400 });
  for (const role of ['treasury', 'compliance', 'auditor'] as const) {
    const refused = await gateway.as(role, post('/v1/orders', { ...order, accountId: mine }));
    expect(refused.json).toMatchObject({ code: 'API_FORBIDDEN' });
    expect((await gateway.as(role, get(`/v1/orders?accountId=${mine}`))).status).toBe(200);
  }
});

test('a key acts for its accounts only: of several it names one, another is refused, a batch with another whole', async () => {
  const urls = [
    post('/v1/orders', { ...order, accountId: stranger }),
    { method: 'PATCH', url: '/v1/orders', body: { accountId: stranger, orderId: '7', size: '2' } },
    { method: 'DELETE', url: `/v1/orders?orderId=7&accountId=${stranger}` },
    post('/v1/orders/cancel-all', { accountId: stranger }),
    post('/v1/orders/batch', {
      orders: [
        { ...order, accountId: mine },
        { ...order, accountId: stranger },
      ],
    }),
    post('/v1/orders/cancel-batch', {
      orders: [
        { accountId: mine, orderId: '7' },
        { accountId: stranger, orderId: '8' },
      ],
    }),
    get(`/v1/orders?accountId=${stranger}`),
    get(`/v1/orders/one?orderId=7&accountId=${stranger}`),
    get(`/v1/fills?accountId=${stranger}`),
    get(`/v1/accounts/${stranger}/spot`),
    { method: 'PUT', url: `/v1/spot-transfers/${transferId}`, body: { ...transfer, accountId: stranger } },
  ];
  for (const request of urls)
    expect((await gateway.by(two, request)).json, request.url).toMatchObject({
      code: 'API_ACCOUNT_FORBIDDEN',
      status: 403,
    });
  expect((await gateway.by(two, post('/v1/orders', order))).json).toMatchObject({
    code: 'API_ACCOUNT_NEEDED',
  });
  expect(calls).toEqual([]);
  expect((await gateway.by(two, post('/v1/orders', { ...order, accountId: second }))).status).toBe(200);
});

test("another account's transfer is as unknown as one that is not", async () => {
  const id = derivedId('spt', 'of a stranger');
  transfers.set(id, {
    ...transfer,
    id,
    accountId: stranger,
    asset: market.base,
    direction: 'to-spot',
    state: 'done',
  });
  const theirs = await gateway.by(all, get(`/v1/spot-transfers/${id}`));
  const none = await gateway.by(all, get(`/v1/spot-transfers/${derivedId('spt', 'of nobody')}`));
  expect(theirs.status).toBe(404);
  const { requestId: _one, detail: hers, ...theirRest } = theirs.json;
  const { requestId: _two, detail: noneOf, ...noneRest } = none.json;
  expect(theirRest).toEqual(noneRest);
  expect(String(hers).replaceAll(id, 'ID')).toBe(
    String(noneOf).replaceAll(derivedId('spt', 'of nobody'), 'ID'),
  );
  expect((await gateway.as('trading', get(`/v1/spot-transfers/${id}`))).json).toMatchObject({
    state: 'done',
  });
});

test('a batch answers for each order in its place, and an unknown fault says nothing about the inside', async () => {
  const answer = await gateway.by(all, post('/v1/orders/batch', { orders: [order, order, order] }));
  expect(answer.json).toMatchObject({
    results: [
      { ok: { orderId: '7' } },
      { problem: { code: 'TRADING_ORDER_REJECTED', status: 409, details: { reason: 'would-cross' } } },
      { problem: { code: 'API_INTERNAL', status: 500 } },
    ],
  });
  expect(JSON.stringify(answer.json)).not.toContain('hunter2');
});

test('a batch of cancels answers for each name in its place', async () => {
  const names = { orders: [{ orderId: '7' }, { orderId: '8' }] };
  const { json } = await gateway.by(all, post('/v1/orders/cancel-batch', names));
  expect(json).toMatchObject({
    results: [{ ok: { orderId: '7' } }, { problem: { code: 'TRADING_ORDER_UNKNOWN', status: 404 } }],
  });
});

test('a market, book, ticker or account of an engine that is away says so', async () => {
  const urls = ['/v1/markets/ETH-USD', '/v1/markets/ETH-USD/book', '/v1/markets/ETH-USD/ticker'];
  for (const engine of ['live', 'away'] as const) {
    engineNow = engine;
    for (const url of [...urls, `/v1/accounts/${mine}/spot`])
      expect((await gateway.by(all, get(url))).json, url).toMatchObject({ engine });
    expect((await gateway.by(all, get('/v1/markets'))).json).toMatchObject({ markets: [{ engine }] });
  }
  expect((await gateway.by(all, get('/v1/markets/ETH-USD/book'))).json).toMatchObject({ seq: 7 });
});

test('what has another form is refused with the field, and reaches nothing', async () => {
  const batch = (length: number) => ({ orders: Array.from({ length }, () => order) });
  for (const [request, field] of [
    [post('/v1/orders', { ...order, price: 2000 }), 'body.price'],
    [post('/v1/orders', { ...order, size: '' }), 'body.size'],
    [post('/v1/orders', { ...order, fee: '0' }), 'body'],
    [post('/v1/orders', { ...order, side: 'both' }), 'body.side'],
    [post('/v1/orders', { ...order, market: 'eth-usd' }), 'body.market'],
    [post('/v1/orders', { ...order, clientOrderId: 'my order' }), 'body.clientOrderId'],
    [post('/v1/orders', { ...order, accountId: 'acc_1' }), 'body.accountId'],
    [post('/v1/orders/batch', batch(51)), 'body.orders'],
    [post('/v1/orders/batch', batch(0)), 'body.orders'],
    [{ method: 'DELETE', url: '/v1/orders?orderId=7&all=true' }, 'querystring'],
    [get('/v1/markets/ETH-USD/book?levels=1001'), 'querystring.levels'],
    [get('/v1/markets/ETH-USD/candles?interval=7m'), 'querystring.interval'],
    [get('/v1/markets/ETH-USD/trades?before=x'), 'querystring.before'],
    [get('/v1/fills?limit=501'), 'querystring.limit'],
    [
      { method: 'PUT', url: `/v1/spot-transfers/${transferId}`, body: { ...transfer, units: '1.5' } },
      'body.units',
    ],
    [
      { method: 'PUT', url: `/v1/spot-transfers/${transferId}`, body: { ...transfer, units: '0' } },
      'body.units',
    ],
    [{ method: 'PUT', url: '/v1/spot-transfers/spt_1', body: transfer }, 'params.transferId'],
  ] as const) {
    const { json } = await gateway.by(all, request);
    expect(json, JSON.stringify(request)).toMatchObject({ code: 'API_REQUEST_INVALID', status: 400 });
    expect((json['errors'] as { field: string }[])[0]?.field, JSON.stringify(request)).toBe(field);
  }
  expect(calls).toEqual([]);
});

test('markets and accounts are switched by operators, never by a key or the backend', async () => {
  const switches = [
    [
      { method: 'PUT', url: '/v1/markets/ETH-USD/state', body: { state: 'halted' } },
      ['setMarketState', 'ETH-USD', 'halted'],
    ],
    [
      { method: 'PUT', url: '/v1/markets/ETH-USD/band', body: { low: '1000', high: '3000' } },
      ['setBand', 'ETH-USD', { low: '1000', high: '3000' }],
    ],
    [
      { method: 'PUT', url: `/v1/accounts/${mine}/trading`, body: { blocked: true, feeTier: 1 } },
      ['setAccount', mine, { blocked: true, feeTier: 1 }],
    ],
  ] as const;
  for (const [request, call] of switches) {
    for (const role of ['trading', 'auditor'] satisfies Role[])
      expect((await gateway.as(role, request)).json).toMatchObject({ code: 'API_FORBIDDEN' });
    expect((await gateway.by(all, request)).json).toMatchObject({ code: 'API_UNAUTHENTICATED', status: 401 });
    expect(calls).toEqual([]);
    for (const role of ['treasury', 'compliance'] satisfies Role[]) {
      calls = [];
      expect((await gateway.as(role, request)).status).toBe(200);
      expect(calls).toEqual([call]);
    }
    calls = [];
  }
  for (const body of [{ blocked: true }, { blocked: true, feeTier: -1 }, { blocked: 'yes', feeTier: 0 }]) {
    const refused = await gateway.as('treasury', {
      method: 'PUT',
      url: `/v1/accounts/${mine}/trading`,
      body,
    });
    expect(refused.json).toMatchObject({ code: 'API_REQUEST_INVALID' });
  }
});

test('a signed request is for trading only: other routes and unknown ones refuse it before anything is looked at', async () => {
  for (const request of [
    get(`/v1/accounts/${mine}/balances`),
    { method: 'PUT', url: `/v1/accounts/${mine}`, body: {} },
    get('/v1/nothing'),
    get('/v1/api-keys'),
  ])
    expect((await gateway.by(all, request)).json, request.url).toMatchObject({
      code: 'API_UNAUTHENTICATED',
      status: 401,
    });
});

test('however the path of a route is written, a stranger does not reach it', async () => {
  const paths = (path: string) => [
    path,
    path.replace('/v1/', '/%76%31/'),
    path.replace('/v1/', '/v%31/'),
    `http://any.example${path}`,
    path.replace('/v1/', '/v1//'),
  ];
  const nonsense = { method: 'POST', url: '', body: '{"nonsense":' };
  for (const url of [...paths('/v1/orders'), ...paths('/v1/house-float')]) {
    for (const headers of [{}, { authorization: 'Bearer nobody' }]) {
      const { status } = await send(gateway.port, { ...nonsense, url }, headers as Record<string, string>);
      expect([401, 404], url).toContain(status);
    }
    expect((await send(gateway.port, { method: 'GET', url })).status).not.toBe(200);
  }
  expect(calls).toEqual([]);
});

test('the body that was signed is the one that counts, and nothing of it is read before', async () => {
  const body = JSON.stringify(order);
  const request = { method: 'POST', url: '/v1/orders', body };
  const headers = signedBy(all, request, nextMs());
  const other = await send(gateway.port, { ...request, body: body.replace('2000.50', '2999.50') }, headers);
  expect(other.json).toMatchObject({ code: 'API_SIGNATURE_INVALID', status: 401 });
  const broken = await send(gateway.port, { ...request, body: '{' }, headers);
  expect(broken.json).toMatchObject({ code: 'API_SIGNATURE_INVALID', status: 401 });
  const elsewhere = await send(gateway.port, { ...request, url: '/v1/orders?' }, headers);
  expect(elsewhere.json).toMatchObject({ code: 'API_SIGNATURE_INVALID' });
  expect(calls).toEqual([]);
  expect((await send(gateway.port, request, headers)).status).toBe(200);
  expect((await send(gateway.port, request, headers)).json).toMatchObject({ code: 'API_SIGNATURE_REPLAYED' });
  expect(calls).toHaveLength(1);

  const signedNonsense = { ...request, body: '{' };
  const nonsense = await send(gateway.port, signedNonsense, signedBy(all, signedNonsense, nextMs()));
  expect(nonsense.json).toMatchObject({ code: 'API_REQUEST_INVALID', status: 400 });
  const poisoned = { ...request, body: '{"__proto__":{"a":1}}' };
  expect((await send(gateway.port, poisoned, signedBy(all, poisoned, nextMs()))).status).toBe(400);
  const text = await send(gateway.port, request, {
    ...signedBy(all, request, nextMs()),
    'content-type': 'text/plain',
  });
  expect(text.status).toBe(415);
  const huge = { ...request, body: JSON.stringify({ ...order, price: '1'.repeat(70_000) }) };
  expect((await send(gateway.port, huge, signedBy(all, huge, nextMs()))).status).toBe(413);
});

test('without an engine the routes of trading say so, to whoever may ask; all else goes on', async () => {
  for (const [, request] of routes) {
    expect((await unreachable.by(all, request)).json, request.url).toMatchObject({
      code: 'TRADING_UNAVAILABLE',
      status: 503,
      retryable: true,
    });
  }
  expect((await unreachable.by(newHolder(), get('/v1/markets'))).status).toBe(401);
  expect((await unreachable.by(reader, post('/v1/orders', order))).status).toBe(403);
  expect((await unreachable.as('auditor', get('/v1/assets'))).status).toBe(200);
  expect((await send(unreachable.port, get('/health'))).status).toBe(200);
});
