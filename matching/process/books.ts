/**
 * What the engine has to do with PostgreSQL: its events are settled, deposits to spot are fed to it, and both sides are compared.
 * The engine serves without it; new orders are refused as long as the settlement cannot follow.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf, isStrongroomError, messageOf, type StrongroomError } from '#core/errors';
import type { Clock } from '#core/ports';
import type { Pool } from '#infra/db';
import type { Logger } from '#infra/log';
import { migrate } from '#infra/migrations';
import { createLedger, readEventsOfCodes } from '#ledger';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import type { EventSlots } from '../events.ts';
import { nodeFiles, replayEvents } from '../journal/index.ts';
import type { Sequencer } from '../sequencer/index.ts';
import {
  caseOfRefusal,
  createEngineAccounts,
  createSpotFeed,
  ensureTradePartitions,
  isOutage,
  openEngine,
  type SettledEngine,
  type Settler,
  type SubmitCommand,
  startSettler,
} from '../settlement/index.ts';
import { type EventPlace, isBefore, placeOf, wholeCommand } from '../settlement/settlement-events.ts';
import { openStopCase, untilWritten } from './cases.ts';
import type { EngineProcessConfig } from './config.ts';
import { type Reconciler, type ReconcilerState, startReconciler } from './reconciler.ts';

const fail = errorsOf(matchingErrors);

/** Between two attempts while PostgreSQL does not answer. */
const retryMs = 500;
/** Between two looks whether the settler has stopped, which not every way of stopping tells. */
const watchMs = 250;
/**
 * Between two looks whether the settled head can follow commands that moved no value: readers of the books, such as an api that
 * has just started, wait until it is as far as what they have seen. While commands come all the time it follows in ten such steps,
 * so that it is at most a row each ten seconds.
 */
const followMs = 1_000;
const followAfterLooks = 10;
/** Between two looks whether empty partitions are ahead; the settlement makes one that is missing, so late is only slower. */
const partitionsMs = 60_000;

export interface BooksOptions {
  readonly pool: Pool;
  readonly databaseUrl: string;
  /** Nothing was submitted to it yet. */
  readonly sequencer: Pick<Sequencer, 'submit' | 'subscribe' | 'neededFrom' | 'recovered' | 'publishedSeq'>;
  readonly folder: string;
  readonly config: EngineConfig;
  readonly engineName: string;
  readonly settlement: EngineProcessConfig['settlement'];
  readonly clock: Clock;
  readonly log: Logger;
}
export interface BooksParts {
  readonly settlement: {
    readonly ok: boolean;
    readonly settledSeq?: number;
    readonly waitingEvents?: number;
    readonly problem?: string;
    /** It has stopped and is not tried again: what a person is to do before this process is started anew. */
    readonly stopped?: { readonly code: string; readonly whatToDo: string };
  };
  readonly feed: { readonly ok: boolean; readonly problem?: string };
  readonly reconciliation: ReconcilerState & { readonly ok: boolean };
}
export interface Books {
  /**
   * Resolves when the settlement follows, or PostgreSQL could not be asked the first time.
   * @throws what can only be a mistake: MATCHING_ENGINE_DIFFERS, MATCHING_JOURNAL_GAP
   */
  readonly begun: Promise<void>;
  /** Whether new orders are to be refused. */
  readonly lags: () => boolean;
  readonly parts: () => BooksParts;
  /** No more deposits go to the engine; events still come. */
  readonly stopFeeding: () => Promise<void>;
  /** Books what waits, no longer than `graceMs`: the rest is in the journal. The pool stays open. */
  readonly close: (graceMs: number) => Promise<void>;
}

/** Where our role cannot migrate, a process that can will come. */
const mayPass = (error: unknown): boolean =>
  isOutage(error) || (isStrongroomError(error) && error.code === 'INFRA_MIGRATION_FAILED');

export function openBooks(options: BooksOptions): Books {
  return new EngineBooks(options);
}

class EngineBooks implements Books {
  readonly begun: Promise<void>;
  readonly #options: BooksOptions;
  readonly #closing = new AbortController();
  readonly #feeding = new AbortController();
  readonly #ledger: ReturnType<typeof createLedger>;
  /** Last event that was published. */
  #last: EventPlace;
  #settler: Settler | undefined;
  #reconciler: Reconciler | undefined;
  #fed: Promise<void> = Promise.resolve();
  readonly #timers: NodeJS.Timeout[] = [];
  #settlementProblem: string | undefined = 'not begun';
  #feedProblem: string | undefined = 'not begun';
  /**
   * Found here and not by the settler; it gets nothing more. An event did not reach it, or it could not begin for a reason that no
   * waiting ends.
   */
  #ended: StrongroomError | undefined;
  #isStopTold = false;
  /** Of the last look, and looks since the head has followed. */
  #lookedAtSeq = 0;
  #looks = 0;

