/**
 * Starts a process again that ended by itself, so that a crash is a pause and not the end of the whole environment. Not for ever: what
 * ends again and again has a cause that a person must see.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isStrongroomError, messageOf } from '#core/errors';
import { lastLines, type ProcessExit, type RunningProcess, type Supervisor } from './processes.ts';

/** Together with the waits between them a quarter of a minute: longer than a port or a lock stays taken. */
const attemptsMax = 5;
/** Before the first attempt; before each further one twice as long: 0.5, 1, 2, 4, 8 s. */
const firstWaitMs = 500;
/** A process that has run for so long has recovered: its next end is the first one again. */
const calmMs = 60_000;

export interface KeeperOptions {
  /** What a person at the terminal should know. */
  readonly tell: (text: string) => void;
  readonly firstWaitMs?: number;
  readonly calmMs?: number;
}
export interface Keeper {
  /**
   * From now on it is started again when it ends by itself.
   * @param finalExitCode it ended with this because a person must decide first
   */
  readonly keep: (name: string, finalExitCode?: number) => void;
  /** Until `resume`: its end is wanted, and whoever wants it starts it again. */
  readonly leave: (name: string) => void;
  readonly resume: (name: string) => void;
}

interface Kept {
  readonly finalExitCode: number | undefined;
  isLeft: boolean;
  attempts: number;
  /** Ends after a calm time: one that ends every other minute is never given up, but must not look as if it ended once. */
  ends: number;
  /** Ours: the process that was started last. */
  started: { readonly pid: number; readonly atMs: number } | undefined;
}

const isFinal = ({ finalExitCode }: Kept, code: unknown): boolean =>
  finalExitCode !== undefined && code === finalExitCode;

export function keepRunning(supervisor: Supervisor, options: KeeperOptions): Keeper {
  const { tell } = options;
  const kept = new Map<string, Kept>();

  /** Somebody else has started it, or everything is being stopped: nothing is left to do, or to say. */
  const isSettled = (name: string, entry: Kept): boolean =>
    supervisor.isStopping || entry.isLeft || supervisor.find(name) !== undefined;

  async function startAgain(name: string, entry: Kept): Promise<void> {
    while (entry.attempts < attemptsMax) {
      const waitMs = (options.firstWaitMs ?? firstWaitMs) * 2 ** entry.attempts;
      entry.attempts++;
      const earlier = entry.ends > 1 ? `; it has ended ${entry.ends} times by now` : '';
      tell(
        `${name} is started again in ${waitMs / 1_000} s (attempt ${entry.attempts} of ${attemptsMax}${earlier})`,
      );
      await delay(waitMs);
      if (isSettled(name, entry)) return;
      try {
        // What it waits for may be what a person must mend; until then it serves the rest.
        const { pid } = await supervisor.restart(name, 'up');
        entry.started = { pid, atMs: performance.now() };
        tell(`${name} runs again`);
        return;
      } catch (error) {
        if (isSettled(name, entry)) return;
        tell(messageOf(error));
        if (isStrongroomError(error) && isFinal(entry, error.details['exitCode'])) {
          tell(`${name} is not started again: a person must decide first.`);
          return;
        }
      }
    }
    tell(
      `${name} is not started again: it ended ${attemptsMax} times in a row. Read its log, mend the cause, then stop everything with Ctrl-C and start anew.`,
    );
  }

  supervisor.onUnexpectedExit(({ spec: { name, logFile }, pid }: RunningProcess, { code }: ProcessExit) => {
    const entry = kept.get(name);
    if (entry === undefined || entry.isLeft || supervisor.isStopping) return;
    if (isFinal(entry, code)) {
      const lastLine = lastLines(logFile).split('\n').at(-1) ?? '';
      tell(`${name} is not started again: a person must decide first. It said last: ${lastLine}`);
      return;
    }
    const { started } = entry;
    const isCalm = started?.pid !== pid || performance.now() - started.atMs >= (options.calmMs ?? calmMs);
    if (isCalm) {
      entry.attempts = 0;
      entry.ends++;
    }
    void startAgain(name, entry);
  });

  return {
    keep: (name, finalExitCode) => {
      kept.set(name, { finalExitCode, isLeft: false, attempts: 0, ends: 0, started: undefined });
    },
    leave: (name) => {
      const entry = kept.get(name);
      if (entry !== undefined) entry.isLeft = true;
    },
    resume: (name) => {
      const entry = kept.get(name);
      if (entry !== undefined) entry.isLeft = false;
    },
  };
}
