/**
 * All orders the engine knows, in one pool of slots. What matching touches lies in 64 bytes, as many as a cache line has; what few
 * orders have lies in arrays beside it, which are looked at only where a flag says so. A slot is free, a taker on its way, resting
 * in a ladder of its market, or waiting for its trigger.
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
  meta: 4,
  /** Neighbours among the orders whose ids end in the same bits. */
  idNext: 5,
  idPrev: 14,
  /** Neighbours among the orders of the account, by order id. */
  accountNext: 6,
  accountPrev: 7,
} as const;
/** float64 words of a slot. */
export const orderFloat = { id: 4, rest: 5, filled: 6 } as const;

/** Bits of the meta word; side, type and self-trade mode by their number in the vocabulary, the market from bit 16 on. */
export const metaShift = { side: 0, type: 1, timeInForce: 3, selfTrade: 5, market: 16 } as const;
export const metaFlag = {
  postOnly: 1 << 8,
  resting: 1 << 9,
  waiting: 1 << 10,
  /** What it has in the arrays beside: */
  clientId: 1 << 11,
  display: 1 << 12,
  trigger: 1 << 13,
  budget: 1 << 14,
} as const;
export const sideOf = (meta: number): number => meta & 1;
export const typeOf = (meta: number): number => (meta >>> metaShift.type) & 3;
export const timeInForceOf = (meta: number): number => (meta >>> metaShift.timeInForce) & 3;
export const selfTradeOf = (meta: number): number => (meta >>> metaShift.selfTrade) & 3;

/*
 * V8 makes a constant that its file keeps to itself part of the code, and loads one that is exported or imported from memory each
 * time: that took a fifth of all time. So the files that matching runs through name the constants they use once more, as here.
 */
const noSlot = none;
const { next: nextWord, meta: metaWord } = orderInt;
const { rest: restWord } = orderFloat;
const { display: displayFlag, trigger: triggerFlag, budget: budgetFlag } = metaFlag;
const marketShift = metaShift.market;

export class Orders {
  readonly int32: Int32Array;
  readonly float64: Float64Array;
  /** Of icebergs: lots shown at a time, and those of the slice that is in the book. Others show their rest. */
  readonly display: Float64Array;
  readonly visible: Float64Array;
  /** Quote units still held by a buyer who gave a budget. */
  readonly budget: Float64Array;
  readonly trigger: Int32Array;
  /** uint64 as two words. */
  readonly clientId: Int32Array;
  #free = noSlot;
  #used = 0;
  #count = 0;

  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    const buffer = new ArrayBuffer(capacity * 64);
    this.int32 = new Int32Array(buffer);
    this.float64 = new Float64Array(buffer);
    this.display = new Float64Array(capacity);
    this.visible = new Float64Array(capacity);
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
    if (slot === noSlot) return this.#used++;
    this.#free = this.int32[slot * 16 + nextWord] as number;
    return slot;
  }

  give(slot: number): void {
    const { int32 } = this;
    int32[slot * 16 + nextWord] = this.#free;
    int32[slot * 16 + metaWord] = 0;
    this.#free = slot;
    this.#count--;
  }

  int(slot: number, word: number): number {
    return this.int32[slot * 16 + word] as number;
  }

  float(slot: number, word: number): number {
    return this.float64[slot * 8 + word] as number;
  }

  setInt(slot: number, word: number, value: number): void {
    this.int32[slot * 16 + word] = value;
  }

  setFloat(slot: number, word: number, value: number): void {
    this.float64[slot * 8 + word] = value;
  }

  market(slot: number): number {
    return (this.int32[slot * 16 + metaWord] as number) >>> marketShift;
  }

  /** Of one that rests. */
  visibleOf(slot: number): number {
    return this.#has(slot, displayFlag) ? floatAt(this.visible, slot) : this.float(slot, restWord);
  }

  /** 0: it shows all. */
  displayOf(slot: number): number {
    return this.#has(slot, displayFlag) ? floatAt(this.display, slot) : 0;
  }

  /** 0: it has none. */
  budgetOf(slot: number): number {
    return this.#has(slot, budgetFlag) ? floatAt(this.budget, slot) : 0;
  }

  /** 0: it has none. */
  triggerOf(slot: number): number {
    return this.#has(slot, triggerFlag) ? intAt(this.trigger, slot) : 0;
  }

  isForBudget(slot: number): boolean {
    return this.#has(slot, budgetFlag);
  }

  #has(slot: number, flag: number): boolean {
    return ((this.int32[slot * 16 + metaWord] as number) & flag) !== 0;
  }
}
