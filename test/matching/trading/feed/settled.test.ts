/** The feed over real books: what is settled in PostgreSQL and what is only in memory come to all that was traded. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import type { EngineEvent } from '../../../../matching/events.ts';
import { createTradingAccounts } from '../../../../matching/trading/accounts.ts';
import { candleIntervalMs, candleIntervals } from '../../../../matching/trading/contract.ts';
import { createFeed, type Feed } from '../../../../matching/trading/feed/index.ts';
import { createScales } from '../../../../matching/trading/scale.ts';
import { fillView, type TradeEvent, tradeView } from '../../../../matching/trading/views.ts';
import { databaseForThisFile } from '../../../support/database.ts';
import {
  coin,
  config,
  customer,
  type Exchange,
  openExchange,
  randomCommand,
  seeded,
} from '../../settlement/fixture.ts';
import { Follower } from './clients.ts';
import { plainCandles, TestLink } from './exchange.ts';

const customers = 6;
let pool: Pool;
let exchange: Exchange;
let url: string;
beforeAll(async () => {
  url = await databaseForThisFile();
});
beforeAll(async () => {
  pool = openPool({ connectionString: url, applicationName: 'test-feed' });
  exchange = await openExchange(pool, 'feed', customers);
});
afterAll(async () => {
  await pool.end();
});

const random = seeded(31);
const scales = createScales(config, (asset) => (asset === coin ? 18 : 6));
const scale = scales.market('ETH-USD');
const feeds: Feed[] = [];
const events: EngineEvent[] = [];
let followed = 0;
/** What was traded comes to the api in portions. */
function follow(link: TestLink): void {
  const { journal } = exchange.sequencer;
  while (followed < journal.length) {
    const portion = journal.slice(followed, followed + 1 + random(25));
    events.push(...link.portion(portion));
    followed += portion.length;
  }
}
function trade(commands: number): void {
  const { sequencer } = exchange;
  for (let n = 0; n < commands; n++)
    sequencer.run(randomCommand(random, customers, sequencer.journal.length));
}
/** Books all up to a command. */
async function settle(seq: number): Promise<void> {
  const settler = await exchange.settler({ tradesMax: 1 + random(60) });
  for (const { slots, count } of exchange.sequencer.lots.slice(0, seq)) settler.offer(slots, 0, count);
  await settler.drain(seq);
  await settler.stop();
}
function open(link: TestLink): Feed {
  const { engine } = exchange;
  const accounts = createTradingAccounts(pool, engine.no);
  const feed = createFeed({ link, scales, accounts, pool, engine, clock: { nowMs: () => 0 } });
  feeds.push(feed);
  return feed;
}
const tradesOf = (): TradeEvent[] =>
  events.filter((event): event is TradeEvent => event.kind === 'trade' && event.market === scale.no);

async function expectAll(feed: Feed): Promise<void> {
  const trades = tradesOf();
  for (const interval of candleIntervals) {
    const candles = await feed.candles('ETH-USD', { interval, limit: 1_000 });
    const plain = plainCandles(trades, candleIntervalMs[interval]);
    expect(candles).toEqual(
      plain.map(({ startMs, open: first, high, low, close, lots, value, trades: count }) => ({
        startMs,
        open: scale.price(first),
        high: scale.price(high),
        low: scale.price(low),
        close: scale.price(close),
        size: scale.size(lots),
        value: scale.value(value * BigInt(scale.config.tickUnits)),
        trades: count,
      })),
    );
  }
  const views = trades.map((each) => tradeView(each, scale)).reverse();
  const pages: (typeof views)[number][] = [];
  for (;;) {
    const before = pages.at(-1)?.tradeId;
    const page = await feed.recentTrades('ETH-USD', {
      limit: 37,
      ...(before === undefined ? {} : { before }),
    });
    pages.push(...page);
    if (page.length < 37) break;
  }
  expect(pages).toEqual(views);
}

test('candles, trades and accounts, after starts at any time and settlements up to anywhere', {
  timeout: 60_000,
}, async () => {
  const link = new TestLink(config);
  for (let start = 0; start < 3; start++) {
    trade(120 + random(120));
    follow(link);
    const feed = open(link);
    await feed.ready();
    const startSeq = link.view().seq;
    const follower = new Follower<'account'>(`account/${customer(1)}`, startSeq);
    follower.listen(feed);
    expect(await feed.account(customer(1))).toMatchObject({ seq: startSeq });
    trade(120 + random(120));
    follow(link);
    await settle(startSeq + random(link.view().seq - startSeq + 1));
    await expectAll(feed);
    expect(feed.ticker('ETH-USD').size24h).not.toBeNull();
    trade(60);
    follow(link);
    await expectAll(feed);
    const fills = follower.messages.flatMap(({ changes }) =>
      changes.flatMap((change) => (change.kind === 'fill' ? [change.fill] : [])),
    );
    const number = await exchange.accounts.numberOf(customer(1));
    const expected = events.flatMap((event) => {
      if (event.kind !== 'trade' || event.seq <= startSeq) return [];
      const role = (['taker', 'maker'] as const).find((each) => event[each].account === number);
      const own = scales.markets[event.market];
      return role === undefined || own === undefined ? [] : [fillView(event, role, own, customer(1))];
    });
    expect(expected.length).toBeGreaterThan(10);
    expect(fills).toEqual(expected);
  }
  for (const feed of feeds) await feed.close();
});
