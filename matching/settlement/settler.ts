/**
 * The settler: takes the engine's events and books them, portion by portion. A portion is one transaction: its trades, the
 * new head (only onto the one it was made for), and the transfers they come to. Events are the same whenever the engine
 * replays its journal, so after any crash of anyone the settler reads the head and goes on after it: nothing is booked twice,
 * nothing is left out.
 */
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { errorsOf, isStrongroomError, messageOf, type StrongroomError } from '#core/errors';
import { inTransaction, type Pool } from '#infra/db';
import type { Ledger, PreparedBatch } from '#ledger';
import type { EventSlots } from '../events.ts';
import { createAccountNames } from './account-names.ts';
import { settlementErrors } from './errors.ts';
import { EventQueue, type PortionLimits } from './event-queue.ts';
import { accountsOf, type Portion, portionOf, type SettlementHead, transfersOf } from './portion.ts';
import { isBefore, wholeCommand } from './settlement-events.ts';
import { inSteps, sliced, taken } from './steps.ts';
import {
  isOutage,
  type PortionRows,
  portionRows,
  readHead,
  recordPortion,
  type SettledEngine,
} from './store.ts';

const fail = errorsOf(settlementErrors);

/** Larger ones net better. The rows of a portion of this size are 3 MB of text, its transfers about as much, and wait in memory once more. */
const tradesPerPortionMax = 32_768;
/** The ledger's other writers wait while they are applied, up to half a second. */
const transfersPerPortionMax = 24_000;
/** In one batch of the ledger: writing it down takes 20 ms of our thread. */
const transfersPerBatch = 2_000;
/** About ten seconds of work, and 50 MB. Beyond it new orders are to be refused until half of it is booked. */
const lagEventsMax = 200_000;
/**
 * Without trades the head follows in these steps: what is asked of the books, such as how a transfer to main has ended, is known up
 * to the head only. A step is one row and one commit; where they come faster than those, the next one is longer.
 */
const commandsBehindMax = 10_000;
/** Of the client ids that the engine keeps: what is younger than the head is then far from forgotten. */
const clientIdsBehindPart = 1 / 4;
/** Between two attempts while PostgreSQL does not answer. */
const retryMs = { first: 20, longest: 1_000 } as const;

/** A portion that the ledger refused. */
export interface Refusal {
  readonly engine: string;
  readonly portion: bigint;
  readonly error: StrongroomError;
}
/** What is booked now and was not before: a portion; several, when another settler booked them or the answer was lost. */
export interface BookedPortion {
  /** The newest. */
  readonly portion: bigint;
  readonly trades: number;
  /** 0 where the answer was lost or another settler booked. */
  readonly transfers: number;
}
export interface SettlerOptions {
  readonly pool: Pool;
  readonly ledger: Pick<Ledger, 'applyPrepared' | 'openAccounts' | 'prepare'>;
  readonly engine: SettledEngine;
  /** Opens a case for a person; the settler has stopped. */
  readonly onRefused: (refusal: Refusal) => Promise<void>;
  /** An attempt failed for want of an answer; it is made again. */
  readonly onOutage?: (error: unknown) => void;
  readonly onBooked?: (booked: BookedPortion) => void;
  readonly tradesMax?: number;
  readonly transfersMax?: number;
  readonly lagMax?: number;
}
export interface Settler {
  /**
   * Takes the next events, in slots `from` to `from + count - 1`. Those it has had are passed over, so that a replay may begin at
   * any command up to {@link neededFrom}.
   * @throws MATCHING_SETTLEMENT_GAP, MATCHING_SETTLEMENT_STOPPED
   */
  offer(events: EventSlots, from: number, count: number): void;
  /** Whether so much waits that new orders are to be refused. Cancels may go on: they never trade. */
  lagExceeded(): boolean;
  /** Events that wait. */
  readonly waiting: number;
  /** What is booked. */
  readonly head: SettlementHead;
  /** The command from which on events are needed after a crash. */
  readonly neededFrom: number;
  /** What it stopped with; it does not begin again. */
  readonly stopped: StrongroomError | undefined;
  /**
   * Resolves when all that was offered is booked, up to its last event.
   * @param publishedSeq all events up to this command have been offered
   * @throws what the settler stopped with
   */
  drain(publishedSeq?: number): Promise<void>;
  /** After the portion that is on its way. What waits is in the engine's journal. */
  stop(): Promise<void>;
}

