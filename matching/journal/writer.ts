/**
 * Appends commands to the journal in groups: one frame, one fdatasync, then the look whether this epoch is still the
 * greatest, and only then the news that they are durable. What comes while a flush runs goes into the next frame; there is
 * no timer.
 */
import path from 'node:path';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import { commandBytes } from '../commands.ts';
import { matchingErrors } from '../errors.ts';
import { assertUnfenced } from './epochs.ts';
import type { AppendFile, Files } from './files.ts';
import {
  commandsAtOf,
  frameBytesMax,
  frameCommandsMax,
  parseFrame,
  type SegmentEnd,
  type StateHash,
  sameBytes,
  sealFrame,
} from './format.ts';
import type { JournalEnd } from './reader.ts';
import { createSegment, segmentName } from './segments.ts';

const fail = errorsOf(matchingErrors);

/** What the journal writes, and whom it tells. */
export interface JournalSource {
  /** Commands that have not been taken yet. */
  readonly waiting: () => number;
  /** Copies the `count` oldest of them. */
  readonly take: (target: Uint8Array, count: number) => void;
  /** Of a command that is durable, to be recorded once; the newest there is. */
  readonly takeStateHash: () => StateHash | undefined;
  /** May be told to the world. */
  readonly onDurable: (throughSeq: number) => void;
  /** Once; nothing is written and nothing becomes durable any more. */
  readonly onFailed: (error: Error) => void;
}
export interface JournalOptions {
  readonly files: Files;
  readonly folder: string;
  readonly configHash: Uint8Array;
  /** Claimed by this process. */
  readonly epoch: number;
  /** Commands between two recorded state hashes. */
  readonly hashEvery: number;
  /** A segment is closed before it would grow beyond. */
  readonly segmentBytes: number;
}

export class JournalWriter {
  readonly #options: JournalOptions;
  readonly #source: JournalSource;
  readonly #frame = new Uint8Array(frameBytesMax);
  #file: AppendFile;
  #end: SegmentEnd;
  #nextSeq: number;
  #running: Promise<void> | undefined;
  #ended = false;

  private constructor(options: JournalOptions, source: JournalSource, file: AppendFile, end: SegmentEnd) {
    this.#options = options;
    this.#source = source;
    this.#file = file;
    this.#end = end;
    this.#nextSeq = end.firstSeq;
  }

  /**
   * Begins a segment of the claimed epoch where the journal ends.
   * @throws MATCHING_FENCED, MATCHING_JOURNAL_DAMAGED; what the disk fails with
   */
  static async begin(options: JournalOptions, at: JournalEnd, source: JournalSource): Promise<JournalWriter> {
    await makeEndDurable(options, at);
    const { name, end } = created(options, at.nextSeq, at.end);
    assertUnfenced(options.files, options.folder, options.epoch);
    const file = await options.files.openToAppend(path.join(options.folder, name));
    return new JournalWriter(options, source, file, end);
  }

