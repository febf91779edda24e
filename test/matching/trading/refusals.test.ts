/** Every reason of the engine that a caller of the api can meet: it comes through, and nothing was changed. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import type { EngineConfig } from '../../../matching/config.ts';
import { createMarkets, type MarketOperations } from '../../../matching/trading/markets.ts';
import { createOrders, type OrderOperations } from '../../../matching/trading/orders.ts';
import { rejection, rejectionTexts } from '../../../matching/trading/rejections.ts';
import { type RejectReason, rejectReasons, sides } from '../../../matching/vocabulary.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { alice, bob, type Desk, deskConfig, openDesk, order, stranger } from './desk.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-refusals' });
});
afterAll(async () => {
  await pool.end();
});

test('each reason has its words, and its code', () => {
  expect(Object.keys(rejectionTexts).sort()).toEqual([...rejectReasons].sort());
  for (const reason of rejectReasons)
    expect(rejection(reason, { market: 'ETH-USD', clientOrderId: '7' })).toMatchObject({
      code: reason === 'unknown-order' ? 'TRADING_ORDER_UNKNOWN' : 'TRADING_ORDER_REJECTED',
      message: expect.stringMatching(/^[A-Z].{10,100}\.$/) as string,
      details: { reason, market: 'ETH-USD', clientOrderId: '7' },
    });
  expect(new Set(Object.values(rejectionTexts)).size).toBe(rejectReasons.length);
});

interface At extends Desk {
  readonly orders: OrderOperations;
  readonly markets: MarketOperations;
}
interface Case {
  readonly config?: Partial<EngineConfig>;
  readonly before?: (at: At) => Promise<unknown>;
  readonly attempt: (at: At) => Promise<unknown>;
}
const setState = (state: 'closed' | 'auction' | 'halted') => async (at: At) =>
  await at.markets.setMarketState('ETH-USD', state);
const resting = async ({ orders }: At) => await orders.place(order({ clientOrderId: '7' }));
const byClientId = { accountId: alice, clientOrderId: '7' };
const traded = async (at: At) => {
  await at.orders.place(order({ clientOrderId: '7' }));
  await at.orders.place(order({ accountId: bob, side: 'buy', size: '0.005' }));
};
const limits = (openOrders: number, ordersPerSecond: number) => ({ limits: { openOrders, ordersPerSecond } });

/** Those that are not here no command of the api can meet; they are of the feed's commands, or seen before the engine is asked. */
const unmet: ReadonlySet<RejectReason> = new Set<RejectReason>([
  'unknown-asset',
  'unknown-market',
  'account-exists',
  'invalid-amount',
  'duplicate-transfer',
  'overflow',
]);
const cases: Partial<Record<RejectReason, Case>> = {
  'unknown-account': {
    attempt: async ({ markets }) => await markets.setAccount(stranger, { blocked: true, feeTier: 0 }),
  },
  'unknown-order': { attempt: async ({ orders }) => await orders.cancel(byClientId) },
  'unknown-tier': {
    attempt: async ({ markets }) => await markets.setAccount(alice, { blocked: false, feeTier: 2 }),
  },
  capacity: {
    config: { ordersMax: 2 },
    before: async ({ orders }) => await orders.placeAll([order(), order()]),
    attempt: async ({ orders }) => await orders.place(order()),
  },
  'insufficient-balance': { attempt: async ({ orders }) => await orders.place(order({ size: '40' })) },
  'account-blocked': {
    before: async ({ markets }) => await markets.setAccount(alice, { blocked: true, feeTier: 1 }),
    attempt: async ({ orders }) => await orders.place(order()),
  },
  'invalid-order': { attempt: async ({ orders }) => await orders.place(order({ type: 'market' })) },
  'rate-limit': {
    config: limits(10, 2),
    before: async ({ orders, link }) => {
      link.isTimeStill = true;
      await orders.placeAll([order(), order()]);
    },
    attempt: async ({ orders }) => await orders.place(order()),
  },
  'market-closed': { before: setState('halted'), attempt: async ({ orders }) => await orders.place(order()) },
  'not-in-auction': {
    before: setState('auction'),
    attempt: async ({ orders }) => await orders.place(order({ timeInForce: 'ioc' })),
  },
  'duplicate-client-id': {
    before: async (at) => {
      await resting(at);
      await at.orders.cancel(byClientId);
    },
    attempt: async ({ orders }) => await orders.place(order({ clientOrderId: '7' })),
  },
  'invalid-lots': { attempt: async ({ orders }) => await orders.place(order({ size: '0.0009' })) },
  'invalid-price': { attempt: async ({ orders }) => await orders.place(order({ price: '5000.01' })) },
  'outside-band': {
    before: async ({ markets }) => await markets.setBand('ETH-USD', { low: '1900', high: '2100' }),
    attempt: async ({ orders }) => await orders.place(order({ price: '2100.01' })),
  },
  'invalid-trigger': {
    attempt: async ({ orders }) => await orders.place(order({ type: 'stop-limit', triggerPrice: '9.99' })),
  },
  'would-trigger': {
    before: traded,
    attempt: async ({ orders }) => await orders.place(order({ type: 'stop-limit', triggerPrice: '2000' })),
  },
  'value-limit': {
    attempt: async ({ orders }) =>
      await orders.place(order({ accountId: bob, side: 'buy', price: '5000', size: '20.0001' })),
  },
  'open-order-limit': {
    config: limits(2, 0),
    before: async ({ orders }) => await orders.placeAll([order(), order()]),
    attempt: async ({ orders }) => await orders.place(order()),
  },
  'no-liquidity': {
    attempt: async ({ orders }) =>
      await orders.place({ accountId: bob, market: 'ETH-USD', side: 'buy', type: 'market', budget: '10' }),
  },
  'not-fillable': { attempt: async ({ orders }) => await orders.place(order({ timeInForce: 'fok' })) },
  'would-cross': {
    before: resting,
    attempt: async ({ orders }) => await orders.place(order({ accountId: bob, side: 'buy', postOnly: true })),
  },
  'already-filled': {
    before: traded,
    attempt: async ({ orders }) => await orders.amend(byClientId, { size: '0.005' }),
  },
  'wrong-state': { attempt: async ({ markets }) => await markets.setMarketState('ETH-USD', 'open') },
};

