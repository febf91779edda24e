/** What holds for any stream of commands, whatever a story says: nothing appears or vanishes, and nobody overtakes. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command } from '../../../matching/commands.ts';
import type { EngineConfig } from '../../../matching/config.ts';
import { createEngine, type Engine } from '../../../matching/engine/index.ts';
import type { EngineEvent } from '../../../matching/events.ts';
import { sides } from '../../../matching/vocabulary.ts';
import { documentEngine } from './both.ts';
import { huge, oneMarket, threeMarkets, tight } from './configs.ts';
import { Stream } from './streams.ts';

const configs = { oneMarket, tight, threeMarkets, huge };
const streamOf = fc.record({
  name: fc.constantFrom(...(Object.keys(configs) as (keyof typeof configs)[])),
  seed: fc.integer(),
  count: fc.integer({ min: 1, max: 600 }),
});
/** Fixed, so that a run of the suite is the same each time; the slow suite takes longer streams. */
const runs = { numRuns: 20, seed: 20_261_121 };

/** Runs a stream and shows each command with its events. */
function play(
  { name, seed, count }: { name: keyof typeof configs; seed: number; count: number },
  visit: (step: { engine: Engine; config: EngineConfig; command: Command; events: EngineEvent[] }) => void,
): void {
  const config = configs[name];
  const { engine, submit } = documentEngine(createEngine(config));
  const stream = new Stream(config, seed);
  for (let at = 0; at < count; at++) {
    const command = stream.next();
    const events = submit(command);
    stream.see(events);
    visit({ engine, config, command, events });
  }
}

test('of each asset there is what was credited and not debited, in whole units, and nobody is below zero', () => {
  fc.assert(
    fc.property(streamOf, (given) => {
      const supplies = configs[given.name].assets.map(() => 0n);
      play(given, ({ engine, config, events }) => {
        for (const event of events) {
          if (event.kind === 'credited') supplies[event.asset] = (supplies[event.asset] ?? 0n) + event.units;
          if (event.kind === 'debited') supplies[event.asset] = (supplies[event.asset] ?? 0n) - event.units;
        }
        for (const [asset, supply] of supplies.entries()) {
          let sum = 0n;
          for (let account = 0; account < config.accountsMax; account++) {
            const { available, held } = engine.balance(account, asset);
            if (available < 0n || held < 0n) throw new Error(`account ${account}: ${available} and ${held}`);
            sum += available + held;
          }
          if (sum !== supply) throw new Error(`asset ${asset}: ${sum}, not ${supply}`);
        }
      });
    }),
    runs,
  );
});

interface Queued {
  readonly order: number;
  readonly price: number;
  visible: number;
  rest: number;
  /** What it shows at a time; a `rested` that hides something says it. */
  readonly display: number;
}

/** The book as the events tell it: what a reader of market data rebuilds. */
class ToldBook {
  readonly #queues = new Map<string, Queued[]>();

