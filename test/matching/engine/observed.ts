/** What a generator of commands learns from the events: which orders are open, what was paid last, which markets are open. */
import type { EngineConfig } from '../../../matching/config.ts';
import type { EngineEvent } from '../../../matching/events.ts';
import type { MarketState } from '../../../matching/vocabulary.ts';

export interface OpenOrder {
  readonly orderId: number;
  readonly account: number;
  readonly market: number;
  readonly price: number;
  readonly rest: number;
}

export class Observed {
  readonly #open = new Map<number, OpenOrder>();
  readonly #states: MarketState[];
  readonly #lastPrices: number[];

  constructor({ markets }: EngineConfig) {
    this.#states = markets.map(({ state }) => state);
    this.#lastPrices = markets.map(({ minPrice, maxPrice }) => Math.floor((minPrice + maxPrice) / 2));
  }

  get openOrders(): readonly OpenOrder[] {
    return [...this.#open.values()];
  }
  stateOf(market: number): MarketState {
    return this.#states[market] ?? 'closed';
  }
  /** The middle of the ladder before the first trade. */
  lastPriceOf(market: number): number {
    return this.#lastPrices[market] ?? 1;
  }

  see(events: readonly EngineEvent[]): void {
    for (const event of events) this.#seeOne(event);
  }

  #seeOne(event: EngineEvent): void {
    switch (event.kind) {
      case 'rested':
      case 'waiting':
      case 'amended': {
        const { order, account, market, rest } = event;
        const price = 'price' in event ? event.price : 0;
        this.#open.set(order, { orderId: order, account, market, price, rest });
        return;
      }
      case 'trade':
      case 'decremented':
        if (event.kind === 'trade') this.#lastPrices[event.market] = event.price;
        this.#seeRest(event.taker);
        this.#seeRest(event.maker);
        return;
      case 'done':
        this.#open.delete(event.order);
        return;
      case 'market-set':
        this.#states[event.market] = event.state;
        return;
      case 'rejected':
      case 'account-opened':
      case 'credited':
      case 'debited':
      case 'account-set':
      case 'band-set':
      case 'accepted':
      case 'triggered':
      case 'cancelled-all':
        return;
    }
  }

  #seeRest({ order, rest }: { readonly order: number; readonly rest: number }): void {
    const known = this.#open.get(order);
    if (known === undefined) return;
    if (rest === 0) this.#open.delete(order);
    else this.#open.set(order, { ...known, rest });
  }
}
