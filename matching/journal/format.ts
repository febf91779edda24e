/**
 * The journal's bytes, all little-endian. A segment is a header of 256 bytes and frames behind each other; everything is a
 * multiple of 64, so that the commands of a frame can be given to the engine where they lie.
 *
 * | segment header | holds |
 * |---|---|
 * | 0 | `SRJOURNL` |
 * | 8 | uint32 format, uint32 semantics version, uint32 epoch, uint32 commands between two recorded state hashes |
 * | 24 | float64 first sequence number |
 * | 32 | of the segment before: float64 first sequence number (0: none), float64 epoch, float64 where it ends (bytes) |
 * | 64 | chain hash at that end |
 * | 96 | SHA-256 of the canonical configuration |
 * | 224 | SHA-256 of the 224 bytes before: the chain hash from which the frames go on |
 *
 * | frame header | holds |
 * |---|---|
 * | 0 | `SRFR`, uint32 epoch |
 * | 8 | float64 sequence number of the first command (without one: of the next) |
 * | 16 | uint32 commands, uint32 bytes behind this header |
 * | 24 | first 8 bytes of SHA-256(body, chain): tells a torn frame from a whole one without knowing what stands before |
 * | 32 | chain: SHA-256(chain hash before, body), body = SHA-256(bytes 0 to 23, all bytes behind this header) |
 *
 * Behind a frame header: if the length says so a record of 64 bytes with a state hash (`HASH`, 0, float64 sequence number,
 * 16 bytes), then the commands as `commands.ts` says. A frame is the unit of group commit: the next one is written
 * when fdatasync has returned, so only the last frame of the last segment can be torn.
 */
import { createHash } from 'node:crypto';
import { errorsOf } from '#core/errors';
import { commandBytes } from '../commands.ts';
import { matchingErrors } from '../errors.ts';
import { semanticsVersion } from '../vocabulary.ts';

const fail = errorsOf(matchingErrors);

export const formatVersion = 1;
export const segmentHeaderBytes = 256;
export const frameHeaderBytes = 64;
const hashRecordBytes = 64;
/** One MiB: what a disk writes in a few milliseconds, and far more than arrives within one flush. */
export const frameCommandsMax = 16_384;
/** The largest frame: header, state hash, commands. */
export const frameBytesMax = frameHeaderBytes + hashRecordBytes + frameCommandsMax * commandBytes;
const segmentMagic = 'SRJOURNL';
const frameMagic = 0x52465253; // SRFR
const hashMagic = 0x48534148; // HASH
const checkedHeaderBytes = 24;
const segmentSealAt = 224;

/** Where the history of a segment goes on from. */
export interface SegmentEnd {
  readonly firstSeq: number;
  readonly epoch: number;
  readonly endBytes: number;
  readonly chain: Uint8Array;
}
export interface SegmentHeader {
  readonly epoch: number;
  readonly firstSeq: number;
  /** Commands between two recorded state hashes. */
  readonly hashEvery: number;
  readonly configHash: Uint8Array;
  readonly previous: SegmentEnd | undefined;
  /** Chain hash from which the frames go on. */
  readonly chain: Uint8Array;
}
export interface StateHash {
  readonly seq: number;
  /** 32 hexadecimal digits. */
  readonly hash: string;
}
export interface Frame {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly commands: number;
  /** Where its commands begin, and where the frame ends; bytes from the start of what was parsed. */
  readonly commandsAt: number;
  readonly end: number;
  readonly stateHash: StateHash | undefined;
  readonly body: Uint8Array;
  readonly chain: Uint8Array;
}

/** SHA-256 of the parts behind each other; text as UTF-8. */
export function digest(...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

// ---------------------------------------------------------------- segment header

export function encodeSegmentHeader(header: Omit<SegmentHeader, 'chain'>): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = viewOf(bytes);
  bytes.set(new TextEncoder().encode(segmentMagic));
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, semanticsVersion, true);
  view.setUint32(16, header.epoch, true);
  view.setUint32(20, header.hashEvery, true);
  view.setFloat64(24, header.firstSeq, true);
  if (header.previous !== undefined) {
    view.setFloat64(32, header.previous.firstSeq, true);
    view.setFloat64(40, header.previous.epoch, true);
    view.setFloat64(48, header.previous.endBytes, true);
    bytes.set(header.previous.chain, 64);
  }
  bytes.set(header.configHash, 96);
  bytes.set(digest(bytes.subarray(0, segmentSealAt)), segmentSealAt);
  return bytes;
}

/**
 * @param name for messages
 * @throws MATCHING_JOURNAL_DAMAGED, MATCHING_JOURNAL_OTHER_FORMAT, MATCHING_JOURNAL_OTHER_SEMANTICS,
 * MATCHING_JOURNAL_OTHER_CONFIG
 */
export function decodeSegmentHeader(bytes: Uint8Array, name: string, configHash: Uint8Array): SegmentHeader {
  const damaged = (what: string) =>
    fail('MATCHING_JOURNAL_DAMAGED', `segment ${name}: ${what}`, { segment: name });
  if (bytes.length < segmentHeaderBytes) throw damaged('its header is cut off');
  const view = viewOf(bytes);
  const magic = new TextDecoder().decode(bytes.subarray(0, segmentMagic.length));
  if (magic !== segmentMagic) throw damaged('it does not begin as a segment');
  const format = view.getUint32(8, true);
  if (format !== formatVersion)
    throw fail(
      'MATCHING_JOURNAL_OTHER_FORMAT',
      `segment ${name} has format ${format}, this version knows ${formatVersion}`,
      {
        segment: name,
        format,
      },
    );
  const seal = digest(bytes.subarray(0, segmentSealAt));
  if (!sameBytes(seal, bytes.subarray(segmentSealAt, segmentHeaderBytes)))
    throw damaged('its header is damaged');
  assertSameMeaning(
    { name: `segment ${name}`, semantics: view.getUint32(12, true), config: bytes.subarray(96, 128) },
    configHash,
  );
  const previousSeq = view.getFloat64(32, true);
  return {
    epoch: view.getUint32(16, true),
    hashEvery: view.getUint32(20, true),
    firstSeq: view.getFloat64(24, true),
    configHash: bytes.slice(96, 128),
    previous:
      previousSeq === 0
        ? undefined
        : {
            firstSeq: previousSeq,
            epoch: view.getFloat64(40, true),
            endBytes: view.getFloat64(48, true),
            chain: bytes.slice(64, 96),
          },
    chain: seal,
  };
}

