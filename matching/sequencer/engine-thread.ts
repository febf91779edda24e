/**
 * The engine's thread. It first follows the journal as a standby does; told to finish, it reads it to its end and from then
 * on serves the ring of commands. It sleeps in `Atomics.wait`, so messages to it are taken from the port by hand.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type ErrorDetails, isStrongroomError, messageOf } from '#core/errors';
import { commandFloat64 } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import type { BookLevel, Engine } from '../engine/index.ts';
import type { EventSlots } from '../events.ts';
import { nodeFiles } from '../journal/files.ts';
import type { StateHash } from '../journal/format.ts';
import type { JournalNotice } from '../journal/reader.ts';
import { type Recovered, Replica } from '../journal/replica.ts';
import { writeSnapshot } from '../journal/snapshots.ts';
import type { Side } from '../vocabulary.ts';
import { inlineWholeCommands } from './inlining.ts';
import { distance, Rings, type SharedRings } from './rings.ts';

export interface EngineThreadData {
  readonly rings: SharedRings;
  readonly port: MessagePort;
  readonly folder: string;
  readonly config: EngineConfig;
  readonly configHash: Uint8Array;
  /** Between two looks at the journal while it follows. */
  readonly pollMs: number;
  readonly hashEvery: number;
  /** Commands between two snapshots; 0: none. */
  readonly snapshotEvery: number;
  /** Of the journal: what a snapshot leaves free for it. */
  readonly segmentBytes: number;
}
export type EngineQuery =
  | { readonly kind: 'state' }
  | { readonly kind: 'balance'; readonly account: number; readonly asset: number }
  | { readonly kind: 'levels'; readonly market: number; readonly side: Side; readonly max: number };
export interface EngineState extends StateHash {
  readonly openOrders: number;
}
export type EngineAnswer = EngineState | ReturnType<Engine['balance']> | readonly BookLevel[];
export type ToEngineThread =
  | { readonly kind: 'finish'; readonly epoch: number }
  | { readonly kind: 'query'; readonly id: number; readonly query: EngineQuery };
export interface Followed extends StateHash {
  readonly hashesCompared: number;
}
export type FromEngineThread =
  | { readonly kind: 'bell' }
  | ({ readonly kind: 'followed' } & Followed)
  | { readonly kind: 'notice'; readonly notice: JournalNotice }
  | { readonly kind: 'recovered'; readonly recovered: Recovered }
  | { readonly kind: 'state-hash'; readonly stateHash: StateHash }
  | { readonly kind: 'snapshot'; readonly seq: number; readonly temporary: string }
  | { readonly kind: 'snapshot-failed'; readonly seq: number; readonly problem: string }
  | { readonly kind: 'answer'; readonly id: number; readonly seq: number; readonly answer: EngineAnswer }
  | {
      readonly kind: 'failed';
      readonly code?: string;
      readonly message: string;
      readonly details: ErrorDetails;
    };

/** Commands between two looks at the ring's other end, so that the sequencer hears early of the first ones. */
const batchMax = 512;
/** Undrained events after which a batch ends early. */
const undrainedMax = 4_096;

const data = workerData as EngineThreadData;
const { folder, config, configHash, hashEvery, snapshotEvery, segmentBytes } = data;
const rings = new Rings(data.rings);
let mailTaken = 0;

function send(message: FromEngineThread): void {
  parentPort?.postMessage(message);
}

function ring(): void {
  if (rings.takeBell()) send({ kind: 'bell' });
}

const hasMail = (): boolean => rings.load('mail') !== mailTaken;

/** @returns the epoch when it was told to finish */
function answerMail(engine: Engine): number | undefined {
  let epoch: number | undefined;
  for (
    let mail = receiveMessageOnPort(data.port);
    mail !== undefined;
    mail = receiveMessageOnPort(data.port)
  ) {
    mailTaken = (mailTaken + 1) | 0;
    const message = mail.message as ToEngineThread;
    if (message.kind === 'finish') epoch = message.epoch;
    else send({ kind: 'answer', id: message.id, seq: engine.seq, answer: answerOf(engine, message.query) });
  }
  return epoch;
}

function answerOf(engine: Engine, query: EngineQuery): EngineAnswer {
  switch (query.kind) {
    case 'state':
      return { seq: engine.seq, hash: engine.stateHash(), openOrders: engine.openOrders };
    case 'balance':
      return engine.balance(query.account, query.asset);
    case 'levels':
      return engine.levels(query.market, query.side, query.max);
  }
}

