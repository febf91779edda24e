/** Files that a command writes: under their name when they are complete, and never in place of another. */
import { accessSync, constants, createWriteStream, existsSync, openSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorsOf, messageOf } from '#core/errors';
import { cliErrors } from './contract.ts';

const fail = errorsOf(cliErrors);

/** Who may read it: what shows who owns what is for its owner only. */
export const fileModes = { ownerOnly: 0o600, public: 0o644 } as const;

/** Before work that is not done twice gladly. @throws CLI_FILE_INVALID when the file exists or its folder cannot be written to */
export function assertNewFile(file: string): void {
  if (existsSync(file))
    throw fail('CLI_FILE_INVALID', `${file} exists; give a name that is free, or move it away`, { file });
  try {
    accessSync(path.dirname(file), constants.W_OK);
  } catch (error) {
    throw fail('CLI_FILE_INVALID', `${file} cannot be written: ${messageOf(error)}`, { file });
  }
}

function openPartial(file: string, partial: string, mode: number): number {
  try {
    return openSync(partial, 'wx', mode);
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    const why = isThere
      ? `${partial} exists: another command is writing it, or one was stopped; if none is running, remove it`
      : messageOf(error);
    throw fail('CLI_FILE_INVALID', `${file} cannot be written: ${why}`, { file });
  }
}

/** Of the file system; what the parts throw says by itself what it is. */
function asWriteFailure(error: unknown, file: string): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error;
  return fail('CLI_FILE_INVALID', `${file} cannot be written: ${error.message}`, { file }, error);
}

/**
 * Written beside it first (`<file>.part`), which also keeps two commands apart that write the same file.
 * @throws CLI_FILE_INVALID, and what `parts` throws; then nothing is left
 */
export async function writeNewFile(
  file: string,
  mode: number,
  parts: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  assertNewFile(file);
  const partial = `${file}.part`;
  const descriptor = openPartial(file, partial, mode);
  try {
    await pipeline(Readable.from(parts), createWriteStream(partial, { fd: descriptor, flush: true }));
    assertNewFile(file);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw asWriteFailure(error, file);
  }
}