  /** There is something to take. */
  wake(): void {
    if (this.#ended || this.#running !== undefined) return;
    this.#running = this.#run();
  }

  /** Writes what waits, then closes. */
  async close(): Promise<void> {
    this.wake();
    await this.#running;
    await this.abandon();
  }

  /** Closes without writing what waits. */
  async abandon(): Promise<void> {
    this.#ended = true;
    await this.#running;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    try {
      // What is submitted in one turn of the event loop shares a frame.
      await Promise.resolve();
      while (!this.#ended) {
        const count = Math.min(this.#source.waiting(), frameCommandsMax);
        const stateHash = this.#source.takeStateHash();
        if (count === 0 && stateHash === undefined) break;
        await this.#commit(count, stateHash);
      }
    } catch (error) {
      this.#ended = true;
      this.#source.onFailed(failureUnder(this.#options, error));
    } finally {
      this.#running = undefined;
    }
  }

  async #commit(count: number, stateHash: StateHash | undefined): Promise<void> {
    const { files, folder, epoch, segmentBytes } = this.#options;
    const commandsAt = commandsAtOf(stateHash);
    const bytes = commandsAt + count * commandBytes;
    // Not one without commands, which may have a state hash alone: its successor would have its name.
    if (this.#end.endBytes + bytes > segmentBytes && this.#nextSeq > this.#end.firstSeq) await this.#rotate();
    this.#source.take(this.#frame.subarray(commandsAt, bytes), count);
    const content = { epoch, firstSeq: this.#nextSeq, commands: count, stateHash };
    const { chain } = sealFrame(this.#frame, content, this.#end.chain);
    await this.#file.write(this.#frame.subarray(0, bytes), this.#end.endBytes);
    await this.#file.datasync();
    // In this order: whoever claims the next epoch reads the journal after its claim. No claim now means that its reading
    // comes later than the flush above, so it finds this frame, and what is acknowledged from it is never lost. If there is
    // a claim, the new owner may have read the journal before the frame was there; so nothing of it is acknowledged.
    assertUnfenced(files, folder, epoch);
    this.#end = { ...this.#end, endBytes: this.#end.endBytes + bytes, chain };
    this.#nextSeq += count;
    this.#source.onDurable(this.#nextSeq - 1);
  }

  async #rotate(): Promise<void> {
    await this.#file.close();
    const { name, end } = created(this.#options, this.#nextSeq, this.#end);
    this.#file = await this.#options.files.openToAppend(path.join(this.#options.folder, name));
    this.#end = end;
  }
}

/**
 * The last frame may be in the memory of the system only: its writer died before its flush, or the flush failed, after which the
 * system takes the bytes for written. Whoever goes on from it acknowledges it, and names it in the next segment's header; if
 * it were lost then, the journal would be damaged. So it is written once more where it is, the same bytes, and flushed.
 * Frames before it were flushed before it was written.
 */
async function makeEndDurable(
  { files, folder }: JournalOptions,
  { end, lastFrameAt }: JournalEnd,
): Promise<void> {
  if (end === undefined || lastFrameAt >= end.endBytes) return;
  const name = segmentName(end.firstSeq, end.epoch);
  const file = path.join(folder, name);
  const bytes = new Uint8Array(end.endBytes - lastFrameAt);
  files.readInto(file, bytes, lastFrameAt);
  const frame = parseFrame(bytes, 0);
  if (frame?.end !== bytes.length || !sameBytes(frame.chain, end.chain))
    throw fail('MATCHING_JOURNAL_DAMAGED', `segment ${name}: its last frame is not what was just read`, {
      segment: name,
      atBytes: lastFrameAt,
    });
  const handle = await files.openToAppend(file);
  try {
    await handle.write(bytes, lastFrameAt);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

function created(options: JournalOptions, firstSeq: number, previous: SegmentEnd | undefined) {
  const { files, folder, configHash, epoch, hashEvery } = options;
  return createSegment(files, folder, { firstSeq, previous, configHash, epoch, hashEvery });
}

/** Ours as they are, the system's as MATCHING_JOURNAL_WRITE_FAILED. */
export function writeFailure(error: unknown): Error {
  if (isStrongroomError(error)) return error;
  return fail(
    'MATCHING_JOURNAL_WRITE_FAILED',
    `the journal could not be written: ${messageOf(error)}`,
    {},
    error,
  );
}

/**
 * What is left of a process that was fenced meanwhile, such as the segment it was about to begin, is the next owner's to remove. So
 * whatever it fails with on the disk, it was fenced: started again as after a crash it would fence that owner in turn.
 */
export function failureUnder(
  { files, folder, epoch }: Pick<JournalOptions, 'files' | 'folder' | 'epoch'>,
  error: unknown,
): Error {
  const failure = writeFailure(error);
  if (failure === error) return failure;
  try {
    assertUnfenced(files, folder, epoch);
    return failure;
  } catch (found) {
    return isStrongroomError(found) && found.code === 'MATCHING_FENCED' ? found : failure;
  }
}
