/**
 * The parts of the engine's process put together: sequencer with journal and engine thread, link, books, health page. A standby
 * has a follower in their place until it is told to take over.
 */
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf, isStrongroomError } from '#core/errors';
import type { Clock } from '#core/ports';
import { openPool } from '#infra/db';
import type { Logger } from '#infra/log';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import { serveLink } from '../link/index.ts';
import {
  openSequencer,
  type Sequencer,
  type SequencerLimits,
  type SequencerNotice,
  type SequencerOptions,
} from '../sequencer/index.ts';
import { type DrillReport, drillTakeOver, type Standby, startStandby } from '../standby/index.ts';
import { type Books, openBooks } from './books.ts';
import type { EngineProcessConfig } from './config.ts';
import { type HealthPage, type HealthReport, serveHealth } from './health.ts';

const fail = errorsOf(matchingErrors);

/** A primary without commands learns only by a look that another process has taken over. */
const lookMs = 1_000;
/** PostgreSQL that is away must not keep a standby from serving: after this the link opens without the books. */
const booksWaitMs = 2_000;
/** Who asked for a takeover that failed hears of it before the process ends. */
const answerMs = 100;
/** Of an orderly end. Each part, so that with the link's 2 s they stay below what a supervisor waits (5 s). */
const closeMs = { feed: 500, books: 2_000, pool: 500 } as const;

type Link = Awaited<ReturnType<typeof serveLink>>;

export interface EngineProcessOptions {
  readonly mode: 'primary' | 'standby';
  readonly folder: string;
  readonly config: EngineConfig;
  readonly engineName: string;
  readonly token: string;
  readonly link: { readonly host: string; readonly port: number };
  readonly health: { readonly host: string; readonly port: number };
  readonly limits?: Partial<SequencerLimits>;
  /** Undefined only in a drill: an engine of its own, whose trades nobody books. */
  readonly books:
    | { readonly databaseUrl: string; readonly settlement: EngineProcessConfig['settlement'] }
    | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Once: it is over. Nothing more is acknowledged. */
  readonly onFailed: (error: Error) => void;
}
export interface TakeOverReport extends DrillReport {
  /** From the request until the link took connections, milliseconds. */
  readonly linkMs: number;
  /** Where it takes them. */
  readonly linkPort: number;
}
export interface EngineProcess {
  readonly healthPort: number;
  /** Link, sequencer, books, in this order; a standby just ends. */
  readonly stop: () => Promise<void>;
}

interface Primary {
  readonly sequencer: Sequencer;
  readonly link: Link;
  readonly books: Books | undefined;
  readonly close: () => Promise<void>;
}

function tellNotice(log: Logger, notice: SequencerNotice): void {
  if (notice.kind === 'snapshot-named' || notice.kind === 'files-removed') log.info({ notice }, 'journal');
  else log.warn({ notice }, 'journal');
}

/** Everything around a sequencer that serves. @throws what can only be a mistake of configuration */
async function serve(sequencer: Sequencer, options: EngineProcessOptions): Promise<Primary> {
  const { config, engineName, folder, token, link: listen, log, clock, onFailed } = options;
  const pool =
    options.books === undefined
      ? undefined
      : openPool({ connectionString: options.books.databaseUrl, applicationName: 'engine' });
  const books =
    options.books === undefined || pool === undefined
      ? undefined
      : openBooks({ ...options.books, pool, sequencer, folder, config, engineName, clock, log });
  const looking = setInterval(() => {
    // What it finds is told by `onStopped`.
    sequencer.state().catch(() => undefined);
  }, lookMs);
  try {
    const begun = books?.begun ?? Promise.resolve();
    // Also heard when the link is open already: then it is the end of the process.
    begun.catch((error: unknown) => {
      onFailed(error instanceof Error ? error : new TypeError(String(error)));
    });
    await Promise.race([begun, delay(booksWaitMs, undefined, { ref: false })]);
    const link = await serveLink({
      sequencer,
      folder,
      config,
      engineName,
      token,
      listen,
      settlementLags: () => books?.lags() === true,
      onNotice: (notice) => log.info({ notice }, 'link'),
    });
    log.info({ port: link.port, epoch: sequencer.epoch, seq: sequencer.lastSeq }, 'engine.serves');
    const close = async (): Promise<void> => {
      clearInterval(looking);
      const fed = Promise.race([books?.stopFeeding(), delay(closeMs.feed, undefined, { ref: false })]);
      await Promise.all([link.close(), fed]);
      await sequencer.close();
      await books?.close(closeMs.books);
      await Promise.race([pool?.end(), delay(closeMs.pool, undefined, { ref: false })]);
    };
    return { sequencer, link, books, close };
  } catch (error) {
    clearInterval(looking);
    throw error;
  }
}

