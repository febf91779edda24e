/**
 * One side of a market's book: a queue of orders per tick, and bitmaps over the ticks that have one, so that the next best
 * price is found in at most four steps up and down, however far away it is. Also the stops that wait, by trigger price.
 */
import { none, type Orders, orderInt } from './orders.ts';
import { intAt } from './words.ts';

// Why these are named once more: see orders.ts.
const noSlot = none;
const { next: nextWord, prev: prevWord } = orderInt;

/** 32^4 ticks are `ladderTicksMax`. */
const depths = 4;
const lowestBit = (word: number): number => 31 - Math.clz32(word & -word);
const highestBit = (word: number): number => 31 - Math.clz32(word);

export class Ladder {
  readonly head: Int32Array;
  readonly tail: Int32Array;
  readonly #bits: readonly Int32Array[];
  /** The level whose first order is matched first; -1: empty. */
  best = noSlot;
  readonly isDescending: boolean;

  /** @param isDescending whether higher ticks come first, as for buyers */
  constructor(ticks: number, isDescending: boolean) {
    this.isDescending = isDescending;
    this.head = new Int32Array(ticks).fill(noSlot);
    this.tail = new Int32Array(ticks).fill(noSlot);
    let words = ticks;
    this.#bits = Array.from({ length: depths }, () => {
      words = Math.ceil(words / 32);
      return new Int32Array(words);
    });
  }

  append(orders: Orders, slot: number, level: number): void {
    const { int32 } = orders;
    const last = this.tail[level] as number;
    int32[slot * 16 + nextWord] = noSlot;
    int32[slot * 16 + prevWord] = last;
    this.tail[level] = slot;
    if (last !== noSlot) {
      int32[last * 16 + nextWord] = slot;
      return;
    }
    this.head[level] = slot;
    this.#mark(level);
    if (this.best === noSlot || (this.isDescending ? level > this.best : level < this.best))
      this.best = level;
  }

  remove(orders: Orders, slot: number, level: number): void {
    const { int32 } = orders;
    const next = int32[slot * 16 + nextWord] as number;
    const prev = int32[slot * 16 + prevWord] as number;
    if (next === noSlot) this.tail[level] = prev;
    else int32[next * 16 + prevWord] = prev;
    if (prev !== noSlot) {
      int32[prev * 16 + nextWord] = next;
      return;
    }
    this.head[level] = next;
    if (next !== noSlot) return;
    this.#unmark(level);
    if (level === this.best) this.best = this.after(level);
  }

  /** To the end of its level's queue. */
  requeue(orders: Orders, slot: number, level: number): void {
    if ((this.tail[level] as number) === slot) return;
    this.remove(orders, slot, level);
    this.append(orders, slot, level);
  }

  /** The level that comes after this one; -1: none. */
  after(level: number): number {
    return this.isDescending ? this.#down(level - 1) : this.#up(level + 1);
  }

  #mark(level: number): void {
    let at = level;
    for (const words of this.#bits) {
      const word = at >>> 5;
      const before = words[word] as number;
      words[word] = before | (1 << (at & 31));
      if (before !== 0) return;
      at = word;
    }
  }

  #unmark(level: number): void {
    let at = level;
    for (const words of this.#bits) {
      const word = at >>> 5;
      const left = (words[word] as number) & ~(1 << (at & 31));
      words[word] = left;
      if (left !== 0) return;
      at = word;
    }
  }

  #up(from: number): number {
    let at = from;
    for (let depth = 0; depth < depths; depth++) {
      const words = this.#bits[depth] as Int32Array;
      const word = at >>> 5;
      if (word >= words.length) return noSlot;
      const masked = (words[word] as number) & (-1 << (at & 31));
      if (masked !== 0) {
        let found = word * 32 + lowestBit(masked);
        for (let below = depth - 1; below >= 0; below--)
          found = found * 32 + lowestBit(intAt(this.#bits[below] as Int32Array, found));
        return found;
      }
      at = word + 1;
    }
    return noSlot;
  }

  #down(from: number): number {
    let at = from;
    for (let depth = 0; depth < depths; depth++) {
      if (at < 0) return noSlot;
      const words = this.#bits[depth] as Int32Array;
      const word = at >>> 5;
      const masked = (words[word] as number) & (-1 >>> (31 - (at & 31)));
      if (masked !== 0) {
        let found = word * 32 + highestBit(masked);
        for (let below = depth - 1; below >= 0; below--)
          found = found * 32 + highestBit(intAt(this.#bits[below] as Int32Array, found));
        return found;
      }
      at = word - 1;
    }
    return noSlot;
  }
}
