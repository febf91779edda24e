/**
 * Order ids to slots: chains of the orders whose ids end in the same bits, linked through the orders themselves. Ids are sequence
 * numbers, so most chains have one link, neighbours in time are neighbours in memory, and no other order is looked at on the way.
 */
import { none, type Orders, orderFloat, orderInt } from './orders.ts';

// Why these are named once more: see orders.ts.
const noSlot = none;
const { idNext: idNextWord, idPrev: idPrevWord } = orderInt;
const { id: idWord } = orderFloat;

export class OrderIds {
  /** The first of each chain. */
  readonly #heads: Int32Array;
  readonly #mask: number;
  readonly #int32: Int32Array;
  readonly #float64: Float64Array;

  constructor({ capacity, int32, float64 }: Orders) {
    // At most half of them have a chain.
    const size = 2 ** Math.ceil(Math.log2(capacity * 2));
    this.#heads = new Int32Array(size).fill(noSlot);
    this.#mask = size - 1;
    this.#int32 = int32;
    this.#float64 = float64;
  }

  #home(id: number): number {
    // Ids above 2^31 too: the lowest bits of the integer.
    return (id >>> 0) & this.#mask;
  }

  /** -1: no such order */
  find(id: number): number {
    let slot = this.#heads[this.#home(id)] as number;
    while (slot !== noSlot && this.#float64[slot * 8 + idWord] !== id)
      slot = this.#int32[slot * 16 + idNextWord] as number;
    return slot;
  }

  add(slot: number): void {
    const int32 = this.#int32;
    const home = this.#home(this.#float64[slot * 8 + idWord] as number);
    const next = this.#heads[home] as number;
    int32[slot * 16 + idNextWord] = next;
    int32[slot * 16 + idPrevWord] = noSlot;
    if (next !== noSlot) int32[next * 16 + idPrevWord] = slot;
    this.#heads[home] = slot;
  }

  /** Writes to its neighbours, and reads nothing but the order: in a large book each read elsewhere waits for memory. */
  remove(slot: number): void {
    const int32 = this.#int32;
    const next = int32[slot * 16 + idNextWord] as number;
    const prev = int32[slot * 16 + idPrevWord] as number;
    if (next !== noSlot) int32[next * 16 + idPrevWord] = prev;
    if (prev !== noSlot) int32[prev * 16 + idNextWord] = next;
    else this.#heads[this.#home(this.#float64[slot * 8 + idWord] as number)] = next;
  }
}
