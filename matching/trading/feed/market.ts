/** One market of the feed: what its events say to everybody, and its channels. Nothing of whose an order is comes in here. */
import { detailBits, type EventSlots, eventFlags, eventFloat64, eventInt32 } from '../../events.ts';
import type { EngineView } from '../../link/types.ts';
import { eventKinds, type Side } from '../../vocabulary.ts';
import {
  type CandleInterval,
  candleIntervalMs,
  candleIntervals,
  type PriceLevel,
  type TickerView,
} from '../contract.ts';
import type { MarketScale } from '../scale.ts';
import { type PublicTrade, tradeView } from '../views.ts';
import { CandleSeries } from './candle-series.ts';
import { Channel } from './channel.ts';
import { keptMs, marketRingOf, pendingTradesMax } from './limits.ts';
import { RecentTrades } from './recent-trades.ts';
import { sameTicker, type TickerNumbers, tickerNumbers, tickerView } from './ticker.ts';
import { placeOf, TouchedBook } from './touched-book.ts';

const kinds = {
  trade: eventKinds.indexOf('trade'),
  rested: eventKinds.indexOf('rested'),
  amended: eventKinds.indexOf('amended'),
  decremented: eventKinds.indexOf('decremented'),
  done: eventKinds.indexOf('done'),
} as const;
/** Book, trades, ticker, and candles of each interval. */
const channelsPerMarket = 3 + candleIntervals.length;
/** About as many bytes as the JSON of a message, and of each thing in it, has. */
const bytesOf = { message: 150, level: 40, trade: 170, candle: 200, ticker: 450 } as const;

export type MarketChannel = 'book' | 'trades' | 'ticker' | CandleInterval;
interface At {
  readonly seq: number;
  readonly timeMs: number;
}

/** Where in a slot of float64 and int32 words. */
const floatAt = (events: EventSlots, at: number, word: number): number => events.float64[at * 12 + word] ?? 0;
const intAt = (events: EventSlots, at: number, word: number): number => events.int32[at * 24 + word] ?? 0;

export class MarketState {
  readonly scale: MarketScale;
  readonly series: CandleSeries;
  readonly recent = new RecentTrades();
  readonly #book = new TouchedBook();
  readonly #limits: ReturnType<typeof marketRingOf>;
  /** Kept all the time, so that whoever has a snapshot can go on from it. */
  readonly #bookChannel: Channel;
  readonly #tradesChannel: Channel;
  /** Kept while somebody listens, and some time after: what they tell stands for all before it. */
  readonly #kept = new Map<'ticker' | CandleInterval, Channel>();
  #told: TickerNumbers | undefined;
  #trades: PublicTrade[] = [];
  /** Commands after which ticker, and candles, may have changed last. */
  #changedSeq = 0;
  #tradedSeq = 0;
  /** Whether the portion says something of this market. */
  isDue = false;

  constructor(scale: MarketScale, markets: number) {
    this.scale = scale;
    this.series = new CandleSeries(scale.config.tickUnits, Math.ceil(pendingTradesMax / markets));
    this.#limits = marketRingOf(markets * channelsPerMarket);
    this.#bookChannel = new Channel(this.#limits, 0);
    this.#tradesChannel = new Channel(this.#limits, 0);
  }

  /** Where its orders rest. */
  get book(): Pick<TouchedBook, 'add'> {
    return this.#book;
  }

