/**
 * Which segments are the history. Each names where in the one before it goes on, so the history is read backwards from the
 * segment of the greatest epoch; what a fenced primary wrote behind that point, or into segments nobody goes on from, is
 * no part of it and was never acknowledged.
 */
import path from 'node:path';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import { type Files, isAbsent } from './files.ts';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  type SegmentEnd,
  type SegmentHeader,
  segmentHeaderBytes,
} from './format.ts';

const fail = errorsOf(matchingErrors);
const pattern = /^\d{16}-\d{10}\.journal$/;

export interface Segment {
  readonly name: string;
  readonly header: SegmentHeader;
}
export interface Segments {
  /** Oldest first; each but the last goes on where the next one says. */
  readonly history: readonly Segment[];
  /** Names of segments that are no part of it. */
  readonly leftovers: readonly string[];
}

/** In this order names sort as the segments of one epoch do. */
export const segmentName = (firstSeq: number, epoch: number): string =>
  `${String(firstSeq).padStart(16, '0')}-${String(epoch).padStart(10, '0')}.journal`;

const isLater = (a: Segment, b: Segment | undefined): boolean =>
  b === undefined ||
  a.header.epoch > b.header.epoch ||
  (a.header.epoch === b.header.epoch && a.header.firstSeq > b.header.firstSeq);

/** Headers never change, so each is read once. */
export class SegmentFolder {
  readonly #files: Files;
  readonly #folder: string;
  readonly #configHash: Uint8Array;
  readonly #known = new Map<string, Segment>();

  constructor(files: Files, folder: string, configHash: Uint8Array) {
    this.#files = files;
    this.#folder = folder;
    this.#configHash = configHash;
  }

  /** @throws as {@link decodeSegmentHeader} */
  read(): Segments {
    const names: string[] = [];
    let newest: Segment | undefined;
    for (const name of this.#files.list(this.#folder).filter((file) => pattern.test(file))) {
      const segment = this.#segment(name);
      if (segment === undefined) continue;
      names.push(name);
      if (isLater(segment, newest)) newest = segment;
    }
    const present = new Set(names);
    const history: Segment[] = [];
    for (let segment = newest; segment !== undefined; ) {
      history.unshift(segment);
      const { previous } = segment.header;
      const before = previous === undefined ? undefined : segmentName(previous.firstSeq, previous.epoch);
      segment = before !== undefined && present.has(before) ? this.#segment(before) : undefined;
    }
    const inHistory = new Set(history.map(({ name }) => name));
    return { history, leftovers: names.filter((name) => !inHistory.has(name)).sort() };
  }

  /** Undefined: it is gone. Old segments are removed while others read; what is gone was not needed. */
  #segment(name: string): Segment | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(segmentHeaderBytes);
    let count = 0;
    try {
      count = this.#files.readInto(path.join(this.#folder, name), bytes, 0);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
    const header = decodeSegmentHeader(bytes.subarray(0, count), name, this.#configHash);
    if (segmentName(header.firstSeq, header.epoch) !== name)
      throw fail('MATCHING_JOURNAL_DAMAGED', `segment ${name} says of itself it is another`, {
        segment: name,
      });
    const segment = { name, header };
    this.#known.set(name, segment);
    return segment;
  }
}

/** A new segment, durable and empty. It gets its name only when its header is on the disk, so no name has half a header. */
export function createSegment(
  files: Files,
  folder: string,
  header: Omit<SegmentHeader, 'chain'>,
): { readonly name: string; readonly end: SegmentEnd } {
  const { firstSeq, epoch } = header;
  const name = segmentName(firstSeq, epoch);
  const bytes = encodeSegmentHeader(header);
  const temporary = path.join(folder, `${name}.tmp`);
  files.writeFlushed(temporary, [bytes]);
  if (!files.nameExclusively(temporary, path.join(folder, name)))
    throw fail('MATCHING_JOURNAL_DAMAGED', `segment ${name} exists already, though its epoch has one owner`, {
      segment: name,
    });
  files.flushFolder(folder);
  return {
    name,
    end: { firstSeq, epoch, endBytes: segmentHeaderBytes, chain: bytes.slice(segmentHeaderBytes - 32) },
  };
}