  constructor(options: BooksOptions) {
    this.#options = options;
    this.#ledger = createLedger({ pool: options.pool });
    const { sequencer } = options;
    // Until it is known what is settled nothing may go.
    sequencer.neededFrom(1);
    this.#last = { seq: sequencer.recovered.nextSeq - 1, index: wholeCommand };
    sequencer.subscribe((events, from, count) => this.#hear(events, from, count));
    this.begun = this.#begin();
  }

  lags(): boolean {
    const settler = this.#settler;
    return settler === undefined || this.#stopped !== undefined || settler.lagExceeded();
  }

  parts(): BooksParts {
    const settler = this.#settler;
    const stopped = this.#stopped;
    const problem = stopped?.message ?? this.#settlementProblem;
    const reconciliation = this.#reconciler?.state ?? {};
    return {
      settlement: {
        ok: !this.lags(),
        ...(settler === undefined ? {} : { settledSeq: settler.head.seq, waitingEvents: settler.waiting }),
        ...(problem === undefined ? {} : { problem }),
        ...(stopped === undefined
          ? {}
          : { stopped: { code: stopped.code, whatToDo: stopped.whatToDo ?? '' } }),
      },
      feed: {
        ok: this.#feedProblem === undefined,
        ...(this.#feedProblem === undefined ? {} : { problem: this.#feedProblem }),
      },
      reconciliation: { ok: (reconciliation.differences ?? 0) === 0, ...reconciliation },
    };
  }

  get #stopped(): StrongroomError | undefined {
    return this.#ended ?? this.#settler?.stopped;
  }

  async stopFeeding(): Promise<void> {
    this.#feeding.abort();
    await this.#fed;
  }

  async close(graceMs: number): Promise<void> {
    this.#closing.abort();
    this.#feeding.abort();
    for (const timer of this.#timers) clearInterval(timer);
    const grace = delay(graceMs, undefined, { ref: false });
    await Promise.race([this.#reconciler?.close(), grace]);
    const { sequencer, log } = this.#options;
    const settler = this.#settler;
    if (settler === undefined) return;
    // With an event missing not all was offered: the next start books it from the journal.
    const offeredSeq = this.#ended === undefined ? sequencer.publishedSeq : undefined;
    const drained = settler.drain(offeredSeq).then(
      () => true,
      () => false,
    );
    const isDrained = await Promise.race([drained, grace.then(() => false)]);
    log.info(
      { isDrained, waitingEvents: settler.waiting, settledSeq: settler.head.seq },
      'settlement.closed',
    );
    if (!isDrained) await Promise.race([settler.stop(), grace]);
  }

  // -------------------------------------------------------------- events

  #hear(events: EventSlots, from: number, count: number): void {
    this.#last = placeOf(events, from + count - 1);
    if (this.#stopped !== undefined) return;
    try {
      this.#settler?.offer(events, from, count);
    } catch (error) {
      // Not passed on: the sequencer would take us off its list, and orders would go on with nobody to book them.
      const { seq } = this.#last;
      this.#ended = isStrongroomError(error)
        ? error
        : fail('MATCHING_SETTLEMENT_STOPPED', `the events of command ${seq} were not taken`, { seq }, error);
    }
  }

  // -------------------------------------------------------------- begin

  /**
   * A mistake ends the process when the first attempt finds it. PostgreSQL may come whenever it comes; a mistake that is found then
   * is just as final, but cancels have been going on meanwhile, and go on.
   */
  async #begin(): Promise<void> {
    try {
      await this.#attach();
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.#outage(error);
      void this.#goOn();
    }
  }
  async #goOn(): Promise<void> {
    for (;;) {
      await delay(retryMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      try {
        await this.#attach();
        return;
      } catch (error) {
        if (!mayPass(error)) {
          this.#endWith(error);
          return;
        }
        this.#outage(error);
      }
    }
  }
  /** Asked again it would be the same answer. */
  #endWith(error: unknown): void {
    const { pool, engineName, clock } = this.#options;
    const atMs = clock.nowMs();
    const ended = isStrongroomError(error)
      ? error
      : fail('MATCHING_SETTLEMENT_STOPPED', `it cannot begin: ${messageOf(error)}`, { engineName }, error);
    this.#ended = ended;
    this.#feedProblem = 'stopped';
    this.#tellStop(async () => {
      await openStopCase(pool, engineName, ended, atMs);
    }, ended);
  }
  #outage(error: unknown): void {
    const problem = messageOf(error);
    if (this.#settlementProblem === problem) return;
    this.#settlementProblem = problem;
    this.#options.log.warn({ err: error }, 'settlement.waiting');
  }

