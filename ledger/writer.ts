/**
 * Group commit: many callers, one batch, one commit. What is submitted while a batch is on its way is written with the next
 * one, so that batches grow with the load and an idle ledger answers at once; no timer decides.
 *
 * A submission is written whole, in one batch and in its order. One that was made after another had resolved comes after it;
 * of two that are under way at once either may come first.
 */
import { setImmediate } from 'node:timers/promises';
import { errorsOf } from '#core/errors';
import { isRetryable, type Pool } from '#infra/db';
import { type AccountIds, createAccountIds } from './account-ids.ts';
import { applyBatch, registerDiffers } from './batch-call.ts';
import { assertCommands } from './commands.ts';
import { ledgerErrors, type TransferCommand, type TransferResult } from './contract.ts';

const fail = errorsOf(ledgerErrors);

/** Measured best on 2 cores: below, the fixed cost of a batch shows; above, latency grows and throughput does not. */
const groupCommandsMax = 2_000;
/** Twenty-five full batches, a second of work or more. A command takes about 1 KB, so 50 MB. */
const queuedCommandsMax = 50_000;
/** The second is read and checked by PostgreSQL while the first is written; the ledger's one lock leaves a third no use. */
const groupsOnTheWayMax = 2;
/** With less in the queue it is better to wait for the group that is on its way: its callers make the next one larger. */
const overlapCommandsMin = 500;
/** A batch whose ids of accounts were outdated, or that a conflict ended, runs again. */
const attemptsMax = 5;

interface WriterOptions {
  /** Commands in one batch; a longer submission goes alone. */
  readonly groupCommandsMax?: number;
  readonly queuedCommandsMax?: number;
}
export interface LedgerWriter {
  /**
   * Resolves when the batch that holds the commands is committed; one result per command.
   * @throws LEDGER_BATCH_INVALID; LEDGER_WRITER_BUSY: nothing was written; LEDGER_OUTCOME_UNKNOWN: submit again, unchanged
   */
  submit(commands: readonly TransferCommand[]): Promise<TransferResult[]>;
}

interface Submission {
  readonly commands: readonly TransferCommand[];
  readonly resolve: (results: TransferResult[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Only an answer of the server has a severity; a socket's `EPIPE` looks like a SQLSTATE otherwise. */
const sqlStateOf = (error: unknown): string | undefined =>
  error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
/** Class 57P: the server ends the session; class 08: the connection failed; 40003: completion unknown. */
const leavesOutcomeOpen = (state: string | undefined): boolean =>
  state === undefined || /^(57P|08)/.test(state) || state === '40003';

/** The ledger refuses such a chain as left open, unless another caller's command stands behind it and is taken for its end. */
const endsInsideChain = (submission: Submission | undefined): boolean =>
  submission?.commands.at(-1)?.linked === true;

async function applyAgain(
  pool: Pool,
  ids: AccountIds,
  commands: readonly TransferCommand[],
): Promise<TransferResult[]> {
  for (let attempt = 1; ; attempt++)
    try {
      // A statement of its own is a transaction of its own: the head is not held over round trips to this process.
      return await applyBatch(pool, commands, ids);
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === registerDiffers) ids.forget();
      if (attempt < attemptsMax && (state === registerDiffers || isRetryable(error))) continue;
      if (leavesOutcomeOpen(state))
        throw fail(
          'LEDGER_OUTCOME_UNKNOWN',
          'PostgreSQL did not answer whether the batch was written',
          {},
          error,
        );
      throw error;
    }
}

export function createLedgerWriter(pool: Pool, options: WriterOptions = {}): LedgerWriter {
  const groupMax = options.groupCommandsMax ?? groupCommandsMax;
  const queueMax = options.queuedCommandsMax ?? queuedCommandsMax;
  const ids = createAccountIds();
  let queue: Submission[] = [];
  let queuedCommands = 0;
  let groupsOnTheWay = 0;
  let isStarting = false;

  function takeGroup(): Submission[] {
    let count = 0;
    const over = queue.findIndex(({ commands }, at) => {
      count += commands.length;
      return at > 0 && (count > groupMax || endsInsideChain(queue[at - 1]));
    });
    const group = over === -1 ? queue : queue.slice(0, over);
    queue = over === -1 ? [] : queue.slice(over);
    for (const { commands } of group) queuedCommands -= commands.length;
    return group;
  }

  async function write(group: readonly Submission[]): Promise<void> {
    try {
      const results = await applyAgain(
        pool,
        ids,
        group.flatMap(({ commands }) => commands),
      );
      let at = 0;
      for (const { commands, resolve } of group) {
        resolve(results.slice(at, at + commands.length));
        at += commands.length;
      }
    } catch (error) {
      // PostgreSQL refused the group as a whole: one submission must not take the others with it. Halving finds it soon.
      if (group.length > 1 && !leavesOutcomeOpen(sqlStateOf(error))) {
        const middle = Math.ceil(group.length / 2);
        await write(group.slice(0, middle));
        await write(group.slice(middle));
      } else for (const { reject } of group) reject(error);
    }
  }

  async function start(): Promise<void> {
    if (isStarting) return;
    isStarting = true;
    // One turn of the event loop, so that what arrives together is written together.
    await setImmediate();
    isStarting = false;
    while (
      queue.length > 0 &&
      (groupsOnTheWay === 0 || (groupsOnTheWay < groupsOnTheWayMax && queuedCommands >= overlapCommandsMin))
    ) {
      groupsOnTheWay++;
      void write(takeGroup()).finally(() => {
        groupsOnTheWay--;
        void start();
      });
    }
  }

  return {
    submit: async (commands) => {
      assertCommands(commands);
      if (queuedCommands + commands.length > queueMax)
        throw fail(
          'LEDGER_WRITER_BUSY',
          `${queuedCommands} transfers wait to be written, the queue takes ${queueMax}`,
          {
            queued: queuedCommands,
            max: queueMax,
          },
        );
      return await new Promise((resolve, reject) => {
        queue.push({ commands, resolve, reject });
        queuedCommands += commands.length;
        void start();
      });
    },
  };
}
