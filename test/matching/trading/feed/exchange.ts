/**
 * A real engine whose durable commands come to the feed in portions of any size: only the transport between their processes is
 * replaced, and where the database is not what is tested, the settled history and the names of accounts.
 */
import { derivedId, type Id } from '#core/ids';
import { assetId } from '#core/money';
import {
  type Command,
  type CommandBody,
  commandBytes,
  commandSlots,
  writeCommand,
} from '../../../../matching/commands.ts';
import type { EngineConfig } from '../../../../matching/config.ts';
import { createEngine, type Engine, restoreEngine } from '../../../../matching/engine/index.ts';
import { type EngineEvent, readEvent } from '../../../../matching/events.ts';
import type { EngineLink, EngineView, LinkListener } from '../../../../matching/link/types.ts';
import type { CandleRow } from '../../../../matching/settlement/candles.ts';
import {
  type EventPlace,
  isBefore,
  wholeCommand,
} from '../../../../matching/settlement/settlement-events.ts';
import type { TradingAccounts } from '../../../../matching/trading/accounts.ts';
import { LinkFeed } from '../../../../matching/trading/feed/feed.ts';
import type { SettledHistory } from '../../../../matching/trading/feed/history.ts';
import { createScales, type Scales } from '../../../../matching/trading/scale.ts';
import type { TradeEvent } from '../../../../matching/trading/views.ts';
import { oneMarket, threeMarkets, tight } from '../../engine/configs.ts';
import { Random } from '../../engine/random.ts';
import { Stream } from '../../engine/streams.ts';

/** The engine's configurations, with assets that a ledger has. */
const traded = (config: EngineConfig): EngineConfig => ({
  ...config,
  assets: config.assets.map((asset) => ({ ...asset, id: assetId(`ledger:${asset.id}`) })),
});
export const configs = {
  oneMarket: traded(oneMarket),
  tight: traded(tight),
  threeMarkets: traded(threeMarkets),
} as const;
const decimals = 9;
export const scalesOf = (config: EngineConfig): Scales => createScales(config, () => decimals);

export class TestLink implements EngineLink {
  readonly config: EngineConfig;
  readonly engineName = 'test';
  readonly #listeners = new Set<LinkListener>();
  readonly #slots = commandSlots(new ArrayBuffer(commandBytes));
  #engine: Engine;
  #isConnected = true;

  constructor(config: EngineConfig) {
    this.config = config;
    this.#engine = createEngine(config);
  }
  readonly view = (): EngineView => this.#engine;
  readonly state = (): ReturnType<EngineLink['state']> => ({
    connected: this.#isConnected,
    epoch: 1,
    settlementLags: false,
  });
  readonly subscribe = (listener: LinkListener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly ready = async (): Promise<void> => {
    await Promise.resolve();
  };
  readonly close = this.ready;
  readonly submit = (command: CommandBody): Promise<readonly EngineEvent[]> => {
    const { seq, timeMs } = this.#engine;
    return Promise.resolve(this.portion([{ ...command, seq: seq + 1, timeMs }]));
  };
  readonly submitAll = async (
    commands: readonly CommandBody[],
  ): Promise<readonly (readonly EngineEvent[])[]> => {
    const all: (readonly EngineEvent[])[] = [];
    for (const command of commands) all.push(await this.submit(command));
    return all;
  };

  /** Durable commands that come together. */
  portion(commands: readonly Command[]): readonly EngineEvent[] {
    const documents: EngineEvent[] = [];
    for (const command of commands) {
      writeCommand(this.#slots, 0, command);
      this.#engine.submit(this.#slots, 0);
    }
    this.#engine.drainEvents((events, count) => {
      for (let at = 0; at < count; at++) documents.push(readEvent(events, at));
      for (const { onEvents } of [...this.#listeners]) onEvents(events, count);
    });
    return documents;
  }
  /** The connection is lost, or is back; what happened meanwhile is to be given before. */
  connect(connected: boolean): void {
    this.#isConnected = connected;
    for (const { onConnected } of [...this.#listeners]) onConnected?.(connected);
  }
  /** The view begins anew with a snapshot. */
  reset(): void {
    this.#engine = restoreEngine(this.config, this.#engine.snapshot());
    for (const { onReset } of [...this.#listeners]) onReset();
  }
}

export const accountOf = (number: number): Id<'acc'> => derivedId('acc', `customer ${number}`);

/** Answers later, like a database; knows the accounts that were named. */
export class NamedAccounts implements TradingAccounts {
  readonly #numbers = new Map<Id<'acc'>, number>();
  readonly #loaded = new Set<number>();

  name(number: number): void {
    this.#numbers.set(accountOf(number), number);
  }
  async numberOf(accountId: Id<'acc'>): Promise<number | undefined> {
    await new Promise(setImmediate);
    return this.#numbers.get(accountId);
  }
  async load(numbers: Iterable<number>): Promise<void> {
    await new Promise(setImmediate);
    for (const number of numbers) this.#loaded.add(number);
  }
  nameOf(number: number): Id<'acc'> {
    if (!this.#loaded.has(number)) throw new RangeError(`${number} was not loaded`);
    return accountOf(number);
  }
}

/** What is settled when everything up to `at` is: the trades, and candles made of them one by one. */
export class PlainHistory implements SettledHistory {
  readonly trades_: TradeEvent[] = [];
  at: EventPlace = { seq: 0, index: wholeCommand };
  /** Questions that fail, one after another. */
  outages = 0;

  see(events: readonly EngineEvent[]): void {
    for (const event of events) if (event.kind === 'trade') this.trades_.push(event);
  }
  #answer<T>(value: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        if (this.outages > 0) {
          this.outages--;
          reject(new Error('the database is away'));
        } else resolve(value());
      });
    });
  }
  #settled(market: number): TradeEvent[] {
    return this.trades_.filter((trade) => trade.market === market && !isBefore(this.at, trade));
  }
  head(): Promise<EventPlace> {
    return this.#answer(() => this.at);
  }
  candlesAtHead(market: number, sinceMs: number): ReturnType<SettledHistory['candlesAtHead']> {
    return this.#answer(() => ({
      head: this.at,
      candles1m: plainCandles(this.#settled(market), 60_000).filter(
        ({ startMs }) => startMs > sinceMs - 60_000,
      ),
    }));
  }
  candles(
    market: number,
    { intervalMs, fromMs, toMs, limit }: Parameters<SettledHistory['candles']>[1],
  ): Promise<readonly CandleRow[]> {
    return this.#answer(() =>
      plainCandles(this.#settled(market), intervalMs)
        .filter(({ startMs }) => startMs >= fromMs && startMs < toMs)
        .slice(-limit),
    );
  }
  trades(
    market: number,
    { before, limit }: Parameters<SettledHistory['trades']>[1],
  ): ReturnType<SettledHistory['trades']> {
    return this.#answer(() =>
      this.#settled(market)
        .filter((trade) => before === undefined || isBefore(trade, before))
        .slice(-limit)
        .reverse(),
    );
  }
}

