/** The power goes while a frame is flushed: any of its sectors may be on the disk, none of those before may be missing. */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
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