/** All that the engine holds, but the commands that it has seen. */
function pictureOf({ exchange }: Desk): unknown {
  const { engine } = exchange.sequencer;
  const accounts = [0, 1, 2, 3].map((account) => [
    engine.account(account),
    engine.ordersOf(account, 0, 1_000),
    [0, 1, 2].map((asset) => engine.balance(account, asset)),
  ]);
  const markets = [0, 1].map((market) => [
    engine.market(market),
    sides.map((side) => engine.levels(market, side, 1_000)),
  ]);
  return { accounts, markets, openOrders: engine.openOrders };
}

test('the cases are all that can be met', () => {
  const met = rejectReasons.filter((reason) => !unmet.has(reason));
  expect(Object.keys(cases).sort()).toEqual([...met].sort());
});
test.each(Object.entries(cases))('%s comes through, and nothing is changed', async (reason, found) => {
  const { config, before, attempt } = found;
  const desk = await openDesk(pool, `r-${reason}`, deskConfig(config));
  const at = { ...desk, orders: createOrders(desk), markets: createMarkets(desk) };
  await before?.(at);
  const picture = pictureOf(desk);
  const code = reason === 'unknown-order' ? 'TRADING_ORDER_UNKNOWN' : 'TRADING_ORDER_REJECTED';
  await expect(attempt(at)).rejects.toMatchObject({ code, details: { reason } });
  expect(pictureOf(desk)).toEqual(picture);
  await desk.settler.stop();
});
