/** Books rebuilt from a snapshot and messages are the engine's, whoever comes and goes when. */
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { BookView, ChannelKey } from '../../../../matching/trading/contract.ts';
import { BookClient, Follower, type Levels } from './clients.ts';
import { configs, type World, worldOf } from './exchange.ts';

const levelsMax = 1_000;
const keyOf = (market: string): ChannelKey => `book/${market}`;

/** Straight from the engine. */
function engineBook({ link, scales }: World, no: number): Levels {
  const scale = scales.markets[no];
  if (scale === undefined) throw new RangeError(`market ${no}`);
  const side = (name: 'buy' | 'sell') =>
    link
      .view()
      .levels(no, name, Number.MAX_SAFE_INTEGER)
      .map(({ price, lots }) => [scale.price(price), scale.size(lots)]);
  return { bids: side('buy'), asks: side('sell') };
}
const clientOf = (world: World, market: string): BookClient =>
  new BookClient(keyOf(market), world.feed.book(market, levelsMax));

for (const [name, config] of Object.entries(configs))
  describe(`books of ${name}`, () => {
    test.each([1, 2, 3])('joined, left and resumed at any time: seed %i', (seed) => {
      const world = worldOf({ seed, config });
      const { feed, random, step } = world;
      const clients = new Map<string, BookClient[]>();
      let compared = 0;
      for (let portion = 0; portion < 300; portion++) {
        for (const { id, no } of world.scales.markets) {
          const all = clients.get(id) ?? [];
          clients.set(id, all);
          if (all.length < 4 && random.chance(10)) {
            const client = clientOf(world, id);
            client.follower.listen(feed);
            all.push(client);
          }
          for (const client of all) {
            if (client.follower.isListening && random.chance(8)) client.follower.leave();
            else if (!client.follower.isListening && random.chance(20))
              expect(client.follower.resume(feed)).toBe(true);
            if (!client.follower.isListening) continue;
            expect(client.levels).toEqual(engineBook(world, no));
            compared++;
          }
        }
        step(random.from(1, 12));
      }
      expect(compared).toBeGreaterThan(200);
      for (const client of [...clients.values()].flat()) expect(client.follower.gaps).toBe(0);
      expect(world.problems).toEqual([]);
    });
  });

test('a client may go on at another process, whose portions end elsewhere', () => {
  for (const seed of [11, 12, 13]) {
    const source = worldOf({ seed });
    while (source.commands.length < 1_200) source.step(1);
    const first = worldOf({ seed });
    const second = worldOf({ seed });
    const { random } = source;
    const catchUp = ({ link, follow }: World, to: number): void => {
      while (link.view().seq < to) {
        const { seq } = link.view();
        follow(source.commands.slice(seq, seq + random.from(1, 15)));
      }
    };
    const client = clientOf(first, 'ETH-USD');
    client.follower.listen(first.feed);
    while (second.link.view().seq < 1_100) {
      // One of them is ahead, then the other.
      for (const world of [first, second]) {
        catchUp(world, Math.max(first.link.view().seq, second.link.view().seq) + random.from(0, 20));
        client.follower.leave();
        expect(client.follower.resume(world.feed)).toBe(true);
        expect(client.levels).toEqual(engineBook(world, 0));
        catchUp(world, world.link.view().seq + 1);
        expect(client.levels).toEqual(engineBook(world, 0));
      }
    }
    expect(client.follower.gaps).toBe(0);
  }
});

