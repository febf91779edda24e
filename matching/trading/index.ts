/**
 * Trading as the api offers it. It stands in the api's process; the engine is another one, of which the link keeps a view. While
 * there is none, everything is TRADING_UNAVAILABLE and the rest of the api goes on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf, messageOf } from '#core/errors';
import type { Clock } from '#core/ports';
import type { Pool } from '#infra/db';
import type { EngineLink } from '../link/types.ts';
import { findEngine } from '../settlement/store.ts';
import { createTradingAccounts } from './accounts.ts';
import { createEngineCommands } from './commands.ts';
import type { TradingOperations } from './contract.ts';
import { tradingErrors } from './errors.ts';
import { createEngineWatch, createFeed, type EngineWatch, type Feed } from './feed/index.ts';
import { createFills } from './fills.ts';
import { createMarkets, type MarketOperations } from './markets.ts';
import { createOrders, type OrderOperations } from './orders.ts';
import { createScales, type DecimalsOf, type Scales } from './scale.ts';
import { createSpotTransfers, type SpotLedger, type SpotOperations } from './spot-transfers.ts';

const fail = errorsOf(tradingErrors);

/** Until the engine's process has registered itself, or PostgreSQL answers. */
const openRetryMs = 1_000;
/** Between two looks at transfers that nobody waits for any more. */
const resumeMs = 15_000;

export interface TradingOptions {
  readonly pool: Pool;
  readonly ledger: SpotLedger;
  /** Closed by the caller, after this. */
  readonly link: EngineLink;
  readonly clock: Clock;
  /** Of every asset of the engine's configuration. */
  readonly decimalsOf: DecimalsOf;
  /** What is tried again, or was made good; for logs. */
  readonly onProblem?: (error: unknown) => void;
}
export interface Trading extends TradingOperations {
  /** Resolves when there is a view of the engine to trade with. @throws TRADING_UNAVAILABLE when it is closed before */
  ready(): Promise<void>;
  /** What is under way is answered; listeners of the feed hear nothing more. */
  close(): Promise<void>;
}

interface Opened {
  readonly markets: MarketOperations;
  readonly orders: OrderOperations;
  readonly spot: SpotOperations;
  readonly fills: TradingOperations['fills'];
  readonly feed: Feed;
}

/** Leaves nothing at the signal: it is asked for each second while an engine is refused. */
async function readyOrAborted(link: EngineLink, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<void>((resolve) => {
    onAbort = () => resolve();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    if (!signal.aborted) await Promise.race([link.ready(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Undefined when it is closed before there is a view. @throws TRADING_UNAVAILABLE, and what the link and PostgreSQL throw */
async function open(
  options: TradingOptions,
  scales: Scales,
  { signal, onFeedEnded }: { readonly signal: AbortSignal; readonly onFeedEnded: () => void },
): Promise<Opened | undefined> {
  const { pool, ledger, link, clock, onProblem } = options;
  await readyOrAborted(link, signal);
  if (signal.aborted) return undefined;
  const engine = await findEngine(pool, link.engineName, link.config);
  if (engine === undefined)
    throw fail('TRADING_UNAVAILABLE', `the engine ${link.engineName} is not registered with the settlement`);
  const commands = createEngineCommands(link);
  const accounts = createTradingAccounts(pool, engine.no);
  const context = { pool, ledger, engine, commands, accounts, scales, clock };
  return {
    markets: createMarkets(context),
    orders: createOrders(context),
    spot: createSpotTransfers(context),
    fills: createFills(context),
    feed: createFeed({
      pool,
      engine,
      link,
      scales,
      accounts,
      clock,
      onEnded: onFeedEnded,
      ...(onProblem === undefined ? {} : { onProblem }),
    }),
  };
}

/** Opens when it can; then looks after transfers until the signal. */
class TradingLife {
  readonly watch: EngineWatch;
  readonly #options: TradingOptions;
  readonly #scales: Scales;
  readonly #closing = new AbortController();
  readonly #opening: Promise<void>;
  readonly #resuming: Promise<void>;
  #opened: Opened | undefined;
  #problem: unknown;

  constructor(options: TradingOptions) {
    this.#options = options;
    this.#scales = createScales(options.link.config, options.decimalsOf);
    this.watch = createEngineWatch(options);
    this.#opening = this.#open();
    this.#resuming = this.#opening.then(async () => await this.#resume());
  }
  /** @throws TRADING_UNAVAILABLE */
  get opened(): Opened {
    if (this.#opened !== undefined) return this.#opened;
    throw fail('TRADING_UNAVAILABLE', 'there is no picture of the engine yet', {}, this.#problem);
  }
  async ready(): Promise<void> {
    await this.#opening;
    void this.opened;
  }
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#resuming;
    await this.#opened?.feed.close();
    this.watch.close();
  }

  async #open(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        this.#opened = await open(this.#options, this.#scales, {
          signal,
          onFeedEnded: () => {
            this.watch.fail();
          },
        });
        if (this.#opened !== undefined) this.watch.begin();
        return;
      } catch (error) {
        if (messageOf(error) !== messageOf(this.#problem)) this.#options.onProblem?.(error);
        this.#problem = error;
      }
      await pause(openRetryMs, signal);
    }
  }
  async #resume(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await this.#opened?.spot.resume();
      } catch (error) {
        this.#options.onProblem?.(error);
      }
      await pause(resumeMs, signal);
    }
  }
}
const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await delay(ms, undefined, { signal }).catch(() => undefined);
};

/** @throws MATCHING_CONFIG_INVALID for a market whose tick is no decimal number, and what `decimalsOf` throws */
export function createTrading(options: TradingOptions): Trading {
  const life = new TradingLife(options);
  const now = () => life.opened;
  return {
    engineStatus: () => life.watch.status,
    onEngineStatus: (listener) => life.watch.listen(listener),
    markets: () => now().markets.markets(),
    market: (id) => now().markets.market(id),
    book: (market, levels) => now().feed.book(market, levels),
    ticker: (market) => now().feed.ticker(market),
    trades: async (market, page) => await now().feed.recentTrades(market, page),
    candles: async (market, range) => await now().feed.candles(market, range),
    feed: {
      subscribe: (key, listener, after) => now().feed.subscribe(key, listener, after),
      newestSeq: (key) => now().feed.newestSeq(key),
    },
    place: async (order) => await now().orders.place(order),
    placeAll: async (orders) => await now().orders.placeAll(orders),
    amend: async (name, change) => await now().orders.amend(name, change),
    cancel: async (name) => await now().orders.cancel(name),
    cancelEach: async (names) => await now().orders.cancelEach(names),
    cancelAll: async (which) => await now().orders.cancelAll(which),
    openOrders: async (which) => await now().orders.openOrders(which),
    order: async (name) => await now().orders.order(name),
    fills: async (which) => await now().fills(which),
    account: async (accountId) => await now().feed.account(accountId),
    moveSpot: async (transfer) => await now().spot.moveSpot(transfer),
    spotTransfer: async (id) => await now().spot.spotTransfer(id),
    setMarketState: async (market, state) => await now().markets.setMarketState(market, state),
    setBand: async (market, band) => await now().markets.setBand(market, band),
    setAccount: async (accountId, settings) => await now().markets.setAccount(accountId, settings),
    ready: async () => await life.ready(),
    close: async () => await life.close(),
  };
}
