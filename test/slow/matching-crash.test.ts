import { expect, test } from 'vitest';
import { killSequencer, takeOverFromPaused } from '../support/matching-crash.ts';

test('thirty kills of the sequencer under load lose nothing that was acknowledged', {
  timeout: 600_000,
}, async () => {
  const { acknowledged, unanswered } = await killSequencer(30);
  expect(acknowledged).toBeGreaterThan(5_000);
  expect(unanswered).toBeGreaterThan(30);
});

test('ten changes of the primary, each while it is paused under load', { timeout: 600_000 }, async () => {
  const reports = await takeOverFromPaused(10);
  expect(reports.map(({ epoch }) => epoch)).toEqual(reports.map((_, index) => index + 2));
});