describe('what a message says', () => {
  const sellIceberg = {
    kind: 'place',
    account: 1,
    market: 0,
    side: 'sell',
    type: 'limit',
    timeInForce: 'gtc',
    price: 100,
    lots: 30,
    displayLots: 5,
  } as const;
  function opened(): { world: World; follower: Follower<'book'> } {
    const world = worldOf({ seed: 1 });
    world.run([
      { kind: 'open-account', account: 1 },
      { kind: 'open-account', account: 2 },
      { kind: 'credit', account: 1, asset: 0, units: 1_000_000n, position: 1 },
      { kind: 'credit', account: 2, asset: 1, units: 1_000_000n, position: 2 },
    ]);
    const follower = new Follower<'book'>('book/ETH-USD', world.link.view().seq);
    follower.listen(world.feed);
    return { world, follower };
  }

  test('hidden lots are in no size, and nobody hears when only they change', () => {
    const { world, follower } = opened();
    const { price, size } = world.scales.market('ETH-USD');
    world.run([sellIceberg]);
    expect(follower.messages.at(-1)?.asks).toEqual([[price(100), size(5)]]);
    const orderId = world.link.view().seq;
    world.run([{ kind: 'amend', account: 1, orderId, lots: 12 }]);
    expect(follower.messages).toHaveLength(1);
    world.run([{ kind: 'amend', account: 1, orderId, lots: 3 }]);
    expect(follower.messages.at(-1)?.asks).toEqual([[price(100), size(3)]]);
    world.run([{ kind: 'cancel', account: 1, orderId }]);
    expect(follower.messages.at(-1)?.asks).toEqual([[price(100), size(0)]]);
    expect(follower.messages).toHaveLength(3);
  });

  test('what a slice has left decides what an amend shows', () => {
    const { world, follower } = opened();
    const { price, size } = world.scales.market('ETH-USD');
    const taker = { ...sellIceberg, account: 2, side: 'buy', timeInForce: 'ioc', displayLots: 0 } as const;
    const shown = (): unknown => follower.messages.at(-1)?.asks;
    world.run([sellIceberg]);
    const orderId = world.link.view().seq;
    world.run([{ ...taker, lots: 3 }]);
    expect(shown()).toEqual([[price(100), size(2)]]);
    // 4 are left, 2 of them shown, as before.
    world.run([{ kind: 'amend', account: 1, orderId, lots: 7 }]);
    expect(follower.messages).toHaveLength(2);
    world.run([{ kind: 'amend', account: 1, orderId, lots: 4 }]);
    expect(shown()).toEqual([[price(100), size(1)]]);
    world.run([{ kind: 'cancel', account: 1, orderId }]);
    // A last slice is the whole rest.
    world.run([{ ...sellIceberg, lots: 9 }]);
    const second = world.link.view().seq;
    world.run([{ ...taker, lots: 5 }]);
    expect(shown()).toEqual([[price(100), size(4)]]);
    world.run([{ kind: 'amend', account: 1, orderId: second, lots: 7 }]);
    expect(shown()).toEqual([[price(100), size(2)]]);
  });

  test('an amend in place is told exactly when it changes what is shown', () => {
    const count = { shown: 0, hidden: 0 };
    for (let seed = 1; seed <= 12; seed++) {
      const world = worldOf({ seed });
      const follower = new Follower<'book'>('book/ETH-USD', 0);
      follower.listen(world.feed);
      for (let n = 0; n < 400; n++) {
        const before = { book: engineBook(world, 0), messages: follower.messages.length };
        const [event, ...more] = world.step(1);
        if (event?.kind !== 'amended' || !event.priorityKept || more.length > 0) continue;
        const isChanged = !isDeepStrictEqual(engineBook(world, 0), before.book);
        expect(follower.messages.length - before.messages).toBe(isChanged ? 1 : 0);
        count[isChanged ? 'shown' : 'hidden']++;
      }
    }
    expect(Math.min(count.shown, count.hidden)).toBeGreaterThan(15);
  });

  test('one message for a portion, with the end of it; none for what changes no book', () => {
    const { world, follower } = opened();
    const { seq } = world.link.view();
    const bid = { ...sellIceberg, account: 2, side: 'buy', lots: 4, displayLots: 0 } as const;
    world.run([
      { ...bid, price: 95 },
      { ...bid, price: 97 },
      { ...bid, price: 95, lots: 2 },
    ]);
    const { price, size } = world.scales.market('ETH-USD');
    expect(follower.messages).toEqual([
      {
        channel: 'book',
        market: 'ETH-USD',
        seq: seq + 3,
        prevSeq: 0,
        timeMs: world.link.view().timeMs,
        bids: [
          [price(97), size(4)],
          [price(95), size(6)],
        ],
        asks: [],
      },
    ]);
    world.run([
      { kind: 'credit', account: 2, asset: 1, units: 5n, position: 3 },
      { kind: 'cancel', account: 1, orderId: 1 },
      { ...bid, price: 1 },
    ]);
    expect(follower.messages).toHaveLength(1);
    world.run([{ ...bid, price: 96 }]);
    expect(follower.messages[1]?.prevSeq).toBe(seq + 3);
    expect(JSON.parse(follower.texts[1] ?? '')).toEqual(follower.messages[1]);
  });

  test('a snapshot has as many levels as asked for, best first', () => {
    const world = worldOf({ seed: 3 });
    for (let portion = 0; portion < 50; portion++) world.step(4);
    const whole: BookView = world.feed.book('ETH-USD', levelsMax);
    const part = world.feed.book('ETH-USD', 2);
    expect(whole.bids.length).toBeGreaterThan(2);
    expect(part.bids).toEqual(whole.bids.slice(0, 2));
    expect(part.asks).toEqual(whole.asks.slice(0, 2));
    expect(part.seq).toBe(world.link.view().seq);
  });
});
