/** The file system as the journal needs it, so that tests can let a disk fail at a named point. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';

export interface AppendFile {
  readonly write: (bytes: Uint8Array, position: number) => Promise<void>;
  /** fdatasync(2). */
  readonly datasync: () => Promise<void>;
  readonly close: () => Promise<void>;
}
export interface Files {
  readonly makeFolder: (folder: string) => void;
  /** Names, in no order. */
  readonly list: (folder: string) => readonly string[];
  /** @throws when it cannot be looked: not to know is not the same as not there */
  readonly exists: (file: string) => boolean;
  readonly sizeOf: (file: string) => number;
  /** What the file system of a folder still takes. */
  readonly freeBytes: (folder: string) => number;
  /** From `position` on, as many bytes as there are and `target` takes. @returns how many */
  readonly readInto: (file: string, target: Uint8Array, position: number) => number;
  /** A whole new file, flushed. One of that name is replaced. One that fails is gone: what is half written only fills the disk. */
  readonly writeFlushed: (file: string, parts: readonly Uint8Array[]) => void;
  /** Gives a file its name if nothing has it yet; the temporary one is gone afterwards. @returns false if something has */
  readonly nameExclusively: (temporary: string, file: string) => boolean;
  readonly rename: (from: string, to: string) => void;
  readonly remove: (file: string) => void;
  /** Makes names durable: a new file whose folder was not flushed can be gone after a power loss. */
  readonly flushFolder: (folder: string) => void;
  /** An existing file, to write behind its header. */
  readonly openToAppend: (file: string) => Promise<AppendFile>;
}

function flush(file: string, flags: string, use: (handle: number) => void): void {
  const handle = openSync(file, flags, 0o600);
  try {
    use(handle);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += progress(writeSync(handle, bytes, at));
}

/** A disk that takes nothing and says nothing would be asked for ever. */
function progress(written: number): number {
  if (written > 0) return written;
  throw new Error('a write took no byte');
}

function hasName(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
/** What reading a file fails with that another process has removed. */
export const isAbsent = (error: unknown): boolean => hasName(error, 'ENOENT');

const exists = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined;

export const nodeFiles: Files = {
  makeFolder: (folder) => {
    const whole = path.resolve(folder);
    const created = mkdirSync(whole, { recursive: true, mode: 0o700 });
    // Each folder that was made has its name in the one above it.
    const highest = path.dirname(created === undefined ? whole : path.resolve(created));
    for (let at = path.dirname(whole); ; at = path.dirname(at)) {
      flush(at, 'r', () => undefined);
      if (at === highest || at === path.dirname(at)) return;
    }
  },
  list: (folder) => readdirSync(folder),
  exists,
  sizeOf: (file) => statSync(file).size,
  freeBytes: (folder) => {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  },
  readInto: (file, target, position) => {
    const handle = openSync(file, 'r');
    try {
      let at = 0;
      while (at < target.length) {
        const count = readSync(handle, target, at, target.length - at, position + at);
        if (count === 0) break;
        at += count;
      }
      return at;
    } finally {
      closeSync(handle);
    }
  },
  writeFlushed: (file, parts) => {
    try {
      flush(file, 'w', (handle) => {
        for (const part of parts) writeAll(handle, part);
      });
    } catch (error) {
      rmSync(file, { force: true });
      throw error;
    }
  },
  nameExclusively: (temporary, file) => {
    try {
      // link(2) refuses an existing name, which rename(2) would replace.
      linkSync(temporary, file);
      return true;
    } catch (error) {
      // Whoever has the name may have removed what cannot get it any more.
      if (hasName(error, 'EEXIST') || (isAbsent(error) && exists(file))) return false;
      throw error;
    } finally {
      rmSync(temporary, { force: true });
    }
  },
  rename: (from, to) => renameSync(from, to),
  remove: (file) => rmSync(file, { force: true }),
  flushFolder: (folder) => flush(folder, 'r', () => undefined),
  openToAppend: async (file) => {
    const handle = await open(file, 'r+');
    return {
      write: async (bytes, position) => {
        for (let at = 0; at < bytes.length; ) {
          const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
          at += progress(bytesWritten);
        }
      },
      datasync: async () => await handle.datasync(),
      close: async () => await handle.close(),
    };
  },
};
