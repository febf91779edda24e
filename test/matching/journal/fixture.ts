/** Journals in throwaway folders, and a disk that a test can hold up or let fail. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { type CommandBody, commandBytes, commandSlots, writeCommand } from '../../../matching/commands.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import {
  claimEpoch,
  configHashOf,
  type Files,
  type JournalEnd,
  type JournalNotice,
  JournalWriter,
  nodeFiles,
  type StateHash,
} from '../../../matching/journal/index.ts';
import { JournalReader } from '../../../matching/journal/reader.ts';
import { loadCommand, loadConfig, openingCommands, sequenced } from '../../support/matching-load.ts';

export const configHash = configHashOf(loadConfig);
const folders: string[] = [];
/** What everything here reads through; see {@link withBytes}. */
export let readFiles: Files = nodeFiles;

export function throwawayFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-journal-'));
  folders.push(folder);
  return folder;
}
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export const clients = 4;
/** What everybody sends, as one list: the opening, then each client in turn. */
export function bodies(count: number): CommandBody[] {
  const opening = openingCommands(clients);
  const load = Array.from({ length: Math.max(count - opening.length, 0) }, (_, index) =>
    loadCommand(index % clients, Math.floor(index / clients) + 1),
  );
  return [...opening, ...load].slice(0, count);
}

/** State hash after each command; index 0 is before the first. @param timeMs of all; else its number is the time of each */
export function plainHashes(commands: readonly CommandBody[], timeMs?: number): string[] {
  const engine = createEngine(loadConfig);
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  return [
    engine.stateHash(),
    ...commands.map((body, index) => {
      writeCommand(slots, 0, sequenced(body, index + 1, timeMs ?? index + 1));
      engine.submit(slots, 0);
      engine.drainEvents(() => undefined);
      return engine.stateHash();
    }),
  ];
}

/** Feeds a writer by hand: `put` makes commands wait, `durable` is what it told. */
export class HandFed {
  readonly durable: number[] = [];
  failure: Error | undefined;
  stateHash: StateHash | undefined;
  readonly #waiting: CommandBody[] = [];
  #nextSeq: number;
  writer: JournalWriter | undefined;

  constructor(nextSeq: number) {
    this.#nextSeq = nextSeq;
  }

  put(...commands: readonly CommandBody[]): void {
    this.#waiting.push(...commands);
    this.writer?.wake();
  }

  readonly source = {
    waiting: () => this.#waiting.length,
    take: (target: Uint8Array, count: number) => {
      const slots = commandSlots(new ArrayBuffer(count * commandBytes));
      this.#waiting.splice(0, count).forEach((body, index) => {
        writeCommand(slots, index, sequenced(body, this.#nextSeq, this.#nextSeq));
        this.#nextSeq++;
      });
      target.set(slots.bytes);
    },
    takeStateHash: () => {
      const { stateHash } = this;
      this.stateHash = undefined;
      return stateHash;
    },
    onDurable: (seq: number) => void this.durable.push(seq),
    onFailed: (error: Error) => {
      this.failure = error;
    },
  };
}

export interface WriteOptions {
  readonly files?: Files;
  readonly segmentBytes?: number;
  readonly hashEvery?: number;
}

/** Claims the next epoch and begins where the journal ends. */
export async function beginEpoch(folder: string, options: WriteOptions = {}): Promise<HandFed> {
  const { files = nodeFiles, segmentBytes = 2 ** 20, hashEvery = 2 ** 20 } = options;
  const epoch = claimEpoch(files, folder, 'test');
  const end = readAll(folder).end;
  const fed = new HandFed(end.nextSeq);
  fed.writer = await JournalWriter.begin(
    { files, folder, configHash, epoch, hashEvery, segmentBytes },
    end,
    fed.source,
  );
  return fed;
}

/** One frame per group, in a new epoch, closed. */
export async function writeGroups(
  folder: string,
  groups: readonly (readonly CommandBody[])[],
  options: WriteOptions = {},
): Promise<void> {
  const fed = await beginEpoch(folder, options);
  for (const group of groups) {
    const before = fed.durable.length;
    fed.put(...group);
    while (fed.durable.length === before && fed.failure === undefined)
      await new Promise((resolve) => setImmediate(resolve));
  }
  await fed.writer?.close();
  if (fed.failure !== undefined) throw fed.failure;
}

export interface ReadBack {
  readonly end: JournalEnd;
  readonly notices: readonly JournalNotice[];
  /** Commands of each frame. */
  readonly frames: readonly number[];
  /** Sequence number and client order id of each command, as its slot says. */
  readonly commands: readonly string[];
}

export function readAll(folder: string, afterSeq = 0): ReadBack {
  const reader = new JournalReader({ files: readFiles, folder, configHash, afterSeq });
  const notices: JournalNotice[] = [];
  const frames: number[] = [];
  const commands: string[] = [];
  const end = reader.finish(
    (frame, slots, at) => {
      frames.push(frame.commands);
      for (let index = at; index < at + frame.commands; index++)
        commands.push(
          [slots.float64[index * 8], slots.bigInt64[index * 8 + 4], slots.int32[index * 16 + 10]].join(' '),
        );
    },
    (notice) => notices.push(notice),
  );
  return { end, notices, frames, commands };
}

export const segmentsOf = (folder: string): string[] =>
  nodeFiles
    .list(folder)
    .filter((name) => name.endsWith('.journal'))
    .sort();

/** Runs `look` with the file read as changed; the file itself stays as it is, because a disk would take seconds for all of them. */
export function withBytes(file: string, change: (bytes: Buffer) => Buffer, look: () => void): void {
  const bytes = change(readFileSync(file));
  readFiles = {
    ...nodeFiles,
    sizeOf: (name) => (name === file ? bytes.length : nodeFiles.sizeOf(name)),
    readInto: (name, target, position) => {
      if (name !== file) return nodeFiles.readInto(name, target, position);
      const there = bytes.subarray(position, position + target.length);
      target.set(there);
      return there.length;
    },
  };
  try {
    look();
  } finally {
    readFiles = nodeFiles;
  }
}
export const flipped =
  (at: number) =>
  (bytes: Buffer): Buffer => {
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    return bytes;
  };

/** The code a call fails with; `none` if it does not. */
export function codeOf(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

/** A disk whose flushes wait until the test lets them return. */
export class HeldDisk {
  readonly #held: ((outcome?: Error) => void)[] = [];
  isHolding = true;
  /** The frame that was written last; on the disk for certain only when its flush has returned. */
  lastWrite = { file: '', position: 0, length: 0 };

  readonly files: Files = {
    ...nodeFiles,
    openToAppend: async (file) => {
      const real = await nodeFiles.openToAppend(file);
      return {
        ...real,
        write: async (bytes, position) => {
          this.lastWrite = { file, position, length: bytes.length };
          await real.write(bytes, position);
        },
        datasync: async () => {
          await real.datasync();
          if (!this.isHolding) return;
          await new Promise<void>((resolve, reject) => {
            this.#held.push((outcome) => (outcome === undefined ? resolve() : reject(outcome)));
          });
        },
      };
    },
  };

  get holds(): number {
    return this.#held.length;
  }

  /** Lets the oldest flush return, or fail. */
  release(outcome?: Error): void {
    this.#held.shift()?.(outcome);
  }

  letGo(): void {
    this.isHolding = false;
    for (const release of this.#held.splice(0)) release();
  }
}

export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 1));
}
