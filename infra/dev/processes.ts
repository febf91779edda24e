/**
 * Child processes of the one-machine environment: each with a log file, its own process group, a readiness probe, and no
 * way to outlive the orchestrator.
 *
 * An orphan is prevented three times over: `stopAll` on the way out, a kill in the `exit` hook, and, where the system
 * offers it, the kernel's parent-death signal (Linux prctl(2) PR_SET_PDEATHSIG through setpriv), which holds even when the
 * orchestrator gets SIGKILL.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';

const fail = errorsOf(infraErrors);

/** Between two readiness probes; small beside the fastest start (PostgreSQL, 50 ms). */
const probeIntervalMs = 25;
/** A process that ignores its stop signal this long is killed; PostgreSQL's checkpoint at exit is the slowest. */
const stopTimeoutMs = 10_000;
/** How much of a log an error message quotes. */
const quotedLinesMax = 12;
const quotedCharactersMax = 2000;

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGKILL';

export interface ProcessSpec {
  /** As people know it: `postgres`, `signer-2`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly logFile: string;
  /** Another user to run as, for programs that refuse root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** What ends it in good order. */
  readonly stopSignal: 'SIGINT' | 'SIGTERM';
  /** Whether nothing of an earlier one, which was killed, is in its way. A start waits for it for a while, then lets the program say what is. */
  readonly isFree?: () => boolean;
  /** True as soon as the process serves; may throw or return false until then. */
  readonly ready: (pid: number) => Promise<boolean>;
  readonly readyTimeoutMs: number;
  /**
   * True as soon as it does what it can, though something that it needs may be away: who ends it then takes away the rest as well.
   * Default: `ready`.
   */
  readonly up?: (pid: number) => Promise<boolean>;
  /**
   * Gives the child a pipe as standard input that closes when the orchestrator ends. Only for programs that watch it
   * (`run-child.ts`).
   */
  readonly watchesParent?: boolean;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** False if nobody asked for it. */
  readonly expected: boolean;
}

export interface RunningProcess {
  readonly spec: ProcessSpec;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  /** False: when the start returned it was up, and not more. */
  readonly wasReady: boolean;
  /** Sends the signal and waits for the end. */
  readonly kill: (signal: StopSignal) => Promise<ProcessExit>;
  /** The stop signal, then SIGKILL to the whole group if it does not obey in time. */
  readonly stop: () => Promise<void>;
}

export interface Supervisor {
  readonly start: (spec: ProcessSpec) => Promise<RunningProcess>;
  /** The running process of that name, if there is one. */
  readonly find: (name: string) => RunningProcess | undefined;
  /**
   * Stops it if it runs, then starts it again as it was.
   * @param awaited `up`: returns as soon as it does what it can @throws INFRA_PROCESS_UNKNOWN, INFRA_PROCESS_NOT_READY
   */
  readonly restart: (name: string, awaited?: 'ready' | 'up') => Promise<RunningProcess>;
  /** For good: the suite's own processes first, then the servers in the reverse order of their start. */
  readonly stopAll: () => Promise<void>;
  /** Since `stopAll`: nothing is started any more. */
  readonly isStopping: boolean;
  /** Called when a process ends that nobody stopped, after it was ready. */
  readonly onUnexpectedExit: (listener: (process: RunningProcess, exit: ProcessExit) => void) => void;
}

let parentDeathTool: string | undefined;
function parentDeathCommand(): string | undefined {
  if (parentDeathTool === undefined) {
    const probe =
      process.platform === 'linux' ? spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true']) : undefined;
    parentDeathTool = probe?.status === 0 ? 'setpriv' : '';
  }
  return parentDeathTool === '' ? undefined : parentDeathTool;
}

/** The end of a log, for an error message. */
export function lastLines(logFile: string): string {
  try {
    const text = readFileSync(logFile, 'utf8')
      .slice(-quotedCharactersMax * 2)
      .trimEnd();
    return text.split('\n').slice(-quotedLinesMax).join('\n').slice(-quotedCharactersMax);
  } catch {
    return '';
  }
}

function notReady(spec: ProcessSpec, happened: string, cause?: unknown, exitCode?: number | null): Error {
  const tail = lastLines(spec.logFile);
  return fail(
    'INFRA_PROCESS_NOT_READY',
    `${spec.name} did not come up: ${happened}. Its log is ${spec.logFile}${tail === '' ? ' (empty)' : `, which ends:\n${tail}`}`,
    {
      process: spec.name,
      logFile: spec.logFile,
      happened,
      ...(typeof exitCode === 'number' ? { exitCode } : {}),
    },
    cause,
  );
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `it ended with exit code ${code ?? 'unknown'}` : `it was ended by ${signal}`;
}

function spawnChild(spec: ProcessSpec): ChildProcess {
  mkdirSync(path.dirname(spec.logFile), { recursive: true });
  const log = openSync(spec.logFile, 'a');
  const tool = parentDeathCommand();
  const [command, args] =
    tool === undefined
      ? [spec.command, [...spec.args]]
      : [tool, ['--pdeathsig', spec.stopSignal.slice('SIG'.length), '--', spec.command, ...spec.args]];
  try {
    return spawn(command, args, {
      env: spec.env,
      cwd: spec.cwd ?? '/',
      stdio: [spec.watchesParent === true ? 'pipe' : 'ignore', log, log],
      // Its own group: Ctrl-C in the terminal reaches the orchestrator only, which then stops all in order.
      detached: true,
      ...spec.user,
    });
  } finally {
    closeSync(log);
  }
}

