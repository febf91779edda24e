/**
 * Snapshots beside the journal: a header of 128 bytes and what `engine.snapshot()` wrote, all little-endian.
 *
 * | bytes | hold |
 * |---|---|
 * | 0 | `SRSNAPSH`, uint32 format, uint32 semantics version |
 * | 16 | float64 sequence number of the last command, float64 its time (ms), float64 bytes of the content |
 * | 40 | 0 |
 * | 48 | state hash, 16 bytes |
 * | 64 | SHA-256 of the canonical configuration |
 * | 96 | SHA-256 of the 96 bytes before and the content |
 *
 * One gets its final name only after its last command is durable in the journal under an epoch that was still the greatest,
 * so a named snapshot is always part of the one history.
 */
import path from 'node:path';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import { semanticsVersion } from '../vocabulary.ts';
import type { Files } from './files.ts';
import { assertSameMeaning, digest, formatVersion, sameBytes } from './format.ts';

const fail = errorsOf(matchingErrors);
const magic = 'SRSNAPSH';
const snapshotHeaderBytes = 128;
const sealAt = 96;
const pattern = /^(\d{16})\.snapshot$/;

export interface SnapshotState {
  readonly seq: number;
  readonly timeMs: number;
  /** 32 hexadecimal digits. */
  readonly stateHash: string;
}
export interface Snapshot extends SnapshotState {
  readonly content: Uint8Array;
}

const nameOf = (seq: number): string => `${String(seq).padStart(16, '0')}.snapshot`;
export const snapshotSeq = (name: string): number => Number.parseInt(name, 10);

/** Names, newest first. */
export const listSnapshots = (files: Files, folder: string): readonly string[] =>
  files
    .list(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .reverse();

export interface NewSnapshot extends Snapshot {
  readonly configHash: Uint8Array;
  readonly epoch: number;
  /** What must be free behind it for the journal: one that cannot be written costs time at the next start, a full disk all trading. */
  readonly roomKeptBytes: number;
}

/**
 * Durable under a temporary name. @returns that name, for {@link nameSnapshot}
 * @throws MATCHING_JOURNAL_WRITE_FAILED when it would leave too little room; what the disk fails with
 */
export function writeSnapshot(files: Files, folder: string, snapshot: NewSnapshot): string {
  const neededBytes = snapshotHeaderBytes + snapshot.content.length + snapshot.roomKeptBytes;
  const freeBytes = files.freeBytes(folder);
  if (freeBytes < neededBytes)
    throw fail(
      'MATCHING_JOURNAL_WRITE_FAILED',
      `a snapshot and the next segment of the journal need ${neededBytes} bytes, ${freeBytes} are free`,
      { neededBytes, freeBytes },
    );
  const header = new Uint8Array(snapshotHeaderBytes);
  const view = new DataView(header.buffer);
  header.set(new TextEncoder().encode(magic));
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, semanticsVersion, true);
  view.setFloat64(16, snapshot.seq, true);
  view.setFloat64(24, snapshot.timeMs, true);
  view.setFloat64(32, snapshot.content.length, true);
  header.set(Buffer.from(snapshot.stateHash, 'hex'), 48);
  header.set(snapshot.configHash, 64);
  header.set(digest(header.subarray(0, sealAt), snapshot.content), sealAt);
  const temporary = `${snapshot.seq}-${String(snapshot.epoch).padStart(10, '0')}.snapshot.tmp`;
  files.writeFlushed(path.join(folder, temporary), [header, snapshot.content]);
  return temporary;
}

/** To be called when its last command is durable. */
export function nameSnapshot(
  files: Files,
  folder: string,
  snapshot: { readonly seq: number; readonly temporary: string },
): void {
  files.rename(path.join(folder, snapshot.temporary), path.join(folder, nameOf(snapshot.seq)));
  files.flushFolder(folder);
}

/**
 * @throws MATCHING_SNAPSHOT_INVALID (damaged), MATCHING_JOURNAL_OTHER_FORMAT, MATCHING_JOURNAL_OTHER_SEMANTICS,
 * MATCHING_JOURNAL_OTHER_CONFIG
 */
export function readSnapshot(files: Files, folder: string, name: string, configHash: Uint8Array): Snapshot {
  const file = path.join(folder, name);
  const bytes = new Uint8Array(files.sizeOf(file));
  files.readInto(file, bytes, 0);
  const invalid = (what: string) => fail('MATCHING_SNAPSHOT_INVALID', `${name}: ${what}`, { snapshot: name });
  if (bytes.length < snapshotHeaderBytes) throw invalid('it is cut off');
  const content = bytes.subarray(snapshotHeaderBytes);
  const seal = digest(bytes.subarray(0, sealAt), content);
  if (!sameBytes(seal, bytes.subarray(sealAt, snapshotHeaderBytes)))
    throw invalid('its checksum is not that of its bytes');
  const view = new DataView(bytes.buffer);
  if (new TextDecoder().decode(bytes.subarray(0, magic.length)) !== magic) throw invalid('it is no snapshot');
  const format = view.getUint32(8, true);
  if (format !== formatVersion)
    throw fail(
      'MATCHING_JOURNAL_OTHER_FORMAT',
      `${name} has format ${format}, this version knows ${formatVersion}`,
    );
  assertSameMeaning(
    { name, semantics: view.getUint32(12, true), config: bytes.subarray(64, 96) },
    configHash,
  );
  const seq = view.getFloat64(16, true);
  if (seq !== snapshotSeq(name)) throw invalid(`it is of command ${seq}`);
  return {
    seq,
    timeMs: view.getFloat64(24, true),
    stateHash: Buffer.from(bytes.subarray(48, 64)).toString('hex'),
    content,
  };
}
