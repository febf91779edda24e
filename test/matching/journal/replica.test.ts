import { rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CommandBody } from '../../../matching/commands.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import {
  configHashOf,
  type JournalNotice,
  nameSnapshot,
  nodeFiles,
  prune,
  Replica,
  replayEvents,
  writeSnapshot,
} from '../../../matching/journal/index.ts';
import { loadConfig } from '../../support/matching-load.ts';
import {
  beginEpoch,
  bodies,
  codeOf,
  configHash,
  flipped,
  plainHashes,
  readFiles,
  segmentsOf,
  throwawayFolder,
  until,
  withBytes,
  writeGroups,
} from './fixture.ts';

const commands = bodies(600);
const hashes = plainHashes(commands);
const groupsOf = (all: readonly CommandBody[], size: number): CommandBody[][] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) =>
    all.slice(index * size, (index + 1) * size),
  );

/** A journal of all commands in small segments, and snapshots of the engine after some of them. */
async function recorded(snapshotsAfter: readonly number[], through = commands.length): Promise<string> {
  const folder = throwawayFolder();
  const groups = groupsOf(commands.slice(0, through), 20);
  await writeGroups(folder, groups, { segmentBytes: 8_192 });
  for (const seq of snapshotsAfter) takeSnapshot(folder, seq);
  return folder;
}

/** As the engine's thread does: of an engine that has seen the first `seq` commands and no later snapshot. */
function takeSnapshot(folder: string, seq: number): void {
  const replica = new Replica({
    files: cutAfter(seq),
    folder,
    config: loadConfig,
    configHash,
    snapshotsThroughSeq: 0,
  });
  replica.follow();
  expect(replica.engine.seq).toBe(seq);
  const snapshot = {
    seq,
    timeMs: seq,
    stateHash: replica.engine.stateHash(),
    content: replica.engine.snapshot(),
    configHash,
    epoch: 1,
    roomKeptBytes: 0,
  };
  nameSnapshot(nodeFiles, folder, { seq, temporary: writeSnapshot(nodeFiles, folder, snapshot) });
}

/** A folder as it was when the journal ended with command `seq`; frames have 20 commands. */
const cutAfter = (seq: number): typeof nodeFiles => ({
  ...nodeFiles,
  list: (folder) =>
    nodeFiles.list(folder).filter((name) => !name.endsWith('.journal') || Number.parseInt(name, 10) <= seq),
  sizeOf: (file) => {
    const first = Number.parseInt(path.basename(file), 10);
    return Math.min(nodeFiles.sizeOf(file), 256 + (64 + 20 * 64) * Math.ceil((seq + 1 - first) / 20));
  },
});

function recover(folder: string): { hash: string; seq: number; notices: JournalNotice[]; timeMs: number } {
  const notices: JournalNotice[] = [];
  const replica = new Replica({
    files: readFiles,
    folder,
    config: loadConfig,
    configHash,
    onNotice: (notice) => notices.push(notice),
  });
  const { stateHash, nextSeq, timeMs } = replica.finish();
  return { hash: stateHash, seq: nextSeq - 1, notices, timeMs };
}

describe('recovery', () => {
  test('is the same with and without snapshots, at any of them', async () => {
    const folder = await recorded([60, 240, 580]);
    const expected = { hash: hashes[600], seq: 600, notices: [], timeMs: 600 };
    for (const name of ['none', '0000000000000580', '0000000000000240', '0000000000000060']) {
      rmSync(path.join(folder, `${name}.snapshot`), { force: true });
      expect(recover(folder)).toEqual(expected);
    }
  });

  test('falls back from a damaged snapshot to the one before, and says so', async () => {
    const folder = await recorded([240, 580]);
    const newest = path.join(folder, '0000000000000580.snapshot');
    const size = nodeFiles.sizeOf(newest);
    for (const at of [0, 8, 16, 24, 32, 48, 64, 96, 128, 300, size - 1]) {
      withBytes(newest, flipped(at), () => {
        const { hash, notices } = recover(folder);
        expect([at, hash]).toEqual([at, hashes[600]]);
        expect(notices).toMatchObject([{ kind: 'snapshot-skipped', snapshot: '0000000000000580.snapshot' }]);
      });
    }
    for (const length of [0, 100, 128, size - 1])
      withBytes(
        newest,
        (bytes) => bytes.subarray(0, length),
        () =>
          expect(recover(folder)).toMatchObject({
            hash: hashes[600],
            notices: [{ kind: 'snapshot-skipped' }],
          }),
      );
  });

  test('refuses a snapshot of another configuration, and one the journal has not reached', async () => {
    const folder = await recorded([240], 300);
    const config = { ...loadConfig, clientIdsKept: 7 };
    expect(
      codeOf(() => new Replica({ files: nodeFiles, folder, config, configHash: configHashOf(config) })),
    ).toBe('MATCHING_JOURNAL_OTHER_CONFIG');
    const shorter = await recorded([], 200);
    const name = '0000000000000240.snapshot';
    nodeFiles.writeFlushed(path.join(shorter, name), [bytesOf(path.join(folder, name))]);
    expect(codeOf(() => recover(shorter))).toBe('MATCHING_JOURNAL_GAP');
  });

  test('refuses a journal whose recorded state hash is another', async () => {
    const folder = throwawayFolder();
    const fed = await beginEpoch(folder, { hashEvery: 10 });
    fed.put(...commands.slice(0, 20));
    await until(() => fed.durable.length === 1);
    fed.stateHash = { seq: 10, hash: hashes[10] ?? '' };
    fed.put(...commands.slice(20, 40));
    await until(() => fed.durable.length === 2);
    const replica = new Replica({ files: nodeFiles, folder, config: loadConfig, configHash });
    replica.follow();
    expect(replica.hashesCompared).toBe(1);
    fed.stateHash = { seq: 30, hash: hashes[31] ?? '' };
    fed.writer?.wake();
    await fed.writer?.close();
    expect(codeOf(() => replica.follow())).toBe('MATCHING_REPLAY_DIVERGED');
    expect(codeOf(() => recover(folder))).toBe('MATCHING_REPLAY_DIVERGED');
  });
});

