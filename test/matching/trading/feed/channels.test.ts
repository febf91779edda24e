/** Chains without gaps, listeners that fail, resets, and what messages for all must never say. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import {
  type ChannelKey,
  candleIntervals,
  type FeedMessage,
  type TradeView,
} from '../../../../matching/trading/contract.ts';
import { Channel } from '../../../../matching/trading/feed/channel.ts';
import { keptMs } from '../../../../matching/trading/feed/limits.ts';
import { tradeView } from '../../../../matching/trading/views.ts';
import { Follower } from './clients.ts';
import { accountOf, configs, settle, type World, worldOf } from './exchange.ts';

const publicKeys = (market: string): ChannelKey[] => [
  `book/${market}`,
  `trades/${market}`,
  `ticker/${market}`,
  ...candleIntervals.map((interval) => `candles/${market}/${interval}` as const),
];
const followerOf = (world: World, key: ChannelKey): Follower<FeedMessage['channel']> =>
  new Follower(key, world.link.view().seq);
const code = (expected: string): unknown => expect.objectContaining({ code: expected });

test.each([1, 2, 3])(
  'every channel goes on without a gap wherever it is left and resumed: seed %i',
  async (seed) => {
    const world = worldOf({ seed, config: configs.threeMarkets, pace: 40 });
    world.step(30);
    const keys = [
      ...world.scales.markets.flatMap(({ id }) => publicKeys(id)),
      ...[1, 2, 3, 4].map((number): ChannelKey => `account/${accountOf(number)}`),
    ];
    // One that stays says what those who come and go must have heard.
    const whole = keys.map((key) => followerOf(world, key));
    const parted = keys.map((key) => followerOf(world, key));
    for (const follower of [...whole, ...parted]) follower.listen(world.feed);
    await settle();
    for (let portion = 0; portion < 400; portion++) {
      world.step(world.random.from(1, 10));
      for (const follower of parted)
        if (follower.isListening && world.random.chance(10)) follower.leave();
        else if (!follower.isListening && world.random.chance(25))
          expect(follower.resume(world.feed)).toBe(true);
    }
    for (const follower of parted) if (!follower.isListening) expect(follower.resume(world.feed)).toBe(true);
    let messages = 0;
    whole.forEach((follower, at) => {
      expect(follower.gaps).toBe(0);
      expect(parted[at]?.gaps).toBe(0);
      expect(parted[at]?.texts).toEqual(follower.texts);
      // What is replayed is what was sent.
      expect(parted[at]?.messages).toEqual(follower.messages);
      for (const [n, message] of follower.messages.entries())
        if (n > 0) expect(message.prevSeq).toBe(follower.messages[n - 1]?.seq);
      messages += follower.messages.length;
    });
    expect(messages).toBeGreaterThan(2_000);
    expect(world.problems).toEqual([]);
  },
);

test('trades are all trades, in order and each once', () => {
  const world = worldOf({ seed: 5 });
  const follower = new Follower<'trades'>('trades/ETH-USD', 0);
  follower.listen(world.feed);
  for (let portion = 0; portion < 300; portion++) world.step(world.random.from(1, 8));
  const scale = world.scales.market('ETH-USD');
  const all = world.events.flatMap((event) => (event.kind === 'trade' ? [tradeView(event, scale)] : []));
  expect(all.length).toBeGreaterThan(200);
  expect(follower.messages.flatMap(({ trades }): readonly TradeView[] => trades)).toEqual(all);
});

test('a ticker is told when it has changed, and is what is asked for at that moment', () => {
  const world = worldOf({ seed: 6 });
  const follower = new Follower<'ticker'>('ticker/ETH-USD', 0);
  follower.listen(world.feed);
  let told = world.feed.ticker('ETH-USD');
  for (let portion = 0; portion < 400; portion++) {
    const before = follower.messages.length;
    world.step(world.random.from(1, 4));
    const now = world.feed.ticker('ETH-USD');
    const { seq, timeMs, ...figures } = now;
    const { seq: _seq, timeMs: _timeMs, ...figuresBefore } = told;
    const isChanged = JSON.stringify(figures) !== JSON.stringify(figuresBefore);
    expect(follower.messages.length - before).toBe(isChanged ? 1 : 0);
    if (isChanged) expect(follower.messages.at(-1)?.ticker).toEqual({ seq, timeMs, ...figures });
    told = now;
  }
  expect(follower.messages.length).toBeGreaterThan(100);
});

describe('who may resume', () => {
  const message = (seq: number, prevSeq: number): FeedMessage => ({
    channel: 'trades',
    market: 'ETH-USD',
    seq,
    prevSeq,
    timeMs: 0,
    trades: [],
  });
  const heard = (channel: Channel, after: number | undefined, viewSeq: number): number[] | false => {
    const seqs: number[] = [];
    const ask = channel.subscribe(
      { onMessage: ({ seq }) => seqs.push(seq), onReset: () => undefined },
      after,
      viewSeq,
    );
    return ask === false ? false : seqs;
  };

  test('as far back as the ring goes, by number and by bytes; never ahead', () => {
    const channel = new Channel({ messages: 5, bytes: 1_000 }, 10);
    for (let seq = 20; seq <= 90; seq += 10) channel.append(seq, 100, (prevSeq) => message(seq, prevSeq));
    // 50 to 90 are kept, so 40 is the last that nothing is missing after.
    expect(heard(channel, 39, 95)).toBe(false);
    expect(heard(channel, 40, 95)).toEqual([50, 60, 70, 80, 90]);
    expect(heard(channel, 65, 95)).toEqual([70, 80, 90]);
    expect(heard(channel, 90, 95)).toEqual([]);
    expect(heard(channel, 95, 95)).toEqual([]);
    expect(heard(channel, 96, 95)).toBe(false);
    expect(heard(channel, Number.NaN, 95)).toBe(false);
    expect(heard(channel, undefined, 95)).toEqual([]);
    channel.append(100, 800, (prevSeq) => message(100, prevSeq));
    expect(heard(channel, 69, 100)).toBe(false);
    expect(heard(channel, 70, 100)).toEqual([80, 90, 100]);
    // Larger than the ring: whoever listens has heard it, nobody can come back for it.
    channel.append(110, 2_000, (prevSeq) => message(110, prevSeq));
    expect(heard(channel, 100, 110)).toBe(false);
    expect(heard(channel, 110, 110)).toEqual([]);
    channel.append(120, 10, (prevSeq) => message(120, prevSeq));
    expect(heard(channel, 110, 120)).toEqual([120]);
  });

  test('a message is made once for all, and not at all for nobody', () => {
    const channel = new Channel({ messages: 5, bytes: 1_000 }, 0);
    const make = vi.fn((prevSeq: number) => message(1, prevSeq));
    channel.append(1, 10, make);
    expect(make).not.toHaveBeenCalled();
    expect(heard(channel, 0, 1)).toEqual([1]);
    expect(heard(channel, 0, 1)).toEqual([1]);
    expect(make).toHaveBeenCalledTimes(1);
  });

  test('what nobody listens to is let go of after two minutes; books and trades never', async () => {
    const world = worldOf({ seed: 8, pace: 5 });
    world.step(40);
    const keys = [...publicKeys('ETH-USD'), `account/${accountOf(1)}` as const];
    const followers = keys.map((key) => followerOf(world, key));
    for (const follower of followers) follower.listen(world.feed);
    await settle();
    for (let n = 0; n < 30; n++) world.step(5);
    for (const follower of followers) follower.leave();
    const next = (ms: number): void => {
      world.clock.ms += ms;
      world.step(20);
    };
    next(2_000);
    next(keptMs - 1_000);
    for (const follower of followers) {
      expect(follower.resume(world.feed)).toBe(true);
      follower.leave();
    }
    next(2_000);
    next(keptMs + 2_000);
    next(2_000);
    expect(followers.map((follower) => follower.resume(world.feed))).toEqual(
      keys.map((key) => /^(book|trades)/.test(key)),
    );
  });

  test('newest is the last message; the view while there was none', () => {
    const world = worldOf({ seed: 9 });
    world.step(3);
    for (const key of publicKeys('ETH-USD')) expect(world.feed.newestSeq(key)).toBe(3);
    const follower = followerOf(world, 'book/ETH-USD');
    follower.listen(world.feed);
    while (follower.messages.length < 5) world.step(3);
    world.run([{ kind: 'credit', account: 1, asset: 0, units: 1n, position: 1_000_000 }]);
    expect(world.feed.newestSeq('book/ETH-USD')).toBe(follower.seq);
    expect(follower.seq).toBeLessThan(world.link.view().seq);
  });

  test('what there is not', () => {
    const world = worldOf({ seed: 1 });
    const listener = { onMessage: () => undefined, onReset: () => undefined };
    expect(() => world.feed.subscribe('book/NO-SUCH', listener)).toThrow(code('TRADING_MARKET_UNKNOWN'));
    expect(() => world.feed.subscribe('account/acc_1', listener)).toThrow(code('CORE_ID_INVALID'));
    expect(() => world.feed.book('NO-SUCH', 1)).toThrow(code('TRADING_MARKET_UNKNOWN'));
  });
});

describe('listeners', () => {
  test('one that throws is ended; the others hear everything', () => {
    const world = worldOf({ seed: 2 });
    const calls = { now: 0, replay: 0 };
    const before = new Follower<'book'>('book/ETH-USD', 0);
    before.listen(world.feed);
    world.feed.subscribe('book/ETH-USD', {
      onMessage: () => {
        calls.now++;
        throw new Error('a client with a defect');
      },
      onReset: () => {
        throw new Error('it has ended');
      },
    });
    const after = new Follower<'book'>('book/ETH-USD', 0);
    after.listen(world.feed);
    while (before.messages.length < 10) world.step(2);
    expect(calls.now).toBe(1);
    world.feed.subscribe(
      'book/ETH-USD',
      {
        onMessage: () => {
          calls.replay++;
          throw new Error('another one');
        },
        onReset: () => undefined,
      },
      0,
    );
    expect(calls.replay).toBe(1);
    world.step(20);
    expect(after.texts).toEqual(before.texts);
    expect([before.gaps, after.gaps]).toEqual([0, 0]);
    world.link.reset();
    expect([before.resets, after.resets]).toEqual([1, 1]);
    expect(world.problems).toEqual([]);
  });

  test('one may end others, itself, or begin another while it is told', () => {
    const world = worldOf({ seed: 3 });
    const late: number[] = [];
    const ended: number[] = [];
    const listener = (seqs: number[]) => ({
      onMessage: ({ seq }: FeedMessage) => seqs.push(seq),
      onReset: () => undefined,
    });
    const others: { end: () => void }[] = [];
    const first = world.feed.subscribe('book/ETH-USD', {
      onMessage: () => {
        for (const { end } of others) end();
        if (first !== false) first.end();
        world.feed.subscribe('book/ETH-USD', listener(late));
      },
      onReset: () => undefined,
    });
    const other = world.feed.subscribe('book/ETH-USD', listener(ended));
    if (other !== false) others.push(other);
    const all = new Follower<'book'>('book/ETH-USD', 0);
    all.listen(world.feed);
    while (all.messages.length < 6) world.step(2);
    expect(ended).toEqual([]);
    expect(late).toEqual(all.messages.slice(1).map(({ seq }) => seq));
  });
});

describe('a reset of the link', () => {
  test('ends everybody once; what was before cannot be resumed; a snapshot can', async () => {
    const world = worldOf({ seed: 4, config: configs.threeMarkets });
    world.step(40);
    const keys = [...publicKeys('ETH-USD'), `account/${accountOf(2)}` as const];
    const followers = keys.map((key) => followerOf(world, key));
    for (const follower of followers) follower.listen(world.feed);
    await settle();
    for (let n = 0; n < 60; n++) world.step(4);
    const heard = followers.map(({ messages }) => messages.length);
    const before = world.link.view().seq - 1;
    world.link.reset();
    world.step(30);
    expect(followers.map(({ resets }) => resets)).toEqual(keys.map(() => 1));
    expect(followers.map(({ messages }) => messages.length)).toEqual(heard);
    for (const follower of followers) {
      follower.seq = before;
      expect(follower.resume(world.feed)).toBe(false);
    }
    for (const key of publicKeys('ETH-USD').slice(0, 2)) {
      const follower = new Follower(key, before + 1);
      expect(follower.resume(world.feed)).toBe(true);
      expect(follower.gaps).toBe(0);
    }
  });

  test('a listener may come back at once, and hears what follows', () => {
    const world = worldOf({ seed: 4 });
    const seqs: number[] = [];
    const keys = publicKeys('ETH-USD');
    const listen = (key: ChannelKey): void => {
      world.feed.subscribe(key, {
        onMessage: ({ seq }) => seqs.push(seq),
        onReset: () => {
          listen(key);
        },
      });
    };
    for (const key of keys) listen(key);
    world.step(60);
    const before = seqs.length;
    world.link.reset();
    expect(seqs).toHaveLength(before);
    const at = world.link.view().seq;
    for (let n = 0; n < 40; n++) world.step(4);
    const later = seqs.slice(before);
    expect(later.length).toBeGreaterThan(40);
    expect(Math.min(...later)).toBeGreaterThan(at);
  });

  test('a defect while a portion is told makes all begin anew, and the feed goes on', () => {
    const world = worldOf({ seed: 4 });
    world.step(60);
    const follower = followerOf(world, 'book/ETH-USD');
    follower.listen(world.feed);
    const { size } = world.scales.market('ETH-USD');
    const scale = world.scales.market('ETH-USD') as { size: typeof size };
    scale.size = () => {
      throw new Error('a defect');
    };
    while (world.problems.length === 0) world.step(3);
    scale.size = size;
    expect(follower.resets).toBe(1);
    const again = followerOf(world, 'book/ETH-USD');
    again.listen(world.feed);
    while (again.messages.length < 3) world.step(3);
    expect(world.problems).toHaveLength(1);
  });
});

describe('messages for all', () => {
  afterEach(() => vi.restoreAllMocks());
  const allowed = new Set(
    (
      'channel market seq prevSeq timeMs bids asks trades ticker interval candles tradeId price size side auction ' +
      'state lastPrice bestBid bestAsk open24h high24h low24h size24h value24h startMs open high low close value'
    ).split(' '),
  );
  function keysIn(value: unknown, into: Set<string>): Set<string> {
    if (Array.isArray(value)) for (const each of value) keysIn(each, into);
    else if (typeof value === 'object' && value !== null)
      for (const [key, each] of Object.entries(value)) {
        into.add(key);
        keysIn(each, into);
      }
    return into;
  }

  test('name no account and no order', () => {
    const world = worldOf({ seed: 7, config: configs.threeMarkets, pace: 30 });
    const followers = world.scales.markets.flatMap(({ id }) =>
      publicKeys(id).map((key) => new Follower(key, 0)),
    );
    for (const follower of followers) follower.listen(world.feed);
    for (let portion = 0; portion < 300; portion++) world.step(world.random.from(1, 8));
    const texts = followers.flatMap((follower) => follower.texts);
    expect(texts.length).toBeGreaterThan(1_000);
    const seen = new Set<string>();
    for (const text of texts) {
      keysIn(JSON.parse(text), seen);
      expect(text).not.toMatch(/acc_|order|account|hidden|client/i);
    }
    expect([...seen].filter((key) => !allowed.has(key))).toEqual([]);
    expect(seen.size).toBe(allowed.size);
  });
});
