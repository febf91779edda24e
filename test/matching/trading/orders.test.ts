/** Orders as a customer sends them, against a real engine. */
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import type { NewOrder } from '../../../matching/trading/contract.ts';
import { createOrders, type OrderOperations } from '../../../matching/trading/orders.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { coin } from '../settlement/fixture.ts';
import { alice, bob, type Desk, openDesk, order, stranger } from './desk.ts';

let pool: Pool;
let desk: Desk;
let orders: OrderOperations;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-orders' });
  desk = await openDesk(pool, 'main');
  orders = createOrders(desk);
});
afterAll(async () => {
  await desk.settler.stop();
  await pool.end();
});
const sentIn = async (work: () => Promise<unknown>): Promise<number> => {
  const before = desk.link.sent.length;
  await work();
  return desk.link.sent.length - before;
};
const code = (expected: string, details: object = {}): unknown =>
  expect.objectContaining({ code: expected, details: expect.objectContaining(details) as unknown });
const market = { accountId: alice, market: 'ETH-USD' } as const;
const clear = async (): Promise<void> => {
  for (const accountId of [alice, bob]) await orders.cancelAll({ accountId });
};

describe('an order that is placed', () => {
  test('rests, is read, trades and ends, with the same numbers everywhere', async () => {
    const placed = await orders.place(order({ clientOrderId: '18446744073709551615' }));
    expect(placed).toMatchObject({
      clientOrderId: '18446744073709551615',
      market: 'ETH-USD',
      status: 'open',
      doneReason: null,
      filled: '0.0000',
      remaining: '0.0100',
      fills: [],
    });
    expect(placed.orderId).toBe(placed.seq.toString());
    const name = { accountId: alice, clientOrderId: '18446744073709551615' };
    const open = await orders.order(name);
    expect(open).toEqual({
      orderId: placed.orderId,
      clientOrderId: '18446744073709551615',
      accountId: alice,
      market: 'ETH-USD',
      side: 'sell',
      type: 'limit',
      timeInForce: 'gtc',
      postOnly: false,
      selfTrade: 'cancel-taker',
      status: 'open',
      price: '2000.00',
      triggerPrice: null,
      size: '0.0100',
      filled: '0.0000',
      remaining: '0.0100',
      displaySize: null,
      budgetLeft: null,
    });
    expect(await orders.order({ accountId: alice, orderId: placed.orderId })).toEqual(open);

    const taken = await orders.place(order({ accountId: bob, side: 'buy', price: '2000.5', size: '0.004' }));
    expect(taken).toMatchObject({ status: 'filled', filled: '0.0040', remaining: '0.0000' });
    expect(taken.fills).toEqual([
      {
        tradeId: `${taken.seq}-1`,
        orderId: taken.orderId,
        accountId: bob,
        market: 'ETH-USD',
        side: 'buy',
        role: 'taker',
        price: '2000.00',
        size: '0.0040',
        value: '8.000000',
        fee: '0.000008000',
        feeAsset: coin,
        timeMs: expect.any(Number) as number,
      },
    ]);
    expect(await orders.order(name)).toMatchObject({ filled: '0.0040', remaining: '0.0060', size: '0.0100' });
    expect(await orders.cancel(name)).toMatchObject({
      orderId: placed.orderId,
      clientOrderId: '18446744073709551615',
      status: 'done',
      doneReason: 'cancelled',
      filled: '0.0040',
      remaining: '0.0060',
    });
    await expect(orders.order(name)).rejects.toThrow(code('TRADING_ORDER_UNKNOWN'));
  });

  test('may be of any type', async () => {
    await orders.place(order({ price: '2000', size: '0.01' }));
    const bought = await orders.place({
      accountId: bob,
      market: 'ETH-USD',
      side: 'buy',
      type: 'market',
      budget: '5.1',
    });
    expect(bought).toMatchObject({ status: 'done', doneReason: 'budget', filled: '0.0025' });
    const rest = await orders.place(order({ accountId: bob, side: 'buy', timeInForce: 'ioc', size: '0.02' }));
    expect(rest).toMatchObject({
      status: 'done',
      doneReason: 'immediate',
      filled: '0.0075',
      remaining: '0.0125',
    });
    const iceberg = await orders.place(order({ price: '2100', size: '0.1', displaySize: '0.002' }));
    expect(await orders.order({ accountId: alice, orderId: iceberg.orderId })).toMatchObject({
      displaySize: '0.0020',
      size: '0.1000',
    });
    const stop = await orders.place(
      order({ accountId: bob, side: 'buy', type: 'stop-limit', triggerPrice: '2050', price: '2060.01' }),
    );
    expect(stop).toMatchObject({ status: 'waiting', filled: '0.0000', remaining: '0.0100' });
    expect(await orders.order({ accountId: bob, orderId: stop.orderId })).toMatchObject({
      status: 'waiting',
      type: 'stop-limit',
      triggerPrice: '2050.00',
      price: '2060.01',
      timeInForce: 'gtc',
    });
    const budgetStop = await orders.place({
      accountId: bob,
      market: 'ETH-USD',
      side: 'buy',
      type: 'stop',
      triggerPrice: '2400',
      budget: '12.5',
      selfTrade: 'decrement',
    });
    expect(await orders.order({ accountId: bob, orderId: budgetStop.orderId })).toMatchObject({
      budgetLeft: '12.500000',
      timeInForce: 'ioc',
      selfTrade: 'decrement',
      price: null,
    });
    const postOnly = await orders.place(
      order({ accountId: bob, side: 'buy', price: '1900', postOnly: true }),
    );
    expect(await orders.order({ accountId: bob, orderId: postOnly.orderId })).toMatchObject({
      postOnly: true,
    });
    await clear();
  });

  test('is told of its fill as a maker too, when its own trade triggers a stop', async () => {
    await orders.place(order({ price: '2100', size: '0.001' }));
    await orders.place(order({ accountId: bob, side: 'buy', price: '2100', size: '0.001' }));
    await orders.place({ ...market, side: 'sell', type: 'stop', triggerPrice: '2050', size: '0.001' });
    await orders.place(order({ price: '2010', size: '0.001' }));
    const bought = await orders.place(order({ accountId: bob, side: 'buy', price: '2010', size: '0.003' }));
    expect(bought).toMatchObject({ status: 'open', filled: '0.0020', remaining: '0.0010' });
    expect(bought.fills.map(({ role, side, price }) => [role, side, price])).toEqual([
      ['taker', 'buy', '2010.00'],
      ['maker', 'buy', '2010.00'],
    ]);
    expect(await orders.order({ accountId: bob, orderId: bought.orderId })).toMatchObject({
      filled: bought.filled,
      remaining: bought.remaining,
    });
    await clear();
  });

  test('stays what it was filled when self-trade prevention ends it', async () => {
    await orders.place(order({ accountId: bob, price: '2000', size: '0.001' }));
    await orders.place(order({ price: '2001', size: '0.001' }));
    const taken = await orders.place(order({ side: 'buy', price: '2001', size: '0.005' }));
    expect(taken).toMatchObject({
      status: 'done',
      doneReason: 'self-trade',
      filled: '0.0010',
      remaining: '0.0040',
    });
    const less = await orders.place(
      order({ side: 'buy', price: '2001', size: '0.001', selfTrade: 'decrement' }),
    );
    expect(less).toMatchObject({ status: 'done', doneReason: 'decremented', filled: '0.0000' });
    await clear();
  });
});

