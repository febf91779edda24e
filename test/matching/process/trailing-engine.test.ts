import { describe, expect, test } from 'vitest';
import { nodeFiles, prune, Replica } from '../../../matching/journal/index.ts';
import { TrailingEngine } from '../../../matching/process/trailing-engine.ts';
import { openSequencer } from '../../../matching/sequencer/index.ts';
import { wholeCommand } from '../../../matching/settlement/settlement-events.ts';
import { loadConfig } from '../../support/matching-load.ts';
import { bodies, codeOf, configHash, segmentsOf, throwawayFolder, until } from '../journal/fixture.ts';

const commands = bodies(120);
const timeMs = 1;
const snapshotAt = 100;

/** A journal of which only what stands behind a snapshot is left, as retention does when all up to there is settled. */
async function prunedTo(): Promise<string> {
  const folder = throwawayFolder();
  const named: number[] = [];
  const sequencer = await openSequencer({
    folder,
    config: loadConfig,
    clock: { nowMs: () => timeMs },
    limits: { snapshotEvery: snapshotAt, segmentBytes: 4_096, segmentsKept: 0 },
    onNotice: (notice) => void (notice.kind === 'snapshot-named' && named.push(notice.seq)),
  });
  for (const body of commands) await sequencer.submit(body);
  await until(() => named.length === 1);
  await sequencer.close();
  prune(nodeFiles, folder, {
    snapshotsKept: 1,
    segmentsKept: 0,
    // What settlement asks for when it is at the end of the command of the snapshot.
    neededFromSeq: snapshotAt + 1,
    configHash,
    epoch: 1,
  });
  expect(Number.parseInt(segmentsOf(folder)[0] ?? '', 10)).toBeGreaterThan(1);
  return folder;
}
/** Of account 1, by an engine that has seen the same commands from the first one on. */
function expected(folder: string): readonly [number, unknown] {
  const replica = new Replica({ files: nodeFiles, folder, config: loadConfig, configHash });
  replica.finish();
  return [replica.engine.seq, replica.engine.balance(1, 0)];
}

describe('an engine that trails the books', () => {
  test('begins exactly at the oldest snapshot, when the ledger is settled to the end of its command', async () => {
    const folder = await prunedTo();
    const at = { seq: snapshotAt, index: wholeCommand };
    const trailing = new TrailingEngine({ folder, config: loadConfig, at });
    trailing.advanceTo(snapshotAt);
    expect(trailing.seq).toBe(snapshotAt);
    trailing.advanceTo(snapshotAt + 1);
    expect(trailing.lastIndex).toBeGreaterThanOrEqual(0);
    trailing.advanceTo(commands.length);
    expect([trailing.seq, trailing.balance(1, 0)]).toEqual(expected(folder));
  });

  test('settled in part it needs the command itself, and says so when that is gone', async () => {
    const folder = await prunedTo();
    const at = { seq: snapshotAt, index: 0 };
    const begin = (): void => {
      new TrailingEngine({ folder, config: loadConfig, at }).advanceTo(snapshotAt);
    };
    expect(codeOf(begin)).toBe('MATCHING_JOURNAL_GAP');
    const later = { seq: snapshotAt + 1, index: 0 };
    const trailing = new TrailingEngine({ folder, config: loadConfig, at: later });
    trailing.advanceTo(later.seq);
    expect(trailing.lastIndex).toBeGreaterThanOrEqual(0);
  });
});
