/**
 * Long work in steps. The settler shares its thread with everything that acknowledges orders and tells their events; a portion of
 * 32,768 trades is some hundred milliseconds of work, which none of these may wait for.
 */
import { setImmediate } from 'node:timers/promises';

/** Work that stops between its steps. */
export type Steps<T> = Generator<undefined, T>;

/** Rows, lines or events of one step: two to five milliseconds. */
export const itemsPerStep = 2_048;

/** With a turn of the event loop between steps. */
export async function inSteps<T>(work: Steps<T>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

/** The items in order, as many at a time as a step takes. */
export function* sliced<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += itemsPerStep) yield items.slice(at, at + itemsPerStep);
}

/** The items in order, `itemsMax` at a time, none of them made before it is its turn. */
export function* taken<T>(items: Iterable<T>, itemsMax: number): Generator<T[]> {
  let some: T[] = [];
  for (const item of items) {
    if (some.push(item) < itemsMax) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}