describe('an amend', () => {
  test('by either name; the size is the new total', async () => {
    const placed = await orders.place(order({ size: '0.01', clientOrderId: '7' }));
    await orders.place(order({ accountId: bob, side: 'buy', size: '0.003' }));
    const less = await orders.amend({ accountId: alice, clientOrderId: '7' }, { size: '0.005' });
    expect(less).toMatchObject({
      orderId: placed.orderId,
      clientOrderId: '7',
      status: 'open',
      filled: '0.0030',
      remaining: '0.0020',
      fills: [],
    });
    await orders.place(order({ accountId: bob, side: 'buy', price: '1990', size: '0.001' }));
    const crossing = await orders.amend({ accountId: alice, orderId: placed.orderId }, { price: '1990' });
    expect(crossing).toMatchObject({ status: 'open', filled: '0.0040', remaining: '0.0010' });
    expect(crossing.fills).toMatchObject([{ role: 'taker', price: '1990.00', size: '0.0010' }]);
    const open = await orders.order({ accountId: alice, clientOrderId: '7' });
    expect(open).toMatchObject({ price: '1990.00', filled: '0.0040', remaining: '0.0010', size: '0.0050' });
    await clear();
  });
  test('of a stop that waits leaves it waiting', async () => {
    const stop = await orders.place({
      ...market,
      side: 'sell',
      type: 'stop',
      triggerPrice: '1200',
      size: '0.01',
    });
    const amended = await orders.amend({ accountId: alice, orderId: stop.orderId }, { size: '0.02' });
    expect(amended).toMatchObject({ status: 'waiting', filled: '0.0000', remaining: '0.0200' });
    await clear();
  });
  test('without a change asks nothing of the engine', async () => {
    const { orderId } = await orders.place(order());
    expect(
      await sentIn(async () => {
        const amended = orders.amend({ accountId: alice, orderId }, {});
        await expect(amended).rejects.toThrow(code('TRADING_ORDER_REJECTED', { reason: 'invalid-order' }));
      }),
    ).toBe(0);
    await clear();
  });
});