/** @throws MATCHING_JOURNAL_OTHER_SEMANTICS, MATCHING_JOURNAL_OTHER_CONFIG */
export function assertSameMeaning(
  file: { readonly name: string; readonly semantics: number; readonly config: Uint8Array },
  configHash: Uint8Array,
): void {
  if (file.semantics !== semanticsVersion)
    throw fail(
      'MATCHING_JOURNAL_OTHER_SEMANTICS',
      `${file.name} was written under semantics ${file.semantics}, this engine has ${semanticsVersion}`,
      { semantics: file.semantics, own: semanticsVersion },
    );
  if (!sameBytes(file.config, configHash))
    throw fail(
      'MATCHING_JOURNAL_OTHER_CONFIG',
      `${file.name} was written with another configuration of the engine`,
      {
        written: Buffer.from(file.config).toString('hex'),
        given: Buffer.from(configHash).toString('hex'),
      },
    );
}

// ---------------------------------------------------------------- frames

interface FrameContent {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly commands: number;
  readonly stateHash: StateHash | undefined;
}

/** Where in the bytes of a frame its commands are to be written before it is sealed. */
export const commandsAtOf = (stateHash: StateHash | undefined): number =>
  frameHeaderBytes + (stateHash === undefined ? 0 : hashRecordBytes);

/** Writes everything of a frame around its commands. @returns how long the frame is, and the chain hash at its end */
export function sealFrame(
  target: Uint8Array,
  content: FrameContent,
  before: Uint8Array,
): { readonly bytes: number; readonly chain: Uint8Array } {
  const view = viewOf(target);
  const bytes = commandsAtOf(content.stateHash) + content.commands * commandBytes;
  view.setUint32(0, frameMagic, true);
  view.setUint32(4, content.epoch, true);
  view.setFloat64(8, content.firstSeq, true);
  view.setUint32(16, content.commands, true);
  view.setUint32(20, bytes - frameHeaderBytes, true);
  if (content.stateHash !== undefined) {
    target.fill(0, frameHeaderBytes, frameHeaderBytes + hashRecordBytes);
    view.setUint32(frameHeaderBytes, hashMagic, true);
    view.setFloat64(frameHeaderBytes + 8, content.stateHash.seq, true);
    target.set(Buffer.from(content.stateHash.hash, 'hex'), frameHeaderBytes + 16);
  }
  const body = digest(target.subarray(0, checkedHeaderBytes), target.subarray(frameHeaderBytes, bytes));
  const chain = digest(before, body);
  target.set(digest(body, chain).subarray(0, 8), checkedHeaderBytes);
  target.set(chain, 32);
  return { bytes, chain };
}

/** Where a chain hash leads to with the body of the next frame. */
export const chainAfter = (before: Uint8Array, { body }: Frame): Uint8Array => digest(before, body);

/** The frame that begins at `at` if it is whole and undamaged. What it follows is the caller's to check. */
export function parseFrame(bytes: Uint8Array, at: number): Frame | undefined {
  if (bytes.length - at < frameHeaderBytes) return undefined;
  const view = viewOf(bytes);
  if (view.getUint32(at, true) !== frameMagic) return undefined;
  const commands = view.getUint32(at + 16, true);
  const length = view.getUint32(at + 20, true);
  const end = at + frameHeaderBytes + length;
  const hashBytes = length - commands * commandBytes;
  if (commands > frameCommandsMax || end > bytes.length) return undefined;
  if (hashBytes !== 0 && hashBytes !== hashRecordBytes) return undefined;
  const body = digest(
    bytes.subarray(at, at + checkedHeaderBytes),
    bytes.subarray(at + frameHeaderBytes, end),
  );
  const chain = bytes.slice(at + 32, at + 64);
  const check = bytes.subarray(at + checkedHeaderBytes, at + 32);
  if (!sameBytes(digest(body, chain).subarray(0, 8), check)) return undefined;
  const recordAt = at + frameHeaderBytes;
  const hasHash = hashBytes === hashRecordBytes && view.getUint32(recordAt, true) === hashMagic;
  return {
    epoch: view.getUint32(at + 4, true),
    firstSeq: view.getFloat64(at + 8, true),
    commands,
    commandsAt: recordAt + hashBytes,
    end,
    stateHash: hasHash
      ? {
          seq: view.getFloat64(recordAt + 8, true),
          hash: Buffer.from(bytes.subarray(recordAt + 16, recordAt + 32)).toString('hex'),
        }
      : undefined,
    body,
    chain,
  };
}

/** Whether a whole frame stands anywhere from `from` on; then what is bad before it is no torn end. */
export function hasFrameBehind(bytes: Uint8Array, from: number): boolean {
  for (let at = from; at + frameHeaderBytes <= bytes.length; at += frameHeaderBytes)
    if (parseFrame(bytes, at) !== undefined) return true;
  return false;
}