function bytesOf(file: string): Uint8Array {
  const bytes = new Uint8Array(nodeFiles.sizeOf(file));
  nodeFiles.readInto(file, bytes, 0);
  return bytes;
}

function eventsFrom(folder: string, fromSeq: number): EngineEvent[] {
  const events: EngineEvent[] = [];
  replayEvents({
    files: nodeFiles,
    folder,
    config: loadConfig,
    fromSeq,
    onEvents: (slots, from, count) => {
      for (let at = from; at < from + count; at++) events.push(readEvent(slots, at));
    },
  });
  return events;
}

test('events can be had again from any command on, the same as the first time', async () => {
  const folder = await recorded([60, 240, 580]);
  const all = eventsFrom(folder, 1);
  expect(new Set(all.map(({ seq }) => seq)).size).toBe(600);
  for (const fromSeq of [2, 61, 62, 241, 300, 581, 600, 601])
    expect(eventsFrom(folder, fromSeq)).toEqual(all.filter(({ seq }) => seq >= fromSeq));
});

describe('retention', () => {
  const keep = {
    snapshotsKept: 2,
    segmentsKept: 1,
    neededFromSeq: Number.MAX_SAFE_INTEGER,
    configHash,
    epoch: 2,
  };

  test('removes what the oldest snapshot kept has made superfluous, and recovery goes on', async () => {
    const folder = await recorded([60, 240, 500, 580]);
    nodeFiles.writeFlushed(path.join(folder, '700-0000000001.snapshot.tmp'), []);
    nodeFiles.writeFlushed(path.join(folder, '700-0000000002.snapshot.tmp'), []);
    const before = segmentsOf(folder);
    const removed = prune(nodeFiles, folder, keep);
    expect(removed).toEqual(
      expect.arrayContaining([
        '0000000000000060.snapshot',
        '0000000000000240.snapshot',
        '700-0000000001.snapshot.tmp',
      ]),
    );
    const left = segmentsOf(folder);
    const covered = left.filter((_, index) => Number.parseInt(left[index + 1] ?? '999', 10) <= 501);
    expect(covered).toHaveLength(1);
    expect(left).toEqual(before.slice(-left.length));
    expect(nodeFiles.list(folder)).toContain('700-0000000002.snapshot.tmp');
    expect(recover(folder).hash).toBe(hashes[600]);
    rmSync(path.join(folder, '0000000000000580.snapshot'));
    expect(recover(folder).hash).toBe(hashes[600]);
    rmSync(path.join(folder, '0000000000000500.snapshot'));
    expect(codeOf(() => recover(folder))).toBe('MATCHING_JOURNAL_GAP');
  });

  test('keeps what somebody still has to read, and everything while there is no snapshot', async () => {
    const folder = await recorded([60, 240, 500, 580]);
    const all = eventsFrom(folder, 200);
    expect(prune(nodeFiles, folder, { ...keep, neededFromSeq: 200 })).not.toContain(
      '0000000000000060.snapshot',
    );
    expect(eventsFrom(folder, 200)).toEqual(all);
    expect(prune(nodeFiles, folder, { ...keep, neededFromSeq: 20 })).toEqual([]);
    expect(prune(nodeFiles, await recorded([]), keep)).toEqual([]);
  });
});

test('an empty folder is an engine before its first command', () => {
  expect(recover(throwawayFolder())).toEqual({
    hash: createEngine(loadConfig).stateHash(),
    seq: 0,
    notices: [],
    timeMs: 0,
  });
});
