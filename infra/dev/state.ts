/**
 * The state folder of one checkout: `.strongroom/` in it, or, for root, a folder under /var/lib that PostgreSQL's user can
 * reach even when the checkout lies below a closed directory.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';

const fail = errorsOf(infraErrors);
/** What is built once for all checkouts of a user: the Temporal server, bundled definitions. Each part names its own key. */
export function cacheRoot(): string {
  const base = process.env['XDG_CACHE_HOME'];
  const root = base !== undefined && path.isAbsolute(base) ? base : path.join(os.homedir(), '.cache');
  return path.join(root, 'strongroom');
}

export const checkoutRoot = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

export interface StateFolder {
  readonly root: string;
  /** Binaries and templates: can be built again, and `--fresh` keeps them. */
  readonly cache: string;
  /** Passwords of the local servers; they belong to the templates and stay with them. */
  readonly secrets: string;
  /** What the servers wrote; `--fresh` empties it. */
  readonly data: string;
  readonly logs: string;
}

/** mkdir -p with mode 0755 for every folder made here, whatever the umask: another user must pass through. */
export function makeFolder(folder: string): string {
  if (existsSync(folder)) return folder;
  makeFolder(path.dirname(folder));
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  return folder;
}

/** STRONGROOM_STATE_DIR, else by user as described above. */
function stateRoot(env: NodeJS.ProcessEnv = process.env): string {
  const named = env['STRONGROOM_STATE_DIR'];
  if (named !== undefined && named !== '') return path.resolve(named);
  if (process.getuid?.() !== 0) return path.join(checkoutRoot, '.strongroom');
  return path.join(
    '/var/lib/strongroom',
    createHash('sha256').update(checkoutRoot).digest('hex').slice(0, 12),
  );
}

/** @param purpose `environment`, or one per test run, so that both share binaries and templates only */
export function openState(purpose = 'environment', root = stateRoot()): StateFolder {
  return {
    root: makeFolder(root),
    cache: makeFolder(path.join(root, 'cache')),
    secrets: makeFolder(path.join(root, 'secrets')),
    data: makeFolder(path.join(root, purpose, 'data')),
    logs: makeFolder(path.join(root, purpose, 'logs')),
  };
}

/** Forgets everything but binaries, templates and their passwords. */
export function emptyState(state: StateFolder): void {
  for (const folder of [state.data, state.logs]) {
    rmSync(folder, { recursive: true, force: true });
    makeFolder(folder);
  }
}

/** A random password that is made once and then stays. */
export function localPassword(state: StateFolder, name: string): string {
  const file = path.join(state.secrets, `${name}-password`);
  try {
    writeFileSync(file, randomBytes(18).toString('hex'), { flag: 'wx', mode: 0o600 });
  } catch {
    // It is there already, perhaps made by another process just now.
  }
  return readFileSync(file, 'utf8');
}

/** Start time of a process in clock ticks (proc(5) stat field 22): tells a reused id from the process that was meant. */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive(pid: number, startTime: string): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const current = startTimeOf(pid);
  return current === undefined || startTime === '' || current === startTime;
}

function holderOf(lockFile: string): { pid: number; startTime: string } | undefined {
  try {
    const [pid = '', startTime = ''] = readFileSync(lockFile, 'utf8').split(' ');
    return { pid: Number.parseInt(pid, 10), startTime };
  } catch {
    return undefined;
  }
}

/** Takes the lock if nobody alive has it; returns who has it otherwise. */
export function tryLock(lockFile: string): { release: () => void } | { heldBy: number } {
  makeFolder(path.dirname(lockFile));
  const own = `${process.pid} ${startTimeOf(process.pid) ?? ''}`;
  for (;;) {
    try {
      writeFileSync(lockFile, own, { flag: 'wx' });
      return {
        release: () => {
          rmSync(lockFile, { force: true });
        },
      };
    } catch {
      const holder = holderOf(lockFile);
      if (holder !== undefined && isAlive(holder.pid, holder.startTime)) return { heldBy: holder.pid };
      // Renaming first: of two processes that find the same dead holder only one removes its file.
      const stale = `${lockFile}.stale-${process.pid}`;
      try {
        renameSync(lockFile, stale);
        rmSync(stale, { force: true });
      } catch {
        // The other one was faster; look again.
      }
    }
  }
}

/** One environment per state folder. @throws INFRA_STATE_IN_USE */
export function lockState(state: StateFolder): () => void {
  const lock = tryLock(path.join(path.dirname(state.data), 'lock'));
  if ('heldBy' in lock)
    throw fail('INFRA_STATE_IN_USE', `process ${lock.heldBy} already runs on ${state.root}`, {
      pid: lock.heldBy,
      folder: state.root,
    });
  return lock.release;
}

/** Removes what test runs left behind whose process is gone (`tests-<pid>`). */
export function removeDeadTestRuns(root = stateRoot()): void {
  if (!existsSync(root)) return;
  for (const name of readdirSync(root)) {
    const pid = /^tests-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number.parseInt(pid, 10), ''))
      rmSync(path.join(root, name), { recursive: true, force: true });
  }
}
