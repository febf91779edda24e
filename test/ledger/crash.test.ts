import { expect, test } from 'vitest';
import { crashLedger } from '../support/ledger-crash.ts';

/** The long one is test/slow/ledger-crash.test.ts. */
test('two crashes of PostgreSQL under load lose and double nothing', { timeout: 120_000 }, async () => {
  const { batches } = await crashLedger({ clients: 2, stops: 2, clientKilledEvery: 2, batchesBetween: 40 });
  expect(batches).toBeGreaterThanOrEqual(3 * 40);
});
