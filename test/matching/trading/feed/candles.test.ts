/** Candles, figures of 24 hours and trades are those of all trades, whatever is settled when, also after a reset. */
import { describe, expect, test } from 'vitest';
import {
  type CandleView,
  candleIntervalMs,
  candleIntervals,
  type TickerView,
} from '../../../../matching/trading/contract.ts';
import { Candle, joined } from '../../../../matching/trading/feed/candle.ts';
import { CandleSeries } from '../../../../matching/trading/feed/candle-series.ts';
import { type TradeEvent, tradeView } from '../../../../matching/trading/views.ts';
import { Follower } from './clients.ts';
import { configs, PlainHistory, plainCandles, settle, type World, worldOf } from './exchange.ts';

const id = 'ETH-USD';
const code = (expected: string): unknown => expect.objectContaining({ code: expected });
const tradesOf = ({ events }: World, market = 0): TradeEvent[] =>
  events.filter((event): event is TradeEvent => event.kind === 'trade' && event.market === market);

function viewsOf({ scales }: World, trades: readonly TradeEvent[], intervalMs: number): CandleView[] {
  const scale = scales.market(id);
  const tickUnits = BigInt(scale.config.tickUnits);
  return plainCandles(trades, intervalMs).map(({ startMs, lots, value, ...row }) => ({
    startMs,
    open: scale.price(row.open),
    high: scale.price(row.high),
    low: scale.price(row.low),
    close: scale.price(row.close),
    size: scale.size(lots),
    value: scale.value(value * tickUnits),
    trades: row.trades,
  }));
}
type Day = Pick<TickerView, 'open24h' | 'high24h' | 'low24h' | 'size24h' | 'value24h'>;
const dayOfTicker = ({ open24h, high24h, low24h, size24h, value24h }: TickerView): Day => ({
  ...{ open24h, high24h, low24h, size24h, value24h },
});
function dayOf(world: World): Day {
  const scale = world.scales.market(id);
  const { timeMs } = world.link.view();
  const fromMs = timeMs - (timeMs % 60_000) - 1_439 * 60_000;
  const trades = tradesOf(world).filter((trade) => trade.timeMs >= fromMs);
  const prices = trades.map(({ price }) => price);
  const open = prices[0];
  if (open === undefined)
    return { open24h: null, high24h: null, low24h: null, size24h: scale.size(0), value24h: scale.value(0) };
  const lots = trades.reduce((sum, trade) => sum + trade.lots, 0);
  const value = trades.reduce((sum, { price, lots: each }) => sum + price * each, 0);
  return {
    open24h: scale.price(open),
    high24h: scale.price(Math.max(...prices)),
    low24h: scale.price(Math.min(...prices)),
    size24h: scale.size(lots),
    value24h: scale.value(value * scale.config.tickUnits),
  };
}

/** Somewhere in what was traded; not behind where it was. */
function settleSome({ history, random, link }: World, least = history.at.seq): void {
  const seq = random.from(least, link.view().seq);
  history.at =
    random.chance(50) || seq === history.at.seq
      ? { seq, index: 2 ** 31 - 1 }
      : { seq, index: random.from(0, 2) };
}
async function expectSame(world: World): Promise<void> {
  for (const interval of candleIntervals) {
    const all = viewsOf(world, tradesOf(world), candleIntervalMs[interval]);
    expect(await world.feed.candles(id, { interval, limit: 1_000 })).toEqual(all.slice(-1_000));
  }
  expect(dayOfTicker(world.feed.ticker(id))).toEqual(dayOf(world));
}