  queue(market: number, side: string): Queued[] {
    const key = `${market} ${side}`;
    const known = this.#queues.get(key) ?? [];
    this.#queues.set(key, known);
    return known;
  }
  find(order: number): Queued | undefined {
    return [...this.#queues.values()].flat().find((queued) => queued.order === order);
  }
  remove(order: number): void {
    for (const queue of this.#queues.values()) {
      const at = queue.findIndex((queued) => queued.order === order);
      if (at !== -1) queue.splice(at, 1);
    }
  }
  /** Behind all of its price. */
  add(market: number, side: 'buy' | 'sell', queued: Queued): void {
    const queue = this.queue(market, side);
    const isWorse = ({ price }: Queued) => (side === 'buy' ? price < queued.price : price > queued.price);
    const at = queue.findIndex(isWorse);
    queue.splice(at === -1 ? queue.length : at, 0, queued);
  }
}

const queuedBy = ({ order, price, visible, rest }: Extract<EngineEvent, { kind: 'rested' }>): Queued => ({
  order,
  price,
  visible,
  rest,
  display: visible < rest ? visible : Number.POSITIVE_INFINITY,
});

function follow(book: ToldBook, event: EngineEvent): void {
  switch (event.kind) {
    case 'rested':
      book.remove(event.order);
      book.add(event.market, event.side, queuedBy(event));
      return;
    case 'done':
      book.remove(event.order);
      return;
    case 'amended': {
      const known = book.find(event.order);
      if (!event.priorityKept) book.remove(event.order);
      else if (known !== undefined) {
        known.rest = event.rest;
        known.visible = Math.min(known.visible, event.rest);
      }
      return;
    }
    case 'trade':
    case 'decremented':
      followTrade(book, event);
      return;
    case 'rejected':
    case 'account-opened':
    case 'credited':
    case 'debited':
    case 'account-set':
    case 'market-set':
    case 'band-set':
    case 'accepted':
    case 'waiting':
    case 'triggered':
    case 'cancelled-all':
  }
}
function followTrade(book: ToldBook, event: Extract<EngineEvent, { kind: 'trade' | 'decremented' }>): void {
  const makers = book.queue(event.market, event.side === 'buy' ? 'sell' : 'buy');
  const [first] = makers;
  // Price-time priority: who trades is the first in the queue, for no more than it shows (all of it in an auction).
  expect(event.maker.order).toBe(first?.order);
  const isAuction = event.kind === 'trade' && event.auction;
  expect(event.lots).toBeGreaterThan(0);
  expect(event.lots).toBeLessThanOrEqual((isAuction ? first?.rest : first?.visible) ?? 0);
  if (!isAuction) expect(event.price).toBe(first?.price);
  const parties = [event.maker, event.taker] as const;
  for (const party of isAuction ? parties : [event.maker]) {
    const queued = book.find(party.order);
    if (queued === undefined) throw new Error(`order ${party.order} trades and never rested`);
    queued.rest = party.rest;
    queued.visible = isAuction ? Math.min(queued.display, party.rest) : queued.visible - event.lots;
    if (party.rest === 0) book.remove(party.order);
  }
}

describe('price-time priority', () => {
  test('whoever trades is the first of the best price, as the events told the book', () => {
    fc.assert(
      fc.property(streamOf, (given) => {
        const book = new ToldBook();
        play(given, ({ events }) => {
          for (const event of events) follow(book, event);
        });
      }),
      runs,
    );
  });

  test('the book rebuilt from events is the book of the engine, shown lots and all', () => {
    fc.assert(
      fc.property(streamOf, (given) => {
        const book = new ToldBook();
        play(given, ({ engine, config, events }) => {
          for (const event of events) follow(book, event);
          for (const market of config.markets.keys())
            for (const side of sides) {
              const queue = book.queue(market, side);
              const prices = [...new Set(queue.map(({ price }) => price))];
              const told = prices.map((price) => {
                const level = queue.filter((queued) => queued.price === price);
                return {
                  price,
                  lots: level.reduce((sum, { visible }) => sum + visible, 0),
                  orders: level.length,
                };
              });
              const levels = engine.levels(market, side, Number.MAX_SAFE_INTEGER);
              if (!isDeepStrictEqual(levels, told)) expect(levels).toEqual(told);
            }
        });
      }),
      runs,
    );
  });
});

test('events of a command are numbered from 0 without a gap, and each command has at least one', () => {
  fc.assert(
    fc.property(streamOf, (given) => {
      play(given, ({ command, events }) => {
        const isNumbered = events.every(({ seq, index }, at) => seq === command.seq && index === at);
        const isRefused = events.some(({ kind }) => kind === 'rejected');
        if (!isNumbered || events.length === 0 || (isRefused && events.length > 1))
          throw new Error(`events of command ${command.seq}`);
      });
    }),
    runs,
  );
});