  async #attach(): Promise<void> {
    const { pool, config, engineName, settlement, sequencer, log } = this.#options;
    const applied = await migrate(pool);
    if (applied.length > 0) log.info({ applied }, 'migrations.applied');
    const engine = await openEngine(pool, engineName, config);
    const settler = await startSettler({
      pool,
      ledger: this.#ledger,
      engine,
      // The case is opened where any stop is seen.
      onRefused: () => Promise.resolve(),
      onOutage: (error) => this.#outage(error),
      onBooked: () => {
        if (this.#settlementProblem !== undefined) log.info('settlement.goes-on');
        this.#settlementProblem = undefined;
        sequencer.neededFrom(settler.neededFrom);
      },
      ...(settlement.tradesMax === undefined ? {} : { tradesMax: settlement.tradesMax }),
      ...(settlement.lagEventsMax === undefined ? {} : { lagMax: settlement.lagEventsMax }),
    });
    // Not ours to interrupt from here to the end: what is published meanwhile would be missing.
    try {
      this.#replayTo(settler);
    } catch (error) {
      // It may have begun with a part.
      void settler.stop();
      throw error;
    }
    this.#settler = settler;
    this.#settlementProblem = undefined;
    sequencer.neededFrom(settler.neededFrom);
    log.info({ settledSeq: settler.head.seq, lastSeq: this.#last.seq }, 'settlement.follows');
    if (this.#closing.signal.aborted) return;
    const makeRoom = (): void => {
      ensureTradePartitions(pool, engine).catch((error: unknown) => {
        log.warn({ err: error }, 'partitions.waiting');
      });
    };
    makeRoom();
    this.#timers.push(
      setInterval(() => this.#watch(settler, engine), watchMs),
      setInterval(() => this.#follow(settler), followMs),
      setInterval(makeRoom, partitionsMs),
    );
    this.#fed = this.#feed(engine);
    this.#reconcile(engine, settler);
  }

  /** Everything from the settled event to the last one that was published. Blocks for about a second per two million commands. */
  #replayTo(settler: Settler): void {
    const { sequencer, folder, config, engineName } = this.#options;
    const { head, neededFrom } = settler;
    const endSeq = sequencer.recovered.nextSeq - 1;
    if (head.seq > endSeq)
      throw fail(
        'MATCHING_JOURNAL_GAP',
        `${engineName} is settled up to command ${head.seq}, but the journal in ${folder} ended with ${endSeq} when it was opened`,
        { settledSeq: head.seq, journalSeq: endSeq },
      );
    if (neededFrom > this.#last.seq) return;
    replayEvents({
      files: nodeFiles,
      folder,
      config,
      fromSeq: neededFrom,
      onEvents: (events, from, count) => {
        let published = count;
        while (published > 0 && isBefore(this.#last, placeOf(events, from + published - 1))) published--;
        if (published > 0) settler.offer(events, from, published);
      },
    });
  }

  #reconcile(engine: SettledEngine, settler: Settler): void {
    const { pool, databaseUrl, folder, config, settlement, sequencer, log } = this.#options;
    this.#reconciler = startReconciler({
      pool,
      databaseUrl,
      folder,
      config,
      engine,
      settler,
      publishedSeq: () => sequencer.publishedSeq,
      everyMs: settlement.reconcileEveryMs,
      log,
    });
  }

  // -------------------------------------------------------------- a stop

  #follow(settler: Settler): void {
    if (this.#stopped !== undefined) return;
    const { publishedSeq } = this.#options.sequencer;
    const isQuiet = publishedSeq === this.#lookedAtSeq;
    this.#lookedAtSeq = publishedSeq;
    this.#looks++;
    const { seq, index } = settler.head;
    const isBehind = seq < publishedSeq || (seq === publishedSeq && index !== wholeCommand);
    if (!isBehind || settler.waiting > 0 || (!isQuiet && this.#looks < followAfterLooks)) return;
    this.#looks = 0;
    // What stops it is seen by the watch; a database that is away it asks again itself.
    settler.drain(publishedSeq).catch(() => undefined);
  }
  #watch(settler: Settler, engine: SettledEngine): void {
    const stopped = this.#stopped;
    if (stopped === undefined || this.#isStopTold) return;
    this.#isStopTold = true;
    const { pool, clock } = this.#options;
    const open = caseOfRefusal(pool, clock);
    const portion = settler.head.portion + 1n;
    this.#tellStop(async () => {
      await open({ engine: engine.name, portion, error: stopped });
    }, stopped);
  }
  #tellStop(openCase: () => Promise<void>, stopped: StrongroomError): void {
    const { log } = this.#options;
    this.#feeding.abort();
    const { code, whatToDo } = stopped;
    log.error({ err: stopped, code, whatToDo }, 'settlement.stopped');
    void untilWritten(openCase, this.#closing.signal, (error) => log.warn({ err: error }, 'case.waiting'));
  }

  // -------------------------------------------------------------- deposits to spot

  async #feed(engine: SettledEngine): Promise<void> {
    const { pool, sequencer, log } = this.#options;
    const { signal } = this.#feeding;
    const submit: SubmitCommand = async (command) => await sequencer.submit(command);
    const feed = createSpotFeed({
      pool,
      engine,
      accounts: createEngineAccounts({ pool, engine, submit }),
      submit,
      readEventsOfCodes: async (queryable, query) => {
        const events = await readEventsOfCodes(queryable, query);
        this.#feedProblem = undefined;
        return events;
      },
      ledger: this.#ledger,
    });
    while (!signal.aborted) {
      try {
        await feed.run(signal);
      } catch (error) {
        const problem = messageOf(error);
        if (this.#feedProblem !== problem)
          log.warn({ err: error, code: isStrongroomError(error) ? error.code : undefined }, 'feed.waiting');
        this.#feedProblem = problem;
        await delay(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
    this.#feedProblem = 'stopped';
  }
}
