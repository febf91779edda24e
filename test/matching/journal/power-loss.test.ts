/** The power goes while a frame is flushed: any of its sectors may be on the disk, none of those before may be missing. */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Files, nodeFiles } from '../../../matching/journal/index.ts';
import { beginEpoch, bodies, HeldDisk, readAll, throwawayFolder, until } from './fixture.ts';

const sectorBytes = 512;
const commands = bodies(120);

/** Leaves of the last write what `isKept` says, sector by sector, and cuts the file after `length` bytes of it. */
function tear(
  { file, position, length }: HeldDisk['lastWrite'],
  kept: { readonly isKept: readonly boolean[]; readonly lengthPart: number },
): void {
  const bytes = readFileSync(file);
  const firstSector = Math.floor(position / sectorBytes);
  for (let at = position; at < position + length; at++) {
    const sector = Math.floor(at / sectorBytes) - firstSector;
    if (kept.isKept[sector % kept.isKept.length] !== true) bytes[at] = 0;
  }
  writeFileSync(file, bytes.subarray(0, position + Math.ceil(length * kept.lengthPart)));
}

const loss = fc.record({
  /** Commands of the frames that are flushed, and of the one that is not. */
  flushed: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 3 }),
  torn: fc.integer({ min: 1, max: 60 }),
  kept: fc.record({
    isKept: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
    lengthPart: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
});

test('after any power loss the journal has everything that was acknowledged, and goes on', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(loss, { minLength: 1, maxLength: 4 }), async (losses) => {
      const folder = throwawayFolder();
      let next = 1;
      for (const { flushed, torn, kept } of losses) {
        const disk = new HeldDisk();
        disk.isHolding = false;
        const fed = await beginEpoch(folder, { files: disk.files, segmentBytes: 4_096 });
        for (const count of flushed) {
          const wanted = fed.durable.length + 1;
          fed.put(...commands.slice(0, count));
          await until(() => fed.durable.length === wanted);
          next += count;
        }
        disk.isHolding = true;
        fed.put(...commands.slice(0, torn));
        await until(() => disk.holds === 1);
        tear(disk.lastWrite, kept);
        disk.release(new Error('the power is gone'));
        await until(() => fed.failure !== undefined);
        await fed.writer?.abandon();
        const { end } = readAll(folder);
        // The last frame is there as a whole or not at all.
        expect([next, next + torn]).toContain(end.nextSeq);
        next = end.nextSeq;
      }
    }),
    { numRuns: 20 },
  );
});

/** A disk that forgets what was not flushed. Everybody reads what was written, as from the memory of one system. */
class VolatileDisk {
  /** Of what was written since the last flush of its file. */
  readonly #pending = new Map<string, { readonly position: number; readonly length: number }[]>();
  /** Whether flushes do nothing and never return: the process is about to be killed. */
  isStuck = false;
  stuck = 0;

  readonly files: Files = {
    ...nodeFiles,
    openToAppend: async (file) => {
      const real = await nodeFiles.openToAppend(file);
      return {
        ...real,
        write: async (bytes, position) => {
          const before = this.#pending.get(file) ?? [];
          this.#pending.set(file, [...before, { position, length: bytes.length }]);
          await real.write(bytes, position);
        },
        datasync: async () => {
          if (this.isStuck) {
            this.stuck++;
            await new Promise(() => undefined);
          }
          this.#pending.delete(file);
        },
      };
    },
  };

  loseThePower(): void {
    for (const [file, writes] of this.#pending) {
      const bytes = readFileSync(file);
      for (const { position, length } of writes) bytes.fill(0, position, position + length);
      writeFileSync(file, bytes);
    }
    this.#pending.clear();
  }
}

test('what a killed writer had not flushed, and the next one goes on from, outlives a power loss as well', async () => {
  const folder = throwawayFolder();
  const disk = new VolatileDisk();
  const options = { files: disk.files, segmentBytes: 4_096 };
  const acknowledged = async (fed: Awaited<ReturnType<typeof beginEpoch>>, count: number): Promise<void> => {
    const wanted = fed.durable.length + 1;
    fed.put(...commands.slice(0, count));
    await until(() => fed.durable.length === wanted);
  };
  let next = 1;
  for (const [flushed, left] of [
    [3, 5],
    [1, 60],
    [7, 2],
  ] as const) {
    const killed = await beginEpoch(folder, options);
    await acknowledged(killed, flushed);
    disk.isStuck = true;
    killed.put(...commands.slice(0, left));
    await until(() => disk.stuck === 1);
    disk.isStuck = false;
    disk.stuck = 0;
    // Its frame is whole for everybody who reads, and on no disk.
    expect(readAll(folder).end.nextSeq).toBe(next + flushed + left);
    const fed = await beginEpoch(folder, options);
    await acknowledged(fed, 4);
    next += flushed + left + 4;
    disk.loseThePower();
    expect(readAll(folder)).toMatchObject({ notices: [], end: { nextSeq: next } });
    await fed.writer?.close();
  }
});
