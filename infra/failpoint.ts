/**
 * Named places where a test lets a process die as if its power had gone. Armed only when a development process says so at
 * its start; elsewhere a failpoint is an empty call.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';

export const failpointNames = [
  'mid-signature',
  'before-sign',
  'after-sign',
  'after-store',
  'after-broadcast',
  'after-mark',
  'after-track',
  'before-settle-commit',
] as const;
export type FailpointName = (typeof failpointNames)[number];

interface ArmedFailpoint {
  readonly name: string;
  /** Holds one marker per failpoint that has fired, so that the process that is started again goes on. */
  readonly folder: string;
}
let armed: ArmedFailpoint | undefined;

/** Reads STRONGROOM_FAILPOINT and STRONGROOM_FAILPOINT_DIR; to be called only by a process started with --dev. */
export function armFailpoint(env: Readonly<Record<string, string | undefined>>): void {
  const name = env['STRONGROOM_FAILPOINT'];
  const folder = env['STRONGROOM_FAILPOINT_DIR'];
  if (name === undefined || name === '' || folder === undefined) return;
  if (!(failpointNames as readonly string[]).includes(name))
    throw new RangeError(`there is no failpoint ${name}; there are ${failpointNames.join(', ')}`);
  armed = { name, folder };
}

/** Kills this process with SIGKILL when the named failpoint is armed and has not fired yet. */
export function failpoint(name: FailpointName): void {
  if (armed?.name !== name) return;
  try {
    // `wx` fails when the marker exists: it has fired before.
    writeFileSync(path.join(armed.folder, `${name}.fired`), String(process.pid), { flag: 'wx' });
  } catch {
    return;
  }
  process.kill(process.pid, 'SIGKILL');
  // The signal arrives before the next turn of the event loop; nothing more may run until then.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
