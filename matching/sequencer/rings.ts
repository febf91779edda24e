/**
 * Two rings in shared memory between the sequencer (main thread) and the engine (worker): commands one way, events the
 * other, each with one writer and one reader. Counters are int32 that wrap around; a slot is the counter modulo the
 * capacity, a distance is a difference modulo 2^32.
 */
import { type CommandSlots, commandBytes, commandSlots } from '../commands.ts';
import { type EventSlots, eventBytes, eventSlots } from '../events.ts';

/** One cache line each, so that one side's counting does not slow the other's. */
const line = 16;
const word = {
  /** Written by the sequencer: commands put in. */
  commandTail: 0,
  /** Written by the engine: commands applied, all their events put in. */
  commandHead: line,
  eventTail: 2 * line,
  /** Written by the sequencer: events published. */
  eventHead: 3 * line,
  /** 1 while the engine sleeps or is about to. */
  engineAsleep: 4 * line,
  /** What it sleeps on; changes with every call to wake it. */
  wake: 5 * line,
  /** 1 while the sequencer wants a message as soon as there is progress. */
  bell: 6 * line,
  /** Messages sent to the engine. */
  mail: 7 * line,
} as const;
type Counter = Exclude<keyof typeof word, 'engineAsleep' | 'wake' | 'bell'>;

export interface SharedRings {
  readonly control: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
}

/** @param capacities in slots; powers of two */
export const allocateRings = (capacities: {
  readonly commands: number;
  readonly events: number;
}): SharedRings => ({
  control: new SharedArrayBuffer(8 * line * 4),
  commands: new SharedArrayBuffer(capacities.commands * commandBytes),
  events: new SharedArrayBuffer(capacities.events * eventBytes),
});

/** How far `to` is ahead of `from`. */
export const distance = (from: number, to: number): number => (to - from) >>> 0;

export class Rings {
  readonly commands: CommandSlots;
  readonly events: EventSlots;
  readonly commandCapacity: number;
  readonly eventCapacity: number;
  readonly #control: Int32Array;

  constructor(shared: SharedRings) {
    this.#control = new Int32Array(shared.control);
    this.commands = commandSlots(shared.commands);
    this.events = eventSlots(shared.events);
    this.commandCapacity = shared.commands.byteLength / commandBytes;
    this.eventCapacity = shared.events.byteLength / eventBytes;
  }

  load(counter: Counter): number {
    return Atomics.load(this.#control, word[counter]);
  }

  store(counter: Counter, value: number): void {
    Atomics.store(this.#control, word[counter], value);
  }

  /** The sequencer has changed something the engine may sleep for. */
  wakeEngine(): void {
    if (Atomics.load(this.#control, word.engineAsleep) === 0) return;
    Atomics.add(this.#control, word.wake, 1);
    Atomics.notify(this.#control, word.wake);
  }

  /**
   * The engine sleeps until it is woken, unless `isDue` says that there is something to do. The flag is up before
   * `isDue` looks, and the other side changes first and then looks at the flag, so no call is missed.
   */
  sleep(isDue: () => boolean, timeoutMs?: number): void {
    const seen = Atomics.load(this.#control, word.wake);
    Atomics.store(this.#control, word.engineAsleep, 1);
    if (!isDue()) Atomics.wait(this.#control, word.wake, seen, timeoutMs);
    Atomics.store(this.#control, word.engineAsleep, 0);
  }

  /** The sequencer wants the next message; look once more at the counters afterwards. */
  askForBell(): void {
    Atomics.store(this.#control, word.bell, 1);
  }

  /** @returns whether the engine is to send the message it was asked for; it is asked once */
  takeBell(): boolean {
    return (
      Atomics.load(this.#control, word.bell) === 1 && Atomics.exchange(this.#control, word.bell, 0) === 1
    );
  }
}
