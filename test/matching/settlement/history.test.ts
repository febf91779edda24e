/** What can be read of the settlement is what the engine said, page by page; and a page costs what it shows. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool, type Queryable } from '#infra/db';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import {
  debitOf,
  type FillRow,
  fillsOf,
  findEngine,
  type HistoryPage,
  openEngine,
  type TradeRow,
  tradesOf,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import type { EventPlace } from '../../../matching/settlement/settlement-events.ts';
import { databaseForThisFile, superuserOf } from '../../support/database.ts';
import { config, type Exchange, openExchange, randomCommand, seeded } from './fixture.ts';

const customers = 6;
let pool: Pool;
let superuser: pg.Client;
let exchange: Exchange;
beforeAll(async () => {
  const url = await databaseForThisFile();
  pool = openPool({ connectionString: url, applicationName: 'test-settlement-history' });
  superuser = await superuserOf(url);
  exchange = await openExchange(pool, 'main', customers);
  const { sequencer } = exchange;
  const random = seeded(77);
  for (let n = 0; n < 1_200; n++) sequencer.run(randomCommand(random, customers, sequencer.journal.length));
  // One command with many trades, so that a page ends within it.
  for (let n = 0; n < 30; n++)
    sequencer.run({ ...order, account: 1 + (n % 3), side: 'sell', lots: 1, timeInForce: 'gtc' });
  sequencer.run({ ...order, account: 5, side: 'buy', lots: 30, timeInForce: 'ioc' });
  await settle();
});
afterAll(async () => {
  await pool.end();
});
const order = { kind: 'place', market: 0, type: 'limit', price: 60 } as const;

async function settle(): Promise<void> {
  const settler = await exchange.settler({ tradesMax: 13 });
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
}

type Trade = Extract<EngineEvent, { readonly kind: 'trade' }>;
/** As the engine said them, newest first; by another reader of its words than the settlement's. */
const trades = (): Trade[] =>
  exchange.sequencer.lots
    .flatMap(({ slots, count }) => Array.from({ length: count }, (_, at) => readEvent(slots, at)))
    .filter((event) => event.kind === 'trade')
    .reverse();
const rowOf = ({ seq, index, timeMs, market, price, lots, auction, side }: Trade): TradeRow => ({
  seq,
  index,
  timeMs,
  market,
  price,
  lots,
  auction,
  side,
});
const fillsIn = (all: readonly Trade[], account: number): FillRow[] =>
  all.flatMap((trade) =>
    (['taker', 'maker'] as const)
      .filter((role) => trade[role].account === account)
      .map((role) => ({
        ...rowOf(trade),
        side: (trade.side === 'buy') === (role === 'taker') ? ('buy' as const) : ('sell' as const),
        role,
        order: trade[role].order,
        fee: trade[role].fee,
      })),
  );

async function allPages<Row extends EventPlace>(
  limit: number,
  read: (page: HistoryPage) => Promise<readonly Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (;;) {
    const last = rows.at(-1);
    const before = last === undefined ? {} : { before: { seq: last.seq, index: last.index } };
    const page = await read({ ...before, limit });
    expect(page.length).toBeLessThanOrEqual(limit);
    rows.push(...page);
    if (page.length < limit) return rows;
  }
}

