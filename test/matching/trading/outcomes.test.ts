/** Whatever customers send: what they are told is what the engine has, and what is settled. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Id } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createTradingAccounts } from '../../../matching/trading/accounts.ts';
import type { FillView, NewOrder, OrderOutcome } from '../../../matching/trading/contract.ts';
import { createFills } from '../../../matching/trading/fills.ts';
import { createOrders, type OrderOperations } from '../../../matching/trading/orders.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { customer, seeded } from '../settlement/fixture.ts';
import { alice, type Desk, openDesk, stranger } from './desk.ts';

let connectionString: string;
let pool: Pool;
let desk: Desk;
let orders: OrderOperations;
beforeAll(async () => {
  connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-outcomes' });
  desk = await openDesk(pool, 'main');
  orders = createOrders(desk);
});
afterAll(async () => {
  await desk.settler.stop();
  await pool.end();
});

type Random = ReturnType<typeof seeded>;
const oneOf = <const T>(random: Random, values: readonly [T, ...T[]]): T =>
  values[random(values.length)] ?? values[0];
const priceOf = (random: Random): string => `${1_990 + random(20)}.${random(10)}`;

function anyOrder(random: Random): NewOrder {
  const side = oneOf(random, ['buy', 'sell']);
  const shared = {
    accountId: customer(1 + random(3)),
    market: oneOf(random, ['ETH-USD', 'GOLD-USD']),
    side,
    selfTrade: oneOf(random, ['cancel-taker', 'cancel-maker', 'cancel-both', 'decrement']),
  } as const;
  const size = `0.0${10 + random(80)}`;
  const kind = random(10);
  if (kind === 0)
    return { ...shared, type: 'market', ...(side === 'buy' ? { budget: `${1 + random(60)}` } : { size }) };
  if (kind === 1)
    return { ...shared, type: 'stop-limit', price: priceOf(random), triggerPrice: priceOf(random), size };
  if (kind === 2)
    return {
      ...shared,
      type: 'stop',
      triggerPrice: priceOf(random),
      ...(side === 'buy' ? { budget: '20' } : { size }),
    };
  if (kind === 3) return { ...shared, type: 'limit', price: priceOf(random), size, displaySize: '0.002' };
  const timeInForce = oneOf(random, ['gtc', 'gtc', 'gtc', 'ioc', 'fok']);
  return { ...shared, type: 'limit', price: priceOf(random), size, timeInForce };
}

/** What the engine has of the order is what its owner was told. */
async function expectTold(accountId: Id<'acc'>, told: OrderOutcome): Promise<void> {
  const found = await orders.order({ accountId, orderId: told.orderId }).catch(() => undefined);
  if (told.status === 'filled' || told.status === 'done') {
    expect(found).toBeUndefined();
    expect(told.doneReason === null).toBe(told.status === 'filled');
  } else {
    const { orderId, status, filled, remaining } = told;
    expect(found).toMatchObject({ orderId, status, filled, remaining });
  }
  if (told.status === 'filled') expect(told.remaining).toMatch(/^0\.0+$/);
}

async function step(
  random: Random,
  open: Map<string, Id<'acc'>>,
): Promise<readonly [Id<'acc'>, OrderOutcome]> {
  const [orderId, accountId] = [...open][random(Math.max(open.size, 1))] ?? ['', alice];
  const kind = random(10);
  if (orderId !== '' && kind < 2) return [accountId, await orders.cancel({ accountId, orderId })];
  if (orderId !== '' && kind < 4) {
    const change = random(2) === 0 ? { price: priceOf(random) } : { size: `0.0${10 + random(80)}` };
    return [accountId, await orders.amend({ accountId, orderId }, change)];
  }
  const order = anyOrder(random);
  return [order.accountId, await orders.place(order)];
}

test('outcomes are what the engine has, and fills what was settled, page by page', async () => {
  const random = seeded(20_261_121);
  const open = new Map<string, Id<'acc'>>();
  const told = new Map<string, FillView>();
  const statuses = new Map<string, number>();
  for (let at = 0; at < 600; at++) {
    const done = await step(random, open).catch((error: unknown) => {
      expect(error).toMatchObject({ code: expect.stringMatching(/^TRADING_ORDER_/) as string });
      return undefined;
    });
    if (done === undefined) continue;
    const [accountId, outcome] = done;
    await expectTold(accountId, outcome);
    for (const fill of outcome.fills) told.set(`${accountId}/${fill.tradeId}`, fill);
    if (outcome.status === 'open' || outcome.status === 'waiting') open.set(outcome.orderId, accountId);
    else open.delete(outcome.orderId);
    statuses.set(outcome.status, (statuses.get(outcome.status) ?? 0) + 1);
  }
  for (const status of ['open', 'waiting', 'filled', 'done'])
    expect(statuses.get(status)).toBeGreaterThan(10);

  await desk.settle();
  const fills = createFills({ ...desk, pool, engine: desk.exchange.engine });
  const settled = new Map<string, FillView>();
  for (const accountId of [1, 2, 3].map(customer)) {
    const all = await fills({ accountId, limit: 10_000 });
    for (const fill of all) settled.set(`${accountId}/${fill.tradeId}`, fill);
    const paged: FillView[] = [];
    for (let before: string | undefined; ; before = paged.at(-1)?.tradeId) {
      const page = await fills({ accountId, limit: 40, ...(before === undefined ? {} : { before }) });
      paged.push(...page);
      if (page.length === 0) break;
    }
    expect(paged).toEqual(all);
    expect(await fills({ accountId, market: 'GOLD-USD', limit: 500 })).toEqual(
      all.filter(({ market }) => market === 'GOLD-USD'),
    );
  }
  expect(told.size).toBeGreaterThan(100);
  for (const [key, fill] of told) expect(settled.get(key)).toEqual(fill);
  // Each trade has its two sides.
  expect(settled.size % 2).toBe(0);
});

test('fills of nobody are none, and a page is asked for by the id of a trade', async () => {
  const fills = createFills({ ...desk, pool, engine: desk.exchange.engine });
  expect(await fills({ accountId: stranger, limit: 5 })).toEqual([]);
  await expect(fills({ accountId: alice, market: 'NO-USD', limit: 5 })).rejects.toMatchObject({
    code: 'TRADING_MARKET_UNKNOWN',
  });
  for (const before of [
    '',
    '1',
    '-1',
    '1-',
    '0-1',
    '1-01',
    '1-1-1',
    '9999999999999999-1',
    '1-123456789',
    'x',
  ])
    await expect(fills({ accountId: alice, before, limit: 5 })).rejects.toMatchObject({
      code: 'TRADING_NUMBER_INVALID',
    });
});

test('while PostgreSQL is away, who is known trades on; who is not is told so', async () => {
  // Nobody listens there.
  const away = openPool({ connectionString: 'postgres://nobody@127.0.0.1:1/none', applicationName: 'away' });
  const accounts = createTradingAccounts(away, desk.exchange.engine.no);
  await expect(accounts.numberOf(alice)).rejects.toMatchObject({ code: 'TRADING_UNAVAILABLE' });
  await away.end();
  const own = openPool({ connectionString, applicationName: 'going' });
  const known = createTradingAccounts(own, desk.exchange.engine.no);
  expect(await known.numberOf(alice)).toBe(1);
  await own.end();
  expect(await known.numberOf(alice)).toBe(1);
});