/** @returns the epoch to serve under, and the engine as it is at the end of the journal */
function follow(): { readonly epoch: number; readonly recovered: Recovered; readonly engine: Engine } {
  const replica = new Replica({
    files: nodeFiles,
    folder,
    config,
    configHash,
    onNotice: (notice) => send({ kind: 'notice', notice }),
  });
  const { engine } = replica;
  for (let told = -1; ; ) {
    const epoch = answerMail(engine);
    if (epoch !== undefined) return { epoch, recovered: replica.finish(), engine };
    replica.follow();
    if (engine.seq !== told) {
      told = engine.seq;
      send({ kind: 'followed', seq: told, hash: engine.stateHash(), hashesCompared: replica.hashesCompared });
    }
    rings.sleep(hasMail, data.pollMs);
  }
}

/** Waits while the ring is full: an event is never dropped. */
function putEvents(events: EventSlots, count: number): void {
  const { eventCapacity } = rings;
  for (let from = 0; from < count; ) {
    const tail = rings.load('eventTail');
    const free = (): number => eventCapacity - distance(rings.load('eventHead'), tail);
    while (free() === 0) {
      ring();
      rings.sleep(() => free() > 0);
    }
    const at = tail & (eventCapacity - 1);
    const run = Math.min(count - from, free(), eventCapacity - at);
    rings.events.int32.set(events.int32.subarray(from * 24, (from + run) * 24), at * 24);
    rings.store('eventTail', (tail + run) | 0);
    from += run;
  }
}

class Server {
  readonly #engine: Engine;
  readonly #epoch: number;

  constructor(engine: Engine, epoch: number) {
    this.#engine = engine;
    this.#epoch = epoch;
  }

  serve(): never {
    for (;;) {
      if (hasMail()) answerMail(this.#engine);
      const head = rings.load('commandHead');
      const waiting = distance(head, rings.load('commandTail'));
      if (waiting > 0) this.#applyBatch(head, Math.min(waiting, batchMax));
      else rings.sleep(() => hasMail() || rings.load('commandTail') !== head);
    }
  }

  #applyBatch(head: number, count: number): void {
    const engine = this.#engine;
    const mask = rings.commandCapacity - 1;
    let undrained = 0;
    let applied = 0;
    let stateHash: StateHash | undefined;
    let isSnapshotDue = false;
    while (applied < count && undrained < undrainedMax && !isSnapshotDue) {
      undrained += engine.submit(rings.commands, (head + applied) & mask);
      applied++;
      if (engine.seq % hashEvery === 0) stateHash = { seq: engine.seq, hash: engine.stateHash() };
      isSnapshotDue = snapshotEvery > 0 && engine.seq % snapshotEvery === 0;
    }
    engine.drainEvents(putEvents);
    // A snapshot takes the time from the last command; its slot is the sequencer's again when the head has passed it.
    const timeMs = rings.commands.float64[((head + applied - 1) & mask) * 8 + commandFloat64.timeMs] ?? 0;
    rings.store('commandHead', (head + applied) | 0);
    ring();
    if (stateHash !== undefined) send({ kind: 'state-hash', stateHash });
    if (isSnapshotDue) this.#snapshot(timeMs);
  }

  /** In this thread: commands wait in the ring meanwhile, they are journalled and lose nothing. */
  #snapshot(timeMs: number): void {
    const { seq } = this.#engine;
    const snapshot = {
      seq,
      timeMs,
      stateHash: this.#engine.stateHash(),
      content: this.#engine.snapshot(),
      configHash,
      epoch: this.#epoch,
      roomKeptBytes: segmentBytes,
    };
    try {
      send({ kind: 'snapshot', seq, temporary: writeSnapshot(nodeFiles, folder, snapshot) });
    } catch (error) {
      send({ kind: 'snapshot-failed', seq, problem: messageOf(error) });
    }
  }
}

inlineWholeCommands();
try {
  const { epoch, recovered, engine } = follow();
  send({ kind: 'recovered', recovered });
  new Server(engine, epoch).serve();
} catch (error) {
  send({
    kind: 'failed',
    ...(isStrongroomError(error) ? { code: error.code, details: error.details } : { details: {} }),
    message: messageOf(error),
  });
}
