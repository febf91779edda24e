import { expect, test } from 'vitest';
import { crashLedger } from '../support/ledger-crash.ts';

test('fifteen crashes of PostgreSQL and seven of its clients lose and double nothing', {
  timeout: 600_000,
}, async () => {
  const plan = { clients: 4, stops: 15, clientKilledEvery: 2, batchesBetween: 500 };
  const { batches } = await crashLedger(plan);
  expect(batches).toBeGreaterThanOrEqual((plan.stops + 1) * plan.batchesBetween);
});
