/**
 * Order ids to slots: open addressing, without tombstones. Ids are sequence numbers, so their lowest bits spread them evenly
 * and neighbours in time are neighbours in memory.
 */
import { none, type Orders, orderFloat } from './orders.ts';
import { intAt } from './words.ts';

export class OrderIds {
  readonly #slots: Int32Array;
  readonly #mask: number;

  readonly orders: Orders;

  constructor(orders: Orders) {
    this.orders = orders;
    // At most half full.
    const size = 2 ** Math.ceil(Math.log2(orders.capacity * 2));
    this.#slots = new Int32Array(size).fill(none);
    this.#mask = size - 1;
  }

  #home(id: number): number {
    // Ids above 2^31 too: the lowest bits of the integer.
    return (id >>> 0) & this.#mask;
  }

  #idAt(slot: number): number {
    return this.orders.float(slot, orderFloat.id);
  }

  /** -1: no such order */
  find(id: number): number {
    for (let at = this.#home(id); ; at = (at + 1) & this.#mask) {
      const slot = intAt(this.#slots, at);
      if (slot === none || this.#idAt(slot) === id) return slot;
    }
  }

  add(slot: number): void {
    let at = this.#home(this.#idAt(slot));
    while (intAt(this.#slots, at) !== none) at = (at + 1) & this.#mask;
    this.#slots[at] = slot;
  }

  remove(slot: number): void {
    const slots = this.#slots;
    let hole = this.#home(this.#idAt(slot));
    while (intAt(slots, hole) !== slot) hole = (hole + 1) & this.#mask;
    // Backward shift (Knuth, TAOCP 6.4, algorithm R): what would no longer be found moves into the hole.
    for (let at = (hole + 1) & this.#mask; ; at = (at + 1) & this.#mask) {
      const other = intAt(slots, at);
      if (other === none) break;
      const home = this.#home(this.#idAt(other));
      if (((at - home) & this.#mask) >= ((at - hole) & this.#mask)) {
        slots[hole] = other;
        hole = at;
      }
    }
    slots[hole] = none;
  }
}
