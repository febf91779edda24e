/** The fast engine and the plain one side by side: the same commands, and after each one the same events. */
import { isDeepStrictEqual } from 'node:util';
import { type Command, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import type { EngineConfig } from '../../../matching/config.ts';
import { createEngine, type Engine } from '../../../matching/engine/index.ts';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import { createReference, type Reference } from '../../../matching/reference/index.ts';
import { sides } from '../../../matching/vocabulary.ts';
import { readsOfEngine, readsOfReference } from './reads.ts';
import { Stream } from './streams.ts';

/** An engine that takes documents. */
export interface DocumentEngine {
  readonly engine: Engine;
  readonly submit: (command: Command) => EngineEvent[];
}
export function documentEngine(engine: Engine): DocumentEngine {
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  return {
    engine,
    submit: (command) => {
      writeCommand(slots, 0, command);
      engine.submit(slots, 0);
      return drained(engine);
    },
  };
}
export function drained(engine: Engine): EngineEvent[] {
  const events: EngineEvent[] = [];
  engine.drainEvents((slots, count) => {
    for (let at = 0; at < count; at++) events.push(readEvent(slots, at));
  });
  return events;
}

/** A command for which both give something else. */
export interface Difference {
  /** Position in the stream. */
  readonly at: number;
  /** undefined: the state after all of them. */
  readonly command: Command | undefined;
  readonly engine: unknown;
  readonly reference: unknown;
}

interface StreamGiven {
  readonly seed: number;
  readonly count: number;
  readonly see?: (events: readonly EngineEvent[]) => void;
}
/** Runs a new stream through both; `commands` are those it took, `see` gets all events. */
export function compareStream(
  config: EngineConfig,
  { seed, count, see }: StreamGiven,
): { readonly commands: readonly Command[]; readonly difference: Difference | undefined } {
  const stream = new Stream(config, seed);
  const commands: Command[] = [];
  const next = (events: readonly EngineEvent[]): Command | undefined => {
    stream.see(events);
    see?.(events);
    if (commands.length === count) return undefined;
    const command = stream.next();
    commands.push(command);
    return command;
  };
  return { commands, difference: compare(config, next) };
}

export function firstDifference(config: EngineConfig, commands: readonly Command[]): Difference | undefined {
  const rest = commands.values();
  return compare(config, () => rest.next().value);
}

/** How often everything that can be asked for is compared, besides every event. */
const stateEvery = 64;

/** @param next given the events of the command before; undefined: no more */
function compare(
  config: EngineConfig,
  next: (events: readonly EngineEvent[]) => Command | undefined,
): Difference | undefined {
  const fast = documentEngine(createEngine(config));
  const plain = createReference(config);
  let events: readonly EngineEvent[] = [];
  for (let at = 0; ; at++) {
    const command = next(events);
    if (command === undefined || at % stateEvery === 0) {
      const engine = stateOfEngine(fast.engine, config, plain);
      const reference = stateOfReference(plain, config);
      if (!isDeepStrictEqual(engine, reference)) return { at, command, engine, reference };
    }
    if (command === undefined) return undefined;
    const reference = outcomeOf(() => plain.submit(command));
    const engine = outcomeOf(() => fast.submit(command));
    if (reference instanceof Error || !isDeepStrictEqual(engine, reference))
      return { at, command, engine, reference };
    events = reference;
  }
}
/** A broken invariant is an outcome too. */
function outcomeOf(submit: () => EngineEvent[]): EngineEvent[] | Error {
  try {
    return submit();
  } catch (cause) {
    if (cause instanceof Error) return cause;
    throw cause;
  }
}

export function stateOfEngine(engine: Engine, config: EngineConfig, plain: Reference): unknown {
  return {
    openOrders: engine.openOrders,
    reads: readsOfEngine(engine, config, plain),
    balances: balancesOf(engine, config, plain.accounts()),
    levels: config.markets.flatMap((_, market) =>
      sides.map((side) => engine.levels(market, side, Number.MAX_SAFE_INTEGER)),
    ),
  };
}
export function stateOfReference(plain: Reference, config: EngineConfig): unknown {
  return {
    openOrders: plain.openOrders().length,
    reads: readsOfReference(plain, config),
    balances: balancesOf(plain, config, plain.accounts()),
    levels: config.markets.flatMap((_, market) =>
      sides.map((side) =>
        plain.levels(market, side).map(({ price, visible, orders }) => ({ price, lots: visible, orders })),
      ),
    ),
  };
}
export function balancesOf(
  source: Pick<Engine, 'balance'>,
  { assets }: EngineConfig,
  accounts: number,
): unknown {
  return Array.from({ length: accounts }, (_, account) =>
    assets.map((_asset, asset) => source.balance(account, asset)),
  );
}

/** A test has 20 s, and a try takes up to 50 ms. */
const shrinkTriesMax = 200;
/**
 * Fewer commands with the same difference: nothing after it, and before it each command that is not needed becomes one that is
 * refused, so that order ids stay what they are.
 */
export function shrink(config: EngineConfig, commands: readonly Command[]): readonly Command[] {
  const difference = firstDifference(config, commands);
  if (difference === undefined) return commands;
  let kept = commands.slice(0, difference.at + 1);
  let tries = 0;
  for (let size = kept.length >> 1; size >= 1; size >>= 1)
    for (let from = 0; from < kept.length - 1; from += size) {
      if (++tries > shrinkTriesMax) return kept;
      const to = Math.min(from + size, kept.length - 1);
      const tried = kept.map((command, at) => (at >= from && at < to ? blank(command) : command));
      if (firstDifference(config, tried) !== undefined) kept = tried;
    }
  return kept;
}
const blank = ({ seq, timeMs }: Command): Command => ({
  kind: 'set-market',
  market: -9,
  state: 'open',
  seq,
  timeMs,
});

/** What a failing test prints. */
export function described(config: EngineConfig, commands: readonly Command[]): string {
  const least = shrink(config, commands);
  const difference = firstDifference(config, least);
  const lines = least.filter(
    ({ kind, ...rest }) => !(kind === 'set-market' && 'market' in rest && rest.market === -9),
  );
  return [...lines, difference].map((value) => text(value)).join('\n');
}
const text = (value: unknown): string =>
  value instanceof Error
    ? (value.stack ?? value.message)
    : JSON.stringify(value, (_, field: unknown) => {
        if (typeof field === 'bigint') return `${field}n`;
        if (field instanceof Error) return field.message;
        return typeof field === 'number' && !Number.isFinite(field) ? `${field}` : field;
      });
