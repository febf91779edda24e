/** A snapshot at any point and the rest of the stream are as good as the whole stream; the hash is the same everywhere. */
import { describe, expect, test } from 'vitest';
import { StrongroomError } from '#core/errors';
import { type Command, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import type { EngineConfig } from '../../../matching/config.ts';
import { createEngine, type Engine, restoreEngine } from '../../../matching/engine/index.ts';
import { documentEngine } from './both.ts';
import { huge, oneMarket, threeMarkets, tight } from './configs.ts';
import { Random } from './random.ts';
import { Stream } from './streams.ts';

const commandsOfStream = 2_000;
const cuts = 8;
const configs = { oneMarket, tight, threeMarkets, huge };

function record(config: EngineConfig, seed: number): { commands: Command[]; engine: Engine } {
  const { engine, submit } = documentEngine(createEngine(config));
  const stream = new Stream(config, seed);
  const commands = Array.from({ length: commandsOfStream }, () => {
    const command = stream.next();
    stream.see(submit(command));
    return command;
  });
  return { commands, engine };
}
function play(engine: Engine, commands: readonly Command[]): Engine {
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  for (const command of commands) {
    writeCommand(slots, 0, command);
    engine.submit(slots, 0);
    engine.drainEvents(() => undefined);
  }
  return engine;
}

describe.each(Object.entries(configs))('a snapshot of %s', (_, config) => {
  test('at random points, restored, ends like the engine that went on', () => {
    const { commands, engine } = record(config, 11);
    const random = new Random(17);
    for (let cut = 0; cut < cuts; cut++) {
      const at = random.from(0, commandsOfStream);
      const before = play(createEngine(config), commands.slice(0, at));
      const restored = restoreEngine(config, before.snapshot());
      // The restored one writes the same bytes: nothing is kept that the snapshot does not say.
      expect(restored.snapshot()).toEqual(before.snapshot());
      play(restored, commands.slice(at));
      expect(restored.stateHash()).toBe(engine.stateHash());
      expect(restored.snapshot()).toEqual(engine.snapshot());
      expect(restored.openOrders).toBe(engine.openOrders);
    }
  });
});

test('a snapshot after a time that is no whole number is restored', () => {
  const command: Command = { kind: 'open-account', account: 1, seq: 1, timeMs: 1_700_000_000_000.25 };
  const engine = play(createEngine(oneMarket), [command]);
  const restored = restoreEngine(oneMarket, engine.snapshot());
  expect(restored.timeMs).toBe(command.timeMs);
  expect(restored.snapshot()).toEqual(engine.snapshot());
});

test('commands submitted while events are drained leave theirs for the next time, in the hash too', () => {
  const { commands, engine } = record(oneMarket, 5);
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  const told: string[] = [];
  for (const hashInside of [false, true]) {
    const other = createEngine(oneMarket);
    const submit = (seq: number): void => {
      writeCommand(slots, 0, commands[seq - 1] as Command);
      other.submit(slots, 0);
    };
    const seqs = new Set<number>();
    submit(1);
    while (other.seq < commandsOfStream)
      other.drainEvents(({ float64 }, count) => {
        for (let at = 0; at < count; at++) seqs.add(float64[at * 12] ?? 0);
        submit(other.seq + 1);
        if (hashInside) told.push(other.stateHash());
      });
    other.drainEvents(({ float64 }, count) => {
      for (let at = 0; at < count; at++) seqs.add(float64[at * 12] ?? 0);
    });
    // Each command has one event at least.
    expect(seqs.size).toBe(commandsOfStream);
    expect(other.stateHash()).toBe(engine.stateHash());
  }
  expect(new Set(told).size).toBe(commandsOfStream - 1);
});

describe('a snapshot that is not what it should be', () => {
  const { engine } = record(oneMarket, 3);
  const good = engine.snapshot();
  const codeOf = (bytes: Uint8Array, config = oneMarket): unknown => {
    try {
      restoreEngine(config, bytes);
    } catch (error) {
      return error instanceof StrongroomError ? error.code : error;
    }
    return undefined;
  };

  test('is restored when it is', () => {
    expect(codeOf(good)).toBeUndefined();
  });
  test('is restored from the bytes node reads files into, which lie anywhere in its memory', () => {
    const around = Buffer.concat([Buffer.alloc(5), good, Buffer.alloc(3)]);
    const restored = restoreEngine(oneMarket, around.subarray(5, 5 + good.length));
    expect(restored.stateHash()).toBe(engine.stateHash());
    expect(restored.snapshot()).toEqual(good);
    around.fill(0xff);
    expect(restored.snapshot()).toEqual(good);
  });
  test.each([0, 3, 4, 50, -1, -8])('is refused when it ends at %i', (end) => {
    expect(codeOf(good.subarray(0, end))).toBe('MATCHING_SNAPSHOT_INVALID');
  });
  test('is refused when it goes on', () => {
    expect(codeOf(Uint8Array.of(...good, 0))).toBe('MATCHING_SNAPSHOT_INVALID');
  });
  test('is refused when its document is damaged', () => {
    const damaged = good.slice();
    damaged[10] = 0xff;
    expect(codeOf(damaged)).toBe('MATCHING_SNAPSHOT_INVALID');
  });
  test('is refused by an engine of other markets', () => {
    expect(codeOf(good, threeMarkets)).toBe('MATCHING_SNAPSHOT_INVALID');
  });
});

/**
 * Moves with the generator of the streams or with the semantics version. If neither was changed and a hash moved, then journals
 * of this version are no longer replayed to the state they had.
 */
const hashes = {
  oneMarket: '1a62a180676e64bd4d0183f7fff1beba',
  tight: '4edee9b60217bb3363948d4baf53ba2e',
  threeMarkets: 'ad5c3a68ff681484f5079bca58c381ae',
  huge: '49dce17be12269b7743a03a4d0e37a96',
};

test('the hash of a fixed stream is the committed one', () => {
  const found = Object.fromEntries(
    Object.entries(configs).map(([name, config]) => [name, record(config, 1).engine.stateHash()]),
  );
  expect(found).toEqual(hashes);
});

test('the hash tells streams apart that differ in one command', () => {
  const { commands, engine } = record(oneMarket, 1);
  for (const at of [30, 500, commandsOfStream - 1]) {
    const { seq, timeMs } = commands[at] as Command;
    const other = commands.with(at, { kind: 'open-account', account: -5, seq, timeMs });
    expect(play(createEngine(oneMarket), other).stateHash()).not.toBe(engine.stateHash());
  }
});
