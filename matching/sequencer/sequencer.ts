/**
 * Gives commands their place and time, hands them to the journal and to the engine at once, and publishes what the engine
 * made of them when, and only when, the journal has them.
 */
import { errorsOf } from '#core/errors';
import {
  type CommandBody,
  type CommandSlots,
  commandBytes,
  commandFloat64,
  writeCommand,
} from '../commands.ts';
import type { BookLevel, Engine } from '../engine/index.ts';
import { matchingErrors } from '../errors.ts';
import type { EngineEvent } from '../events.ts';
import {
  assertUnfenced,
  type Files,
  type JournalSource,
  type JournalWriter,
  type Recovered,
  type StateHash,
  writeFailure,
} from '../journal/index.ts';
import type { Side } from '../vocabulary.ts';
import type { EngineQuery, EngineState } from './engine-thread.ts';
import type { SequencerLimits } from './limits.ts';
import { Publisher } from './publisher.ts';
import { distance, type Rings } from './rings.ts';
import { SnapshotKeeper } from './snapshot-keeper.ts';
import type { Answered, EngineThread, ThreadNews } from './thread.ts';
import type {
  CommandsListener,
  EventsListener,
  Sequencer,
  SequencerNotice,
  SequencerOptions,
} from './types.ts';

const fail = errorsOf(matchingErrors);

interface Parts {
  readonly options: SequencerOptions;
  readonly limits: SequencerLimits;
  readonly files: Files;
  readonly configHash: Uint8Array;
  /** Claimed. */
  readonly epoch: number;
  /** Told to finish, with what it found. */
  readonly thread: EngineThread;
  readonly recovered: Recovered;
  readonly beginJournal: (source: JournalSource) => Promise<JournalWriter>;
}

export class RunningSequencer implements Sequencer {
  readonly recovered: Recovered;
  readonly epoch: number;
  readonly #parts: Parts;
  readonly #thread: EngineThread;
  readonly #rings: Rings;
  readonly #commandMask: number;
  readonly #publisher: Publisher;
  readonly #snapshots: SnapshotKeeper;
  #journal: JournalWriter | undefined;
  #stopped: Error | undefined;
  #closing: Promise<void> | undefined;
  #lastSeq: number;
  #lastTimeMs: number;
  #commandTail = 0;
  /** By the journal. */
  #takenPosition = 0;
  #durableSeq: number;
  /** Waits for the journal; the other one the journal has. */
  #stateHash: StateHash | undefined;
  #recordedHash: StateHash | undefined;

