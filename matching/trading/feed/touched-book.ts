/**
 * Which prices of a market's book were touched since they were last told. The engine's events name orders; where an order rests
 * is remembered here. How much is shown at a price is read from the engine when it is told, so no sum is kept that could drift.
 *
 * A price counts as touched when what it shows has changed at any time, also when it is the same again at the end of the
 * portion: then a message is right for whoever has the book of any command after the message before it, such as a client
 * that comes from another process, whose portions end elsewhere. What only changes hidden lots touches nothing: nobody
 * is to see it.
 */
import type { OpenOrder } from '../../engine/index.ts';
import type { Side } from '../../vocabulary.ts';

/** An iceberg: lots of the slice that is shown, and of a full slice. */
interface Slice {
  visible: number;
  readonly display: number;
}

/** Ticks of bids as they are, of asks negative: one small integer says where an order rests. */
export const placeOf = (side: Side, ticks: number): number => (side === 'buy' ? ticks : -ticks);

/** Two words per resting order, and a little more per iceberg. */
export class TouchedBook {
  readonly #places = new Map<number, number>();
  readonly #icebergs = new Map<number, Slice>();
  readonly #touched = new Set<number>();

  clear(): void {
    this.#places.clear();
    this.#icebergs.clear();
    this.#touched.clear();
  }

  /** One that rests already. */
  add({ id, side, price, visible, displayLots }: OpenOrder): void {
    this.#places.set(id, placeOf(side, price));
    if (displayLots > 0) this.#icebergs.set(id, { visible, display: displayLots });
  }

  rested(id: number, place: number, visible: number, rest: number): void {
    this.#places.set(id, place);
    this.#touched.add(place);
    const slice = this.#icebergs.get(id);
    if (visible < rest) this.#icebergs.set(id, { visible, display: visible });
    else if (slice !== undefined) slice.visible = visible;
  }

  /** It left its place: for good, or on its way to another one. */
  left(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#touched.add(place);
    this.#forget(id);
  }

  /** What is hidden shrinks first. Stops that wait are not in the book. */
  shrank(id: number, rest: number): void {
    const slice = this.#icebergs.get(id);
    if (slice !== undefined && slice.visible <= rest) return;
    if (slice !== undefined) slice.visible = rest;
    const place = this.#places.get(id);
    if (place !== undefined) this.#touched.add(place);
  }

  /** A maker gave lots of its slice; the event after it says what it shows next. */
  gave(id: number, lots: number, rest: number): void {
    this.#touch(id, rest);
    const slice = this.#icebergs.get(id);
    if (slice !== undefined) slice.visible -= lots;
  }

  /** In an auction an iceberg is taken whole, and shows a new slice afterwards. */
  gaveInAuction(id: number, rest: number): void {
    this.#touch(id, rest);
    const slice = this.#icebergs.get(id);
    if (slice !== undefined) slice.visible = Math.min(slice.display, rest);
  }

  get isTouched(): boolean {
    return this.#touched.size > 0;
  }

  /** Places touched since it was last asked for: bids and asks, each best first. */
  take(): { readonly bids: readonly number[]; readonly asks: readonly number[] } {
    const bids: number[] = [];
    const asks: number[] = [];
    for (const place of this.#touched) {
      if (place > 0) bids.push(place);
      else asks.push(-place);
    }
    this.#touched.clear();
    return { bids: bids.sort((a, b) => b - a), asks: asks.sort((a, b) => a - b) };
  }

  #touch(id: number, rest: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#touched.add(place);
    if (rest === 0) this.#forget(id);
  }
  #forget(id: number): void {
    this.#places.delete(id);
    this.#icebergs.delete(id);
  }
}
