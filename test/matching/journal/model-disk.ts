/**
 * A disk in memory that does what a real one may: what was not flushed is lost with the power, sector by sector and name by name; a
 * flush that fails leaves what everybody still reads, takes it for written, and has written none of it.
 */
import path from 'node:path';
import type { Files } from '../../../matching/journal/index.ts';

const sectorBytes = 512;

type Random = (below: number) => number;
interface Range {
  readonly from: number;
  readonly to: number;
}
class Inode {
  /** As everybody reads it, and as it is after a power loss. */
  memory = new Uint8Array();
  disk = new Uint8Array();
  unflushed: Range[] = [];
  /** Of its flushes. Whoever has the file open then is told by its next one (errseq, Linux 4.13). */
  failures = 0;

  write(bytes: Uint8Array, position: number): void {
    const to = position + bytes.length;
    this.memory = longer(this.memory, to);
    this.memory.set(bytes, position);
    this.unflushed.push({ from: position, to });
  }
  reach(ranges: readonly Range[]): void {
    for (const { from, to } of ranges) {
      this.disk = longer(this.disk, to);
      this.disk.set(this.memory.subarray(from, to), from);
    }
  }
}

function longer(bytes: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  if (bytes.length >= length) return bytes;
  const grown = new Uint8Array(length);
  grown.set(bytes);
  return grown;
}

function sectorsOf({ from, to }: Range): Range[] {
  const sectors: Range[] = [];
  for (let at = from; at < to; ) {
    const end = Math.min(to, (Math.floor(at / sectorBytes) + 1) * sectorBytes);
    sectors.push({ from: at, to: end });
    at = end;
  }
  return sectors;
}

function absent(file: string): Error {
  return Object.assign(new Error(`ENOENT: ${file}`), { code: 'ENOENT' });
}

/** What a process meets at each of its steps: it may be killed there (throws), and others may have their turn. */
export interface Steps {
  readonly step: () => void;
  readonly turn: () => Promise<void>;
}

export class ModelDisk {
  readonly #random: Random;
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #pendingNames: ((names: Map<string, Inode>) => void)[] = [];
  /** The next flush of frames fails. */
  isFailing = false;

  constructor(random: Random) {
    this.#random = random;
  }

  losePower(): void {
    for (const apply of this.#pendingNames) if (this.#random(2) === 0) apply(this.#durableNames);
    this.#pendingNames = [];
    this.#names = new Map(this.#durableNames);
    for (const inode of new Set(this.#names.values())) {
      const sectors = inode.unflushed.flatMap(sectorsOf);
      const kept = this.#random(3);
      // All, none, or any of them.
      inode.reach(sectors.filter(() => (kept === 2 ? this.#random(2) === 0 : kept === 0)));
      inode.unflushed = [];
      inode.memory = inode.disk.slice();
    }
  }

  #change(apply: (names: Map<string, Inode>) => void): void {
    apply(this.#names);
    this.#pendingNames.push(apply);
  }
  #remove(name: string): void {
    this.#change((names) => names.delete(name));
  }
  #inode(file: string): Inode {
    const inode = this.#names.get(path.basename(file));
    if (inode === undefined) throw absent(file);
    return inode;
  }

  filesOf({ step, turn }: Steps): Files {
    const files: Omit<Files, 'openToAppend'> = {
      makeFolder: () => undefined,
      list: () => [...this.#names.keys()],
      exists: (file) => this.#names.has(path.basename(file)),
      sizeOf: (file) => this.#inode(file).memory.length,
      freeBytes: () => Number.MAX_SAFE_INTEGER,
      readInto: (file, target, position) => {
        const there = this.#inode(file).memory.subarray(position, position + target.length);
        target.set(there);
        return there.length;
      },
      writeFlushed: (file, parts) => {
        const inode = new Inode();
        this.#change((names) => names.set(path.basename(file), inode));
        for (const part of parts) {
          step();
          inode.write(part, inode.memory.length);
        }
        step();
        inode.reach(inode.unflushed.splice(0));
      },
      nameExclusively: (temporary, file) => {
        const name = path.basename(file);
        const isFree = !this.#names.has(name);
        if (isFree) {
          const inode = this.#inode(temporary);
          this.#change((names) => names.set(name, inode));
        }
        step();
        this.#remove(path.basename(temporary));
        return isFree;
      },
      rename: (from, to) => {
        const inode = this.#inode(from);
        this.#change((names) => {
          names.delete(path.basename(from));
          names.set(path.basename(to), inode);
        });
      },
      remove: (file) => this.#remove(path.basename(file)),
      flushFolder: () => {
        this.#durableNames = new Map(this.#names);
        this.#pendingNames = [];
      },
    };
    const stepped = Object.fromEntries(
      Object.entries(files).map(([name, call]: [string, (...given: never[]) => unknown]) => [
        name,
        (...given: never[]) => {
          step();
          const outcome = call(...given);
          step();
          return outcome;
        },
      ]),
    ) as unknown as typeof files;
    return { ...stepped, openToAppend: async (file) => await this.#open(file, { step, turn }) };
  }

  async #open(file: string, { step, turn }: Steps) {
    await turn();
    step();
    const inode = this.#inode(file);
    let { failures } = inode;
    return {
      write: async (bytes: Uint8Array, position: number): Promise<void> => {
        const whole = bytes.slice();
        const half = this.#random(whole.length);
        await turn();
        inode.write(whole.subarray(0, half), position);
        await turn();
        inode.write(whole.subarray(half), position + half);
      },
      datasync: async (): Promise<void> => {
        await turn();
        const flushed = inode.unflushed;
        inode.unflushed = [];
        if (this.isFailing) {
          this.isFailing = false;
          inode.failures++;
        } else inode.reach(flushed);
        if (failures < inode.failures) {
          failures = inode.failures;
          throw new Error('EIO');
        }
        // It has reached the disk, and whoever waits for it may be gone.
        await turn();
      },
      close: async (): Promise<void> => await turn(),
    };
  }
}