/** Signals a child, or its whole group by a negative id; one that has just ended is no error. */
function signalQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // ESRCH: already gone
  }
}

/** What a process that was killed leaves behind needs milliseconds to notice. */
const freeTimeoutMs = 10_000;

async function untilFree({ isFree }: ProcessSpec): Promise<void> {
  const deadline = performance.now() + freeTimeoutMs;
  while (isFree?.() === false && performance.now() < deadline) await delay(probeIntervalMs);
}

/** @returns false: what it was asked for last was whether it is up. When its time is over, only what is not even that is ended. */
async function untilReady(
  spec: ProcessSpec,
  awaited: 'ready' | 'up',
  pid: number,
  ended: Promise<ProcessExit>,
  spawnError: Promise<Error>,
): Promise<boolean> {
  const { ready, up = ready } = spec;
  let asks = awaited === 'up' ? up : ready;
  const deadline = performance.now() + spec.readyTimeoutMs;
  let lastFailure: unknown;
  const died = Promise.race([ended, spawnError]);
  for (;;) {
    const probe = asks(pid).catch((error: unknown) => {
      lastFailure = error;
      return false;
    });
    const outcome = await Promise.race([probe, died]);
    if (outcome === true) return asks === ready;
    if (outcome instanceof Error) throw notReady(spec, `it cannot be run: ${outcome.message}`, outcome);
    if (outcome !== false)
      throw notReady(spec, describeExit(outcome.code, outcome.signal), undefined, outcome.code);
    if (performance.now() > deadline) {
      if (asks === up) throw notReady(spec, `it was not ready after ${spec.readyTimeoutMs} ms`, lastFailure);
      asks = up;
    }
    await delay(probeIntervalMs);
  }
}

export function createSupervisor(): Supervisor {
  const running: RunningProcess[] = [];
  const specs = new Map<string, ProcessSpec>();
  let closed = false;
  const listeners: ((process: RunningProcess, exit: ProcessExit) => void)[] = [];
  const killAtExit = (): void => {
    for (const child of running) signalQuietly(child.pid, child.spec.stopSignal);
  };

  async function start(spec: ProcessSpec, awaited: 'ready' | 'up' = 'ready'): Promise<RunningProcess> {
    await untilFree(spec);
    if (closed) throw notReady(spec, 'the environment is being stopped');
    specs.set(spec.name, spec);
    const child = spawnChild(spec);
    const spawnError = new Promise<Error>((resolve) => child.once('error', resolve));
    if (child.pid === undefined) throw notReady(spec, `it cannot be run: ${(await spawnError).message}`);
    const pid = child.pid;
    let expected = false;
    const exited = new Promise<ProcessExit>((resolve) =>
      child.once('exit', (code, signal) => {
        resolve({ code, signal, expected });
      }),
    );
    const kill = async (signal: StopSignal): Promise<ProcessExit> => {
      expected = true;
      signalQuietly(signal === 'SIGKILL' ? -pid : pid, signal);
      return await exited;
    };
    const stop = async (): Promise<void> => {
      const patience = new AbortController();
      const killLater = delay(stopTimeoutMs, undefined, { signal: patience.signal }).then(
        () => {
          signalQuietly(-pid, 'SIGKILL');
        },
        () => undefined,
      );
      await kill(spec.stopSignal);
      patience.abort();
      await killLater;
    };
    let wasReady = false;
    const handle: RunningProcess = {
      spec,
      pid,
      exited,
      get wasReady() {
        return wasReady;
      },
      kill,
      stop,
    };
    if (running.length === 0) process.on('exit', killAtExit);
    running.push(handle);
    void exited.then(() => {
      running.splice(running.indexOf(handle), 1);
      if (running.length === 0) process.off('exit', killAtExit);
    });
    try {
      wasReady = await untilReady(spec, awaited, pid, exited, spawnError);
    } catch (error) {
      await stop();
      throw error;
    }
    void exited.then((exit) => {
      if (!exit.expected) for (const listener of listeners) listener(handle, exit);
    });
    return handle;
  }

  const find = (name: string): RunningProcess | undefined =>
    running.find((candidate) => candidate.spec.name === name);

  async function restart(name: string, awaited?: 'ready' | 'up'): Promise<RunningProcess> {
    const spec = specs.get(name);
    if (spec === undefined)
      throw fail('INFRA_PROCESS_UNKNOWN', `no process ${name}; there are ${[...specs.keys()].join(', ')}`, {
        name,
      });
    await find(name)?.stop();
    return await start(spec, awaited);
  }

  async function stopAll(): Promise<void> {
    closed = true;
    const own = running.filter((child) => child.spec.watchesParent === true);
    await Promise.all(
      own.map(async (child) => {
        await child.stop();
      }),
    );
    for (const child of [...running].reverse()) await child.stop();
  }

  return {
    start,
    find,
    restart,
    stopAll,
    get isStopping() {
      return closed;
    },
    onUnexpectedExit: (listener) => {
      listeners.push(listener);
    },
  };
}

const probeTimeoutMs = 2_000;

/** A probe for programs with a health page. */
export async function answersOk(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(probeTimeoutMs) });
  await response.arrayBuffer();
  return response.ok;
}

/** A page that itself asks what hangs: two times the ten seconds that a connection to the database may take, and some. */
const patientTimeoutMs = 30_000;

/** A probe for programs whose health page says more than a status. @param accepts the page, whatever the status is */
export async function answersAs(url: string, accepts: (page: unknown) => boolean): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(patientTimeoutMs) });
  return accepts(await response.json());
}
