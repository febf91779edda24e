/**
 * Who may acknowledge: the owner of the greatest epoch. Each epoch is a file that can be made only once (link(2)), so of
 * two processes that claim at the same time one loses; epochs have no gaps, so an owner is fenced exactly when the file of
 * the next epoch exists, which is one look at one name.
 *
 * The folder must be on a file system in which a name or a write is seen by every process as soon as the call has
 * returned: a local disk or a cluster file system. NFS caches names that are absent and is not one, unless mounted with
 * `lookupcache=none,noac`.
 *
 * The files are never removed: one that is gone would let its fenced owner go on.
 */
import path from 'node:path';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import type { Files } from './files.ts';

const fail = errorsOf(matchingErrors);
/** It is an uint32 in the headers. */
const epochMax = 2 ** 32 - 1;
const digits = 10;
const pattern = /^epoch-(\d{10})$/;

const nameOf = (epoch: number): string => `epoch-${String(epoch).padStart(digits, '0')}`;
const fileOf = (folder: string, epoch: number): string => path.join(folder, nameOf(epoch));

/** 0: nobody has claimed the folder yet. */
export function greatestEpoch(files: Files, folder: string): number {
  return files.list(folder).reduce((greatest, name) => {
    const found = pattern.exec(name)?.[1];
    return found === undefined ? greatest : Math.max(greatest, Number.parseInt(found, 10));
  }, 0);
}

/** Fences every older epoch, durably. @throws MATCHING_EPOCH_TAKEN */
export function claimEpoch(files: Files, folder: string, claimant: string): number {
  const epoch = greatestEpoch(files, folder) + 1;
  if (epoch > epochMax) throw new RangeError(`epoch ${epoch}`);
  const temporary = path.join(folder, `${nameOf(epoch)}-of-${claimant}.tmp`);
  files.writeFlushed(temporary, [new TextEncoder().encode(`${epoch} ${claimant}\n`)]);
  if (!files.nameExclusively(temporary, fileOf(folder, epoch)))
    throw fail('MATCHING_EPOCH_TAKEN', `epoch ${epoch} of ${folder} was claimed by another process`, {
      epoch,
    });
  files.flushFolder(folder);
  return epoch;
}

/**
 * To be asked before anything is acknowledged.
 * @throws MATCHING_FENCED; MATCHING_JOURNAL_WRITE_FAILED when the folder is not there, where nothing could be seen of a claim
 */
export function assertUnfenced(files: Files, folder: string, epoch: number): void {
  if (files.exists(fileOf(folder, epoch + 1)))
    throw fail('MATCHING_FENCED', `epoch ${epoch} of ${folder} is over: ${epoch + 1} is claimed`, { epoch });
  // A folder that was unmounted or removed has no next epoch either, while its open files still take what is written.
  if (!files.exists(fileOf(folder, epoch)))
    throw fail(
      'MATCHING_JOURNAL_WRITE_FAILED',
      `the file of epoch ${epoch} is gone from ${folder}, so nobody can see who owns the journal`,
      { epoch },
    );
}