/** Trade by trade, as anybody would; value is the sum of price times lots. */
export function plainCandles(trades: readonly TradeEvent[], intervalMs: number): CandleRow[] {
  const candles: CandleRow[] = [];
  for (const { seq, index, timeMs, price, lots } of trades) {
    const startMs = timeMs - (timeMs % intervalMs);
    const old = candles.at(-1);
    const isNew = old?.startMs !== startMs;
    if (!isNew) candles.pop();
    candles.push({
      startMs,
      open: isNew ? price : old.open,
      high: isNew ? price : Math.max(old.high, price),
      low: isNew ? price : Math.min(old.low, price),
      close: price,
      lots: (isNew ? 0n : old.lots) + BigInt(lots),
      value: (isNew ? 0n : old.value) + BigInt(lots) * BigInt(price),
      trades: (isNew ? 0 : old.trades) + 1,
      last: { seq, index },
    });
  }
  return candles;
}

export interface World {
  readonly link: TestLink;
  readonly feed: LinkFeed;
  readonly scales: Scales;
  readonly accounts: NamedAccounts;
  readonly history: PlainHistory;
  readonly random: Random;
  readonly problems: unknown[];
  /** Of our clock, which the test moves. */
  readonly clock: { ms: number };
  /** All events so far, and the commands of the stream that they came of. */
  readonly events: EngineEvent[];
  readonly commands: Command[];
  /** Random commands, as one portion. */
  readonly step: (commands: number) => readonly EngineEvent[];
  /** The same commands as another engine had, as one portion. */
  readonly follow: (commands: readonly Command[]) => void;
  /** Given commands, as one portion. */
  readonly run: (bodies: readonly CommandBody[]) => readonly EngineEvent[];
}
export interface WorldOptions {
  readonly seed: number;
  readonly config?: EngineConfig;
  /** Time passes so many times faster than the streams have it. */
  readonly pace?: number;
  /** Shared between feeds that are to know the same. */
  readonly history?: PlainHistory;
}

export function worldOf({
  seed,
  config = configs.oneMarket,
  pace = 1,
  history = new PlainHistory(),
}: WorldOptions): World {
  const link = new TestLink(config);
  const scales = scalesOf(config);
  const accounts = new NamedAccounts();
  const problems: unknown[] = [];
  const clock = { ms: 0 };
  const feed = new LinkFeed({
    link,
    scales,
    accounts,
    history,
    clock: { nowMs: () => clock.ms },
    onProblem: (problem) => problems.push(problem),
    historyWaitMs: 150,
  });
  const stream = new Stream(config, seed);
  const events: EngineEvent[] = [];
  const see = (seen: readonly EngineEvent[]): readonly EngineEvent[] => {
    history.see(seen);
    for (const event of seen) {
      events.push(event);
      if (event.kind === 'account-opened') accounts.name(event.account);
    }
    return seen;
  };
  const startMs = 1_700_000_000_000;
  const commands: Command[] = [];
  const step = (count: number): readonly EngineEvent[] => {
    const portion = Array.from({ length: count }, () => {
      const command = stream.next();
      return { ...command, timeMs: startMs + (command.timeMs - startMs) * pace };
    });
    const seen = see(link.portion(portion));
    commands.push(...portion);
    stream.see(seen);
    return seen;
  };
  const follow = (given: readonly Command[]): void => {
    see(link.portion(given));
  };
  const run = (bodies: readonly CommandBody[]): readonly EngineEvent[] => {
    const { seq, timeMs } = link.view();
    return see(
      link.portion(
        bodies.map((body, at) => ({ ...body, seq: seq + 1 + at, timeMs: Math.max(timeMs, startMs) })),
      ),
    );
  };
  const random = new Random(seed);
  return {
    link,
    feed,
    scales,
    accounts,
    history,
    random,
    problems,
    clock,
    events,
    commands,
    step,
    follow,
    run,
  };
}
/** What was started for an answer has been answered. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 12; turn++) await new Promise(setImmediate);
};
