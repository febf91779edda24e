/** Timestamps of signed requests: the same request never has the same one, and none runs away from the clock. */
import { expect, test } from 'vitest';
import { createTimestamps } from '../../../api/client/credentials.ts';

const cancel = (id: number) => ({ method: 'DELETE', path: `/v1/orders?orderId=${id}`, body: '' });
const list = { method: 'GET', path: '/v1/orders', body: '' };

test('a thousand requests of one millisecond have the clock’s time, when each is another', () => {
  const timestamp = createTimestamps(() => 5_000);
  const given = Array.from({ length: 1_000 }, (_, id) => timestamp(cancel(id)));
  expect(new Set(given)).toEqual(new Set([5_000]));
});

test('the same request is counted up, also into the milliseconds that follow', () => {
  let now = 5_000;
  const timestamp = createTimestamps(() => now);
  expect([timestamp(list), timestamp(list), timestamp(list)]).toEqual([5_000, 5_001, 5_002]);
  now = 5_001;
  expect([timestamp(list), timestamp(cancel(1))]).toEqual([5_003, 5_001]);
  now = 5_004;
  expect(timestamp(list)).toBe(5_004);
});

test('10 s at 3,000 a second, some of them alike: within a few milliseconds of the clock', () => {
  let now = 0;
  const timestamp = createTimestamps(() => now);
  const pairs = new Set<string>();
  for (now = 10_000; now < 20_000; now++)
    for (const request of [cancel(now), cancel(now + 1), now % 4 === 0 ? list : cancel(now + 2)]) {
      const at = timestamp(request);
      expect(at - now).toBeLessThan(4);
      pairs.add(`${request.path} ${at}`);
    }
  expect(pairs.size).toBe(30_000);
});

test('a clock that was set back is followed', () => {
  let now = 9_000_000;
  const timestamp = createTimestamps(() => now);
  timestamp(list);
  now = 5_000;
  expect(timestamp(list)).toBe(5_000);
});