test.each([1, 2, 3, 4])(
  'candles of every interval, settled up to anywhere: seed %i',
  async (seed) => {
    // 125 ms between two commands become about two minutes: five days, and restarts between them.
    const world = worldOf({ seed, pace: 1_000 });
    const { feed, history, link, random, step } = world;
    for (let restart = 0; restart < 4; restart++) {
      const portions = random.from(60, 120);
      for (let portion = 0; portion < portions; portion++) {
        step(random.from(1, 14));
        if (random.chance(3)) settleSome(world);
        if (random.chance(3)) await settle();
      }
      // Nothing that may still go on is said while the settlement is behind.
      const before = await feed.candles(id, { interval: '1h', limit: 1_000 });
      const all = viewsOf(world, tradesOf(world), candleIntervalMs['1h']);
      expect(all).toEqual(expect.arrayContaining([...before]));
      const complete = { seq: link.view().seq, index: 2 ** 31 - 1 };
      history.at = restart % 2 === 0 ? complete : history.at;
      link.reset();
      const resetSeq = link.view().seq;
      for (let n = 0; n < 40; n++) step(random.from(1, 14));
      settleSome(world, resetSeq + 1);
      await feed.candles(id, { interval: '1m', limit: 1 });
      await feed.candles(id, { interval: '1d', limit: 1_000 });
      await expectSame(world);
      for (let n = 0; n < 30; n++) step(random.from(1, 14));
      await expectSame(world);
    }
    expect(tradesOf(world).length).toBeGreaterThan(400);
    expect(world.problems).toEqual([]);
  },
  60_000,
);

test.each([5, 6])(
  'messages keep a client at the candles that are asked for: seed %i',
  async (seed) => {
    const world = worldOf({ seed, pace: 700 });
    const { feed, history, link, random, step } = world;
    for (let n = 0; n < 80; n++) step(random.from(1, 12));
    history.at = { seq: link.view().seq - 20, index: 0 };
    link.reset();
    const resetSeq = link.view().seq;
    const clients = candleIntervals.map((interval) => {
      const known = new Map<number, CandleView>();
      const follower = new Follower<'candles'>(`candles/${id}/${interval}`, resetSeq, ({ candles }) => {
        for (const candle of candles) known.set(candle.startMs, candle);
      });
      follower.listen(feed);
      return { interval, known, follower };
    });
    const settleAt = random.from(10, 40);
    for (let portion = 0; portion < 120; portion++) {
      step(random.from(1, 12));
      if (portion === settleAt) {
        history.at = { seq: link.view().seq - random.from(0, 10), index: 0 };
        await feed.candles(id, { interval: '1d', limit: 1_000 });
        step(1);
      }
      for (const { interval, known } of clients) {
        const since = tradesOf(world).filter(({ seq }) => seq > resetSeq);
        const intervalMs = candleIntervalMs[interval];
        const starts = new Set(since.map(({ timeMs }) => timeMs - (timeMs % intervalMs)));
        const all = viewsOf(world, tradesOf(world), intervalMs).filter(({ startMs }) => starts.has(startMs));
        const told = [...known.values()].sort((a, b) => a.startMs - b.startMs);
        // Once history is there nothing is missing; before it only those are that began before the reset.
        expect(told).toEqual(all.slice(all.length - told.length));
        expect(all.length - told.length).toBeLessThanOrEqual(portion > settleAt ? 0 : 1);
      }
    }
    for (const { follower } of clients) expect(follower.gaps).toBe(0);
  },
  60_000,
);

/** Of another process, which was further: what it has seen is booked already. */
class BookedHistory extends PlainHistory {
  constructor(events: World['events']) {
    super();
    super.see(events);
  }
  override see(): void {
    // It is there.
  }
}

test.each([12, 13, 14])(
  'what is booked already when the view comes by it is counted once: seed %i',
  async (seed) => {
    const ahead = worldOf({ seed, pace: 700 });
    for (let n = 0; n < 120; n++) ahead.step(8);
    const history = new BookedHistory(ahead.events);
    const world = worldOf({ seed, history });
    const { feed, link, random, follow } = world;
    const commands = [...ahead.commands];
    follow(commands.splice(0, 200));
    link.reset();
    const resetSeq = link.view().seq;
    const known = new Map<number, CandleView>();
    new Follower<'candles'>(`candles/${id}/5m`, resetSeq, ({ candles }) => {
      for (const candle of candles) known.set(candle.startMs, candle);
    }).listen(feed);
    follow(commands.splice(0, 100));
    history.at = { seq: 700, index: random.from(0, 2) };
    await feed.candles(id, { interval: '5m', limit: 1_000 });
    while (commands.length > 0) follow(commands.splice(0, random.from(1, 12)));
    expect(tradesOf(world).length).toBeGreaterThan(100);
    await expectSame(world);
    const starts = new Set(
      tradesOf(world).flatMap(({ seq, timeMs }) => (seq > resetSeq ? [timeMs - (timeMs % 300_000)] : [])),
    );
    const all = viewsOf(world, tradesOf(world), 300_000).filter(({ startMs }) => starts.has(startMs));
    expect([...known.values()].sort((a, b) => a.startMs - b.startMs)).toEqual(all);
  },
);

