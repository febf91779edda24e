/** Reads the journal once from a command on, and then what was appended since: for recovery and for a standby that follows. */
import path from 'node:path';
import { errorsOf } from '#core/errors';
import { type CommandSlots, commandBytes, commandSlots } from '../commands.ts';
import { matchingErrors } from '../errors.ts';
import { greatestEpoch } from './epochs.ts';
import { type Files, isAbsent } from './files.ts';
import {
  chainAfter,
  type Frame,
  frameHeaderBytes,
  hasFrameBehind,
  parseFrame,
  type SegmentEnd,
  sameBytes,
  segmentHeaderBytes,
} from './format.ts';
import { type Segment, SegmentFolder } from './segments.ts';

const fail = errorsOf(matchingErrors);

/** What people should know of, though the journal goes on. */
export type JournalNotice =
  | {
      readonly kind: 'torn-tail';
      readonly segment: string;
      /** From where on, and how much, is cut. */
      readonly atBytes: number;
      readonly bytes: number;
      /** Last command before. */
      readonly lastSeq: number;
    }
  | { readonly kind: 'fenced-segments'; readonly segments: readonly string[] }
  | { readonly kind: 'snapshot-skipped'; readonly snapshot: string; readonly problem: string };

/** @param slots the frame's commands are in them from `at` on */
export type FrameVisitor = (frame: Frame, slots: CommandSlots, at: number, hashEvery: number) => void;

export interface JournalEnd {
  /** Of the next command. */
  readonly nextSeq: number;
  /** Undefined: the journal has no segment yet. */
  readonly end: SegmentEnd | undefined;
  /** Where the last frame of that segment begins, bytes; without a frame where the segment's header ends. */
  readonly lastFrameAt: number;
  /** Greatest epoch that has written a segment. */
  readonly epoch: number;
}

interface Position {
  readonly segment: Segment;
  atBytes: number;
  lastFrameAt: number;
  chain: Uint8Array;
  nextSeq: number;
}

/** A read may meet a frame while it is written: one look again tells it from a damaged one. */
const looksMax = 2;

export class JournalReader {
  readonly #files: Files;
  readonly #folder: string;
  readonly #segments: SegmentFolder;
  readonly #afterSeq: number;
  #position: Position | undefined;

  /** @param afterSeq commands up to this one are not needed: a snapshot has them */
  constructor(options: {
    readonly files: Files;
    readonly folder: string;
    readonly configHash: Uint8Array;
    readonly afterSeq: number;
  }) {
    this.#files = options.files;
    this.#folder = options.folder;
    this.#segments = new SegmentFolder(options.files, options.folder, options.configHash);
    this.#afterSeq = options.afterSeq;
  }

  /**
   * Visits what was appended since the last call, as far as no other process may decide otherwise: as soon as an epoch is
   * claimed that has no segment yet, its owner is about to say where the old one ends, and nothing is visited.
   *
   * Why this is enough: everything visited was read before the look for a claim. A claim made later belongs to a process
   * that reads the journal after its claim, so it finds at least these frames and goes on behind them.
   * @throws MATCHING_JOURNAL_DAMAGED, MATCHING_JOURNAL_GAP, and what headers may lack
   */
  follow(visit: FrameVisitor): void {
    const { history } = this.#segments.read();
    const newest = history.at(-1);
    if (newest === undefined) return;
    const tail = this.#read(newest, undefined);
    if (greatestEpoch(this.#files, this.#folder) > newest.header.epoch) return;
    this.#walk(history, tail, visit);
  }

  /** Visits the rest. A torn end is left out and told; what is damaged otherwise is an error. @throws as {@link follow} */
  finish(visit: FrameVisitor, tell: (notice: JournalNotice) => void): JournalEnd {
    const { history, leftovers } = this.#segments.read();
    if (leftovers.length > 0) tell({ kind: 'fenced-segments', segments: leftovers });
    const newest = history.at(-1);
    if (newest === undefined) {
      this.#assertReaches(1);
      return { nextSeq: 1, end: undefined, lastFrameAt: segmentHeaderBytes, epoch: 0 };
    }
    const position = this.#walk(history, this.#read(newest, undefined), visit);
    const { atBytes, lastFrameAt, chain, nextSeq } = position;
    const bytes = this.#files.sizeOf(this.#file(newest)) - atBytes;
    if (bytes > 0) tell({ kind: 'torn-tail', segment: newest.name, atBytes, bytes, lastSeq: nextSeq - 1 });
    this.#assertReaches(nextSeq);
    const { firstSeq, epoch } = newest.header;
    return { nextSeq, end: { firstSeq, epoch, endBytes: atBytes, chain }, lastFrameAt, epoch };
  }

  /** A snapshot is named only when its commands are durable here: a journal that ends before it has lost some. */
  #assertReaches(nextSeq: number): void {
    if (nextSeq > this.#afterSeq) return;
    throw fail(
      'MATCHING_JOURNAL_GAP',
      `a snapshot has command ${this.#afterSeq}, the journal ends with ${nextSeq - 1}`,
      {
        snapshotSeq: this.#afterSeq,
        journalSeq: nextSeq - 1,
      },
    );
  }

  #file({ name }: Segment): string {
    return path.join(this.#folder, name);
  }

  /** Of the segment, from where we are in it to `end` or to where it ends now. */
  #read(segment: Segment, end: number | undefined): Uint8Array {
    const from = this.#position?.segment.name === segment.name ? this.#position.atBytes : segmentHeaderBytes;
    try {
      const size = end ?? this.#files.sizeOf(this.#file(segment));
      const length = Math.max(size - from, 0);
      // A torn end need not be whole slots, the memory behind them must be.
      const buffer = new ArrayBuffer(Math.ceil(length / commandBytes) * commandBytes);
      return new Uint8Array(
        buffer,
        0,
        this.#files.readInto(this.#file(segment), new Uint8Array(buffer, 0, length), from),
      );
    } catch (error) {
      if (!isAbsent(error)) throw error;
      const { name } = segment;
      throw fail(
        'MATCHING_JOURNAL_GAP',
        `segment ${name} was removed before it was read`,
        { segment: name },
        error,
      );
    }
  }

  #walk(history: readonly Segment[], tail: Uint8Array, visit: FrameVisitor): Position {
    const start = this.#startIn(history);
    let position = this.#position ?? startOf(history[start] as Segment);
    for (let index = start; index < history.length; index++) {
      const segment = history[index] as Segment;
      const next = history[index + 1]?.header.previous;
      if (position.segment !== segment) position = startOf(segment);
      this.#position = position;
      if (next === undefined) this.#visitTail(position, tail, visit);
      else this.#visitToEnd(position, next, visit);
    }
    return position;
  }

