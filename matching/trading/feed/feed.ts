/** The feed: what the events of the link come to for everybody who listens, and what can be asked of the markets. */
import { errorsOf, isStrongroomError } from '#core/errors';
import { type Id, parseId } from '#core/ids';
import type { Clock } from '#core/ports';
import { type EventSlots, eventInt32 } from '../../events.ts';
import type { EngineLink, EngineView } from '../../link/types.ts';
import { eventKinds } from '../../vocabulary.ts';
import type { TradingAccounts } from '../accounts.ts';
import {
  type AccountSnapshot,
  type BookView,
  type CandleView,
  type ChannelKey,
  candleIntervals,
  type FeedListener,
  type MarketFeed,
  type PriceLevel,
  type TickerView,
  type TradeView,
  tradingLimits,
} from '../contract.ts';
import { tradingErrors } from '../errors.ts';
import type { Scales } from '../scale.ts';
import { AccountChannels } from './account-channels.ts';
import { HistoryLoader, type SettledHistory } from './history.ts';
import { type MarketChannel, MarketState } from './market.ts';
import { type CandlesAsked, candlesIn, type TradesAsked, tradesIn } from './past.ts';

const fail = errorsOf(tradingErrors);
/** Kinds of events that have a market, where the others have an asset or nothing. */
const marketKinds = new Set(
  (['trade', 'rested', 'amended', 'decremented', 'done', 'market-set'] as const).map((kind) =>
    eventKinds.indexOf(kind),
  ),
);
const isOfMarket = eventKinds.map((_, kind) => marketKinds.has(kind));
/** Between two looks for channels that nobody listens to any more. */
const sweepMs = 1_000;

export interface Feed extends MarketFeed {
  /** @throws TRADING_MARKET_UNKNOWN, TRADING_UNAVAILABLE; so all below */
  book(market: string, levels: number): BookView;
  ticker(market: string): TickerView;
  /**
   * The newest `limit` of the range, by start. While the settlement has not come as far as the feed began at, those that may
   * have trades which are not known are left out.
   */
  candles(market: string, asked: CandlesAsked): Promise<readonly CandleView[]>;
  /**
   * Newest first.
   * @throws TRADING_UNAVAILABLE also when older trades are asked for than memory has, and the settlement is not there yet
   * @throws TRADING_NUMBER_INVALID for a `before` that is no id of a trade
   */
  recentTrades(market: string, page: TradesAsked): Promise<readonly TradeView[]>;
  account(accountId: Id<'acc'>): Promise<AccountSnapshot>;
  /** Resolves when there is a view to begin with. */
  ready(): Promise<void>;
  /** Listeners hear nothing more. */
  close(): Promise<void>;
}
export interface FeedOptions {
  readonly link: EngineLink;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
  readonly history: SettledHistory;
  readonly clock: Clock;
  /** What could not be read is read again; what could not be told made all begin anew. For logs. */
  readonly onProblem?: (error: unknown) => void;
  /** A defect has ended it, and making it begin anew: it tells nothing more, of anything. */
  readonly onEnded?: () => void;
  /** How long a question waits for the settlement to reach what it needs. Default 2 s. */
  readonly historyWaitMs?: number;
}

type Channelled =
  | { readonly market: MarketState; readonly name: MarketChannel }
  | { readonly accountId: Id<'acc'> };

export class LinkFeed implements Feed {
  readonly #options: FeedOptions;
  readonly #markets: readonly MarketState[];
  readonly #accounts: AccountChannels;
  readonly #loader: HistoryLoader;
  readonly #leave: () => void;
  /** Markets the portion has said something of, or whose history has come. */
  #due: MarketState[] = [];
  #hasBegun = false;
  #sweptMs = 0;