  private constructor(parts: Parts) {
    const { recovered, thread, epoch, limits, files, configHash } = parts;
    this.recovered = recovered;
    this.epoch = epoch;
    this.#parts = parts;
    this.#thread = thread;
    this.#rings = thread.rings;
    this.#commandMask = this.#rings.commandCapacity - 1;
    this.#lastSeq = recovered.nextSeq - 1;
    this.#durableSeq = this.#lastSeq;
    this.#lastTimeMs = recovered.timeMs;
    const tell = (notice: SequencerNotice): void => parts.options.onNotice?.(notice);
    this.#publisher = new Publisher(this.#rings, this.#lastSeq, (problem, seq) =>
      tell({ kind: 'listener-failed', problem, seq }),
    );
    const { snapshotsKept, segmentsKept } = limits;
    const { folder } = parts.options;
    this.#snapshots = new SnapshotKeeper({
      snapshotsKept,
      segmentsKept,
      files,
      folder,
      configHash,
      epoch,
      tell,
    });
  }

  static async start(parts: Parts): Promise<RunningSequencer> {
    const sequencer = new RunningSequencer(parts);
    sequencer.#journal = await parts.beginJournal(sequencer.#source());
    parts.thread.handOver(
      (news) => sequencer.#hear(news),
      (error) => sequencer.#stop(error),
    );
    return sequencer;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  get publishedSeq(): number {
    return this.#publisher.publishedSeq;
  }

  get durableSeq(): number {
    return this.#durableSeq;
  }

  get hashEvery(): number {
    return this.#parts.limits.hashEvery;
  }

  get recordedHash(): StateHash | undefined {
    return this.#recordedHash;
  }

  // -------------------------------------------------------------- commands in

  async submit(command: CommandBody): Promise<readonly EngineEvent[]> {
    this.#assertTakes(1);
    const seq = this.#lastSeq + 1;
    const timeMs = this.#nowMs();
    writeCommand(this.#rings.commands, this.#commandTail & this.#commandMask, { ...command, seq, timeMs });
    const events = this.#publisher.eventsOf(seq);
    this.#taken(1, timeMs);
    return await events;
  }

  submitSlots(slots: CommandSlots, from: number, count: number): number {
    this.#assertTakes(count);
    const timeMs = this.#nowMs();
    const { bytes, float64 } = this.#rings.commands;
    const at = this.#commandTail & this.#commandMask;
    const first = Math.min(count, this.#rings.commandCapacity - at);
    const middle = (from + first) * commandBytes;
    bytes.set(slots.bytes.subarray(from * commandBytes, middle), at * commandBytes);
    bytes.set(slots.bytes.subarray(middle, (from + count) * commandBytes));
    for (let index = 0; index < count; index++) {
      const word = ((at + index) & this.#commandMask) * 8;
      float64[word + commandFloat64.seq] = this.#lastSeq + 1 + index;
      float64[word + commandFloat64.timeMs] = timeMs;
    }
    this.#taken(count, timeMs);
    return this.#lastSeq;
  }

  #assertTakes(count: number): void {
    if (this.#stopped !== undefined || this.#closing !== undefined)
      throw fail('MATCHING_STOPPED', 'the sequencer takes no more commands', {}, this.#stopped);
    // What is not published may still lie in its slot for the journal or the engine.
    const waiting = this.#lastSeq - this.publishedSeq;
    const limit = this.#rings.commandCapacity;
    if (waiting + count > limit)
      throw fail('MATCHING_BUSY', `${waiting} commands wait, the queue has room for ${limit}`, {
        waiting,
        limit,
      });
  }

  /** A clock that is set back stands still for us. */
  #nowMs(): number {
    return Math.max(this.#lastTimeMs, Math.floor(this.#parts.options.clock.nowMs()));
  }

  #taken(count: number, timeMs: number): void {
    this.#lastSeq += count;
    this.#lastTimeMs = timeMs;
    this.#commandTail = (this.#commandTail + count) | 0;
    this.#rings.store('commandTail', this.#commandTail);
    this.#rings.wakeEngine();
    this.#journal?.wake();
  }

  // -------------------------------------------------------------- journal

  #source(): JournalSource {
    return {
      waiting: () => distance(this.#takenPosition, this.#commandTail),
      take: (target, count) => this.#take(target, count),
      takeStateHash: () => this.#takeStateHash(),
      onDurable: (throughSeq) => {
        this.#durableSeq = throughSeq;
        this.#publish();
      },
      onFailed: (error) => this.#stop(error),
    };
  }

  #take(target: Uint8Array, count: number): void {
    const at = this.#takenPosition & this.#commandMask;
    const first = Math.min(count, this.#rings.commandCapacity - at);
    const { bytes } = this.#rings.commands;
    target.set(bytes.subarray(at * commandBytes, (at + first) * commandBytes));
    target.set(bytes.subarray(0, (count - first) * commandBytes), first * commandBytes);
    this.#takenPosition = (this.#takenPosition + count) | 0;
  }

  /** The engine may be ahead of the disk; the state after a command that may yet be lost is not recorded. */
  #takeStateHash(): StateHash | undefined {
    const stateHash = this.#stateHash;
    if (stateHash === undefined || stateHash.seq > this.#durableSeq) return undefined;
    this.#stateHash = undefined;
    this.#recordedHash = stateHash;
    return stateHash;
  }

  // -------------------------------------------------------------- events out

  #hear(news: ThreadNews): void {
    if (this.#stopped !== undefined) return;
    if (news.kind === 'state-hash') {
      this.#stateHash = news.stateHash;
      this.#journal?.wake();
    } else if (news.kind === 'snapshot') this.#snapshots.add(news);
    else if (news.kind === 'snapshot-failed') this.#parts.options.onNotice?.(news);
    this.#publish();
  }

  #publish(): void {
    if (this.#stopped !== undefined) return;
    this.#publisher.publish(this.#durableSeq);
    this.#snapshots.nameThrough(this.#durableSeq);
  }

  async published(seq: number): Promise<void> {
    await this.#publisher.published(seq);
  }

  subscribe(listener: EventsListener): () => void {
    return this.#publisher.subscribe(listener);
  }

  subscribeCommands(listener: CommandsListener): () => void {
    return this.#publisher.subscribeCommands(listener);
  }

  neededFrom(seq: number): void {
    this.#snapshots.neededFromSeq = seq;
  }

  // -------------------------------------------------------------- questions

  async state(): Promise<EngineState> {
    return (await this.#ask({ kind: 'state' })).answer as EngineState;
  }

  async balance(account: number, asset: number): Promise<ReturnType<Engine['balance']>> {
    return (await this.#ask({ kind: 'balance', account, asset })).answer as ReturnType<Engine['balance']>;
  }

  async levels(market: number, side: Side, max: number): Promise<readonly BookLevel[]> {
    return (await this.#ask({ kind: 'levels', market, side, max })).answer as readonly BookLevel[];
  }

  async #ask(query: EngineQuery): Promise<Answered> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const answered = await this.#thread.ask(query);
    await this.published(answered.seq);
    // Without commands nothing else would tell us that others have gone on without us.
    this.#assertPrimary();
    return answered;
  }

  #assertPrimary(): void {
    const { files, options, epoch } = this.#parts;
    try {
      assertUnfenced(files, options.folder, epoch);
    } catch (error) {
      const failure = writeFailure(error);
      this.#stop(failure);
      throw failure;
    }
  }

  // -------------------------------------------------------------- end

  /** Nothing is acknowledged after this line has run. */
  #stop(error: Error): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    void this.#thread.terminate();
    // The file may be what failed.
    void this.#journal?.abandon().catch(() => undefined);
    this.#publisher.end(error);
    this.#parts.options.onStopped?.(error);
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }
  async #close(): Promise<void> {
    if (this.#stopped !== undefined) return;
    await this.published(this.#lastSeq);
    const { seq, hash } = await this.state();
    // Also proof to the next reader that the frame before it was whole.
    this.#stateHash = { seq, hash };
    await this.#journal?.close();
    this.#stopped ??= fail('MATCHING_STOPPED', 'the sequencer was closed');
    // Whoever waits for a command that was never taken is told so.
    this.#publisher.end(this.#stopped);
    await this.#thread.terminate();
  }
}