/** @throws what listening there fails with */
async function assertCanListen({ host, port }: EngineProcessOptions['link']): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}

class RunningProcess implements EngineProcess {
  readonly #options: EngineProcessOptions;
  #standby: Standby | undefined;
  #primary: Primary | undefined;
  #taking: Promise<TakeOverReport> | undefined;
  #stopping: Promise<void> | undefined;
  #failed: Error | undefined;
  #page: HealthPage | undefined;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
  }

  async start(): Promise<this> {
    const { health, token, mode } = this.#options;
    this.#page = await serveHealth({
      ...health,
      token,
      report: () => this.#report(),
      takeOver: () => this.#takeOver(),
    });
    // Found out only after another primary is fenced it would leave nobody who serves.
    await assertCanListen(this.#options.link);
    if (mode === 'standby') {
      this.#standby = startStandby(this.#sequencerOptions());
    } else await this.#serve(await openSequencer(this.#sequencerOptions()));
    return this;
  }

  get healthPort(): number {
    return this.#page?.port ?? this.#options.health.port;
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }
  async #stop(): Promise<void> {
    await this.#taking?.catch(() => undefined);
    await (this.#primary?.close() ?? this.#standby?.close());
    await this.#page?.close();
  }

  #sequencerOptions(): SequencerOptions {
    const { folder, config, clock, limits, log } = this.#options;
    return {
      folder,
      config,
      clock,
      ...(limits === undefined ? {} : { limits }),
      onNotice: (notice) => tellNotice(log, notice),
      onStopped: (error) => this.#fail(error),
    };
  }
  #fail(error: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#options.onFailed(error);
  }

  async #serve(sequencer: Sequencer): Promise<Primary> {
    this.#primary = await serve(sequencer, { ...this.#options, onFailed: (error) => this.#fail(error) });
    return this.#primary;
  }

  // -------------------------------------------------------------- health page

  #report(): HealthReport {
    const role = this.#options.mode === 'standby' && this.#taking === undefined ? 'standby' : 'primary';
    const isUp = this.#failed === undefined && this.#stopping === undefined;
    if (role === 'standby') {
      const { followed } = this.#standby ?? {};
      const ok = isUp && followed !== undefined;
      return { ok, role, parts: { journal: { ok, ...followed } } };
    }
    const { sequencer, books } = this.#primary ?? {};
    const journal = {
      ok: isUp && sequencer !== undefined,
      ...(sequencer === undefined ? {} : { epoch: sequencer.epoch, seq: sequencer.publishedSeq }),
    };
    const parts = books?.parts();
    // Deposits and comparison are told, and stop nobody from trading.
    return { ok: journal.ok && parts?.settlement.ok !== false, role, parts: { journal, ...parts } };
  }

  // -------------------------------------------------------------- taking over

  /** Asked again while it is under way it is the same one. */
  #takeOver(): Promise<TakeOverReport> | undefined {
    const standby = this.#standby;
    if (standby === undefined || this.#primary !== undefined) return undefined;
    this.#taking ??= this.#takeOverFrom(standby);
    return this.#taking;
  }
  async #takeOverFrom(standby: Standby): Promise<TakeOverReport> {
    const { log } = this.#options;
    const begun = performance.now();
    try {
      if (this.#stopping !== undefined) throw fail('MATCHING_STOPPED', 'the standby is being stopped');
      log.info('takeover.begins');
      const { sequencer, report } = await drillTakeOver(standby);
      const { link } = await this.#serve(sequencer);
      const told = { ...report, linkMs: performance.now() - begun, linkPort: link.port };
      log.info({ report: told }, 'takeover.serves');
      return told;
    } catch (error) {
      log.error({ err: error, code: isStrongroomError(error) ? error.code : undefined }, 'takeover.failed');
      // It follows no more and serves not yet: nothing is left that it could do, after it has said so.
      setTimeout(() => this.#fail(error instanceof Error ? error : new TypeError(String(error))), answerMs);
      throw error;
    }
  }
}

/**
 * Returns when a primary serves, or a standby has begun to follow. The health page is there from the beginning.
 * @throws MATCHING_EPOCH_TAKEN, MATCHING_JOURNAL_*, MATCHING_REPLAY_DIVERGED, MATCHING_ENGINE_DIFFERS
 */
export async function startEngineProcess(options: EngineProcessOptions): Promise<EngineProcess> {
  return await new RunningProcess(options).start();
}