/** All that can be done before its transaction, in which others wait. */
interface PreparedPortion {
  readonly portion: Portion;
  readonly rows: PortionRows;
  readonly batches: readonly PreparedBatch[];
}

class PortionSettler implements Settler {
  readonly #options: SettlerOptions;
  readonly #limits: PortionLimits;
  readonly #lagMax: number;
  readonly #behindMax: number;
  readonly #queue: EventQueue;
  readonly #names: ReturnType<typeof createAccountNames>;
  /** Accounts of the ledger that are open, by their key: 40 bytes each. */
  readonly #open = new Set<number>();
  #head: SettlementHead;
  #isLagging = false;
  #wantsAll = 0;
  #running: Promise<void> | undefined;
  #stopped: StrongroomError | undefined;

  constructor(options: SettlerOptions, head: SettlementHead) {
    this.#options = options;
    this.#limits = {
      tradesMax: options.tradesMax ?? tradesPerPortionMax,
      transfersMax: options.transfersMax ?? transfersPerPortionMax,
    };
    this.#lagMax = options.lagMax ?? lagEventsMax;
    this.#behindMax = Math.min(commandsBehindMax, options.engine.config.clientIdsKept * clientIdsBehindPart);
    this.#names = createAccountNames(options.engine.no);
    this.#queue = new EventQueue(head);
    this.#head = head;
  }
  get waiting(): number {
    return this.#queue.waiting;
  }
  get head(): SettlementHead {
    return this.#head;
  }
  get stopped(): StrongroomError | undefined {
    return this.#stopped;
  }
  get neededFrom(): number {
    const { seq, index } = this.#head;
    return index === wholeCommand ? seq + 1 : seq;
  }
  offer(events: EventSlots, from: number, count: number): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    this.#queue.offer(events, from, count);
    this.#start();
  }
  lagExceeded(): boolean {
    const { waiting } = this.#queue;
    this.#isLagging = waiting > (this.#isLagging ? this.#lagMax / 2 : this.#lagMax);
    return this.#isLagging;
  }
  async drain(publishedSeq?: number): Promise<void> {
    if (publishedSeq !== undefined) this.#queue.complete(publishedSeq);
    this.#wantsAll++;
    try {
      this.#start();
      while (this.#running !== undefined) await this.#running;
    } finally {
      this.#wantsAll--;
    }
    if (this.#stopped !== undefined) throw this.#stopped;
  }
  async stop(): Promise<void> {
    this.#stopped ??= fail(
      'MATCHING_SETTLEMENT_STOPPED',
      `the settler of ${this.#options.engine.name} was stopped`,
    );
    while (this.#running !== undefined) await this.#running;
  }

  #start(): void {
    if (this.#running !== undefined || !this.#hasWork(this.#head)) return;
    this.#running = this.#run();
  }
  #hasWork(head: SettlementHead): boolean {
    if (this.#stopped !== undefined) return false;
    return this.#queue.waiting > 0 || this.#isToFollow(head);
  }
  /** Whether the head is to move although nothing moved value. */
  #isToFollow(head: SettlementHead): boolean {
    const { last } = this.#queue;
    return isBefore(head, last) && (this.#wantsAll > 0 || last.seq - head.seq >= this.#behindMax);
  }

  /** Ends when nothing waits, or for good when the ledger has refused. Never throws. */
  async #run(): Promise<void> {
    let prepared: PreparedPortion | undefined;
    let waitMs: number = retryMs.first;
    // One turn of the event loop, so that what is offered together is booked together.
    await setImmediate();
    try {
      while (this.#hasWork(this.#head)) {
        try {
          // The answer to a commit may have been lost.
          if (waitMs > retryMs.first) this.#moveTo(await readHead(this.#options.pool, this.#options.engine));
          const next = prepared ?? (await this.#prepare(this.#head));
          if (next === undefined) return;
          prepared = await this.#bookAndPrepare(next);
          waitMs = retryMs.first;
        } catch (error) {
          prepared = undefined;
          // A server that took over may not have those that were opened last.
          this.#open.clear();
          if (!isOutage(error)) {
            await this.#refuse(error);
            return;
          }
          this.#options.onOutage?.(error);
          await delay(waitMs);
          waitMs = Math.min(waitMs * 2, retryMs.longest);
        }
      }
    } finally {
      // At once after the last look for work: what is offered later begins anew.
      this.#running = undefined;
    }
  }
  /** While PostgreSQL works on this portion, the next one is prepared. */
  async #bookAndPrepare(prepared: PreparedPortion): Promise<PreparedPortion | undefined> {
    const { pool, engine } = this.#options;
    const { portion } = prepared;
    const [booked, next] = await Promise.allSettled([this.#book(prepared), this.#prepare(portion.head)]);
    if (booked.status === 'rejected') throw booked.reason;
    if (!booked.value) {
      this.#moveTo(await readHead(pool, engine));
      return undefined;
    }
    this.#moveTo(
      portion.head,
      prepared.batches.reduce((sum, { commands }) => sum + commands.length, 0),
    );
    if (next.status === 'rejected') throw next.reason;
    return next.value;
  }
  #moveTo(head: SettlementHead, transfers = 0): void {
    const before = this.#head;
    // A server that took over, or a backup: the events that it lost are let go of here.
    if (isBefore(head, before))
      throw fail('MATCHING_SETTLEMENT_GAP', `settled was ${before.seq}, the database has ${head.seq}`, {
        lastSeq: head.seq,
        lastIndex: head.index,
        settledSeq: before.seq,
      });
    this.#head = head;
    this.#queue.settled(head);
    const trades = Number.parseInt((head.trades - before.trades).toString(), 10);
    if (head.portion !== before.portion)
      this.#options.onBooked?.({ portion: head.portion, trades, transfers });
  }
  async #refuse(cause: unknown): Promise<void> {
    const { engine, onRefused, onOutage } = this.#options;
    const portion = this.#head.portion + 1n;
    if (isStrongroomError(cause) && cause.code === 'MATCHING_SETTLEMENT_GAP') {
      this.#stopped = cause;
      return;
    }
    const error = fail(
      'MATCHING_SETTLEMENT_REFUSED',
      `portion ${portion} of ${engine.name} cannot be booked: ${messageOf(cause)}`,
      { engine: engine.name, portion: portion.toString() },
      cause,
    );
    this.#stopped = error;
    await onRefused({ engine: engine.name, portion, error }).catch((failed: unknown) => onOutage?.(failed));
  }

  async #prepare(after: SettlementHead): Promise<PreparedPortion | undefined> {
    const { pool, ledger, engine } = this.#options;
    if (!this.#hasWork(after)) return undefined;
    const events = await inSteps(
      this.#queue.portionAfter(after, engine.config.markets, this.#limits, this.#isToFollow(after)),
    );
    if (events === undefined) return undefined;
    await this.#names.load(pool, [
      ...events.nets.map(({ account }) => account),
      ...events.movements.map(({ account }) => account),
    ]);
    const context = { engineName: engine.name, assets: engine.assets, accountOf: this.#names.accountOf };
    const portion = await inSteps(portionOf(after, events));
    const unopened = [...accountsOf(context, events, this.#open)];
    for (const some of sliced(unopened)) await ledger.openAccounts(pool, some);
    for (const { key } of unopened) this.#open.add(key);
    const rows = await inSteps(portionRows(engine, portion));
    const batches: PreparedBatch[] = [];
    for (const commands of taken(transfersOf(context, portion), transfersPerBatch)) {
      batches.push(await ledger.prepare(commands));
      await setImmediate();
    }
    return { portion, rows, batches };
  }
  async #book({ rows, batches }: PreparedPortion): Promise<boolean> {
    const { pool, ledger } = this.#options;
    return await inTransaction(pool, async (tx) => {
      if (!(await recordPortion(tx, rows))) return false;
      // Last, because the ledger's other writers wait from here to the commit.
      for (const batch of batches) await ledger.applyPrepared(batch, tx);
      return true;
    });
  }
}

/** The engine must be registered (`openEngine`). Goes on where the engine is settled. */
export async function startSettler(options: SettlerOptions): Promise<Settler> {
  return new PortionSettler(options, await readHead(options.pool, options.engine));
}
