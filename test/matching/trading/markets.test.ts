/** Markets as they are shown, and the switches of operators. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createMarkets, type MarketOperations } from '../../../matching/trading/markets.ts';
import { createOrders } from '../../../matching/trading/orders.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { coin, usd } from '../settlement/fixture.ts';
import { alice, bob, type Desk, openDesk, order } from './desk.ts';

let pool: Pool;
let desk: Desk;
let markets: MarketOperations;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-markets' });
  desk = await openDesk(pool, 'main');
  markets = createMarkets(desk);
});
afterAll(async () => {
  await desk.settler.stop();
  await pool.end();
});
const code = (expected: string, details: object = {}): unknown =>
  expect.objectContaining({ code: expected, details: expect.objectContaining(details) as unknown });

test('a market says what it takes, in whole coins', () => {
  const shown = markets.market('ETH-USD');
  expect(shown).toEqual({
    id: 'ETH-USD',
    base: coin,
    quote: usd,
    state: 'open',
    tickSize: '0.01',
    lotSize: '0.0001',
    minSize: '0.0010',
    maxSize: '100.0000',
    maxValue: '100000.000000',
    minPrice: '10.00',
    maxPrice: '5000.00',
    bandLow: '10.00',
    bandHigh: '5000.00',
    collarPpm: 100_000,
    fees: [
      { makerPpm: 1_000, takerPpm: 2_000 },
      { makerPpm: 0, takerPpm: 500 },
    ],
    lastPrice: null,
  });
  expect(markets.markets().map(({ id }) => id)).toEqual(['ETH-USD', 'GOLD-USD']);
  expect(markets.markets()[0]).toEqual(shown);
  expect(() => markets.market('NO-USD')).toThrow(code('TRADING_MARKET_UNKNOWN', { market: 'NO-USD' }));
});

test('an operator halts a market, moves its band and opens it again', async () => {
  const orders = createOrders(desk);
  await orders.place(order({ size: '0.01' }));
  expect(await markets.setMarketState('ETH-USD', 'halted')).toMatchObject({ state: 'halted' });
  expect(await markets.setBand('ETH-USD', { low: '1999.99', high: '2000' })).toMatchObject({
    bandLow: '1999.99',
    bandHigh: '2000.00',
  });
  expect(await markets.setMarketState('ETH-USD', 'open')).toMatchObject({ state: 'open' });
  const bought = await orders.place(order({ accountId: bob, side: 'buy' }));
  expect(bought.status).toBe('filled');
  expect(markets.market('ETH-USD').lastPrice).toBe('2000.00');
  await expect(markets.setBand('ETH-USD', { low: '2000', high: '1999' })).rejects.toThrow(
    code('TRADING_ORDER_REJECTED', { reason: 'invalid-price', market: 'ETH-USD' }),
  );
  await expect(markets.setBand('ETH-USD', { low: '1999.999', high: '2000' })).rejects.toThrow(
    code('TRADING_PRICE_OFF_TICK'),
  );
  expect(markets.market('ETH-USD')).toMatchObject({ bandLow: '1999.99', bandHigh: '2000.00' });
});

test('an auction trades at one price when it ends', async () => {
  const orders = createOrders(desk);
  await markets.setBand('ETH-USD', { low: '10', high: '5000' });
  await markets.setMarketState('ETH-USD', 'auction');
  const sold = await orders.place(order({ price: '1990' }));
  const bought = await orders.place(order({ accountId: bob, side: 'buy', price: '2010' }));
  expect([sold.status, bought.status]).toEqual(['open', 'open']);
  expect(await markets.setMarketState('ETH-USD', 'open')).toMatchObject({
    state: 'open',
    lastPrice: '2000.00',
  });
  expect(await orders.openOrders({ accountId: alice, limit: 10 })).toEqual([]);
});

test('an account is blocked, and has another fee tier', async () => {
  const orders = createOrders(desk);
  expect(await markets.setAccount(bob, { blocked: true, feeTier: 0 })).toEqual({ blocked: true, feeTier: 0 });
  await expect(orders.place(order({ accountId: bob, side: 'buy' }))).rejects.toThrow(
    code('TRADING_ORDER_REJECTED', { reason: 'account-blocked', market: 'ETH-USD' }),
  );
  await markets.setAccount(bob, { blocked: false, feeTier: 1 });
  await orders.place(order());
  const { fills } = await orders.place(order({ accountId: bob, side: 'buy' }));
  // 500 parts per million of 0.01.
  expect(fills).toMatchObject([{ size: '0.0100', fee: '0.000005000', feeAsset: coin }]);
});

test.each([-1, 16, 0.5, Number.NaN, 2 ** 32])('a fee tier of %s is none', async (feeTier) => {
  const sent = desk.link.sent.length;
  await expect(markets.setAccount(bob, { blocked: false, feeTier })).rejects.toThrow(
    code('TRADING_ORDER_REJECTED', { reason: 'unknown-tier' }),
  );
  expect(desk.link.sent.length).toBe(sent);
});