describe('a cancel', () => {
  test('of an order that is still on its way reaches it', async () => {
    const name = { accountId: alice, clientOrderId: '41' };
    let open = (): void => undefined;
    desk.link.gate = new Promise((resolve) => {
      open = resolve;
    });
    const placing = orders.place(order({ clientOrderId: '41' }));
    await setImmediate();
    const cancelling = orders.cancel(name);
    await setImmediate();
    open();
    const [placed, cancelled] = await Promise.all([placing, cancelling]);
    expect(cancelled).toMatchObject({
      orderId: placed.orderId,
      clientOrderId: '41',
      doneReason: 'cancelled',
      filled: '0.0000',
      remaining: '0.0100',
    });
    await expect(orders.order(name)).rejects.toThrow(code('TRADING_ORDER_UNKNOWN'));
  });
  test('of several: some open, one still on its way, one twice, one of nobody; in one piece, each with its answer', async () => {
    const first = await orders.place(order({ clientOrderId: '51' }));
    await orders.place(order({ clientOrderId: '52', price: '2001' }));
    const name = (clientOrderId: string) => ({ accountId: alice, clientOrderId });
    let open = (): void => undefined;
    desk.link.gate = new Promise((resolve) => {
      open = resolve;
    });
    const placing = orders.place(order({ clientOrderId: '53', price: '2002', size: '0.02' }));
    await setImmediate();
    const cancelling = orders.cancelEach([
      { accountId: alice, orderId: first.orderId },
      name('53'),
      name('51'),
      { accountId: stranger, clientOrderId: '52' },
      { ...name('52'), orderId: '1' },
      name('52'),
    ]);
    await setImmediate();
    open();
    await placing;
    expect(await cancelling).toMatchObject([
      { orderId: first.orderId, clientOrderId: '51', doneReason: 'cancelled', remaining: '0.0100' },
      { clientOrderId: '53', doneReason: 'cancelled', filled: '0.0000', remaining: '0.0200' },
      { code: 'TRADING_ORDER_UNKNOWN' },
      { code: 'TRADING_ORDER_UNKNOWN' },
      { code: 'TRADING_ORDER_NAME_INVALID' },
      { clientOrderId: '52', doneReason: 'cancelled' },
    ]);
    expect(await orders.openOrders({ accountId: alice, limit: 10 })).toEqual([]);
    expect(await sentIn(async () => await orders.cancelEach([{ accountId: stranger, orderId: '1' }]))).toBe(
      0,
    );
  });
  test('of several is refused whole when there is no engine to ask, or was, and it is not known', async () => {
    const { orderId } = await orders.place(order());
    for (const [fault, expected] of [
      ['down', 'TRADING_UNAVAILABLE'],
      ['busy', 'TRADING_BUSY'],
      ['lost-before', 'TRADING_OUTCOME_UNKNOWN'],
    ] as const) {
      desk.link.fault = fault;
      await expect(orders.cancelEach([{ accountId: alice, orderId }])).rejects.toThrow(code(expected));
    }
    expect(await orders.cancelEach([{ accountId: alice, orderId }])).toMatchObject([{ status: 'done' }]);
  });
  test('of all, in one market or in every one', async () => {
    await orders.place(order());
    await orders.place(order({ market: 'GOLD-USD', size: '0.5' }));
    await orders.place(order({ price: '2001' }));
    expect(await orders.cancelAll({ accountId: alice, market: 'ETH-USD' })).toEqual({ cancelled: 2 });
    expect(await orders.openOrders({ accountId: alice, limit: 10 })).toMatchObject([{ market: 'GOLD-USD' }]);
    expect(await orders.cancelAll({ accountId: alice })).toEqual({ cancelled: 1 });
    expect(await orders.cancelAll({ accountId: alice })).toEqual({ cancelled: 0 });
  });
});