describe('pages', () => {
  test.each([1, 7, 500])('of %i fills are what the account traded, whatever the market', async (limit) => {
    const said = trades();
    expect(said.length).toBeGreaterThan(200);
    for (let account = 1; account <= customers; account++) {
      const expected = fillsIn(said, account);
      if (limit > 1 || account === 5)
        expect(await allPages(limit, (page) => fillsOf(pool, exchange.engine, account, page))).toEqual(
          expected,
        );
      if (limit === 1) continue;
      for (const market of [0, 1])
        expect(
          await allPages(limit, (page) => fillsOf(pool, exchange.engine, account, { ...page, market })),
        ).toEqual(expected.filter((fill) => fill.market === market));
    }
    expect(new Set(fillsIn(said, 5).map(({ role }) => role))).toEqual(new Set(['taker', 'maker']));
  });

  test.each([9, 500])('of %i trades are those of the market', async (limit) => {
    for (const market of [0, 1])
      expect(await allPages(limit, (page) => tradesOf(pool, exchange.engine, market, page))).toEqual(
        trades()
          .filter((trade) => trade.market === market)
          .map(rowOf),
      );
  });

  test('begin before any place, also one that is no trade, or not yet settled', async () => {
    const said = trades();
    const newest = said.at(0);
    const middle = said.at(100);
    if (newest === undefined || middle === undefined) throw new Error('too few trades');
    const from = async (before: EventPlace): Promise<TradeRow | undefined> =>
      (await tradesOf(pool, exchange.engine, middle.market, { before, limit: 1 }))[0];
    const sameMarket = said.filter(({ market }) => market === middle.market).map(rowOf);
    expect(await from({ seq: middle.seq, index: middle.index + 1 })).toEqual(rowOf(middle));
    expect(await from({ seq: newest.seq + 1_000, index: 0 })).toEqual(sameMarket[0]);
    expect(await from({ seq: 1, index: 0 })).toBeUndefined();
  });

  test('of an account, a market or an engine without trades are empty; a limit has bounds', async () => {
    expect(await fillsOf(pool, exchange.engine, 60, { limit: 10 })).toEqual([]);
    const other = await openEngine(pool, 'quiet', config);
    expect(await fillsOf(pool, other, 1, { limit: 10 })).toEqual([]);
    expect(await tradesOf(pool, other, 0, { limit: 10 })).toEqual([]);
    for (const limit of [0, 501, 1.5]) {
      await expect(fillsOf(pool, exchange.engine, 1, { limit })).rejects.toThrow(RangeError);
      await expect(tradesOf(pool, exchange.engine, 0, { limit })).rejects.toThrow(RangeError);
    }
  });

  test('an engine is found by its name', async () => {
    expect(await findEngine(pool, 'main', config)).toEqual(exchange.engine);
    expect(await findEngine(pool, 'nobody', config)).toBeUndefined();
  });
});

describe('a debit', () => {
  const debit = { kind: 'debit', account: 2, asset: 1 } as const;
  const clientOrderId = 2n ** 64n - 1n;

  test('is found by its client order id once it is booked, and not before', async () => {
    const { sequencer, engine } = exchange;
    expect(sequencer.run({ ...debit, units: 70n, clientOrderId })).toMatchObject({ kind: 'debited' });
    expect(sequencer.run({ ...debit, units: 70n, clientOrderId })).toMatchObject({
      kind: 'rejected',
      reason: 'duplicate-client-id',
    });
    const { seq } = sequencer.engine;
    sequencer.run({ ...debit, units: 5n });
    expect(await debitOf(pool, engine, 2, clientOrderId)).toBeUndefined();
    await settle();
    expect(await debitOf(pool, engine, 2, clientOrderId)).toMatchObject({
      seq: seq - 1,
      index: 0,
      asset: 1,
      units: 70n,
    });
    expect(await debitOf(pool, engine, 3, clientOrderId)).toBeUndefined();
    expect(await debitOf(pool, engine, 2, clientOrderId - 1n)).toBeUndefined();
    const { rows } = await pool.query<{ id: string | null }>(
      'SELECT client_order_id AS id FROM matching.movement WHERE account = 2 AND seq > $1 - 2 ORDER BY seq',
      [seq],
    );
    expect(rows).toEqual([{ id: clientOrderId.toString() }, { id: null }]);
  });

  test('with an id that the engine has forgotten is booked too: the engine is followed, not judged', async () => {
    const { sequencer, engine } = exchange;
    const first = await debitOf(pool, engine, 2, clientOrderId);
    for (let n = 1; n <= config.clientIdsKept; n++)
      sequencer.run({ ...debit, units: 1n, clientOrderId: BigInt(n) });
    expect(sequencer.run({ ...debit, units: 71n, clientOrderId })).toMatchObject({ kind: 'debited' });
    await settle();
    expect(await debitOf(pool, engine, 2, clientOrderId)).toMatchObject({
      seq: sequencer.engine.seq,
      units: 71n,
    });
    expect(first?.units).toBe(70n);
    expect(await verifySettlement(pool, engine)).toEqual([]);
  });
});

