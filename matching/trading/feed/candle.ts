/** What was traded in a span of time, in the numbers of the engine. Sums are exact however many trades there are. */
import type { CandleRow } from '../../settlement/candles.ts';
import type { CandleView } from '../contract.ts';
import type { MarketScale } from '../scale.ts';

/** A sum of integers below 2^53: a number as long as it is exact, the rest beside it. */
class Sum {
  #low = 0;
  #high = 0n;

  add(units: number): void {
    const sum = this.#low + units;
    if (sum <= Number.MAX_SAFE_INTEGER) this.#low = sum;
    else {
      this.#high += BigInt(this.#low);
      this.#low = units;
    }
  }
  addAll(other: Sum): void {
    this.add(other.#low);
    this.#high += other.#high;
  }
  addBig(units: bigint): void {
    this.#high += units;
  }
  get total(): bigint {
    return this.#high + BigInt(this.#low);
  }
}

export class Candle {
  readonly startMs: number;
  readonly open: number;
  high: number;
  low: number;
  close: number;
  trades = 0;
  readonly #lots = new Sum();
  readonly #value = new Sum();

  /** Without trades yet. @param price of its first trade */
  constructor(startMs: number, price: number) {
    this.startMs = startMs;
    this.open = price;
    this.high = price;
    this.low = price;
    this.close = price;
  }

  /** Of settled trades. @param tickUnits quote units of a lot at one tick */
  static of(settled: CandleRow, tickUnits: number): Candle {
    const { startMs, open, high, low, close, lots, value, trades } = settled;
    const candle = new Candle(startMs, open);
    candle.#span(high, low, close);
    candle.#lots.addBig(lots);
    candle.#value.addBig(value * BigInt(tickUnits));
    candle.trades = trades;
    return candle;
  }

  get lots(): bigint {
    return this.#lots.total;
  }
  get value(): bigint {
    return this.#value.total;
  }

  /** @param value quote units */
  trade(price: number, lots: number, value: number): void {
    this.#span(price, price, price);
    this.#lots.add(lots);
    this.#value.add(value);
    this.trades++;
  }
  /** One that follows in time. */
  append(later: Candle): void {
    this.#span(later.high, later.low, later.close);
    this.#lots.addAll(later.#lots);
    this.#value.addAll(later.#value);
    this.trades += later.trades;
  }
  #span(high: number, low: number, close: number): void {
    if (high > this.high) this.high = high;
    if (low < this.low) this.low = low;
    this.close = close;
  }

  view(scale: MarketScale): CandleView {
    return {
      startMs: this.startMs,
      open: scale.price(this.open),
      high: scale.price(this.high),
      low: scale.price(this.low),
      close: scale.price(this.close),
      size: scale.size(this.lots),
      value: scale.value(this.value),
      trades: this.trades,
    };
  }
}

/** Those in order, as one that starts at `startMs`; undefined without any. */
export function joined(startMs: number, candles: Iterable<Candle>): Candle | undefined {
  let all: Candle | undefined;
  for (const candle of candles) {
    all ??= new Candle(startMs, candle.open);
    all.append(candle);
  }
  return all;
}