test('open orders come in pages, of one market or of all', async () => {
  const placed: string[] = [];
  for (let at = 0; at < 7; at++) {
    const { orderId } = await orders.place(
      order({ market: at % 2 === 0 ? 'ETH-USD' : 'GOLD-USD', size: '0.1', price: '3000' }),
    );
    placed.push(orderId);
  }
  const idsOf = async (options: { market?: string; after?: string; limit: number }) =>
    (await orders.openOrders({ accountId: alice, ...options })).map(({ orderId }) => orderId);
  const [, second = '', , fourth = ''] = placed;
  expect(await idsOf({ limit: 100 })).toEqual(placed);
  expect(await idsOf({ limit: 3 })).toEqual(placed.slice(0, 3));
  expect(await idsOf({ after: second, limit: 3 })).toEqual(placed.slice(2, 5));
  expect(await idsOf({ market: 'GOLD-USD', limit: 100 })).toEqual([1, 3, 5].map((at) => placed[at]));
  expect(await idsOf({ market: 'GOLD-USD', after: fourth, limit: 1 })).toEqual([placed[5]]);
  expect(await orders.openOrders({ accountId: bob, limit: 100 })).toEqual([]);
  await clear();
});

describe('a batch', () => {
  test('answers each for itself, and sends what is valid in one piece', async () => {
    const sent: number[] = [];
    const { submitAll } = desk.link;
    desk.link.submitAll = async (commands) => {
      sent.push(commands.length);
      return await submitAll(commands);
    };
    const answers = await orders.placeAll([
      order({ price: '2000' }),
      order({ price: '2000.001' }),
      order({ market: 'NO-USD' }),
      order({ accountId: bob, side: 'buy', price: '2000', size: '0.004' }),
      order({ size: '20' }),
      order({ accountId: stranger }),
      order({ price: '2002', clientOrderId: '0' }),
    ]);
    desk.link.submitAll = submitAll;
    expect(sent).toEqual([3]);
    expect(answers).toMatchObject([
      { status: 'open' },
      { code: 'TRADING_PRICE_OFF_TICK' },
      { code: 'TRADING_MARKET_UNKNOWN' },
      { status: 'filled' },
      { code: 'TRADING_ORDER_REJECTED', details: { reason: 'insufficient-balance' } },
      { code: 'TRADING_ORDER_REJECTED', details: { reason: 'insufficient-balance' } },
      { code: 'TRADING_ORDER_NAME_INVALID' },
    ]);
    const [first] = answers;
    if (first === undefined || first instanceof Error) throw new Error('the first order was placed');
    expect(await orders.order({ accountId: alice, orderId: first.orderId })).toMatchObject({
      filled: '0.0040',
    });
    await clear();
  });
  test('of which none is valid sends nothing', async () => {
    expect(
      await sentIn(async () => {
        expect(await orders.placeAll([order({ size: '0' })])).toMatchObject([
          { code: 'TRADING_NUMBER_INVALID' },
        ]);
        expect(await orders.placeAll([])).toEqual([]);
      }),
    ).toBe(0);
  });
  test('that the engine does not take is answered as one', async () => {
    desk.link.fault = 'busy';
    await expect(orders.placeAll([order(), order()])).rejects.toThrow(code('TRADING_BUSY'));
    expect(await orders.openOrders({ accountId: alice, limit: 10 })).toEqual([]);
  });
});

