import { expect, test } from 'vitest';
import { crashSettlement } from '../../support/settlement-crash.ts';

/** The long one is test/slow/settlement-crash.test.ts. */
test('killed settlers and a crashed PostgreSQL lose and double nothing', { timeout: 120_000 }, async () => {
  const { crashes, trades } = await crashSettlement({ seed: 5, commands: 2_500, tradesMax: 25, crashes: 3 });
  expect(crashes).toBe(3);
  expect(trades).toBeGreaterThan(600n);
});
