/** Candles are what the booked trades come to, at every moment and of every interval. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import {
  type CandleRow,
  candlesAtHead,
  candlesOf,
  openEngine,
  settledHead,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import { type EventPlace, isBefore } from '../../../matching/settlement/settlement-events.ts';
import { candleIntervalMs } from '../../../matching/trading/contract.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config, type Exchange, openExchange, randomCommand, seeded } from './fixture.ts';

const customers = 6;
let pool: Pool;
let exchange: Exchange;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-candles' });
  exchange = await openExchange(pool, 'main', customers);
});
afterAll(async () => {
  await pool.end();
});

type Trade = Extract<EngineEvent, { readonly kind: 'trade' }>;
let trades: readonly Trade[] = [];
beforeAll(() => {
  const { sequencer } = exchange;
  const random = seeded(9);
  for (let n = 0; n < 900; n++) sequencer.run(randomCommand(random, customers, sequencer.journal.length));
  trades = sequencer.lots
    .flatMap(({ slots, count }) => Array.from({ length: count }, (_, at) => readEvent(slots, at)))
    .filter((event) => event.kind === 'trade');
});

/** The plain way: each trade up to the place is put to the candle of its time. */
function candlesUpTo(upTo: EventPlace, market: number, intervalMs: number): CandleRow[] {
  const candles = new Map<number, CandleRow>();
  for (const trade of trades) {
    if (trade.market !== market || isBefore(upTo, trade)) continue;
    const { seq, index, timeMs, price, lots } = trade;
    const startMs = Math.floor(timeMs / intervalMs) * intervalMs;
    const before = candles.get(startMs);
    candles.set(startMs, {
      startMs,
      open: before?.open ?? price,
      high: Math.max(before?.high ?? price, price),
      low: Math.min(before?.low ?? price, price),
      close: price,
      lots: (before?.lots ?? 0n) + BigInt(lots),
      value: (before?.value ?? 0n) + BigInt(lots) * BigInt(price),
      trades: (before?.trades ?? 0) + 1,
      last: { seq, index },
    });
  }
  return [...candles.values()];
}
const placeOf = ({ seq, index }: EventPlace): EventPlace => ({ seq, index });
const always = { fromMs: 0, toMs: 2 ** 50 };

test('at every portion they are those of the head they come with', { timeout: 60_000 }, async () => {
  const { sequencer, engine } = exchange;
  const settler = await exchange.settler({ tradesMax: 17 });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  let drained = false as boolean;
  const done = settler.drain(sequencer.engine.seq).then(() => {
    drained = true;
  });
  const heads = new Set<number>();
  let market = 0;
  do {
    market = 1 - market;
    const { head, candles1m } = await candlesAtHead(pool, engine, { market, sinceMs: 0 });
    heads.add(head.seq);
    expect(candles1m).toEqual(candlesUpTo(head, market, 60_000));
  } while (!drained);
  await done;
  expect(heads.size).toBeGreaterThan(3);
  expect(placeOf(await settledHead(pool, engine))).toEqual(placeOf(settler.head));
  expect(await verifySettlement(pool, engine)).toEqual([]);
  // Candles reach over the edges of any range of portions.
  const { portion } = settler.head;
  for (const from of [1n, 2n, portion / 2n, portion - 1n, portion])
    expect(await verifySettlement(pool, engine, { from, to: from + 1n })).toEqual([]);
});

test('each interval of the contract has its own', async () => {
  const { engine } = exchange;
  const head = await settledHead(pool, engine);
  const { rows } = await pool.query<{ intervals: number[] }>(
    'SELECT matching.candle_intervals() AS intervals',
  );
  expect(rows[0]?.intervals).toEqual(Object.values(candleIntervalMs));
  for (const market of [0, 1])
    for (const intervalMs of Object.values(candleIntervalMs)) {
      const expected = candlesUpTo(head, market, intervalMs);
      expect(expected.length).toBeGreaterThan(0);
      const found = await candlesOf(pool, engine, market, { ...always, intervalMs, limit: 1_000 });
      expect(found).toEqual(expected);
    }
  expect(candlesUpTo(head, 0, 86_400_000).length).toBeLessThan(candlesUpTo(head, 0, 14_400_000).length);
});

test('of a range the newest are given, by start; its end is not in it', async () => {
  const { engine } = exchange;
  const all = candlesUpTo(await settledHead(pool, engine), 0, 300_000);
  const [from, to] = [all[3]?.startMs ?? 0, all[20]?.startMs ?? 0];
  const range = { intervalMs: 300_000, fromMs: from, toMs: to };
  expect(await candlesOf(pool, engine, 0, { ...range, limit: 1_000 })).toEqual(all.slice(3, 20));
  expect(await candlesOf(pool, engine, 0, { ...range, limit: 5 })).toEqual(all.slice(15, 20));
  expect(await candlesOf(pool, engine, 0, { ...range, fromMs: from + 1, limit: 1_000 })).toEqual(
    all.slice(4, 20),
  );
  for (const limit of [0, 1_001])
    await expect(candlesOf(pool, engine, 0, { ...range, limit })).rejects.toThrow(RangeError);
  const minutes = candlesUpTo(await settledHead(pool, engine), 0, 60_000);
  const since = minutes[10]?.startMs ?? 0;
  const { candles1m } = await candlesAtHead(pool, engine, { market: 0, sinceMs: since + 59_999 });
  expect(candles1m).toEqual(minutes.slice(10));
  await expect(candlesAtHead(pool, { no: 99 }, { market: 0, sinceMs: 0 })).rejects.toThrow(RangeError);
});

test('all minutes of two days, and of what is booked ahead of the view that asks', async () => {
  const busy = await openExchange(pool, 'busy', 2);
  const { sequencer, engine } = busy;
  const sinceMs = 21_000 * 86_400_000;
  const minutes = 2 * 1_440 + 30;
  const order = { kind: 'place', market: 0, type: 'limit', timeInForce: 'gtc', price: 100, lots: 1 } as const;
  for (let minute = 0; minute < minutes; minute++) {
    sequencer.run({ ...order, account: 1, side: 'sell' }, sinceMs + minute * 60_000);
    sequencer.run({ ...order, account: 2, side: 'buy' }, sinceMs + minute * 60_000);
  }
  const settler = await busy.settler();
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(sequencer.engine.seq);
  const { candles1m } = await candlesAtHead(pool, engine, { market: 0, sinceMs });
  expect(candles1m.map(({ startMs }) => startMs)).toEqual(
    Array.from({ length: minutes }, (_, minute) => sinceMs + minute * 60_000),
  );
  await settler.stop();
});

test('a market without trades has a head and no candles', async () => {
  const quiet = await openEngine(pool, 'quiet', config);
  expect(await candlesAtHead(pool, quiet, { market: 0, sinceMs: 0 })).toMatchObject({
    head: { seq: 0 },
    candles1m: [],
  });
  expect(await verifySettlement(pool, quiet)).toEqual([]);
});