test('an account without a spot balance has no orders and can place none', async () => {
  const name = { accountId: stranger, clientOrderId: '1' };
  expect(
    await sentIn(async () => {
      await expect(orders.place(order({ accountId: stranger }))).rejects.toThrow(
        code('TRADING_ORDER_REJECTED', { reason: 'insufficient-balance', market: 'ETH-USD' }),
      );
      expect(await orders.openOrders({ accountId: stranger, limit: 10 })).toEqual([]);
      expect(await orders.cancelAll({ accountId: stranger })).toEqual({ cancelled: 0 });
      for (const asked of [orders.order(name), orders.cancel(name), orders.amend(name, { size: '1' })])
        await expect(asked).rejects.toThrow(code('TRADING_ORDER_UNKNOWN'));
    }),
  ).toBe(0);
});

test.each([
  ['down', 'TRADING_UNAVAILABLE', 0],
  ['busy', 'TRADING_BUSY', 0],
  ['lags', 'TRADING_SETTLEMENT_LAGS', 0],
  ['lost-before', 'TRADING_OUTCOME_UNKNOWN', 0],
  ['lost-after', 'TRADING_OUTCOME_UNKNOWN', 1],
] as const)('a link that is %s is %s', async (fault, expected, placed) => {
  desk.link.fault = fault;
  await expect(orders.place(order())).rejects.toThrow(code(expected));
  expect(await orders.openOrders({ accountId: alice, limit: 10 })).toHaveLength(placed);
  await clear();
});

test.each([
  [{}],
  [{ orderId: '1', clientOrderId: '1' }],
  [{ orderId: '0' }],
  [{ orderId: '-1' }],
  [{ orderId: '01' }],
  [{ orderId: '9007199254740992' }],
  [{ orderId: 'x' }],
  [{ clientOrderId: '0' }],
  [{ clientOrderId: '18446744073709551616' }],
  [{ clientOrderId: '1.0' }],
  [{ clientOrderId: '9'.repeat(400) }],
])('%j names no order', async (name) => {
  const named = { accountId: alice, ...name };
  for (const asked of [orders.order(named), orders.cancel(named), orders.amend(named, { size: '1' })])
    await expect(asked).rejects.toThrow(code('TRADING_ORDER_NAME_INVALID'));
});

test('what no command can carry is refused here, and never wraps into another number', async () => {
  const tooMuch: readonly [Partial<NewOrder>, string, object][] = [
    [{ price: '42949693.96' }, 'TRADING_ORDER_REJECTED', { reason: 'invalid-price' }],
    [{ size: '900719925474.0992' }, 'TRADING_ORDER_REJECTED', { reason: 'invalid-lots' }],
    [
      { type: 'stop-limit', triggerPrice: '42949693.96' },
      'TRADING_ORDER_REJECTED',
      { reason: 'invalid-trigger' },
    ],
    [{ clientOrderId: '18446744073709551617' }, 'TRADING_ORDER_NAME_INVALID', {}],
    // Budget and display size share a word of the command.
    [{ budget: '1' }, 'TRADING_ORDER_REJECTED', { reason: 'invalid-order' }],
    [
      { type: 'market', side: 'buy', displaySize: '0.01' },
      'TRADING_ORDER_REJECTED',
      { reason: 'invalid-order' },
    ],
    [{ type: 'market', side: 'sell', budget: '1' }, 'TRADING_ORDER_REJECTED', { reason: 'invalid-order' }],
    [
      { type: 'market', side: 'buy', budget: '9007199254.740992' },
      'TRADING_ORDER_REJECTED',
      { reason: 'value-limit' },
    ],
  ];
  expect(
    await sentIn(async () => {
      for (const [changes, expected, details] of tooMuch)
        await expect(orders.place(order(changes))).rejects.toThrow(code(expected, details));
    }),
  ).toBe(0);
});
