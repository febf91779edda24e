/**
 * A book kept from a snapshot and the messages after it. A snapshot ends somewhere: where it was full, prices beyond its last one
 * are not known and are left out, so that what is shown is always the market's book, down to a depth.
 */
import type { BookView, FeedMessage, PriceLevel } from '#matching/trading/contract';

export type BookMessage = Extract<FeedMessage, { readonly channel: 'book' }>;

/** Below so many known levels of a side that has more, it is time for a new snapshot. */
const levelsLeast = 100;

/** All prices of a market have the same number of places, so their digits compare as whole numbers do. */
const digitsOf = (price: string): bigint => BigInt(price.replace('.', ''));
const isNone = (size: string): boolean => !/[1-9]/.test(size);

class BookSide {
  readonly #levels = new Map<string, PriceLevel>();
  /** 1: the lowest price is the best. */
  readonly #direction: 1n | -1n;
  /** The last price known, when there may be more. */
  readonly #bound: bigint | undefined;
  #sorted: readonly PriceLevel[] | undefined;

  constructor(direction: 1n | -1n, levels: readonly PriceLevel[], isWhole: boolean) {
    this.#direction = direction;
    for (const level of levels) this.#levels.set(level[0], level);
    const last = levels.at(-1);
    this.#bound = isWhole || last === undefined ? undefined : direction * digitsOf(last[0]);
  }

  apply(levels: readonly PriceLevel[]): void {
    if (levels.length > 0) this.#sorted = undefined;
    for (const level of levels) {
      const [price, size] = level;
      if (isNone(size)) this.#levels.delete(price);
      else if (this.#bound === undefined || this.#direction * digitsOf(price) <= this.#bound)
        this.#levels.set(price, level);
    }
  }

  get sorted(): readonly PriceLevel[] {
    this.#sorted ??= [...this.#levels.values()]
      .map((level) => ({ level, at: this.#direction * digitsOf(level[0]) }))
      .sort((a, b) => (a.at < b.at ? -1 : 1))
      .map(({ level }) => level);
    return this.#sorted;
  }
  get isThin(): boolean {
    return this.#bound !== undefined && this.#levels.size < levelsLeast;
  }
}

export class LocalBook {
  readonly market: string;
  readonly #bids: BookSide;
  readonly #asks: BookSide;
  #seq: number;
  #timeMs: number;

  /** @param levelsMax as many as a snapshot has at most: a side with fewer is whole */
  constructor(snapshot: BookView, levelsMax: number) {
    this.market = snapshot.market;
    this.#seq = snapshot.seq;
    this.#timeMs = snapshot.timeMs;
    this.#bids = new BookSide(-1n, snapshot.bids, snapshot.bids.length < levelsMax);
    this.#asks = new BookSide(1n, snapshot.asks, snapshot.asks.length < levelsMax);
  }

  apply(message: BookMessage): void {
    this.#bids.apply(message.bids);
    this.#asks.apply(message.asks);
    this.#seq = message.seq;
    this.#timeMs = message.timeMs;
  }

  /** Of the last command that is in it. */
  get seq(): number {
    return this.#seq;
  }
  get timeMs(): number {
    return this.#timeMs;
  }
  /** Best first. */
  get bids(): readonly PriceLevel[] {
    return this.#bids.sorted;
  }
  get asks(): readonly PriceLevel[] {
    return this.#asks.sorted;
  }
  /** A side has few known levels left, and there may be more. */
  get isThin(): boolean {
    return this.#bids.isThin || this.#asks.isThin;
  }
}
