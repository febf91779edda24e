import { expect, test } from 'vitest';
import { crashEngine } from '../matching/process/crash.ts';

/** A start compiles the process first: about three seconds each, more on a busy machine. */
const timeoutMs = 1_800_000;

test('fifty kills of the engine and twenty crashes of PostgreSQL lose nothing acknowledged and book nothing twice', {
  timeout: timeoutMs,
}, async () => {
  const outcome = await crashEngine({ seed: 21, kills: 50, stops: 20 });
  process.stdout.write(`engine process crashes: ${JSON.stringify(outcome)}\n`);
  expect(outcome).toMatchObject({ kills: 50, stops: 20 });
  expect(outcome.acknowledged).toBeGreaterThan(3_000);
  expect(outcome.trades).toBeGreaterThan(500);
  expect(outcome.deposits).toBeGreaterThan(50);
  expect(outcome.withdrawals).toBeGreaterThan(20);
});