describe('while the settlement is behind', () => {
  async function behind(): Promise<World> {
    const world = worldOf({ seed: 9, pace: 500 });
    for (let n = 0; n < 100; n++) world.step(8);
    world.history.at = { seq: 400, index: 0 };
    world.link.reset();
    await settle();
    return world;
  }

  test('figures of 24 hours are not known, and candles end before what is missing', async () => {
    const world = await behind();
    for (let n = 0; n < 100; n++) world.step(8);
    expect(dayOfTicker(world.feed.ticker(id))).toEqual({
      open24h: null,
      high24h: null,
      low24h: null,
      size24h: null,
      value24h: null,
    });
    const settled = tradesOf(world).filter(({ seq }) => seq < 400);
    const candles = await world.feed.candles(id, { interval: '5m', limit: 1_000 });
    expect(candles.length).toBeGreaterThan(10);
    expect(candles).toEqual(viewsOf(world, settled, candleIntervalMs['5m']).slice(0, -1));
    // What began after the reset is known without the settlement.
    const all = viewsOf(world, tradesOf(world), candleIntervalMs['5m']);
    const [newest] = all.slice(-1);
    expect(await world.feed.candles(id, { interval: '5m', fromMs: newest?.startMs ?? 0, limit: 10 })).toEqual(
      [newest],
    );
    expect(await world.feed.candles(id, { interval: '5m', limit: 1 })).toEqual([newest]);
  });

  test('a candle that goes on between two questions is not said to have ended', async () => {
    const world = await behind();
    const { history } = world;
    const { candles } = history;
    // About an hour is booked between two questions.
    history.candles = async (...asked) => {
      const rows = await candles.apply(history, asked);
      history.at = { seq: history.at.seq + 60, index: 0 };
      return rows;
    };
    const all = viewsOf(world, tradesOf(world), candleIntervalMs['1h']);
    for (const seq of [400, 450, 500, 550]) {
      history.at = { seq, index: 0 };
      const told = await world.feed.candles(id, { interval: '1h', limit: 1_000 });
      expect(told.length).toBeGreaterThan(3);
      expect(told).toEqual(all.slice(0, told.length));
    }
  });

  test('older trades than memory has are not made up', async () => {
    const world = await behind();
    const [trade] = tradesOf(world).slice(-1);
    await expect(world.feed.recentTrades(id, { limit: 5 })).rejects.toThrow(code('TRADING_UNAVAILABLE'));
    // What is asked for is booked, whatever is not.
    const before = tradesOf(world).filter(({ seq }) => seq < 300);
    expect(await world.feed.recentTrades(id, { before: '300-0', limit: 3 })).toEqual(
      before
        .slice(-3)
        .reverse()
        .map((each) => tradeView(each, world.scales.market(id))),
    );
    world.history.at = { seq: world.link.view().seq, index: 2 ** 31 - 1 };
    expect(await world.feed.recentTrades(id, { limit: 1 })).toEqual([
      tradeView(trade as TradeEvent, world.scales.market(id)),
    ]);
  });

  test('a database that is away is asked again', async () => {
    const world = worldOf({ seed: 9, pace: 500 });
    for (let n = 0; n < 100; n++) world.step(8);
    world.history.at = { seq: world.link.view().seq, index: 2 ** 31 - 1 };
    world.history.outages = 1;
    world.link.reset();
    await settle();
    expect(world.problems).toHaveLength(1);
    await expectSame(world);
    expect(world.problems).toHaveLength(1);
  });
});

