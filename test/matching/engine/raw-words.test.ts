/** Slots nobody could have written with `writeCommand`: every word is judged, nothing is trusted, nothing throws. */
import { describe, expect, test } from 'vitest';
import type { StrongroomError } from '#core/errors';
import {
  type CommandSlots,
  commandBytes,
  commandFloat64,
  commandInt32,
  commandSlots,
  headShift,
  writeCommand,
} from '../../../matching/commands.ts';
import { createEngine, type Engine, restoreEngine } from '../../../matching/engine/index.ts';
import type { EngineEvent } from '../../../matching/events.ts';
import { drained } from './both.ts';
import { oneMarket, threeMarkets } from './configs.ts';
import { Random } from './random.ts';
import { Stream } from './streams.ts';

const openAccount = { kind: 'open-account', account: 1, seq: 1, timeMs: 1 } as const;
const order = {
  kind: 'place',
  account: 1,
  market: 0,
  side: 'buy',
  type: 'limit',
  timeInForce: 'gtc',
  price: 100,
  lots: 1,
  seq: 2,
  timeMs: 1,
} as const;

function submitted(change: (slots: CommandSlots) => void): EngineEvent[] {
  const engine = createEngine(oneMarket);
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  writeCommand(slots, 0, openAccount);
  engine.submit(slots, 0);
  drained(engine);
  writeCommand(slots, 0, order);
  change(slots);
  engine.submit(slots, 0);
  return drained(engine);
}
const withHead = (name: keyof typeof headShift, value: number) => (slots: CommandSlots) => {
  const head = slots.int32[commandInt32.head] ?? 0;
  slots.int32[commandInt32.head] = (head & ~(0xf << headShift[name])) | (value << headShift[name]);
};

describe('words that no vocabulary has', () => {
  test.each([10, 15])('an unknown kind %i is an invalid order of nobody', (kind) => {
    expect(submitted(withHead('kind', kind))).toEqual([
      { kind: 'rejected', seq: 2, index: 0, account: -1, market: -1, reason: 'invalid-order' },
    ]);
  });

  test.each([
    ['side', 2],
    ['side', 15],
    ['type', 4],
    ['timeInForce', 3],
    ['selfTrade', 4],
  ] as const)('%s %i is an invalid order', (name, value) => {
    expect(submitted(withHead(name, value))).toEqual([expect.objectContaining({ reason: 'invalid-order' })]);
  });

  test.each([4, -1, 2 ** 31 - 1])('a market state %i is a wrong state', (state) => {
    const events = submitted((slots) => {
      writeCommand(slots, 0, { kind: 'set-market', market: 0, state: 'halted', seq: 2, timeMs: 1 });
      slots.int32[commandInt32.trigger] = state;
    });
    expect(events).toEqual([expect.objectContaining({ kind: 'rejected', reason: 'wrong-state' })]);
  });
});

describe('a sequence number', () => {
  test.each([0, 1, 3, -2, 2.5, Number.NaN, Number.POSITIVE_INFINITY])(
    '%d after 1 is refused, and the engine stays what it was',
    (seq) => {
      const engine = createEngine(oneMarket);
      const slots = commandSlots(new ArrayBuffer(commandBytes));
      writeCommand(slots, 0, openAccount);
      engine.submit(slots, 0);
      const before = [engine.stateHash(), engine.snapshot(), engine.seq];
      writeCommand(slots, 0, { ...order, seq });
      expect(() => engine.submit(slots, 0)).toThrow(
        expect.objectContaining({ code: 'MATCHING_SEQUENCE_GAP' }) as StrongroomError,
      );
      expect([engine.stateHash(), engine.snapshot(), engine.seq]).toEqual(before);
    },
  );
});

/** Single words of good commands replaced by others, the sequence number and time excepted. */
function spoil(slots: CommandSlots, random: Random): void {
  const doubles = [0, -0, 0.5, -1, 1e300, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53, 2 ** 53 - 1, 5e-324];
  if (random.chance(50)) {
    const word = random.of([commandFloat64.lots, commandFloat64.extra, commandFloat64.clientOrderId]);
    slots.float64[word] = random.of(doubles);
  } else {
    const word = random.from(commandInt32.head, 15);
    slots.int32[word] = random.chance(50) ? random.word() : random.from(-3, 120);
  }
}

test.each([oneMarket, threeMarkets])(
  'commands with spoiled words throw nothing and lose nothing',
  (config) => {
    let engine: Engine = createEngine(config);
    const stream = new Stream(config, 23);
    const random = new Random(42);
    const slots = commandSlots(new ArrayBuffer(commandBytes));
    const supplies = config.assets.map(() => 0n);
    for (let count = 1; count <= 6_000; count++) {
      writeCommand(slots, 0, stream.next());
      if (count > 30 && random.chance(30)) spoil(slots, random);
      expect(engine.submit(slots, 0)).toBeGreaterThan(0);
      const events = drained(engine);
      stream.see(events);
      for (const event of events) {
        if (event.kind === 'credited') supplies[event.asset] = (supplies[event.asset] ?? 0n) + event.units;
        if (event.kind === 'debited') supplies[event.asset] = (supplies[event.asset] ?? 0n) - event.units;
      }
      if (count % 500 > 0) continue;
      expect(totals(engine, config.assets.length, config.accountsMax)).toEqual(supplies);
      const restored = restoreEngine(config, engine.snapshot());
      expect(restored.snapshot()).toEqual(engine.snapshot());
      engine = restored;
    }
  },
);
function totals(engine: Engine, assets: number, accounts: number): bigint[] {
  return Array.from({ length: assets }, (_, asset) => {
    let sum = 0n;
    for (let account = 0; account < accounts; account++) {
      const { available, held } = engine.balance(account, asset);
      sum += available + held;
    }
    return sum;
  });
}
