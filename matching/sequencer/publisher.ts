/** Takes commands and events out of the rings as soon as the commands are durable, and tells listeners and those who wait. */
import { messageOf } from '#core/errors';
import { type EngineEvent, type EventSlots, readEvent } from '../events.ts';
import { distance, type Rings } from './rings.ts';
import type { CommandsListener, EventsListener } from './types.ts';

interface Waiter {
  readonly events: EngineEvent[];
  readonly resolve: (events: readonly EngineEvent[]) => void;
  readonly reject: (error: Error) => void;
}
interface PublishedWaiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Publisher {
  readonly #rings: Rings;
  readonly #onListenerFailed: (problem: string, seq: number) => void;
  readonly #listeners = new Set<EventsListener>();
  readonly #commandListeners = new Set<CommandsListener>();
  /** By sequence number modulo the capacity: no more commands than that are unpublished. */
  readonly #waiters: (Waiter | undefined)[];
  #waiterCount = 0;
  /** Ascending. */
  readonly #publishedWaiters: PublishedWaiter[] = [];
  #eventHead = 0;
  /** Commands given to listeners: all that are durable, so never fewer than are published. */
  #givenPosition = 0;
  #givenSeq: number;
  #appliedPosition = 0;
  #appliedSeq: number;
  #publishedSeq: number;
  #publishing = false;
  #ended: Error | undefined;

  /** @param seq published already */
  constructor(rings: Rings, seq: number, onListenerFailed: (problem: string, seq: number) => void) {
    this.#rings = rings;
    this.#onListenerFailed = onListenerFailed;
    this.#waiters = new Array<Waiter | undefined>(rings.commandCapacity);
    this.#givenSeq = seq;
    this.#appliedSeq = seq;
    this.#publishedSeq = seq;
  }

  get publishedSeq(): number {
    return this.#publishedSeq;
  }

  subscribe(listener: EventsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  subscribeCommands(listener: CommandsListener): () => void {
    this.#commandListeners.add(listener);
    return () => this.#commandListeners.delete(listener);
  }

  /** The events of a command that was just taken. */
  async eventsOf(seq: number): Promise<readonly EngineEvent[]> {
    this.#waiterCount++;
    return await new Promise((resolve, reject) => {
      this.#waiters[this.#slotOf(seq)] = { events: [], resolve, reject };
    });
  }

  async published(seq: number): Promise<void> {
    if (seq <= this.#publishedSeq) return;
    if (this.#ended !== undefined) throw this.#ended;
    await new Promise<void>((resolve, reject) => {
      const after = this.#publishedWaiters.findLastIndex((other) => other.seq <= seq);
      this.#publishedWaiters.splice(after + 1, 0, { seq, resolve, reject });
    });
  }

  /** What is ready of the commands up to `durableSeq`. */
  publish(durableSeq: number): void {
    // A listener may submit, but what it submits is not durable before we are back.
    if (this.#publishing || this.#ended !== undefined) return;
    this.#publishing = true;
    try {
      this.#giveCommands(durableSeq);
      while (this.#publishOnce(durableSeq));
    } finally {
      this.#publishing = false;
    }
  }

  /** Nothing is published any more. */
  end(error: Error): void {
    this.#ended = error;
    for (const waiter of this.#waiters) waiter?.reject(error);
    this.#waiters.fill(undefined);
    this.#waiterCount = 0;
    for (const waiter of this.#publishedWaiters.splice(0)) waiter.reject(error);
  }

  /** Their slots are taken for others only when they are published, which is later. */
  #giveCommands(durableSeq: number): void {
    const { commands, commandCapacity } = this.#rings;
    while (this.#givenSeq < durableSeq) {
      const from = this.#givenPosition & (commandCapacity - 1);
      const count = Math.min(durableSeq - this.#givenSeq, commandCapacity - from);
      for (const listener of this.#commandListeners) {
        try {
          listener(commands, from, count);
        } catch (error) {
          this.#commandListeners.delete(listener);
          this.#onListenerFailed(messageOf(error), this.#givenSeq + 1);
        }
      }
      this.#givenSeq += count;
      this.#givenPosition = (this.#givenPosition + count) | 0;
    }
  }

  /** @returns whether there was progress; then there may be more */
  #publishOnce(durableSeq: number): boolean {
    this.#rings.askForBell();
    // In this order: events of a command that counts as applied are in the ring.
    const applied = this.#rings.load('commandHead');
    const tail = this.#rings.load('eventTail');
    const delivered = this.#deliver(tail, durableSeq);
    this.#appliedSeq += distance(this.#appliedPosition, applied);
    this.#appliedPosition = applied;
    const before = this.#publishedSeq;
    this.#publishedSeq = Math.min(this.#appliedSeq, durableSeq);
    if (this.#waiterCount > 0) this.#settle(before);
    for (let next = this.#publishedWaiters[0]; next !== undefined && next.seq <= this.#publishedSeq; ) {
      next.resolve();
      this.#publishedWaiters.shift();
      next = this.#publishedWaiters[0];
    }
    return delivered > 0 || this.#publishedSeq > before;
  }

  #deliver(tail: number, durableSeq: number): number {
    const { events, eventCapacity } = this.#rings;
    let delivered = 0;
    for (let waiting = distance(this.#eventHead, tail); waiting > 0; ) {
      const from = this.#eventHead & (eventCapacity - 1);
      const run = Math.min(waiting, eventCapacity - from);
      const count = durableIn(events, from, run, durableSeq);
      if (count > 0) this.#give(events, from, count);
      delivered += count;
      waiting -= count;
      this.#eventHead = (this.#eventHead + count) | 0;
      this.#rings.store('eventHead', this.#eventHead);
      if (count < run) break;
    }
    if (delivered > 0) this.#rings.wakeEngine();
    return delivered;
  }

  #give(events: EventSlots, from: number, count: number): void {
    for (const listener of this.#listeners) {
      try {
        listener(events, from, count);
      } catch (error) {
        // Others have a right to their events; this one has missed some and gets nothing that would look complete.
        this.#listeners.delete(listener);
        this.#onListenerFailed(messageOf(error), events.float64[from * 12] ?? 0);
      }
    }
    if (this.#waiterCount === 0) return;
    for (let at = from; at < from + count; at++)
      this.#waiters[this.#slotOf(events.float64[at * 12] ?? 0)]?.events.push(readEvent(events, at));
  }

  #slotOf(seq: number): number {
    return seq % this.#rings.commandCapacity;
  }

  #settle(before: number): void {
    for (let seq = before + 1; seq <= this.#publishedSeq; seq++) {
      const slot = this.#slotOf(seq);
      const waiter = this.#waiters[slot];
      if (waiter === undefined) continue;
      this.#waiters[slot] = undefined;
      this.#waiterCount--;
      waiter.resolve(waiter.events);
    }
  }
}

/** How many of the events are of commands that are durable; they are in the order of their commands. */
function durableIn({ float64 }: EventSlots, from: number, count: number, durableSeq: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((float64[(from + middle) * 12] ?? 0) <= durableSeq) low = middle + 1;
    else high = middle;
  }
  return low;
}