  /**
   * Begins after a command; its orders are to be added again.
   * @returns tells the listeners
   */
  begin(at: At): readonly (() => void)[] {
    this.#book.clear();
    this.recent.begin(at.seq);
    this.series.begin(at);
    this.#trades = [];
    this.#told = undefined;
    this.#changedSeq = at.seq;
    this.#tradedSeq = at.seq;
    this.isDue = false;
    const channels = [this.#bookChannel, this.#tradesChannel, ...this.#kept.values()];
    this.#kept.clear();
    return channels.map((channel) => channel.reset(at.seq));
  }

  /** @param view what a ticker is compared with that nobody listened to before */
  channel(name: MarketChannel, view: EngineView, nowMs: number): Channel {
    if (name === 'book') return this.#bookChannel;
    if (name === 'trades') return this.#tradesChannel;
    let channel = this.#kept.get(name);
    if (channel === undefined) {
      channel = new Channel(this.#limits, name === 'ticker' ? this.#changedSeq : this.#tradedSeq);
      this.#kept.set(name, channel);
      if (name === 'ticker') this.#told = tickerNumbers(view, this.scale, this.series, nowMs);
    }
    return channel;
  }
  /** `seq` of the newest message. */
  newestSeq(name: MarketChannel): number | undefined {
    if (name === 'book') return this.#bookChannel.newest;
    return name === 'trades' ? this.#tradesChannel.newest : this.#kept.get(name)?.newest;
  }

  /** One event of this market: an order's that changes the book, a trade, a new state. */
  see(events: EventSlots, at: number, kind: number): void {
    if (kind === kinds.rested) this.#seeRested(events, at);
    else if (kind === kinds.trade) this.#seeTrade(events, at);
    else if (kind === kinds.done) this.#book.left(floatAt(events, at, eventFloat64.order));
    else if (kind === kinds.decremented) this.#seeMaker(events, at);
    else if (kind === kinds.amended) {
      const order = floatAt(events, at, eventFloat64.order);
      if (hasFlag(events, at, eventFlags.priorityKept))
        this.#book.shrank(order, floatAt(events, at, eventFloat64.lots));
      else this.#book.left(order);
    }
  }

  /** After the last event of a portion. */
  tell(at: At, view: EngineView, nowMs: number): void {
    this.isDue = false;
    this.#changedSeq = at.seq;
    if (this.#book.isTouched) this.#tellBook(at, view);
    if (this.#trades.length > 0) this.#tellTrades(at);
    this.#tellCandles(at);
    this.#tellTicker(at, view, nowMs);
  }

  ticker(at: At, view: EngineView, nowMs: number): TickerView {
    return tickerView(tickerNumbers(view, this.scale, this.series, nowMs), this.scale, at);
  }

  /** Lets go of channels that nobody listens to. */
  sweep(nowMs: number): void {
    for (const [name, channel] of this.#kept) {
      if (channel.isHeard) channel.keptUntilMs = 0;
      else if (channel.keptUntilMs === 0) channel.keptUntilMs = nowMs + keptMs;
      else if (channel.keptUntilMs <= nowMs) this.#kept.delete(name);
    }
  }

  #seeRested(events: EventSlots, at: number): void {
    const order = floatAt(events, at, eventFloat64.order);
    const place = placeOf(sideOf(events, at), intAt(events, at, eventInt32.price));
    const rest = floatAt(events, at, eventFloat64.lots);
    this.#book.rested(order, place, floatAt(events, at, eventFloat64.feeTaker), rest);
  }
  #seeTrade(events: EventSlots, at: number): void {
    const auction = hasFlag(events, at, eventFlags.auction);
    const trade: PublicTrade = {
      seq: floatAt(events, at, eventFloat64.seq),
      index: intAt(events, at, eventInt32.head) >>> 8,
      timeMs: floatAt(events, at, eventFloat64.timeMs),
      price: intAt(events, at, eventInt32.price),
      lots: floatAt(events, at, eventFloat64.lots),
      side: sideOf(events, at),
      auction,
    };
    this.#trades.push(trade);
    this.recent.add(trade);
    this.series.add(trade);
    if (!auction) {
      this.#seeMaker(events, at);
      return;
    }
    const { order, maker, restTaker, restMaker } = eventFloat64;
    this.#book.gaveInAuction(floatAt(events, at, order), floatAt(events, at, restTaker));
    this.#book.gaveInAuction(floatAt(events, at, maker), floatAt(events, at, restMaker));
  }
  /** A taker is in no book, so only the other one is looked at. */
  #seeMaker(events: EventSlots, at: number): void {
    this.#book.gave(
      floatAt(events, at, eventFloat64.maker),
      floatAt(events, at, eventFloat64.lots),
      floatAt(events, at, eventFloat64.restMaker),
    );
  }