test('of too many trades that wait for the settlement the oldest are let go of, and it has to come further', () => {
  const series = new CandleSeries(3, 10);
  series.begin({ seq: 100, timeMs: 50_000 });
  const trades = Array.from({ length: 35 }, (_, at) => ({
    ...{ seq: 101 + at, index: 1, timeMs: 60_000 + at * 5_000, price: 7 + (at % 4), lots: 2 + at },
    ...{ side: 'buy', auction: false, market: 0 },
  })) as unknown as TradeEvent[];
  for (const trade of trades) series.add(trade);
  expect(series.after.seq).toBeGreaterThan(120);
  const settledAt = (seq: number) =>
    plainCandles(
      trades.filter((trade) => trade.seq <= seq),
      60_000,
    );
  expect(series.load({ seq: series.after.seq, index: 0 }, 0, settledAt(series.after.seq - 1))).toBe(false);
  expect(series.isLoaded).toBe(false);
  expect(series.load(series.after, 0, settledAt(series.after.seq))).toBe(true);
  expect(
    series.candles(60_000, 0, Number.MAX_SAFE_INTEGER).map(({ startMs, lots, value, open, close }) => ({
      ...{ startMs, lots, value, open, close },
    })),
  ).toEqual(
    settledAt(1_000).map(({ startMs, lots, value, open, close }) => ({
      ...{ startMs, lots, value: value * 3n, open, close },
    })),
  );
});

test('sums stay exact above 2^53', () => {
  const lots = 2 ** 51 + 1;
  const candle = new Candle(0, 5);
  for (let n = 0; n < 9; n++) candle.trade(5, lots, Number.MAX_SAFE_INTEGER - n);
  const twice = joined(0, [candle, candle]);
  expect(candle.lots).toBe(9n * BigInt(lots));
  expect(candle.value).toBe(9n * BigInt(Number.MAX_SAFE_INTEGER) - 36n);
  expect(twice?.lots).toBe(18n * BigInt(lots));
  expect(twice?.trades).toBe(18);
});

test('ranges and limits of candles', async () => {
  const world = worldOf({ seed: 12, pace: 1_000 });
  for (let n = 0; n < 150; n++) world.step(10);
  world.history.at = { seq: world.link.view().seq, index: 2 ** 31 - 1 };
  const all = viewsOf(world, tradesOf(world), candleIntervalMs['15m']);
  const { random } = world;
  for (let n = 0; n < 60; n++) {
    const [fromMs = 0, toMs = 0] = [random.of(all), random.of(all)]
      .map(({ startMs }) => startMs + random.from(-1, 1))
      .sort((a, b) => a - b);
    const limit = random.from(1, 60);
    const asked = { interval: '15m', limit, ...(random.chance(70) ? { fromMs } : {}) } as const;
    const ranged = random.chance(70) ? { ...asked, toMs } : asked;
    const expected = all
      .filter(({ startMs }) => startMs >= (ranged.fromMs ?? 0))
      .filter(({ startMs }) => startMs < ('toMs' in ranged ? ranged.toMs : Number.MAX_SAFE_INTEGER));
    expect(await world.feed.candles(id, ranged)).toEqual(expected.slice(-limit));
  }
});

test('trades are asked for page by page, out of memory and what is settled, each once', async () => {
  const history = new PlainHistory();
  const world = worldOf({ seed: 13, config: configs.threeMarkets, history });
  for (let restart = 0; restart < 3; restart++) {
    for (let n = 0; n < 100; n++) world.step(10);
    history.at = { seq: world.link.view().seq, index: 2 ** 31 - 1 };
    world.link.reset();
  }
  for (let n = 0; n < 30; n++) world.step(10);
  const scale = world.scales.market(id);
  const all = tradesOf(world)
    .map((trade) => tradeView(trade, scale))
    .reverse();
  const pages: (typeof all)[number][] = [];
  for (let limit = 1; ; limit = (limit % 23) + 1) {
    const before = pages.at(-1)?.tradeId;
    const page = await world.feed.recentTrades(id, { limit, ...(before === undefined ? {} : { before }) });
    pages.push(...page);
    if (page.length < limit) break;
  }
  expect(pages.length).toBeGreaterThan(100);
  expect(pages).toEqual(all);
  await expect(world.feed.recentTrades(id, { before: 'x', limit: 1 })).rejects.toThrow(
    code('TRADING_NUMBER_INVALID'),
  );
});