  constructor(options: FeedOptions) {
    const { link, scales, accounts, history } = options;
    this.#options = options;
    this.#markets = scales.markets.map((scale) => new MarketState(scale, scales.markets.length));
    this.#accounts = new AccountChannels({
      config: link.config,
      scales,
      accounts,
      view: () => this.#view(),
    });
    this.#loader = new HistoryLoader({
      history,
      markets: this.#markets,
      nowMs: () => this.#view().timeMs,
      onLoaded: (market) => {
        this.#see(market);
      },
      onProblem: (error) => {
        options.onProblem?.(error);
      },
      ...(options.historyWaitMs === undefined ? {} : { waitMs: options.historyWaitMs }),
    });
    this.#leave = link.subscribe({
      onEvents: (events, count) => {
        this.#orEnd(() => {
          this.#hear(events, count);
        });
      },
      onReset: () => {
        this.#orEnd(() => {
          this.#begin();
        });
      },
    });
    // The first snapshot may have come before us.
    if (this.#isViewThere()) this.#begin();
  }

  async ready(): Promise<void> {
    await this.#options.link.ready();
    if (!this.#hasBegun) this.#begin();
  }
  async close(): Promise<void> {
    this.#leave();
    await this.#loader.stop();
  }

  // -------------------------------------------------------------- channels

  subscribe(key: ChannelKey, listener: FeedListener, after?: number): { readonly end: () => void } | false {
    const named = this.#named(key);
    if ('accountId' in named) return this.#accounts.subscribe(named.accountId, listener, after);
    const view = this.#view();
    return named.market.channel(named.name, view, this.#nowMs(view)).subscribe(listener, after, view.seq);
  }
  newestSeq(key: ChannelKey): number {
    const named = this.#named(key);
    if ('accountId' in named) return this.#accounts.newestSeq(named.accountId);
    return named.market.newestSeq(named.name) ?? this.#view().seq;
  }
  #named(key: ChannelKey): Channelled {
    const [kind = '', subject = '', interval] = key.split('/');
    if (kind === 'account') return { accountId: parseId('acc', subject) };
    const market = this.#market(subject);
    if (kind !== 'candles') return { market, name: kind as 'book' | 'trades' | 'ticker' };
    const found = candleIntervals.find((each) => each === interval);
    if (found === undefined) throw new RangeError(`candles of ${interval ?? 'no interval'}`);
    return { market, name: found };
  }

  // -------------------------------------------------------------- questions

  book(market: string, levels: number): BookView {
    const { scale } = this.#market(market);
    const view = this.#view();
    const max = Math.min(levels, tradingLimits.bookLevels);
    const side = (name: 'buy' | 'sell'): PriceLevel[] =>
      view.levels(scale.no, name, max).map(({ price, lots }) => [scale.price(price), scale.size(lots)]);
    return { market: scale.id, seq: view.seq, timeMs: view.timeMs, bids: side('buy'), asks: side('sell') };
  }
  ticker(market: string): TickerView {
    const state = this.#market(market);
    const view = this.#view();
    return state.ticker(view, view, this.#nowMs(view));
  }
  async candles(market: string, asked: CandlesAsked): Promise<readonly CandleView[]> {
    const state = this.#market(market);
    this.#view();
    return await candlesIn({ state, history: this.#options.history, loader: this.#loader }, asked);
  }
  async recentTrades(market: string, page: TradesAsked): Promise<readonly TradeView[]> {
    const state = this.#market(market);
    this.#view();
    return await tradesIn({ state, history: this.#options.history, loader: this.#loader }, page);
  }
  async account(accountId: Id<'acc'>): Promise<AccountSnapshot> {
    return await this.#accounts.snapshot(accountId);
  }

  // -------------------------------------------------------------- events

  /** What is thrown here the link takes for our end. */
  #orEnd(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#options.onEnded?.();
      throw error;
    }
  }

  #hear(events: EventSlots, count: number): void {
    try {
      this.#tell(events, count);
    } catch (error) {
      // A defect of ours. What was derived is derived anew, so that nobody goes on with half of it.
      this.#options.onProblem?.(error);
      this.#begin();
    }
  }

  #tell(events: EventSlots, count: number): void {
    const { int32 } = events;
    for (let at = 0; at < count; at++) {
      const kind = (int32[at * 24 + eventInt32.head] as number) & 0xff;
      if (isOfMarket[kind] === true) {
        const market = this.#markets[int32[at * 24 + eventInt32.market] as number] as MarketState;
        market.see(events, at, kind);
        this.#see(market);
      }
      this.#accounts.see(events, at, kind);
    }
    const view = this.#view();
    const nowMs = this.#nowMs(view);
    const due = this.#due;
    this.#due = [];
    for (const market of due) market.tell(view, view, nowMs);
    this.#accounts.tell(view);
    this.#sweep();
  }
  #see(market: MarketState): void {
    if (market.isDue) return;
    market.isDue = true;
    this.#due.push(market);
  }
  #sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    // A clock that is set back begins anew.
    if (Math.abs(nowMs - this.#sweptMs) < sweepMs) return;
    this.#sweptMs = nowMs;
    this.#accounts.sweep(nowMs);
    for (const market of this.#markets) market.sweep(nowMs);
  }

  /** All that is derived, from the view. Reads every open order: about a second per million. */
  #begin(): void {
    const view = this.#view();
    const at = { seq: view.seq, timeMs: view.timeMs };
    this.#hasBegun = true;
    this.#due = [];
    const told = this.#markets.flatMap((market) => market.begin(at));
    const { openOrders } = this.#options.link.config.limits;
    for (let account = 1; view.account(account) !== undefined; account++)
      for (const order of view.ordersOf(account, 0, openOrders))
        if (!order.waiting) this.#markets[order.market]?.book.add(order);
    told.push(...this.#accounts.reset(at.seq));
    this.#loader.start();
    for (const tell of told) tell();
  }

  // -------------------------------------------------------------- what there is

  #market(id: string): MarketState {
    return this.#markets[this.#options.scales.market(id).no] as MarketState;
  }
  /** @throws TRADING_UNAVAILABLE */
  #view(): EngineView {
    try {
      return this.#options.link.view();
    } catch (cause) {
      if (!isStrongroomError(cause)) throw cause;
      throw fail('TRADING_UNAVAILABLE', 'there is no picture of the engine yet', {}, cause);
    }
  }
  #isViewThere(): boolean {
    try {
      this.#view();
      return true;
    } catch {
      return false;
    }
  }
  /** The later of the engine's time and ours: without commands the engine's stands still. */
  #nowMs(view: EngineView): number {
    return Math.max(view.timeMs, this.#options.clock.nowMs());
  }
}
