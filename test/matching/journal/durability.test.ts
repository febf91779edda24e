/** What must be on the disk before anybody relies on it, and what becomes of a disk or a folder that is not what it was. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  claimEpoch,
  type Files,
  nodeFiles,
  Replica,
  removeLeftovers,
  writeSnapshot,
} from '../../../matching/journal/index.ts';
import { JournalReader } from '../../../matching/journal/reader.ts';
import { loadConfig } from '../../support/matching-load.ts';
import {
  beginEpoch,
  bodies,
  codeOf,
  configHash,
  type HandFed,
  HeldDisk,
  readAll,
  segmentsOf,
  throwawayFolder,
  until,
  writeGroups,
} from './fixture.ts';

const commands = bodies(40);
const frameBytes = (count: number): number => 64 + count * 64;
const absent = (): never => {
  throw Object.assign(new Error('ENOENT: gone'), { code: 'ENOENT' });
};

/** What is done to files, in order. */
function recording(): { readonly files: Files; readonly done: string[] } {
  const done: string[] = [];
  const say = (what: string, file: string): void => void done.push(`${what} ${path.basename(file)}`);
  const files: Files = {
    ...nodeFiles,
    nameExclusively: (temporary, file) => {
      say('name', file);
      return nodeFiles.nameExclusively(temporary, file);
    },
    openToAppend: async (file) => {
      const real = await nodeFiles.openToAppend(file);
      return {
        ...real,
        write: async (bytes, position) => {
          say(`write ${position}+${bytes.length}`, file);
          await real.write(bytes, position);
        },
        datasync: async () => {
          say('flush', file);
          await real.datasync();
        },
      };
    },
  };
  return { files, done };
}

/** A journal whose last frame was written, and never flushed: its writer met the error, or was killed. */
async function unflushed(): Promise<string> {
  const folder = throwawayFolder();
  const disk = new HeldDisk();
  const fed = await beginEpoch(folder, { files: disk.files });
  fed.put(...commands.slice(0, 2));
  await until(() => disk.holds === 1);
  disk.release();
  await until(() => fed.durable.length === 1);
  fed.put(...commands.slice(2, 5));
  await until(() => disk.holds === 1);
  disk.release(new Error('EIO'));
  await until(() => fed.failure !== undefined);
  await fed.writer?.abandon();
  return folder;
}

describe('whoever goes on from a journal', () => {
  test('writes its last frame once more and flushes it, before anything names it as the one before', async () => {
    const folder = await unflushed();
    const { files, done } = recording();
    const fed = await beginEpoch(folder, { files });
    const first = '0000000000000001-0000000001.journal';
    const at = 256 + frameBytes(2);
    expect(done).toEqual([
      'name epoch-0000000002',
      `write ${at}+${frameBytes(3)} ${first}`,
      `flush ${first}`,
      'name 0000000000000006-0000000002.journal',
    ]);
    await fed.writer?.close();
    expect(readAll(folder)).toMatchObject({ frames: [2, 3], notices: [], end: { nextSeq: 6 } });
  });

  test('does not begin when that flush fails', async () => {
    const folder = await unflushed();
    const files: Files = {
      ...nodeFiles,
      openToAppend: async (file) => ({
        ...(await nodeFiles.openToAppend(file)),
        datasync: () => Promise.reject(new Error('EIO')),
      }),
    };
    await expect(beginEpoch(folder, { files })).rejects.toThrow('EIO');
    expect(segmentsOf(folder)).toHaveLength(1);
    expect(readAll(folder).end.nextSeq).toBe(6);
  });

  test('does not go on from a frame that is another one than it has read', async () => {
    const folder = await unflushed();
    let looks = 0;
    const files: Files = {
      ...nodeFiles,
      readInto: (file, target, position) => {
        looks++;
        return position > 256 ? 0 : nodeFiles.readInto(file, target, position);
      },
    };
    await expect(beginEpoch(folder, { files })).rejects.toMatchObject({ code: 'MATCHING_JOURNAL_DAMAGED' });
    expect(looks).toBe(1);
    expect(segmentsOf(folder)).toHaveLength(1);
  });
});

