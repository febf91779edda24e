/**
 * All orders the engine knows, in one pool of slots. What matching touches lies in 64 bytes, as many as a cache line has; the rest in
 * arrays beside it. A slot is free, a taker on its way, resting in a ladder of its market, or waiting for its trigger.
 */
import { floatAt, intAt } from './words.ts';

export const none = -1;

/** int32 words of a slot. */
export const orderInt = {
  /** Neighbours in the queue of the level. */
  next: 0,
  prev: 1,
  price: 2,
  account: 3,
  market: 4,
  meta: 5,
  /** Neighbours among the orders of the account, by order id. */
  accountNext: 6,
  accountPrev: 7,
} as const;
/** float64 words of a slot. */
export const orderFloat = { id: 4, rest: 5, visible: 6, filled: 7 } as const;

/** Bits of the meta word; side, type and self-trade mode by their number in the vocabulary. */
export const metaShift = { side: 0, type: 1, timeInForce: 3, selfTrade: 5 } as const;
export const metaFlag = { postOnly: 1 << 8, resting: 1 << 9, waiting: 1 << 10, clientId: 1 << 11 } as const;
export const sideOf = (meta: number): number => meta & 1;
export const typeOf = (meta: number): number => (meta >>> metaShift.type) & 3;
export const timeInForceOf = (meta: number): number => (meta >>> metaShift.timeInForce) & 3;
export const selfTradeOf = (meta: number): number => (meta >>> metaShift.selfTrade) & 3;

export class Orders {
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  /** Lots an iceberg shows at a time; 0: all. */
  readonly display: Float64Array;
  /** Quote units still held by a market buy; 0 for others. */
  readonly budget: Float64Array;
  readonly trigger: Int32Array;
  /** uint64 as two words. */
  readonly clientId: Int32Array;
  #free = none;
  #used = 0;
  #count = 0;

  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    const buffer = new ArrayBuffer(capacity * 64);
    this.int32 = new Int32Array(buffer);
    this.float64 = new Float64Array(buffer);
    this.display = new Float64Array(capacity);
    this.budget = new Float64Array(capacity);
    this.trigger = new Int32Array(capacity);
    this.clientId = new Int32Array(capacity * 2);
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.capacity;
  }

  /** @returns a slot whose fields are to be written; the pool must not be full */
  take(): number {
    this.#count++;
    const slot = this.#free;
    if (slot === none) return this.#used++;
    this.#free = intAt(this.int32, slot * 16 + orderInt.next);
    return slot;
  }

  give(slot: number): void {
    this.int32[slot * 16 + orderInt.next] = this.#free;
    this.int32[slot * 16 + orderInt.meta] = 0;
    this.#free = slot;
    this.#count--;
  }

  int(slot: number, word: number): number {
    return intAt(this.int32, slot * 16 + word);
  }

  float(slot: number, word: number): number {
    return floatAt(this.float64, slot * 8 + word);
  }

  setInt(slot: number, word: number, value: number): void {
    this.int32[slot * 16 + word] = value;
  }

  setFloat(slot: number, word: number, value: number): void {
    this.float64[slot * 8 + word] = value;
  }
}
