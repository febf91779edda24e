/** The events since they were last drained, in one buffer that grows when it is full, and the rolling hash over all events ever written. */
import {
  type EventSlots,
  eventBytes,
  eventFloat64,
  eventInt32,
  eventSlots,
  hashText,
  initialLanes,
  mixEvent,
} from '../events.ts';

/** More than a portion of commands usually causes. */
const initialSlots = 1 << 14;
const int = eventInt32;
const float = eventFloat64;

export class EventLog {
  slots: EventSlots = eventSlots(new ArrayBuffer(initialSlots * eventBytes));
  count = 0;
  readonly lanes: Int32Array = Int32Array.from(initialLanes);
  #seq = 0;
  #index = 0;
  #capacity = initialSlots;

  begin(seq: number): void {
    this.#seq = seq;
    this.#index = 0;
  }

  /** Writes an event with what most kinds have; the caller sets what else it has, then calls {@link end}. @returns its slot */
  start(kind: number, market: number, account: number, price: number, detail: number): number {
    if (this.count === this.#capacity) this.#grow();
    const { float64, int32 } = this.slots;
    const f = this.count * 12;
    const i = this.count * 24;
    float64[f + float.seq] = this.#seq;
    float64[f + float.order] = 0;
    float64[f + float.maker] = 0;
    float64[f + float.lots] = 0;
    float64[f + float.feeTaker] = 0;
    float64[f + float.feeMaker] = 0;
    float64[f + float.restTaker] = 0;
    float64[f + float.restMaker] = 0;
    int32[i + int.head] = kind | (this.#index << 8);
    int32[i + int.market] = market;
    int32[i + int.account] = account;
    int32[i + int.makerAccount] = -1;
    int32[i + int.price] = price;
    int32[i + int.detail] = detail;
    int32[i + int.high] = 0;
    int32[i + int.high + 1] = 0;
    return this.count;
  }

  end(): void {
    mixEvent(this.lanes, this.slots.int32, this.count);
    this.count++;
    this.#index++;
  }

  get hash(): string {
    return hashText(this.lanes);
  }

  drained(): void {
    this.count = 0;
  }

  #grow(): void {
    const { float64 } = this.slots;
    this.#capacity *= 2;
    const larger = eventSlots(new ArrayBuffer(this.#capacity * eventBytes));
    larger.float64.set(float64);
    this.slots = larger;
  }
}
