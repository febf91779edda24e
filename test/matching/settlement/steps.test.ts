/** Work in steps: all of it, in order, with room for others in between. */
import { expect, test } from 'vitest';
import { inSteps, itemsPerStep, type Steps, sliced, taken } from '../../../matching/settlement/steps.ts';

const upTo = (count: number) => Array.from({ length: count }, (_, at) => at);

test.each([0, 1, itemsPerStep - 1, itemsPerStep, itemsPerStep + 1, 3 * itemsPerStep + 7])(
  '%i items are all there, in order, in lots that are not too large',
  (count) => {
    const items = upTo(count);
    const lots = [...sliced(items)];
    expect(lots.flat()).toEqual(items);
    expect(lots.every(({ length }) => length > 0 && length <= itemsPerStep)).toBe(true);
    for (const itemsMax of [1, 7, itemsPerStep]) {
      const some = [...taken(items, itemsMax)];
      expect(some.flat()).toEqual(items);
      expect(some).toHaveLength(Math.ceil(count / itemsMax));
      expect(some.slice(0, -1).every(({ length }) => length === itemsMax)).toBe(true);
    }
  },
);

test('nothing is made before it is its turn', () => {
  const made: number[] = [];
  function* items(): Generator<number> {
    for (const item of upTo(10)) {
      made.push(item);
      yield item;
    }
  }
  const lots = taken(items(), 3);
  expect(lots.next().value).toEqual([0, 1, 2]);
  expect(made).toEqual([0, 1, 2]);
});

test('others have a turn after each step, and what is thrown comes out', async () => {
  const order: string[] = [];
  function* work(): Steps<number> {
    for (const step of upTo(3)) {
      order.push(`step ${step}`);
      setImmediate(() => order.push(`other ${step}`));
      yield;
    }
    return 7;
  }
  expect(await inSteps(work())).toBe(7);
  expect(order).toEqual(['step 0', 'other 0', 'step 1', 'other 1', 'step 2', 'other 2']);
  function* failing(): Steps<never> {
    yield;
    throw new RangeError('here');
  }
  await expect(inSteps(failing())).rejects.toThrow('here');
});
