/**
 * Candles of one market, minute by minute, of the last one to two days, and what follows from them: candles of every interval
 * and the figures of the last 24 hours. What was traded before the feed began is settled: it is loaded once the settlement has
 * come as far as the feed began at, and trades after the settled head come from memory. The settlement may be further than the
 * view; what it has booked by then is passed over when the view comes by it. So each trade counts once.
 */
import type { CandleRow } from '../../settlement/candles.ts';
import type { EventPlace } from '../../settlement/settlement-events.ts';
import { isBefore, wholeCommand } from '../../settlement/settlement-events.ts';
import type { PublicTrade } from '../views.ts';
import { Candle, joined } from './candle.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const floorTo = (timeMs: number, stepMs: number): number => Math.floor(timeMs / stepMs) * stepMs;

/**
 * Start of the day of 24 hours ago: enough for the last 24 hours, and the day before stays until it is surely settled. So what
 * is asked of the database ended at least 24 hours ago.
 */
const keptFromMs = (nowMs: number): number => Math.max(0, floorTo(nowMs - dayMs, dayMs));

/** The last 24 hours, in whole minutes, the one of `nowMs` included. */
const dayFromMs = (nowMs: number): number => Math.max(0, floorTo(nowMs, minuteMs) - dayMs + minuteMs);

/** A sum of minutes that have ended, which stays the same for a minute. */
interface Ended {
  readonly fromMs: number;
  readonly toMs: number;
  readonly candle: Candle | undefined;
}

export class CandleSeries {
  readonly #tickUnits: number;
  readonly #pendingMax: number;
  /** By start; only those with trades. */
  #minutes: Candle[] = [];
  /** Minutes from here on have all their trades. */
  #completeFromMs = 0;
  /** Trades since `#after`, until the settlement has reached it; undefined once history is loaded. */
  #pending: PublicTrade[] | undefined;
  /** History can be loaded once everything up to here is settled. */
  #after: EventPlace = { seq: 0, index: wholeCommand };
  /** Trades up to here came with the history. */
  #counted: EventPlace = { seq: 0, index: wholeCommand };
  /** Starts of minutes changed since they were last taken. */
  #changed: number[] = [];
  /** Of those that changed while they were not complete, for candles that start before `#lateBeforeMs`. */
  #late: number[] = [];
  #lateBeforeMs = 0;
  readonly #ended = new Map<number, Ended>();

  /** @param pendingMax trades that wait for the settlement */
  constructor(tickUnits: number, pendingMax: number) {
    this.#tickUnits = tickUnits;
    this.#pendingMax = pendingMax;
  }

  /** Begins after a command; `timeMs` is its time. */
  begin({ seq, timeMs }: { readonly seq: number; readonly timeMs: number }): void {
    this.#minutes = [];
    this.#changed = [];
    this.#late = [];
    this.#ended.clear();
    this.#after = { seq, index: wholeCommand };
    this.#counted = this.#after;
    // Nothing was traded before the first command. Later, the minute of the command may have trades before it.
    this.#pending = seq === 0 ? undefined : [];
    this.#completeFromMs = seq === 0 ? 0 : floorTo(timeMs, minuteMs) + minuteMs;
  }

