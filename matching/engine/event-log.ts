/** The events since they were last drained, in one buffer that grows when it is full, and the rolling hash over all events ever written. */
import {
  detailBits,
  type EventSlots,
  eventBytes,
  eventFloat64,
  eventInt32,
  eventSlots,
  hashText,
  initialLanes,
  mixEvents,
} from '../events.ts';
import { metaShift, type Orders, orderFloat, orderInt } from './orders.ts';

/** More than a portion of commands usually causes. */
const initialSlots = 1 << 14;
const intsOfEvent = eventBytes / 4;

// Why these are named once more: see orders.ts.
const { seq, order, maker, lots, feeTaker, feeMaker, restTaker, restMaker, timeMs } = eventFloat64;
const { head, market, account, makerAccount, price, detail } = eventInt32;
const { id: idWord, rest: restWord } = orderFloat;
const { account: accountWord, meta: metaWord } = orderInt;
const { market: marketShift } = metaShift;
const { side: sideShift } = detailBits;

export class EventLog {
  slots: EventSlots = eventSlots(new ArrayBuffer(initialSlots * eventBytes));
  /** The words of the slots. */
  float64 = this.slots.float64;
  int32 = this.slots.int32;
  count = 0;
  readonly #lanes: Int32Array = Int32Array.from(initialLanes);
  /** How many of them the hash has: all, when somebody looks. */
  #hashed = 0;
  #seq = 0;
  #index = 0;
  #capacity = initialSlots;

  begin(seqOfCommand: number): void {
    this.#seq = seqOfCommand;
    this.#index = 0;
  }

  /** Writes an event that has nothing but this; what else it has is the caller's. @returns its slot */
  add(kind: number, inMarket: number, ofAccount: number, atPrice: number, details: number): number {
    const at = this.start(kind);
    const { float64, int32 } = this;
    const f = at * 12;
    const i = at * 24;
    float64[f + order] = 0;
    float64[f + maker] = 0;
    float64[f + lots] = 0;
    float64[f + feeTaker] = 0;
    float64[f + feeMaker] = 0;
    float64[f + restTaker] = 0;
    float64[f + restMaker] = 0;
    float64[f + timeMs] = 0;
    int32[i + market] = inMarket;
    int32[i + account] = ofAccount;
    int32[i + makerAccount] = -1;
    int32[i + price] = atPrice;
    int32[i + detail] = details;
    return at;
  }

  /** The same of an order: with its id, account, market, side, rest, and `extra` (see events.ts). */
  addOfOrder(
    kind: number,
    orders: Orders,
    slot: number,
    atPrice: number,
    details: number,
    extra: number,
  ): number {
    const at = this.start(kind);
    const { float64, int32 } = this;
    const meta = orders.int32[slot * 16 + metaWord] as number;
    const f = at * 12;
    const i = at * 24;
    float64[f + order] = orders.float64[slot * 8 + idWord] as number;
    float64[f + maker] = 0;
    float64[f + lots] = orders.float64[slot * 8 + restWord] as number;
    float64[f + feeTaker] = extra;
    float64[f + feeMaker] = 0;
    float64[f + restTaker] = 0;
    float64[f + restMaker] = 0;
    float64[f + timeMs] = 0;
    int32[i + market] = meta >>> marketShift;
    int32[i + account] = orders.int32[slot * 16 + accountWord] as number;
    int32[i + makerAccount] = -1;
    int32[i + price] = atPrice;
    int32[i + detail] = details | ((meta & 1) << sideShift);
    return at;
  }

  /** What two orders do to each other, their rests already reduced. Fees and time of a trade are the caller's. @returns its slot */
  addOfPair(
    kind: number,
    orders: Orders,
    taker: number,
    makerSlot: number,
    atPrice: number,
    lotsMet: number,
    details: number,
  ): number {
    const at = this.start(kind);
    const { float64, int32 } = this;
    const meta = orders.int32[taker * 16 + metaWord] as number;
    const f = at * 12;
    const i = at * 24;
    float64[f + order] = orders.float64[taker * 8 + idWord] as number;
    float64[f + maker] = orders.float64[makerSlot * 8 + idWord] as number;
    float64[f + lots] = lotsMet;
    float64[f + feeTaker] = 0;
    float64[f + feeMaker] = 0;
    float64[f + restTaker] = orders.float64[taker * 8 + restWord] as number;
    float64[f + restMaker] = orders.float64[makerSlot * 8 + restWord] as number;
    float64[f + timeMs] = 0;
    int32[i + market] = meta >>> marketShift;
    int32[i + account] = orders.int32[taker * 16 + accountWord] as number;
    int32[i + makerAccount] = orders.int32[makerSlot * 16 + accountWord] as number;
    int32[i + price] = atPrice;
    int32[i + detail] = details | ((meta & 1) << sideShift);
    return at;
  }

  /** Begins an event: command, index and kind. @returns its slot */
  start(kind: number): number {
    const at = this.count;
    if (at === this.#capacity) this.#grow();
    this.float64[at * 12 + seq] = this.#seq;
    this.int32[at * 24 + head] = kind | (this.#index << 8);
    this.#index++;
    this.count = at + 1;
    return at;
  }

  /** Over all events so far. */
  get lanes(): Int32Array {
    mixEvents(this.#lanes, this.int32, this.#hashed, this.count);
    this.#hashed = this.count;
    return this.#lanes;
  }

  get hash(): string {
    return hashText(this.lanes);
  }

  /** The events there are. They are hashed first: from now on the visitor has them. What comes while it looks waits for the next time. */
  drain(visit: (slots: EventSlots, count: number) => void): void {
    const told = this.count;
    mixEvents(this.#lanes, this.int32, this.#hashed, told);
    this.#hashed = told;
    visit(this.slots, told);
    if (this.count > told) this.int32.copyWithin(0, told * intsOfEvent, this.count * intsOfEvent);
    this.count = Math.max(this.count - told, 0);
    this.#hashed = Math.max(this.#hashed - told, 0);
  }

  #grow(): void {
    this.#capacity *= 2;
    const larger = eventSlots(new ArrayBuffer(this.#capacity * eventBytes));
    larger.float64.set(this.float64);
    this.slots = larger;
    this.float64 = larger.float64;
    this.int32 = larger.int32;
  }
}
