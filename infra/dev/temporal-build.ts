/**
 * The Temporal server and its schema tool, built from the Go module in `tools/temporal` (versions and hashes pinned in its
 * go.sum). The result lies in the user's cache folder, named by what it was built from, so that a second clone of the
 * repository does not build again.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { lastLines } from './processes.ts';
import { cacheRoot, checkoutRoot, tryLock } from './state.ts';

const fail = errorsOf(infraErrors);
const run = promisify(execFile);
const moduleFolder = path.join(checkoutRoot, 'tools/temporal');
const lockPollMs = 500;

/** What is built, and the Go package it comes from. */
const programs = [
  { file: 'temporal-server', package: 'go.temporal.io/server/cmd/server' },
  { file: 'temporal-sql-tool', package: 'go.temporal.io/server/cmd/tools/sql' },
] as const;

/** Go gets no more settings than these: no newer toolchain by itself, no change of go.sum, no C compiler. */
const goSettings = { GOTOOLCHAIN: 'local', CGO_ENABLED: '0', GOFLAGS: '-mod=readonly -buildvcs=false' };

export interface TemporalBinaries {
  /** Names the sources and the toolchain; the key of templates made with these binaries. */
  readonly key: string;
  readonly server: string;
  readonly sqlTool: string;
}
export type Progress = (line: string) => void;

function goEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, ...goSettings };
}

/** `go1.26.8-linux-amd64`, or undefined without a Go toolchain. */
async function goToolchain(): Promise<string | undefined> {
  try {
    const { stdout } = await run('go', ['env', 'GOVERSION', 'GOOS', 'GOARCH'], {
      cwd: moduleFolder,
      env: goEnvironment(),
    });
    return stdout.trim().split('\n').join('-');
  } catch {
    return undefined;
  }
}

function sourceHash(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(path.join(moduleFolder, file)));
  return hash.digest('hex').slice(0, 16);
}

export function goVersionNeeded(): string {
  return /^go (\S+)$/m.exec(readFileSync(path.join(moduleFolder, 'go.mod'), 'utf8'))?.[1] ?? 'unknown';
}

const cacheFolder = (): string => path.join(cacheRoot(), 'temporal');

function binariesIn(folder: string): TemporalBinaries | undefined {
  const [server, sqlTool] = programs.map((program) => path.join(folder, program.file));
  if (server === undefined || sqlTool === undefined || !existsSync(server) || !existsSync(sqlTool))
    return undefined;
  return { key: path.basename(folder), server, sqlTool };
}

/** Where the binaries of this checkout and toolchain belong. */
async function temporalFolder(): Promise<string | undefined> {
  const toolchain = await goToolchain();
  return toolchain === undefined ? undefined : path.join(cacheFolder(), `${sourceHash()}-${toolchain}`);
}

/** Binaries that are there already; without Go also ones that another toolchain built from the same sources. */
export async function findTemporal(): Promise<TemporalBinaries | undefined> {
  const folder = await temporalFolder();
  if (folder !== undefined) return binariesIn(folder);
  if (!existsSync(cacheFolder())) return undefined;
  const suffix = `-${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
  const candidates = readdirSync(cacheFolder()).filter(
    (name) => name.startsWith(`${sourceHash()}-`) && name.endsWith(suffix),
  );
  return candidates
    .map((name) => binariesIn(path.join(cacheFolder(), name)))
    .find((found) => found !== undefined);
}

async function goBuild(
  packageName: string,
  output: string,
  logFile: string,
  onLine: Progress,
): Promise<void> {
  const log = openSync(logFile, 'a');
  const args = ['build', '-C', moduleFolder, '-v', '-trimpath', '-ldflags=-s -w', '-o', output, packageName];
  try {
    const child = spawn('go', args, { env: goEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
    const killAtExit = (): void => {
      child.kill('SIGTERM');
    };
    process.on('exit', killAtExit);
    let rest = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      writeSync(log, chunk);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    }).finally(() => process.off('exit', killAtExit));
    if (code !== 0)
      throw fail(
        'INFRA_TEMPORAL_BUILD_FAILED',
        `go build ${packageName} ended with ${code ?? 'a signal'}. Its log is ${logFile}, which ends:\n${lastLines(logFile)}`,
        { logFile },
      );
  } finally {
    closeSync(log);
  }
}

async function buildInto(folder: string, progress: Progress): Promise<void> {
  const temporary = `${folder}.tmp-${process.pid}`;
  const logFile = `${folder}.log`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  let downloaded = 0;
  let compiled = 0;
  const count: Progress = (line) => {
    if (line.startsWith('go: downloading')) downloaded += 1;
    else compiled += 1;
    progress(`${downloaded} modules downloaded, ${compiled} packages compiled`);
  };
  try {
    for (const program of programs)
      await goBuild(program.package, path.join(temporary, program.file), logFile, count);
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * The binaries, built now if they are not there (minutes on two cores, once per machine). Undefined without a Go toolchain.
 * @throws INFRA_TEMPORAL_BUILD_FAILED
 */
export async function buildTemporal(
  progress: Progress = () => undefined,
): Promise<TemporalBinaries | undefined> {
  for (;;) {
    const found = await findTemporal();
    if (found !== undefined) return found;
    const folder = await temporalFolder();
    if (folder === undefined) return undefined;
    const lock = tryLock(`${folder}.lock`);
    if ('heldBy' in lock) {
      progress(`process ${lock.heldBy} is building it`);
      await delay(lockPollMs);
      continue;
    }
    try {
      await buildInto(folder, progress);
    } finally {
      lock.release();
    }
  }
}