test('a segment that has a state hash and no command yet is not closed: the next would have its name', async () => {
  const folder = throwawayFolder();
  const fed = await beginEpoch(folder, { segmentBytes: 512, hashEvery: 1 });
  fed.put(...commands.slice(0, 3));
  await until(() => fed.durable.length === 1);
  fed.stateHash = { seq: 3, hash: '0'.repeat(32) };
  fed.writer?.wake();
  await until(() => segmentsOf(folder).length === 2);
  fed.put(...commands.slice(3, 6));
  await fed.writer?.close();
  expect(fed.failure).toBeUndefined();
  expect(fed.durable.at(-1)).toBe(6);
  expect(readAll(folder)).toMatchObject({ frames: [3, 0, 3], end: { nextSeq: 7 } });
});

describe('a primary', () => {
  async function refused(change: (files: Files, folder: string) => Files): Promise<HandFed> {
    const folder = throwawayFolder();
    let files: Files = nodeFiles;
    const fed = await beginEpoch(folder, {
      files: { ...nodeFiles, exists: (file) => files.exists(file) },
    });
    files = change(nodeFiles, folder);
    fed.put(...commands.slice(0, 2));
    await until(() => fed.failure !== undefined || fed.durable.length > 0);
    await fed.writer?.abandon();
    return fed;
  }

  test('that cannot look for a claim acknowledges nothing', async () => {
    const fed = await refused((files) => ({
      ...files,
      exists: () => {
        throw new Error('EIO');
      },
    }));
    expect(fed).toMatchObject({ durable: [], failure: { code: 'MATCHING_JOURNAL_WRITE_FAILED' } });
  });

  test('whose folder is gone acknowledges nothing, though its open file takes what it writes', async () => {
    const fed = await refused((files, folder) => {
      rmSync(folder, { recursive: true });
      return files;
    });
    expect(fed).toMatchObject({ durable: [], failure: { code: 'MATCHING_JOURNAL_WRITE_FAILED' } });
  });

  test('that was fenced while it began a segment, which the next owner has cleared away, says that it was fenced', async () => {
    const folder = throwawayFolder();
    let isTaken = false;
    const files: Files = {
      ...nodeFiles,
      nameExclusively: (temporary, file) => {
        if (isTaken) {
          expect(claimEpoch(nodeFiles, folder, 'next')).toBe(2);
          expect(removeLeftovers(nodeFiles, folder, 2)).toEqual([path.basename(temporary)]);
        }
        return nodeFiles.nameExclusively(temporary, file);
      },
    };
    const fed = await beginEpoch(folder, { files, segmentBytes: 512 });
    fed.put(...commands.slice(0, 3));
    await until(() => fed.durable.length === 1);
    isTaken = true;
    fed.put(...commands.slice(3, 6));
    await until(() => fed.failure !== undefined);
    await fed.writer?.abandon().catch(() => undefined);
    // Started again as after a crash it would fence the one that has fenced it.
    expect(fed).toMatchObject({ durable: [3], failure: { code: 'MATCHING_FENCED' } });
  });

  test('is told whether a name exists, or that nobody knows', () => {
    const folder = throwawayFolder();
    expect(nodeFiles.exists(folder)).toBe(true);
    expect(nodeFiles.exists(path.join(folder, 'none'))).toBe(false);
    expect(() => nodeFiles.exists(path.join(folder, 'x'.repeat(300)))).toThrow('ENAMETOOLONG');
  });
});

describe('what a process left half done', () => {
  test('is removed by the next owner, and a claim of a later epoch is not', async () => {
    const folder = throwawayFolder();
    await writeGroups(folder, [commands.slice(0, 2)]);
    const leave = (name: string): void => nodeFiles.writeFlushed(path.join(folder, name), []);
    const gone = [
      'epoch-0000000001-of-a.tmp',
      'epoch-0000000002-of-b.tmp',
      '0000000000000003-0000000001.journal.tmp',
      '2-0000000001.snapshot.tmp',
    ];
    const left = [
      'epoch-0000000003-of-c.tmp',
      '0000000000000003-0000000002.journal.tmp',
      '2-0000000002.snapshot.tmp',
    ];
    for (const name of [...gone, ...left]) leave(name);
    expect([...removeLeftovers(nodeFiles, folder, 2)].sort()).toEqual([...gone].sort());
    expect(nodeFiles.list(folder)).toEqual(expect.arrayContaining([...left, 'epoch-0000000001']));
    expect(removeLeftovers(nodeFiles, folder, 2)).toEqual([]);
  });

  test('is also removed from under a claim that came too late, which is told that it lost', () => {
    const folder = throwawayFolder();
    const late: Files = {
      ...nodeFiles,
      nameExclusively: (temporary, file) => {
        expect(claimEpoch(nodeFiles, folder, 'winner')).toBe(1);
        expect(removeLeftovers(nodeFiles, folder, 1)).toEqual([path.basename(temporary)]);
        return nodeFiles.nameExclusively(temporary, file);
      },
    };
    expect(codeOf(() => claimEpoch(late, folder, 'late'))).toBe('MATCHING_EPOCH_TAKEN');
    expect(nodeFiles.list(folder)).toEqual(['epoch-0000000001']);
  });
});

