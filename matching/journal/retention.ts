/** Removes what no recovery and no reader needs any more, oldest first, so that what is left is always one history. */
import path from 'node:path';
import type { Files } from './files.ts';
import { SegmentFolder } from './segments.ts';
import { listSnapshots, snapshotSeq } from './snapshots.ts';

export interface Retention {
  /** Newest snapshots; with two or more a damaged one costs nothing but time. */
  readonly snapshotsKept: number;
  /** Segments that the oldest of these snapshots has made superfluous: for standbys that are behind, and for audits. */
  readonly segmentsKept: number;
  /** Events of commands from here on may still be asked for by `replayEvents`. */
  readonly neededFromSeq: number;
}

/** Of an epoch that was tried, and of files of an epoch: in both the number of the epoch. */
const temporary = /^epoch-(\d{10})-of-.*\.tmp$|-(\d{10})\.(?:snapshot|journal)\.tmp$/;

/**
 * What was being written when its process ended. What is of an epoch before ours belongs to nobody who could still give it its
 * name to any effect; so does an attempt to claim our epoch, which we have. A claim of a later one is left alone.
 * @param epoch own
 */
export function removeLeftovers(files: Files, folder: string, epoch: number): readonly string[] {
  const removed = files.list(folder).filter((name) => {
    const [, tried, written] = temporary.exec(name) ?? [];
    if (tried !== undefined) return Number.parseInt(tried, 10) <= epoch;
    return written !== undefined && Number.parseInt(written, 10) < epoch;
  });
  for (const name of removed) files.remove(path.join(folder, name));
  return removed;
}

/** @param epoch own */
export function prune(
  files: Files,
  folder: string,
  options: Retention & { readonly configHash: Uint8Array; readonly epoch: number },
): readonly string[] {
  const removed: string[] = [...removeLeftovers(files, folder, options.epoch)];
  const remove = (name: string): void => {
    files.remove(path.join(folder, name));
    removed.push(name);
  };
  const snapshots = listSnapshots(files, folder).map((name) => ({ name, seq: snapshotSeq(name) }));
  const wanted = Math.max(options.snapshotsKept, 1) - 1;
  const kept = snapshots[Math.min(wanted, snapshots.length - 1)];
  const floor = snapshots.find(({ seq }) => seq <= (kept?.seq ?? 0) && seq < options.neededFromSeq);
  if (floor === undefined) return removed;
  const { history, leftovers } = new SegmentFolder(files, folder, options.configHash).read();
  const covered = history.filter((_, index) => {
    const next = history[index + 1];
    return next !== undefined && next.header.firstSeq <= floor.seq + 1;
  });
  for (const { name } of covered.slice(0, Math.max(covered.length - options.segmentsKept, 0))) remove(name);
  for (const name of leftovers) if (Number.parseInt(name, 10) <= floor.seq) remove(name);
  for (const { name, seq } of snapshots) if (seq < floor.seq) remove(name);
  return removed;
}