/** Rows of trades that PostgreSQL fetched for the question, inside functions too. */
async function rowsRead(ask: (queryable: Queryable) => Promise<readonly unknown[]>): Promise<number> {
  return await inTransaction(pool, async (tx) => {
    const soFar = async (): Promise<number> => {
      const { rows } = await tx.query<{ n: number }>(
        `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int AS n
           FROM pg_stat_xact_all_tables WHERE schemaname = 'matching' AND relname LIKE 'trade\\_e%'`,
      );
      return rows[0]?.n ?? 0;
    };
    // Of this backend since it last told its figures, which may be before the transaction.
    const before = await soFar();
    expect((await ask(tx)).length).toBeGreaterThan(0);
    const read = (await soFar()) - before;
    expect(read).toBeGreaterThan(0);
    return read;
  });
}

test('a page reads what it shows, however much else the account and the market have traded', async () => {
  const engine = await openEngine(pool, 'wide', config);
  const lone = 40_000;
  await superuser.query('SET session_replication_role = replica');
  // Account 1 is in every trade, all of market 0 but the three oldest; account 4 in the older half, then it left for ever; account 3 traded twice, in the middle.
  await superuser.query(
    `INSERT INTO matching.trade (number, seq, time_ms, price, taker, maker, index, lots, taker_order, maker_order, taker_fee, maker_fee,
                                 engine, market, taker_buys, auction)
       SELECT n, n, n, 1, 1, CASE WHEN n IN (20000, 20001) THEN 3 WHEN n < 20000 THEN 4 ELSE 2 END, 0, 1, n, n, 0, 0, $1, CASE WHEN n <= 3 THEN 1 ELSE 0 END,
              true, false
         FROM generate_series(1, $2::int) AS n`,
    [engine.no, lone],
  );
  await superuser.query('UPDATE matching.head SET trades = $2, seq = $2 WHERE engine = $1', [
    engine.no,
    lone,
  ]);
  await superuser.query(
    `INSERT INTO matching.portion SELECT $1, 1, 1, $2, $2, 2147483647, 0, h.hash, h.hash, h.hash FROM matching.head AS h WHERE engine = $1`,
    [engine.no, lone],
  );
  await superuser.query('SET session_replication_role = origin');
  await superuser.query('ANALYZE matching.trade');
  const limit = 20;
  // Of each side and each of two markets a page, the page itself, and the markets.
  const bound = 6 * limit;
  for (const ask of [
    (queryable: Queryable) => fillsOf(queryable, engine, 1, { limit }),
    (queryable: Queryable) => fillsOf(queryable, engine, 1, { limit, market: 1 }),
    (queryable: Queryable) => fillsOf(queryable, engine, 2, { limit, market: 0 }),
    (queryable: Queryable) => fillsOf(queryable, engine, 3, { limit }),
    (queryable: Queryable) => fillsOf(queryable, engine, 4, { limit }),
    (queryable: Queryable) => fillsOf(queryable, engine, 4, { limit, market: 0 }),
    (queryable: Queryable) => fillsOf(queryable, engine, 4, { limit, market: 1 }),
    (queryable: Queryable) => tradesOf(queryable, engine, 0, { limit }),
    (queryable: Queryable) => tradesOf(queryable, engine, 1, { limit }),
  ])
    expect(await rowsRead(ask)).toBeLessThanOrEqual(bound);
  expect(await fillsOf(pool, engine, 3, { limit })).toHaveLength(2);
});