test('a snapshot that would leave the journal no room is not written', () => {
  const folder = throwawayFolder();
  const content = new Uint8Array(1_000);
  const write = (freeBytes: number): string =>
    writeSnapshot({ ...nodeFiles, freeBytes: () => freeBytes }, folder, {
      ...{ seq: 5, timeMs: 1, stateHash: '0'.repeat(32), content, configHash, epoch: 1 },
      roomKeptBytes: 4_096,
    });
  const neededBytes = 128 + 1_000 + 4_096;
  expect(codeOf(() => write(neededBytes - 1))).toBe('MATCHING_JOURNAL_WRITE_FAILED');
  expect(nodeFiles.list(folder)).toEqual([]);
  expect(write(neededBytes)).toBe('5-0000000001.snapshot.tmp');
  expect(nodeFiles.list(folder)).toEqual(['5-0000000001.snapshot.tmp']);
  expect(nodeFiles.freeBytes(folder)).toBeGreaterThan(0);
});

test('a folder is made with all those above it, and may be there already', () => {
  const above = throwawayFolder();
  const folder = path.join(above, 'a', 'b', 'c');
  nodeFiles.makeFolder(folder);
  nodeFiles.makeFolder(folder);
  expect(nodeFiles.list(path.join(above, 'a', 'b'))).toEqual(['c']);
});

test('a file that could not be written whole is not left behind', () => {
  const file = path.join(throwawayFolder(), 'half');
  const broken = Object.create(Uint8Array.prototype) as Uint8Array;
  expect(() => nodeFiles.writeFlushed(file, [new Uint8Array(1_000), broken])).toThrow(TypeError);
  expect(nodeFiles.exists(file)).toBe(false);
});

describe('old files that are removed while somebody reads', () => {
  const all = commands.map((command) => [command]);
  async function segmented(): Promise<{ folder: string; names: string[] }> {
    const folder = throwawayFolder();
    await writeGroups(folder, all, { segmentBytes: 1_024 });
    return { folder, names: segmentsOf(folder) };
  }

  test('are no failure of what does not need them', async () => {
    const { folder, names } = await segmented();
    const files: Files = {
      ...nodeFiles,
      readInto: (file, target, position) =>
        path.basename(file) === names[0] ? absent() : nodeFiles.readInto(file, target, position),
    };
    const afterSeq = Number.parseInt(names[1] ?? '', 10) - 1;
    const reader = new JournalReader({ files, folder, configHash, afterSeq });
    let seen = 0;
    reader.follow((frame) => {
      seen += frame.commands;
    });
    expect(seen).toBe(all.length - afterSeq);
    const needy = new JournalReader({ files, folder, configHash, afterSeq: 0 });
    expect(codeOf(() => needy.follow(() => undefined))).toBe('MATCHING_JOURNAL_GAP');
  });

  test('are a gap for what had begun to read them', async () => {
    const { folder, names } = await segmented();
    const files: Files = {
      ...nodeFiles,
      readInto: (file, target, position) =>
        path.basename(file) === names[0] && target.length !== 256
          ? absent()
          : nodeFiles.readInto(file, target, position),
    };
    const reader = new JournalReader({ files, folder, configHash, afterSeq: 0 });
    expect(codeOf(() => reader.follow(() => undefined))).toBe('MATCHING_JOURNAL_GAP');
  });

  test('may be snapshots: the one before is looked at, and then the journal', async () => {
    const { folder } = await segmented();
    const files: Files = {
      ...nodeFiles,
      list: (name) => [...nodeFiles.list(name), '0000000000000007.snapshot'],
    };
    const replica = new Replica({ files, folder, config: loadConfig, configHash });
    expect(replica.finish().nextSeq).toBe(all.length + 1);
  });
});
