/** The newest trades of a market, since the feed began: those that may not be settled yet, and what most ask for. */
import { type EventPlace, isBefore, wholeCommand } from '../../settlement/settlement-events.ts';
import type { PublicTrade } from '../views.ts';
import { recentTradesMax } from './limits.ts';

export class RecentTrades {
  /** Oldest first; up to twice as many, so that dropping them costs little. */
  #trades: PublicTrade[] = [];
  #after: EventPlace = { seq: 0, index: wholeCommand };

  begin(seq: number): void {
    this.#trades = [];
    this.#after = { seq, index: wholeCommand };
  }

  add(trade: PublicTrade): void {
    this.#trades.push(trade);
    if (this.#trades.length < 2 * recentTradesMax) return;
    const dropped = this.#trades[recentTradesMax - 1] as PublicTrade;
    this.#after = { seq: dropped.seq, index: dropped.index };
    this.#trades = this.#trades.slice(recentTradesMax);
  }

  /** All trades after it are here; those up to it are to be asked for elsewhere, once they are settled. */
  get after(): EventPlace {
    return this.#after;
  }

  /** Newest first. @param before undefined: the newest */
  newest(before: EventPlace | undefined, limit: number): PublicTrade[] {
    const found: PublicTrade[] = [];
    for (let at = this.#trades.length - 1; at >= 0 && found.length < limit; at--) {
      const trade = this.#trades[at] as PublicTrade;
      if (before === undefined || isBefore(trade, before)) found.push(trade);
    }
    return found;
  }
}