  #startIn(history: readonly Segment[]): number {
    const { name } = this.#position?.segment ?? {};
    const index =
      name === undefined
        ? history.findLastIndex(({ header }) => header.firstSeq <= this.#afterSeq + 1)
        : history.findIndex((segment) => segment.name === name);
    if (index >= 0) return index;
    const oldest = history[0]?.header.firstSeq ?? 1;
    const needed = this.#position?.nextSeq ?? this.#afterSeq + 1;
    throw fail(
      'MATCHING_JOURNAL_GAP',
      `command ${needed} is needed, the segments that are left begin with ${oldest}`,
      {
        needed,
        oldest,
      },
    );
  }

  /** A segment that another one goes on from: every byte up to there must be right. */
  #visitToEnd(position: Position, end: SegmentEnd, visit: FrameVisitor): void {
    const { name } = position.segment;
    const bytes = this.#read(position.segment, end.endBytes);
    const read = this.#visitFrames(position, bytes, visit);
    if (read < bytes.length || position.atBytes !== end.endBytes)
      throw damaged(name, `the frame at byte ${position.atBytes} is damaged`, position.atBytes);
    if (!sameBytes(position.chain, end.chain))
      throw damaged(name, 'the segment after it does not go on from its end', position.atBytes);
  }

  #visitTail(position: Position, tail: Uint8Array, visit: FrameVisitor): void {
    let bytes = tail;
    for (let look = 1; ; look++) {
      const read = this.#visitFrames(position, bytes, visit);
      if (!hasFrameBehind(bytes, read + frameHeaderBytes)) return;
      if (look === looksMax)
        throw damaged(
          position.segment.name,
          `the frame at byte ${position.atBytes} is damaged and whole ones stand behind it`,
          position.atBytes,
        );
      bytes = this.#read(position.segment, undefined);
    }
  }

  /** @returns bytes of the whole frames at the start of `bytes` */
  #visitFrames(position: Position, bytes: Uint8Array, visit: FrameVisitor): number {
    const { header } = position.segment;
    const slots = commandSlots(bytes.buffer);
    let at = 0;
    for (let frame = parseFrame(bytes, at); frame !== undefined; frame = parseFrame(bytes, at)) {
      assertFollows(position, frame);
      visit(frame, slots, frame.commandsAt / commandBytes, header.hashEvery);
      position.lastFrameAt = position.atBytes;
      position.atBytes += frame.end - at;
      position.chain = frame.chain;
      position.nextSeq += frame.commands;
      at = frame.end;
    }
    return at;
  }
}

const startOf = (segment: Segment): Position => ({
  segment,
  atBytes: segmentHeaderBytes,
  lastFrameAt: segmentHeaderBytes,
  chain: segment.header.chain,
  nextSeq: segment.header.firstSeq,
});

function damaged(segment: string, what: string, atBytes: number): Error {
  return fail('MATCHING_JOURNAL_DAMAGED', `segment ${segment}: ${what}`, { segment, atBytes });
}

function assertFollows(position: Position, frame: Frame): void {
  const { segment, atBytes, chain, nextSeq } = position;
  if (frame.firstSeq !== nextSeq)
    throw fail(
      'MATCHING_JOURNAL_GAP',
      `segment ${segment.name}: command ${frame.firstSeq} does not follow ${nextSeq - 1}`,
      {
        segment: segment.name,
        atBytes,
      },
    );
  if (frame.epoch !== segment.header.epoch || !sameBytes(chainAfter(chain, frame), frame.chain))
    throw damaged(segment.name, `the frame at byte ${atBytes} does not follow the one before it`, atBytes);
}
