import { expect, test } from 'vitest';
import { crashEngine } from './crash.ts';

/** The long one is test/slow/engine-process-crash.test.ts. */
test('a killed engine and a crashed PostgreSQL lose nothing acknowledged and book nothing twice', {
  timeout: 240_000,
}, async () => {
  const outcome = await crashEngine({ seed: 7, kills: 3, stops: 1 });
  expect(outcome).toMatchObject({ kills: 3, stops: 1 });
  expect(outcome.acknowledged).toBeGreaterThan(100);
  expect(outcome.trades).toBeGreaterThan(20);
});
