/** Compares all balances, engine against ledger, again and again; a difference is a case for a person. */
import { Worker } from 'node:worker_threads';
import { messageOf } from '#core/errors';
import type { Pool } from '#infra/db';
import type { Logger } from '#infra/log';
import type { EngineConfig } from '../config.ts';
import type { SettledEngine, Settler } from '../settlement/index.ts';
import { openDifferenceCase, untilWritten } from './cases.ts';
import type { FromReconcileThread, ReconcileThreadData } from './reconcile-thread.ts';

/** Commands between the settled one and the newest; a thread that reads on from there keeps 64 bytes of each: 64 MB. */
const behindMax = 1_000_000;
/** A command whose events are settled in parts, or a database that is away: asked again this much earlier than usual. */
const againMs = 1_000;

export interface ReconcilerOptions {
  readonly pool: Pool;
  readonly databaseUrl: string;
  readonly folder: string;
  readonly config: EngineConfig;
  readonly engine: SettledEngine;
  readonly settler: Pick<Settler, 'head'>;
  readonly publishedSeq: () => number;
  readonly everyMs: number;
  readonly log: Logger;
}
/** What the last comparison said. */
export interface ReconcilerState {
  /** Command up to which all balances were compared last; undefined before the first time. */
  readonly seq?: number;
  readonly compared?: number;
  readonly differences?: number;
  /** Why the newest attempt gave no answer. */
  readonly problem?: string;
}
export interface Reconciler {
  readonly state: ReconcilerState;
  readonly close: () => Promise<void>;
}

export function startReconciler(options: ReconcilerOptions): Reconciler {
  const { pool, databaseUrl, folder, config, engine, settler, publishedSeq, everyMs, log } = options;
  const closing = new AbortController();
  let state: ReconcilerState = {};
  let worker: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;

  const askAfter = (waitMs: number): void => {
    if (!closing.signal.aborted) timer = setTimeout(ask, waitMs);
  };
  const failed = (problem: string): void => {
    if (state.problem !== problem) log.warn({ problem }, 'reconcile.failed');
    state = { ...state, problem };
    askAfter(Math.min(everyMs, againMs));
  };
  function take(answer: FromReconcileThread): void {
    if (answer.kind === 'failed') {
      failed(answer.message);
      return;
    }
    const { at, compared, differences } = answer;
    const isNews = differences.length !== (state.differences ?? 0);
    state = { seq: at.seq, compared, differences: differences.length };
    if (isNews && differences.length === 0) log.info({ seq: at.seq }, 'reconcile.fits-again');
    if (isNews && differences.length > 0) {
      log.error({ seq: at.seq, differences: differences.length }, 'reconcile.differs');
      void untilWritten(
        async () => {
          await openDifferenceCase(pool, engine.name, answer);
        },
        closing.signal,
        (error) => log.warn({ err: error }, 'case.waiting'),
      );
    }
    askAfter(everyMs);
  }
  function threadOf(): Worker {
    if (worker !== undefined) return worker;
    const workerData: ReconcileThreadData = {
      databaseUrl,
      folder,
      config,
      engine: { no: engine.no, name: engine.name },
    };
    const made = new Worker(new URL('./start-reconcile-thread.mjs', import.meta.url), {
      workerData,
      execArgv: [],
      env: {},
    });
    made.on('message', take);
    let cause = 'nobody knows why';
    made.on('error', (error) => {
      cause = messageOf(error);
    });
    made.on('exit', () => {
      worker = undefined;
      if (!closing.signal.aborted) failed(`the thread that compares ended: ${cause}`);
    });
    worker = made;
    return made;
  }
  function ask(): void {
    if (publishedSeq() - settler.head.seq > behindMax) failed('settlement is too far behind to compare');
    else threadOf().postMessage('compare');
  }

  askAfter(Math.min(everyMs, againMs));
  return {
    get state() {
      return state;
    },
    close: async () => {
      closing.abort();
      clearTimeout(timer);
      await worker?.terminate();
    },
  };
}