  get isLoaded(): boolean {
    return this.#pending === undefined;
  }
  get isChanged(): boolean {
    return this.#changed.length > 0 || this.#late.length > 0;
  }
  /** Up to here it is to be settled before history can be loaded. */
  get after(): EventPlace {
    return this.#after;
  }
  /** From which minute on history is to be loaded. */
  historyFromMs(nowMs: number): number {
    return keptFromMs(nowMs);
  }
  /** Candles of the interval that start here or later have all their trades. */
  completeFromMs(intervalMs: number): number {
    return Math.ceil(this.#completeFromMs / intervalMs) * intervalMs;
  }

  add(trade: PublicTrade): void {
    if (isBefore(this.#counted, trade)) this.#add(trade);
    else this.#change(floorTo(trade.timeMs, minuteMs));
    const pending = this.#pending;
    if (pending === undefined) return;
    pending.push(trade);
    if (pending.length <= this.#pendingMax) return;
    // Half at once, so that each costs the same. The settlement has to come further then.
    const dropped = pending.splice(0, Math.ceil(pending.length / 2)).at(-1);
    if (dropped !== undefined) this.#after = { seq: dropped.seq, index: dropped.index };
  }

  /**
   * What is settled up to `head`, from `fromMs` on.
   * @returns false when that is not far enough; nothing was changed then
   */
  load(head: EventPlace, fromMs: number, settled: readonly CandleRow[]): boolean {
    const pending = this.#pending;
    if (pending === undefined) return true;
    if (isBefore(head, this.#after)) return false;
    this.#late = pending.map(({ timeMs }) => floorTo(timeMs, minuteMs));
    this.#lateBeforeMs = this.#completeFromMs;
    this.#minutes = settled.map((row) => Candle.of(row, this.#tickUnits));
    this.#completeFromMs = fromMs;
    this.#pending = undefined;
    this.#counted = head;
    this.#ended.clear();
    const changed = this.#changed;
    this.#changed = [];
    for (const trade of pending) if (isBefore(head, trade)) this.#add(trade);
    this.#changed = changed;
    return true;
  }

  /**
   * Starts of the candles of the interval that changed since {@link forgetChanges}, those left out that do not have all their
   * trades; by start.
   */
  changed(intervalMs: number): readonly number[] {
    const completeFromMs = this.completeFromMs(intervalMs);
    const late = this.#late
      .map((startMs) => floorTo(startMs, intervalMs))
      .filter((startMs) => startMs < this.#lateBeforeMs);
    const starts = new Set([...late, ...this.#changed.map((startMs) => floorTo(startMs, intervalMs))]);
    return [...starts].filter((startMs) => startMs >= completeFromMs).sort((a, b) => a - b);
  }
  forgetChanges(): void {
    this.#changed = [];
    this.#late = [];
  }

  /** Of the candle that starts at `startMs`; undefined without trades. */
  candle(intervalMs: number, startMs: number): Candle | undefined {
    const last = this.#minutes.at(-1);
    if (last !== undefined && last.startMs >= startMs && last.startMs < startMs + intervalMs)
      return this.#since(intervalMs, startMs);
    return joined(startMs, this.#between(startMs, startMs + intervalMs));
  }

  /** Candles that start in [fromMs, toMs), by start. Those that are not complete are left out. */
  candles(intervalMs: number, fromMs: number, toMs: number): Candle[] {
    const minutes = this.#between(Math.max(fromMs, this.completeFromMs(intervalMs)), Number.MAX_SAFE_INTEGER);
    const found: Candle[] = [];
    for (const minute of minutes) {
      const startMs = floorTo(minute.startMs, intervalMs);
      if (startMs < fromMs) continue;
      if (startMs >= toMs) break;
      let last = found.at(-1);
      if (last?.startMs !== startMs) {
        last = new Candle(startMs, minute.open);
        found.push(last);
      }
      last.append(minute);
    }
    return found;
  }

  /** Of the last 24 hours; undefined when they are not all known, `null` without trades. */
  day(nowMs: number): Candle | null | undefined {
    const fromMs = dayFromMs(nowMs);
    if (fromMs < this.#completeFromMs) return undefined;
    return this.#since(dayMs + minuteMs, fromMs) ?? null;
  }

  #add({ timeMs, price, lots }: PublicTrade): void {
    const startMs = floorTo(timeMs, minuteMs);
    let minute = this.#minutes.at(-1);
    if (minute?.startMs !== startMs) {
      minute = new Candle(startMs, price);
      this.#minutes.push(minute);
      this.#dropBefore(keptFromMs(timeMs));
    }
    // At most the largest value of an order, 2^53 - 1 (config.ts).
    minute.trade(price, lots, price * lots * this.#tickUnits);
    this.#change(startMs);
  }
  #change(startMs: number): void {
    if (this.#changed.at(-1) !== startMs) this.#changed.push(startMs);
  }

  #dropBefore(fromMs: number): void {
    if ((this.#minutes[0]?.startMs ?? fromMs) >= fromMs) return;
    this.#minutes = this.#minutes.slice(this.#indexOf(fromMs));
    this.#completeFromMs = Math.max(this.#completeFromMs, fromMs);
  }

  #indexOf(fromMs: number): number {
    let low = 0;
    let high = this.#minutes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#minutes[middle] as Candle).startMs < fromMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  #between(fromMs: number, toMs: number): Candle[] {
    return this.#minutes.slice(this.#indexOf(fromMs), this.#indexOf(toMs));
  }

  /** All since `fromMs`. Minutes before the last one do not change any more, so their sum is made once. @param key of its kind */
  #since(key: number, fromMs: number): Candle | undefined {
    const last = this.#minutes.at(-1);
    if (last === undefined || last.startMs < fromMs) return undefined;
    let ended = this.#ended.get(key);
    if (ended?.fromMs !== fromMs || ended.toMs !== last.startMs) {
      const candle = joined(fromMs, this.#between(fromMs, last.startMs));
      ended = { fromMs, toMs: last.startMs, candle };
      this.#ended.set(key, ended);
    }
    return joined(fromMs, ended.candle === undefined ? [last] : [ended.candle, last]);
  }
}
