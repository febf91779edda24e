/** The ticker of a market: what is told only when it has changed. */
import type { BookLevel, MarketNow } from '../../engine/index.ts';
import type { EngineView } from '../../link/types.ts';
import type { PriceLevel, TickerView } from '../contract.ts';
import type { MarketScale } from '../scale.ts';
import type { CandleSeries } from './candle-series.ts';

/** In the numbers of the engine. */
export interface TickerNumbers {
  readonly state: MarketNow['state'];
  readonly lastPrice: number;
  readonly bid: BookLevel | undefined;
  readonly ask: BookLevel | undefined;
  /** Undefined while the last 24 hours are not known; null without trades. */
  readonly day: DayNumbers | null | undefined;
}
interface DayNumbers {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly lots: bigint;
  readonly value: bigint;
}

export function tickerNumbers(
  view: EngineView,
  { no }: MarketScale,
  series: CandleSeries,
  nowMs: number,
): TickerNumbers {
  const now = view.market(no);
  const day = series.day(nowMs);
  return {
    state: now?.state ?? 'closed',
    lastPrice: now?.lastPrice ?? 0,
    bid: view.levels(no, 'buy', 1)[0],
    ask: view.levels(no, 'sell', 1)[0],
    day:
      day === undefined || day === null
        ? day
        : { open: day.open, high: day.high, low: day.low, lots: day.lots, value: day.value },
  };
}

const sameLevel = (a: BookLevel | undefined, b: BookLevel | undefined): boolean =>
  a?.price === b?.price && a?.lots === b?.lots;
const sameDay = (a: TickerNumbers['day'], b: TickerNumbers['day']): boolean =>
  a === b ||
  (a?.open === b?.open &&
    a?.high === b?.high &&
    a?.low === b?.low &&
    a?.lots === b?.lots &&
    a?.value === b?.value &&
    (a === null) === (b === null));

export const sameTicker = (a: TickerNumbers, b: TickerNumbers): boolean =>
  a.state === b.state &&
  a.lastPrice === b.lastPrice &&
  sameLevel(a.bid, b.bid) &&
  sameLevel(a.ask, b.ask) &&
  sameDay(a.day, b.day);

export function tickerView(
  numbers: TickerNumbers,
  scale: MarketScale,
  at: { readonly seq: number; readonly timeMs: number },
): TickerView {
  const { state, lastPrice, bid, ask, day } = numbers;
  const level = (found: BookLevel | undefined): PriceLevel | null =>
    found === undefined ? null : [scale.price(found.price), scale.size(found.lots)];
  const dayPrice = (ticks: number | undefined): string | null =>
    ticks === undefined ? null : scale.price(ticks);
  return {
    market: scale.id,
    seq: at.seq,
    timeMs: at.timeMs,
    state,
    lastPrice: lastPrice === 0 ? null : scale.price(lastPrice),
    bestBid: level(bid),
    bestAsk: level(ask),
    open24h: dayPrice(day?.open),
    high24h: dayPrice(day?.high),
    low24h: dayPrice(day?.low),
    size24h: day === undefined ? null : scale.size(day?.lots ?? 0n),
    value24h: day === undefined ? null : scale.value(day?.value ?? 0n),
  };
}
