/** An engine that runs what another one has run, and knows whether it is the same. */

import { errorsOf } from '#core/errors';
import { type CommandSlots, commandBytes, commandSlots } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { createEngine, type Engine, restoreEngine } from '../engine/index.ts';
import { matchingErrors } from '../errors.ts';
import type { EventSlots } from '../events.ts';
import type { StateHash } from '../journal/index.ts';
import { drainEvents, hashesKept, messageCommandsMax } from './limits.ts';
import type { ResetContent } from './wire.ts';

const fail = errorsOf(matchingErrors);
/** Aligned memory for the commands of one message; they are applied before the next one comes. */
const scratch: CommandSlots = commandSlots(new ArrayBuffer(messageCommandsMax * commandBytes));

type SnapshotHead = Pick<ResetContent, 'seq' | 'stateHash'>;

/** A snapshot whose parts come one after the other. */
export class ArrivingSnapshot {
  readonly #head: ResetContent;
  /** No Buffer: its slices would share its memory, and tables of words begin at a multiple of their word. */
  readonly #bytes: Uint8Array;
  #filled = 0;

  constructor(content: ResetContent) {
    this.#head = content;
    this.#bytes = new Uint8Array(content.bytes);
  }

  get seq(): number {
    return this.#head.seq;
  }

  get isWhole(): boolean {
    return this.#filled === this.#bytes.length;
  }

  /** @returns false: it is more than was announced */
  add(part: Uint8Array): boolean {
    if (this.#filled + part.length > this.#bytes.length) return false;
    this.#bytes.set(part, this.#filled);
    this.#filled += part.length;
    return true;
  }

  /** @throws MATCHING_SNAPSHOT_INVALID */
  mirror(config: EngineConfig): Mirror {
    return new Mirror(config, this.#bytes.length === 0 ? undefined : { ...this.#head, content: this.#bytes });
  }
}

export class Mirror {
  readonly engine: Engine;
  /** Commands between two state hashes of the other engine. */
  hashEvery = 1;
  /** Own state hashes by command, oldest first. */
  readonly #hashes = new Map<number, string>();

  /** @param start undefined: an engine without commands @throws MATCHING_SNAPSHOT_INVALID */
  constructor(config: EngineConfig, start: (SnapshotHead & { readonly content: Uint8Array }) | undefined) {
    this.engine = start === undefined ? createEngine(config) : restoreEngine(config, start.content);
    if (start === undefined) return;
    const { seq } = this.engine;
    const hash = this.engine.stateHash();
    if (seq !== start.seq || hash !== start.stateHash)
      throw fail(
        'MATCHING_SNAPSHOT_INVALID',
        `the snapshot of command ${start.seq} gave an engine at ${seq} with state hash ${hash}`,
        { seq, hash, wanted: start.stateHash },
      );
  }

  /**
   * @param commands of `count` slots
   * @param onPortion slots 0 to count - 1, only during the call; may come several times
   * @throws MATCHING_SEQUENCE_GAP
   */
  apply(commands: Uint8Array, count: number, onPortion: (events: EventSlots, count: number) => void): void {
    const { engine } = this;
    scratch.bytes.set(commands);
    let undrained = 0;
    for (let at = 0; at < count; at++) {
      undrained += engine.submit(scratch, at);
      if (engine.seq % this.hashEvery === 0) this.#remember(engine.seq);
      if (undrained < drainEvents) continue;
      engine.drainEvents(onPortion);
      undrained = 0;
    }
    if (undrained > 0) engine.drainEvents(onPortion);
  }

  /** @returns undefined when it is not known any more, as from before the snapshot */
  hashAt(seq: number): string | undefined {
    return seq === this.engine.seq ? this.engine.stateHash() : this.#hashes.get(seq);
  }

  /** Whether it has the state of the other engine after that command; undefined when that cannot be told any more. */
  isSame({ seq, hash }: StateHash): boolean | undefined {
    const own = this.hashAt(seq);
    return own === undefined ? undefined : own === hash;
  }

  #remember(seq: number): void {
    this.#hashes.set(seq, this.engine.stateHash());
    if (this.#hashes.size <= hashesKept) return;
    const [oldest] = this.#hashes.keys();
    if (oldest !== undefined) this.#hashes.delete(oldest);
  }
}
