/** An engine made from what the folder holds: the newest good snapshot and the journal after it. Recovery, standby and replay. */
import { errorsOf, isStrongroomError } from '#core/errors';
import { type CommandSlots, commandFloat64 } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { createEngine, type Engine, restoreEngine } from '../engine/index.ts';
import { matchingErrors } from '../errors.ts';
import type { EventSlots } from '../events.ts';
import { type Files, isAbsent } from './files.ts';
import type { Frame } from './format.ts';
import { type JournalEnd, type JournalNotice, JournalReader } from './reader.ts';
import { listSnapshots, readSnapshot, type Snapshot, snapshotSeq } from './snapshots.ts';

const fail = errorsOf(matchingErrors);
/** Commands between two drains of events, so that what they cause fits the ring of events of the engine many times. */
const drainEvery = 1_024;
/** Own state hashes that wait for the recorded one: the default queue full of commands, a hash after each. Older ones are not compared. */
const hashesKept = 65_536;

export interface ReplicaOptions {
  readonly files: Files;
  readonly folder: string;
  readonly config: EngineConfig;
  readonly configHash: Uint8Array;
  /** Default: nobody. */
  readonly onNotice?: (notice: JournalNotice) => void;
  /** Events as they are replayed; slots 0 to count - 1, only during the call. Default: nobody. */
  readonly onEvents?: (events: EventSlots, count: number) => void;
  /** Only snapshots up to this command are looked at; 0: the journal from its start. Default: all. */
  readonly snapshotsThroughSeq?: number;
}
export interface Recovered extends JournalEnd {
  /** Of the last command; 0 without one. */
  readonly timeMs: number;
  readonly stateHash: string;
  /** Recorded state hashes that were compared with this engine's. */
  readonly hashesCompared: number;
}

interface Start {
  readonly engine: Engine;
  readonly timeMs: number;
}

/** Those that are damaged are told and left out; one of other semantics or configuration is an error. */
function startOf(options: ReplicaOptions): Start {
  const {
    files,
    folder,
    config,
    configHash,
    onNotice,
    snapshotsThroughSeq = Number.MAX_SAFE_INTEGER,
  } = options;
  const names = listSnapshots(files, folder).filter((name) => snapshotSeq(name) <= snapshotsThroughSeq);
  for (const snapshot of names) {
    try {
      return restored(config, snapshot, readSnapshot(files, folder, snapshot, configHash));
    } catch (error) {
      // Old ones are removed while others look; what was needed of it is found missing by the journal's reader.
      if (isAbsent(error)) continue;
      if (!isStrongroomError(error) || error.code !== 'MATCHING_SNAPSHOT_INVALID') throw error;
      onNotice?.({ kind: 'snapshot-skipped', snapshot, problem: error.message });
    }
  }
  return { engine: createEngine(config), timeMs: 0 };
}

function restored(config: EngineConfig, name: string, snapshot: Snapshot): Start {
  const engine = restoreEngine(config, snapshot.content);
  if (engine.seq !== snapshot.seq || engine.stateHash() !== snapshot.stateHash)
    throw fail('MATCHING_SNAPSHOT_INVALID', `${name}: its content is not the state its header names`, {
      snapshot: name,
    });
  return { engine, timeMs: snapshot.timeMs };
}

export class Replica {
  readonly engine: Engine;
  readonly #options: ReplicaOptions;
  readonly #reader: JournalReader;
  readonly #hashes = new Map<number, string>();
  #timeMs: number;
  #hashesCompared = 0;

  /** @throws MATCHING_JOURNAL_OTHER_FORMAT, MATCHING_JOURNAL_OTHER_SEMANTICS, MATCHING_JOURNAL_OTHER_CONFIG */
  constructor(options: ReplicaOptions) {
    const { engine, timeMs } = startOf(options);
    this.engine = engine;
    this.#options = options;
    this.#timeMs = timeMs;
    this.#reader = new JournalReader({ ...options, afterSeq: engine.seq });
  }

  get hashesCompared(): number {
    return this.#hashesCompared;
  }

  /** Applies what the primary has appended. @throws MATCHING_REPLAY_DIVERGED, and as {@link JournalReader.follow} */
  follow(): void {
    this.#reader.follow((...frame) => this.#apply(...frame));
  }

  /** Applies the journal to its end. @throws MATCHING_REPLAY_DIVERGED, and as {@link JournalReader.finish} */
  finish(): Recovered {
    const end = this.#reader.finish(
      (...frame) => this.#apply(...frame),
      (notice) => this.#options.onNotice?.(notice),
    );
    return {
      ...end,
      timeMs: this.#timeMs,
      stateHash: this.engine.stateHash(),
      hashesCompared: this.#hashesCompared,
    };
  }

  #apply(frame: Frame, slots: CommandSlots, at: number, hashEvery: number): void {
    const { engine } = this;
    for (let index = 0; index < frame.commands; index++) {
      const seq = frame.firstSeq + index;
      // The snapshot we began with has it.
      if (seq <= engine.seq) continue;
      engine.submit(slots, at + index);
      this.#timeMs = slots.float64[(at + index) * 8 + commandFloat64.timeMs] ?? 0;
      if (seq % hashEvery === 0) this.#remember(seq);
      if (seq % drainEvery === 0) this.#drain();
    }
    this.#drain();
    if (frame.stateHash !== undefined) this.#compare(frame.stateHash.seq, frame.stateHash.hash);
  }

  #drain(): void {
    this.engine.drainEvents((events, count) => {
      if (count > 0) this.#options.onEvents?.(events, count);
    });
  }

  #remember(seq: number): void {
    this.#hashes.set(seq, this.engine.stateHash());
    if (this.#hashes.size <= hashesKept) return;
    for (const oldest of this.#hashes.keys()) {
      this.#hashes.delete(oldest);
      return;
    }
  }

  #compare(seq: number, recorded: string): void {
    const own = seq === this.engine.seq ? this.engine.stateHash() : this.#hashes.get(seq);
    // From before our snapshot.
    if (own === undefined) return;
    if (own !== recorded)
      throw fail(
        'MATCHING_REPLAY_DIVERGED',
        `after command ${seq} the state hash is ${own}, recorded is ${recorded}`,
        {
          seq,
          own,
          recorded,
        },
      );
    this.#hashesCompared += 1;
    for (const older of this.#hashes.keys()) if (older <= seq) this.#hashes.delete(older);
  }
}
