import { expect, test } from 'vitest';
import { killSequencer } from '../../support/matching-crash.ts';

test('kill -9 under load loses nothing that was acknowledged', { timeout: 120_000 }, async () => {
  const { acknowledged } = await killSequencer(3);
  expect(acknowledged).toBeGreaterThan(100);
});
