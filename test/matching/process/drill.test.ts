import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runDrill } from '#matching/process';
import { textOf } from '../../../matching/process/drill-load.ts';
import { missingIn } from '../../../matching/process/drill-proof.ts';
import { openSequencer } from '../../../matching/sequencer/index.ts';
import { loadConfig, openingCommands } from '../../support/matching-load.ts';

test('a standby takes over under load, and nothing acknowledged is missing', {
  timeout: 180_000,
}, async () => {
  const outcome = await runDrill(loadConfig);
  expect(outcome).toMatchObject({ ok: true, missing: 0, epoch: 2, oldPrimary: 'MATCHING_FENCED' });
  expect(outcome.acknowledged.before).toBeGreaterThan(1_000);
  expect(outcome.acknowledged.after).toBeGreaterThan(1_000);
  const { fencedMs, recoveredMs, servingMs, linkMs } = outcome;
  expect([fencedMs, recoveredMs, servingMs, linkMs]).toEqual(
    [fencedMs, recoveredMs, servingMs, linkMs].sort((a, b) => a - b),
  );
});

test('an answer that the journal does not have, or has otherwise, is found', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'drill-proof-'));
  try {
    const sequencer = await openSequencer({ folder, config: loadConfig, clock: { nowMs: () => 1 } });
    const answered = await Promise.all(
      openingCommands(2).map(async (body) => {
        const events = await sequencer.submit(body);
        return { seq: events[0]?.seq ?? 0, events: textOf(events) };
      }),
    );
    await sequencer.close();
    expect(missingIn(folder, loadConfig, answered).missing).toBe(0);
    const [first = { seq: 0, events: '' }, second = { seq: 0, events: '' }] = answered;
    const lost = { seq: 1_000, events: first.events };
    const other = { seq: second.seq, events: first.events };
    expect(missingIn(folder, loadConfig, [first, lost]).missing).toBe(1);
    expect(missingIn(folder, loadConfig, [first, other]).missing).toBe(1);
    expect(missingIn(folder, loadConfig, [first, first]).missing).toBe(1);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
