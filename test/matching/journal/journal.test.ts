import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { digest } from '../../../matching/journal/format.ts';
import { claimEpoch, nodeFiles } from '../../../matching/journal/index.ts';
import { JournalReader } from '../../../matching/journal/reader.ts';
import {
  beginEpoch,
  bodies,
  codeOf,
  configHash,
  flipped,
  HeldDisk,
  readAll,
  segmentsOf,
  throwawayFolder,
  until,
  withBytes,
  writeGroups,
} from './fixture.ts';

const commands = bodies(40);
const groups = [commands.slice(0, 2), commands.slice(2, 3), commands.slice(3, 6)];
const headerBytes = 256;
/** Of a frame with so many commands. */
const frameBytes = (count: number): number => 64 + count * 64;

async function threeFrames(): Promise<{ folder: string; file: string; lastAt: number; size: number }> {
  const folder = throwawayFolder();
  await writeGroups(folder, groups);
  const file = path.join(folder, segmentsOf(folder)[0] ?? '');
  const lastAt = headerBytes + frameBytes(2) + frameBytes(1);
  return { folder, file, lastAt, size: statSync(file).size };
}

describe('group commit', () => {
  test('what comes while a flush runs goes into one next frame, and nothing is durable before its flush', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    const fed = await beginEpoch(folder, { files: disk.files });
    fed.put(...commands.slice(0, 1));
    await until(() => disk.holds === 1);
    for (const command of commands.slice(1, 6)) fed.put(command);
    expect(fed.durable).toEqual([]);
    disk.release();
    await until(() => disk.holds === 1);
    expect(fed.durable).toEqual([1]);
    disk.letGo();
    await fed.writer?.close();
    expect(fed.durable).toEqual([1, 6]);
    expect(readAll(folder).frames).toEqual([1, 5]);
  });

  test('commands submitted in one turn share a frame', async () => {
    const folder = throwawayFolder();
    const fed = await beginEpoch(folder);
    for (const command of commands) fed.put(command);
    await fed.writer?.close();
    expect(readAll(folder).frames).toEqual([commands.length]);
  });

  test('a failed flush ends the writer: nothing becomes durable, it is not tried again', async () => {
    const disk = new HeldDisk();
    const fed = await beginEpoch(throwawayFolder(), { files: disk.files });
    fed.put(...commands.slice(0, 3));
    await until(() => disk.holds === 1);
    disk.release(new Error('EIO'));
    await until(() => fed.failure !== undefined);
    fed.put(...commands.slice(3, 6));
    await fed.writer?.close();
    expect(fed.failure).toMatchObject({ code: 'MATCHING_JOURNAL_WRITE_FAILED' });
    expect(fed.durable).toEqual([]);
    expect(disk.holds).toBe(0);
  });
});

describe('segments', () => {
  test('rotate at their size and are one history, also over several epochs', async () => {
    const folder = throwawayFolder();
    const single = commands.map((command) => [command]);
    await writeGroups(folder, single.slice(0, 15), { segmentBytes: 4096 });
    await writeGroups(folder, [], { segmentBytes: 4096 });
    await writeGroups(folder, [], { segmentBytes: 4096 });
    await writeGroups(folder, single.slice(15), { segmentBytes: 1024 });
    const sizes = segmentsOf(folder).map((name) => statSync(path.join(folder, name)).size);
    expect(sizes.length).toBeGreaterThan(6);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4096);
    const { frames, notices, end, commands: read } = readAll(folder);
    expect(frames).toEqual(single.map(() => 1));
    expect(read.map((text) => Number.parseInt(text, 10))).toEqual(commands.map((_, index) => index + 1));
    expect(notices).toEqual([]);
    expect(end).toMatchObject({ nextSeq: 41, epoch: 4 });
  });

  test('reading can begin behind a snapshot, in the segment that has the next command', async () => {
    const folder = throwawayFolder();
    await writeGroups(
      folder,
      commands.map((command) => [command]),
      { segmentBytes: 1024 },
    );
    const names = segmentsOf(folder);
    for (const name of names.slice(0, 3)) rmSync(path.join(folder, name));
    const firstLeft = Number.parseInt(names[3] ?? '', 10);
    expect(readAll(folder, firstLeft - 1).end.nextSeq).toBe(41);
    expect(codeOf(() => readAll(folder, firstLeft - 2))).toBe('MATCHING_JOURNAL_GAP');
  });

  test('one that is missing in the middle is a gap; a snapshot newer than the journal too', async () => {
    const folder = throwawayFolder();
    await writeGroups(
      folder,
      commands.map((command) => [command]),
      { segmentBytes: 1024 },
    );
    expect(codeOf(() => readAll(folder, 41))).toBe('MATCHING_JOURNAL_GAP');
    rmSync(path.join(folder, segmentsOf(folder)[2] ?? ''));
    expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_GAP');
    expect(codeOf(() => readAll(throwawayFolder(), 1))).toBe('MATCHING_JOURNAL_GAP');
  });

  test.each([
    ['format', 8, 'MATCHING_JOURNAL_OTHER_FORMAT'],
    ['semantics', 12, 'MATCHING_JOURNAL_OTHER_SEMANTICS'],
    ['configuration', 96, 'MATCHING_JOURNAL_OTHER_CONFIG'],
  ])('one of another %s is refused', async (_, at, code) => {
    const { folder, file } = await threeFrames();
    const otherwise = (bytes: Buffer): Buffer => {
      bytes[at] = (bytes[at] ?? 0) + 1;
      bytes.set(digest(bytes.subarray(0, 224)), 224);
      return bytes;
    };
    withBytes(file, otherwise, () => expect(codeOf(() => readAll(folder))).toBe(code));
  });

  test('one under the name of another is refused', async () => {
    const { folder, file } = await threeFrames();
    renameSync(file, path.join(folder, '0000000000000002-0000000001.journal'));
    expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_DAMAGED');
  });
});

