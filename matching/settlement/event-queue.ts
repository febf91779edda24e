/** Events between the engine and the settler: in order, each once, none dropped. */
import { errorsOf } from '#core/errors';
import type { MarketConfig } from '../config.ts';
import type { EventSlots } from '../events.ts';
import { settlementErrors } from './errors.ts';
import { Netting } from './netting.ts';
import type { PortionEvents } from './portion.ts';
import {
  type EventPlace,
  follows,
  isBefore,
  type Movement,
  placeOf,
  type SettledTrade,
  type SettlementEvent,
  settlementEvent,
  wholeCommand,
} from './settlement-events.ts';
import { itemsPerStep, type Steps } from './steps.ts';

const fail = errorsOf(settlementErrors);
/** Events that are booked are let go of in lots of this many, so that a queue of any length costs the same per event. */
const forgetEvents = 4_096;

export interface PortionLimits {
  readonly tradesMax: number;
  readonly transfersMax: number;
}

export class EventQueue {
  #events: SettlementEvent[] = [];
  /** In `#events`: those before are booked. */
  #from = 0;
  #last: EventPlace;
  /** Whether `#last` was offered here, or ends its command: only then is it known what comes after it. */
  #isSeen: boolean;

  /** @param settled the last event that is booked */
  constructor(settled: EventPlace) {
    this.#last = settled;
    this.#isSeen = settled.index === wholeCommand;
  }
  get waiting(): number {
    return this.#events.length - this.#from;
  }
  /** Of all events that came, also those that move nothing. */
  get last(): EventPlace {
    return this.#last;
  }

  /** @throws MATCHING_SETTLEMENT_GAP; what came before the gap is kept */
  offer(slots: EventSlots, from: number, count: number): void {
    for (let at = from; at < from + count; at++) {
      const place = placeOf(slots, at);
      if (!isBefore(this.#last, place)) {
        if (!isBefore(place, this.#last)) this.#isSeen = true;
        continue;
      }
      this.#assertFollows(place);
      // Read first: one that could not be read must not count as one that came.
      const event = settlementEvent(slots, at);
      if (event !== undefined) this.#events.push(event);
      this.#last = place;
      this.#isSeen = true;
    }
  }
  /** All events up to this command have been offered. */
  complete(seq: number): void {
    if (this.#last.seq === seq && this.#isSeen) this.#last = { seq, index: wholeCommand };
  }
  #assertFollows(place: EventPlace): void {
    const { seq, index } = this.#last;
    if (follows(place, this.#last) && (place.seq === seq || this.#isSeen)) return;
    throw fail(
      'MATCHING_SETTLEMENT_GAP',
      `event ${place.index} of command ${place.seq} came after ${index} of ${seq}`,
      { seq: place.seq, index: place.index, lastSeq: seq, lastIndex: index },
    );
  }

  /**
   * The events after `after`, as many as a portion takes; undefined if there are none. Others may come between its steps, but
   * {@link settled} is not to be called.
   * @param even a portion without any, up to the last event that came
   */
  *portionAfter(
    after: EventPlace,
    markets: readonly MarketConfig[],
    limits: PortionLimits,
    even: boolean,
  ): Steps<PortionEvents | undefined> {
    let at = this.#from;
    while (at < this.#events.length && !isBefore(after, this.#events[at] as SettlementEvent)) at++;
    const begin = at;
    const trades: SettledTrade[] = [];
    const movements: Movement[] = [];
    const netting = new Netting(markets);
    for (
      ;
      at < this.#events.length &&
      trades.length < limits.tradesMax &&
      netting.size + movements.length < limits.transfersMax;
      at++
    ) {
      const event = this.#events[at] as SettlementEvent;
      if (event.kind === 'trade') {
        trades.push(event);
        netting.add(event);
      } else movements.push(event);
      if ((at - begin) % itemsPerStep === itemsPerStep - 1) yield;
    }
    const next = this.#events[at];
    const upTo = next === undefined ? this.#last : placeBefore(next);
    const isWanted = trades.length + movements.length > 0 || (even && isBefore(after, upTo));
    return isWanted ? { trades, movements, nets: netting.nets(), upTo } : undefined;
  }

  /** Lets go of what is booked. */
  settled(upTo: EventPlace): void {
    while (this.#from < this.#events.length && !isBefore(upTo, this.#events[this.#from] as SettlementEvent))
      this.#from++;
    if (this.#from < forgetEvents && this.#from < this.#events.length) return;
    this.#events = this.#events.slice(this.#from);
    this.#from = 0;
    // Another settler may be ahead of what came here.
    if (isBefore(this.#last, upTo)) {
      this.#last = upTo;
      this.#isSeen = upTo.index === wholeCommand;
    }
  }
}

const placeBefore = ({ seq, index }: EventPlace): EventPlace =>
  index === 0 ? { seq: seq - 1, index: wholeCommand } : { seq, index: index - 1 };
