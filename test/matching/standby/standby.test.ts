import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { CommandBody } from '../../../matching/commands.ts';
import { claimEpoch, nodeFiles } from '../../../matching/journal/index.ts';
import { openSequencer, type Sequencer, type SequencerOptions } from '../../../matching/sequencer/index.ts';
import { drillTakeOver, type Standby, startStandby } from '../../../matching/standby/index.ts';
import { takeOverFromPaused } from '../../support/matching-crash.ts';
import { loadConfig } from '../../support/matching-load.ts';
import { beginEpoch, bodies, plainHashes, throwawayFolder, until } from '../journal/fixture.ts';

const commands = bodies(500);
/** Of every command, in milliseconds. */
const timeMs = 1;
const hashes = plainHashes(commands, timeMs);
const closing: { close: () => Promise<void> }[] = [];
afterEach(async () => {
  for (const running of closing.splice(0)) await running.close().catch(() => undefined);
});

const optionsOf = (folder: string, hashEvery = 16): SequencerOptions => ({
  folder,
  config: loadConfig,
  clock: { nowMs: () => timeMs },
  limits: { hashEvery, segmentBytes: 4_096 },
});
interface More {
  readonly onStopped?: (error: Error) => void;
  readonly hashEvery?: number;
}
async function primaryOf(folder: string, { hashEvery, ...more }: More = {}): Promise<Sequencer> {
  const sequencer = await openSequencer({ ...optionsOf(folder, hashEvery), ...more });
  closing.push(sequencer);
  return sequencer;
}
function standbyOf(folder: string, { hashEvery, ...more }: More = {}): Standby {
  const standby = startStandby({ ...optionsOf(folder, hashEvery), ...more });
  closing.push(standby);
  return standby;
}

describe('a standby', () => {
  test('follows, compares hashes, takes over where the primary was, and fences it', async () => {
    const folder = throwawayFolder();
    const stopped: Error[] = [];
    const standby = standbyOf(folder);
    const primary = await primaryOf(folder, { onStopped: (error) => stopped.push(error) });
    for (let at = 0; at < 300; at += 20)
      await Promise.all(commands.slice(at, at + 20).map(async (body) => await primary.submit(body)));
    await until(() => standby.followed?.seq === 300 && standby.followed.hashesCompared > 0);
    expect(standby.followed?.hash).toBe((await primary.state()).hash);
    const { sequencer, report } = await drillTakeOver(standby);
    closing.push(sequencer);
    expect(report).toMatchObject({ epoch: 2, seq: 300, behind: 0, stateHash: hashes[300] });
    expect(report.hashesCompared).toBeGreaterThan(0);
    expect(report.fencedMs).toBeLessThanOrEqual(report.recoveredMs);
    expect(report.recoveredMs).toBeLessThanOrEqual(report.servingMs);
    // It may have found out before, when it was about to record a state hash.
    await expect(primary.submit(commands[300] as CommandBody)).rejects.toThrow(/epoch 1 of|no more commands/);
    expect(stopped).toMatchObject([{ code: 'MATCHING_FENCED' }]);
    await Promise.all(commands.slice(300).map(async (body) => await sequencer.submit(body)));
    expect(await sequencer.state()).toMatchObject({ seq: 500, hash: hashes[500] });
  });

  test('stops when its engine is in another state than the primary recorded', async () => {
    const folder = throwawayFolder();
    const fed = await beginEpoch(folder, { hashEvery: 16 });
    const stopped: Error[] = [];
    const standby = standbyOf(folder, { onStopped: (error) => stopped.push(error) });
    fed.put(...commands.slice(0, 20));
    await until(() => standby.followed?.seq === 20);
    fed.stateHash = { seq: 16, hash: hashes[15] ?? '' };
    fed.writer?.wake();
    await until(() => stopped.length > 0);
    expect(stopped).toMatchObject([{ code: 'MATCHING_REPLAY_DIVERGED', details: { seq: 16 } }]);
    await expect(standby.takeOver()).rejects.toMatchObject({ code: 'MATCHING_STOPPED' });
    await fed.writer?.close();
  });

  test('that has ended before it could look does not let a drill wait for ever', async () => {
    const folder = throwawayFolder();
    nodeFiles.writeFlushed(path.join(folder, '0000000000000001-0000000001.journal'), [new Uint8Array(256)]);
    const stopped: Error[] = [];
    const standby = standbyOf(folder, { onStopped: (error) => stopped.push(error) });
    await expect(drillTakeOver(standby)).rejects.toMatchObject({ code: 'MATCHING_STOPPED' });
    expect(stopped).toMatchObject([{ code: 'MATCHING_JOURNAL_DAMAGED' }]);
    expect(standby.isFollowing).toBe(false);
  });

  test('of two one takes over from the other, and a third follows both', async () => {
    const folder = throwawayFolder();
    // No frames but those of commands, so that the fenced one is about to acknowledge a command.
    const hashEvery = 1 << 20;
    const third = standbyOf(folder);
    const primary = await primaryOf(folder, { hashEvery });
    await Promise.all(commands.slice(0, 100).map(async (body) => await primary.submit(body)));
    const { sequencer: second } = await standbyOf(folder, { hashEvery }).takeOver();
    closing.push(second);
    await Promise.all(commands.slice(100, 200).map(async (body) => await second.submit(body)));
    // From then on a follower holds, so it has to be there before.
    await until(() => third.followed?.seq === 200);
    // Somebody claims an epoch and dies: nothing can be acknowledged any more until the next one takes over.
    claimEpoch(nodeFiles, folder, 'dead');
    await expect(second.submit(commands[200] as CommandBody)).rejects.toMatchObject({
      code: 'MATCHING_FENCED',
    });
    expect(third.followed?.seq).toBe(200);
    const { sequencer: last, report } = await drillTakeOver(third);
    closing.push(last);
    // The command without an answer was on the disk; it counts.
    expect(report).toMatchObject({ epoch: 4, seq: 201, stateHash: hashes[201] });
    await Promise.all(commands.slice(201).map(async (body) => await last.submit(body)));
    expect(await last.state()).toMatchObject({ hash: hashes[500] });
  });
});

test('a paused primary acknowledges nothing after another has taken over', { timeout: 120_000 }, async () => {
  const [report] = await takeOverFromPaused(1);
  expect(report).toMatchObject({ epoch: 2 });
});