describe('damage', () => {
  test('a torn last frame is cut at every byte, told, and written over by the next epoch', async () => {
    const { folder, file, lastAt, size } = await threeFrames();
    expect(size).toBe(lastAt + frameBytes(3));
    for (let length = lastAt + 1; length < size; length++) {
      withBytes(
        file,
        (bytes) => bytes.subarray(0, length),
        () => {
          const { end, notices, frames } = readAll(folder);
          expect(frames).toEqual([2, 1]);
          expect(end).toMatchObject({ nextSeq: 4, end: { endBytes: lastAt } });
          expect(notices).toEqual([
            {
              kind: 'torn-tail',
              segment: path.basename(file),
              atBytes: lastAt,
              bytes: length - lastAt,
              lastSeq: 3,
            },
          ]);
        },
      );
    }
    truncateSync(file, size - 1);
    await writeGroups(folder, [commands.slice(3, 8)]);
    const { frames, notices } = readAll(folder);
    expect(frames).toEqual([2, 1, 5]);
    expect(notices).toEqual([]);
  });

  test('a flipped bit in the last frame is a torn end; zeros behind the last frame too', async () => {
    const { folder, file, lastAt, size } = await threeFrames();
    for (let at = lastAt; at < size; at++)
      withBytes(file, flipped(at), () => {
        const { end, notices } = readAll(folder);
        expect([at, end.nextSeq]).toEqual([at, 4]);
        expect(notices).toMatchObject([{ kind: 'torn-tail', atBytes: lastAt, bytes: size - lastAt }]);
      });
    const zeros = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(4096)]);
    withBytes(file, zeros, () =>
      expect(readAll(folder)).toMatchObject({ end: { nextSeq: 7 }, notices: [{ bytes: 4096 }] }),
    );
  });

  test('a flipped bit anywhere before is an error: nothing is lost in silence', async () => {
    const { folder, file, lastAt } = await threeFrames();
    for (let at = 0; at < lastAt; at++)
      withBytes(file, flipped(at), () => {
        const code = codeOf(() => readAll(folder));
        const expected = at >= 8 && at < 12 ? 'MATCHING_JOURNAL_OTHER_FORMAT' : 'MATCHING_JOURNAL_DAMAGED';
        expect([at, code]).toEqual([at, expected]);
      });
  });

  test('in a segment that another one follows even the last frame must be whole', async () => {
    const { folder, file, lastAt, size } = await threeFrames();
    await writeGroups(folder, [commands.slice(6, 8)]);
    for (let at = lastAt; at < size; at++)
      withBytes(file, flipped(at), () =>
        expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_DAMAGED'),
      );
    for (let length = headerBytes; length < size; length += 16)
      withBytes(
        file,
        (bytes) => bytes.subarray(0, length),
        () => expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_DAMAGED'),
      );
  });

  test('a whole frame in the wrong place breaks the chain, also as the last one', async () => {
    const { folder, file, lastAt } = await threeFrames();
    const frame = (bytes: Buffer, at: number, count: number) => bytes.subarray(at, at + frameBytes(count));
    const repeated = (bytes: Buffer) => Buffer.concat([bytes, frame(bytes, lastAt, 3)]);
    withBytes(file, repeated, () => expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_GAP'));
    const missing = (bytes: Buffer) =>
      Buffer.concat([bytes.subarray(0, headerBytes + frameBytes(2)), frame(bytes, lastAt, 3)]);
    withBytes(file, missing, () => expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_GAP'));
    // The same commands under another history: only the chain tells.
    const other = throwawayFolder();
    await writeGroups(other, [commands.slice(1, 3), commands.slice(2, 3), commands.slice(3, 6)]);
    const foreign = readFileSync(path.join(other, segmentsOf(other)[0] ?? ''));
    const mixed = (bytes: Buffer) => Buffer.concat([bytes.subarray(0, lastAt), foreign.subarray(lastAt)]);
    withBytes(file, mixed, () => expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_DAMAGED'));
  });
});

test('a segment of another history is refused by the one that follows it, though it is whole in itself', async () => {
  const { folder, file } = await threeFrames();
  await writeGroups(folder, [commands.slice(6, 8)]);
  const other = throwawayFolder();
  await writeGroups(other, [commands.slice(1, 3), commands.slice(2, 3), commands.slice(3, 6)]);
  const foreign = readFileSync(path.join(other, segmentsOf(other)[0] ?? ''));
  withBytes(
    file,
    () => foreign,
    () => expect(codeOf(() => readAll(folder))).toBe('MATCHING_JOURNAL_DAMAGED'),
  );
});

describe('epochs', () => {
  test('of two that claim at once one wins', () => {
    const folder = throwawayFolder();
    expect(claimEpoch(nodeFiles, folder, 'a')).toBe(1);
    const stale = nodeFiles.list(folder);
    expect(claimEpoch(nodeFiles, folder, 'b')).toBe(2);
    expect(codeOf(() => claimEpoch({ ...nodeFiles, list: () => stale }, folder, 'c'))).toBe(
      'MATCHING_EPOCH_TAKEN',
    );
  });

  test('a primary that was fenced while it flushed acknowledges nothing; the claimant finds what it flushed before', async () => {
    const folder = throwawayFolder();
    const disk = new HeldDisk();
    const old = await beginEpoch(folder, { files: disk.files });
    old.put(...commands.slice(0, 2));
    await until(() => disk.holds === 1);
    disk.release();
    await until(() => old.durable.length === 1);
    old.put(...commands.slice(2, 4));
    await until(() => disk.holds === 1);
    const next = await beginEpoch(folder);
    disk.letGo();
    await until(() => old.failure !== undefined);
    expect(old.failure).toMatchObject({ code: 'MATCHING_FENCED' });
    expect(old.durable).toEqual([2]);
    await old.writer?.abandon();
    next.put(...commands.slice(4, 6));
    await next.writer?.close();
    // The second frame was on the disk when the claimant read, so it counts, though nobody was told.
    expect(readAll(folder)).toMatchObject({ frames: [2, 2, 2], notices: [], end: { epoch: 2 } });
  });

  test('what a fenced primary writes behind the new beginning is no part of the history', async () => {
    const folder = throwawayFolder();
    await writeGroups(folder, groups);
    const file = path.join(folder, segmentsOf(folder)[0] ?? '');
    const whole = readFileSync(file);
    const cut = headerBytes + frameBytes(2) + frameBytes(1);
    truncateSync(file, cut);
    await writeGroups(folder, [commands.slice(20, 24)]);
    // The old primary wakes up, flushes the frame it had begun, and rotates, before it looks for a claim.
    writeFileSync(file, whole);
    const { end, frames, notices, commands: read } = readAll(folder);
    expect(frames).toEqual([2, 1, 4]);
    expect(read).toHaveLength(7);
    expect(end).toMatchObject({ nextSeq: 8, epoch: 2 });
    expect(notices).toEqual([]);
    const late = '0000000000000007-0000000001.journal';
    const other = throwawayFolder();
    await writeGroups(other, [commands.slice(0, 6), commands.slice(6, 7)], { segmentBytes: 512 });
    copyFileSync(path.join(other, late), path.join(folder, late));
    expect(readAll(folder)).toMatchObject({
      frames: [2, 1, 4],
      notices: [{ kind: 'fenced-segments', segments: [late] }],
    });
  });

  test('a follower holds while a claimed epoch has no segment, then goes where it begins', async () => {
    const folder = throwawayFolder();
    const old = await beginEpoch(folder);
    const reader = new JournalReader({ files: nodeFiles, folder, configHash, afterSeq: 0 });
    let seen = 0;
    const look = (): number => {
      reader.follow((frame) => {
        seen += frame.commands;
      });
      return seen;
    };
    old.put(...commands.slice(0, 2));
    await until(() => old.durable.length === 1);
    expect(look()).toBe(2);
    claimEpoch(nodeFiles, folder, 'someone who dies now');
    old.put(...commands.slice(2, 4));
    await until(() => old.failure !== undefined);
    await old.writer?.abandon();
    expect(look()).toBe(2);
    const next = await beginEpoch(folder);
    next.put(...commands.slice(4, 7));
    await until(() => next.durable.length === 1);
    expect(look()).toBe(7);
    await next.writer?.close();
  });
});
