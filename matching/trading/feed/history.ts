/** What is settled of the markets, as the feed reads it; and how candles get what was traded before the feed began. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pool } from '#infra/db';
import type { CandleRange, CandleRow, CandlesAtHead } from '../../settlement/candles.ts';
import { candlesAtHead, candlesOf } from '../../settlement/candles.ts';
import { type HistoryPage, tradesOf } from '../../settlement/history.ts';
import { type EventPlace, isBefore } from '../../settlement/settlement-events.ts';
import { readHead, type SettledEngine } from '../../settlement/store.ts';
import type { PublicTrade } from '../views.ts';
import { historyPollMs, historyWaitMs } from './limits.ts';
import type { MarketState } from './market.ts';

/** Of the settlement; markets by their position in the configuration. */
export interface SettledHistory {
  /** All events up to it are booked. */
  head(): Promise<EventPlace>;
  /** Minutes from that of `sinceMs` on that cover exactly what is booked up to their head. */
  candlesAtHead(market: number, sinceMs: number): Promise<CandlesAtHead>;
  /** The newest of the range, by start. */
  candles(market: number, range: CandleRange): Promise<readonly CandleRow[]>;
  /** Newest first. */
  trades(market: number, page: HistoryPage): Promise<readonly PublicTrade[]>;
}
export const settledHistory = (pool: Pool, engine: SettledEngine): SettledHistory => ({
  head: async () => await readHead(pool, engine),
  candlesAtHead: async (market, sinceMs) => await candlesAtHead(pool, engine, { market, sinceMs }),
  candles: async (market, range) => await candlesOf(pool, engine, market, range),
  trades: async (market, page) => await tradesOf(pool, engine, market, page),
});

export interface HistoryLoaderOptions {
  readonly history: SettledHistory;
  readonly markets: readonly MarketState[];
  /** Time of the engine, ms since 1970. */
  readonly nowMs: () => number;
  /** Its candles are known from now on, and are to be told. */
  readonly onLoaded: (market: MarketState) => void;
  /** An attempt failed; it is made again. */
  readonly onProblem: (error: unknown) => void;
  /** How long a question waits for the settlement. */
  readonly waitMs?: number;
}

/** Asks for the settled head until all markets have their history; less and less often, at last every five seconds. */
export class HistoryLoader {
  readonly #options: HistoryLoaderOptions;
  #turn = new AbortController();
  #loading: Promise<unknown> = Promise.resolve();
  #settled: EventPlace | undefined;
  /** However many wait for it, it is asked for once at a time. */
  #askedHead: Promise<EventPlace> | undefined;
  readonly #asked = new Map<MarketState, Promise<boolean>>();

  constructor(options: HistoryLoaderOptions) {
    this.#options = options;
  }

  /** Anew, after the markets have begun anew. */
  start(): void {
    this.#turn.abort();
    this.#turn = new AbortController();
    const { signal } = this.#turn;
    this.#loading = this.#loading.then(async () => {
      await this.#run(signal);
    });
  }
  async stop(): Promise<void> {
    this.#turn.abort();
    await this.#loading;
  }

  /** Waits a little for the settlement to come as far. @returns whether it has */
  async reaches(place: EventPlace): Promise<boolean> {
    const { signal } = this.#turn;
    const longestMs = this.#options.waitMs ?? historyWaitMs;
    let waitMs: number = historyPollMs.first;
    for (let waitedMs = 0; ; waitedMs += waitMs, waitMs *= 2) {
      if (this.#settled !== undefined && !isBefore(this.#settled, place)) return true;
      if (!isBefore(await this.#head(), place)) return true;
      if (waitedMs + waitMs > longestMs || signal.aborted) return false;
      await pause(waitMs, signal);
    }
  }

  /** Waits a little for the candles of a market. @returns whether they are all known */
  async load(market: MarketState): Promise<boolean> {
    const { signal } = this.#turn;
    return (await this.reaches(market.series.after)) && (await this.#load(market, signal));
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { onProblem } = this.#options;
    for (let waitMs: number = historyPollMs.first; !signal.aborted; ) {
      try {
        if (await this.#loadAll(signal)) return;
      } catch (error) {
        onProblem(error);
      }
      await pause(waitMs, signal);
      waitMs = Math.min(waitMs * 2, historyPollMs.longest);
    }
  }

  /** @returns whether all are loaded */
  async #loadAll(signal: AbortSignal): Promise<boolean> {
    const { markets } = this.#options;
    const missing = markets.filter(({ series }) => !series.isLoaded);
    if (missing.length === 0) return true;
    const settled = await this.#head();
    for (const market of missing)
      if (!isBefore(settled, market.series.after) && !signal.aborted) await this.#load(market, signal);
    return signal.aborted || markets.every(({ series }) => series.isLoaded);
  }

  async #head(): Promise<EventPlace> {
    this.#askedHead ??= this.#options.history.head().finally(() => {
      this.#askedHead = undefined;
    });
    this.#settled = await this.#askedHead;
    return this.#settled;
  }

  async #load(market: MarketState, signal: AbortSignal): Promise<boolean> {
    const asked =
      this.#asked.get(market) ??
      this.#read(market, signal).finally(() => {
        this.#asked.delete(market);
      });
    this.#asked.set(market, asked);
    return await asked;
  }
  async #read(market: MarketState, signal: AbortSignal): Promise<boolean> {
    const { history, nowMs, onLoaded } = this.#options;
    const { series, scale } = market;
    if (series.isLoaded) return true;
    const sinceMs = series.historyFromMs(nowMs());
    const { head, candles1m } = await history.candlesAtHead(scale.no, sinceMs);
    // It has begun anew meanwhile.
    if (signal.aborted) return false;
    if (!series.load(head, sinceMs, candles1m)) return false;
    onLoaded(market);
    return true;
  }
}

const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await delay(ms, undefined, { signal, ref: false }).catch(() => undefined);
};