  #tellBook({ seq, timeMs }: At, view: EngineView): void {
    const { no, id } = this.scale;
    const { bids, asks } = this.#book.take();
    const bytes = bytesOf.message + (bids.length + asks.length) * bytesOf.level;
    const shownBids = shownAt(view, no, 'buy', bids);
    const shownAsks = shownAt(view, no, 'sell', asks);
    this.#bookChannel.append(seq, bytes, (prevSeq) => ({
      channel: 'book',
      market: id,
      seq,
      prevSeq,
      timeMs,
      bids: levelsOf(this.scale, shownBids),
      asks: levelsOf(this.scale, shownAsks),
    }));
  }

  #tellTrades({ seq, timeMs }: At): void {
    const trades = this.#trades;
    this.#trades = [];
    this.#tradedSeq = seq;
    const bytes = bytesOf.message + trades.length * bytesOf.trade;
    this.#tradesChannel.append(seq, bytes, (prevSeq) => ({
      channel: 'trades',
      market: this.scale.id,
      seq,
      prevSeq,
      timeMs,
      trades: trades.map((trade) => tradeView(trade, this.scale)),
    }));
  }

  #tellCandles({ seq, timeMs }: At): void {
    const { series } = this;
    if (!series.isChanged) return;
    for (const [interval, channel] of this.#kept) {
      if (interval === 'ticker') continue;
      const intervalMs = candleIntervalMs[interval];
      const candles = series
        .changed(intervalMs)
        .flatMap((startMs) => series.candle(intervalMs, startMs) ?? []);
      if (candles.length === 0) continue;
      channel.append(seq, bytesOf.message + candles.length * bytesOf.candle, (prevSeq) => ({
        channel: 'candles',
        market: this.scale.id,
        interval,
        seq,
        prevSeq,
        timeMs,
        candles: candles.map((candle) => candle.view(this.scale)),
      }));
    }
    series.forgetChanges();
  }

  #tellTicker(at: At, view: EngineView, nowMs: number): void {
    const channel = this.#kept.get('ticker');
    if (channel === undefined) return;
    const numbers = tickerNumbers(view, this.scale, this.series, nowMs);
    if (this.#told !== undefined && sameTicker(this.#told, numbers)) return;
    this.#told = numbers;
    channel.append(at.seq, bytesOf.ticker, (prevSeq) => ({
      channel: 'ticker',
      market: this.scale.id,
      seq: at.seq,
      prevSeq,
      timeMs: at.timeMs,
      ticker: tickerView(numbers, this.scale, at),
    }));
  }
}

/** Ticks and lots in turn: one array of numbers instead of an object per level, for as long as the ring keeps it. */
function shownAt(view: EngineView, market: number, side: Side, prices: readonly number[]): number[] {
  const shown: number[] = [];
  for (const ticks of prices) shown.push(ticks, view.level(market, side, ticks).lots);
  return shown;
}
function levelsOf({ price, size }: MarketScale, shown: readonly number[]): PriceLevel[] {
  const levels: PriceLevel[] = [];
  for (let at = 0; at < shown.length; at += 2)
    levels.push([price(shown[at] as number), size(shown[at + 1] as number)]);
  return levels;
}

const sideOf = (events: EventSlots, at: number): Side =>
  ((intAt(events, at, eventInt32.detail) >>> detailBits.side) & 1) === 0 ? 'buy' : 'sell';
const hasFlag = (events: EventSlots, at: number, flag: number): boolean =>
  ((intAt(events, at, eventInt32.detail) >>> detailBits.flags) & flag) !== 0;
