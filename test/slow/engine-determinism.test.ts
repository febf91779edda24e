/** The same commands give the same hash in every process, and after a snapshot and the rest of the stream at any point. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { Random } from '../matching/engine/random.ts';

const run = promisify(execFile);
const child = path.join(import.meta.dirname, '../matching/engine/determinism-child.ts');
const commands = 10_000_000;
const cuts = 40;

interface Line {
  readonly at: number;
  readonly hash: string;
  readonly snapshot: string;
  readonly events: number;
}
async function play(mode: 'through' | 'restore', cutsAt: readonly number[]): Promise<Line[]> {
  const given = ['oneMarket', '20261121', `${commands}`, JSON.stringify(cutsAt), mode];
  const { stdout } = await run(process.execPath, ['--import', 'tsx', child, ...given]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

test('ten million commands give the same hashes in three processes, one of which restores itself at random cuts', {
  timeout: 3_600_000,
}, async () => {
  const random = new Random(Date.now());
  const cutsAt = Array.from({ length: cuts }, () => random.from(1, commands - 1)).sort((a, b) => a - b);
  const [first, second, restored] = await Promise.all([
    play('through', cutsAt),
    play('through', cutsAt),
    play('restore', cutsAt),
  ]);
  expect(first.at(-1)?.at).toBe(commands);
  expect(second).toEqual(first);
  expect(restored).toEqual(first);
});
