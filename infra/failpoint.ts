/**
 * Named places where a test or the demo lets a process die as if its power had gone. Only a process started with --dev is
 * told of a folder at all; elsewhere a failpoint is an empty call.
 *
 * A failpoint fires once: `<folder>/<name>.armed` arms it, also while the process runs, and becomes `<name>.fired`.
 */
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export type FailpointName =
  | 'mid-signature'
  | 'before-sign'
  | 'after-sign'
  | 'after-store'
  | 'after-broadcast'
  | 'after-mark'
  | 'after-track'
  | 'before-settle-commit';

let folder: string | undefined;

export const armedFile = (inFolder: string, name: FailpointName): string =>
  path.join(inFolder, `${name}.armed`);
export const firedFile = (inFolder: string, name: FailpointName): string =>
  path.join(inFolder, `${name}.fired`);

/** Reads STRONGROOM_FAILPOINT_DIR; to be called only by a process started with --dev. */
export function armFailpoints(env: Readonly<Record<string, string | undefined>>): void {
  folder = env['STRONGROOM_FAILPOINT_DIR'];
}

/** Kills this process with SIGKILL when the named failpoint is armed. */
export function failpoint(name: FailpointName): void {
  if (folder === undefined) return;
  try {
    // The rename is what makes it fire once: the process that is started again finds nothing armed.
    renameSync(armedFile(folder, name), firedFile(folder, name));
  } catch {
    return;
  }
  writeFileSync(firedFile(folder, name), String(process.pid));
  process.kill(process.pid, 'SIGKILL');
  // The signal arrives before the next turn of the event loop; nothing more may run until then.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
