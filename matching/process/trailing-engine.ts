/**
 * An engine of one's own that is brought to any event further on, by the journal: for the comparison with the ledger, which
 * needs the balances at the event up to which the ledger is settled, while the engine that serves is long past it.
 */
import { errorsOf } from '#core/errors';
import { type CommandSlots, commandBytes, commandSlots } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import type { Engine } from '../engine/index.ts';
import { matchingErrors } from '../errors.ts';
import { configHashOf, nodeFiles, Replica } from '../journal/index.ts';
import { JournalReader } from '../journal/reader.ts';
import type { EngineBalances } from '../settlement/index.ts';
import { type EventPlace, wholeCommand } from '../settlement/settlement-events.ts';

const fail = errorsOf(matchingErrors);

/** Commands that were read and are not applied yet. */
interface Waiting {
  readonly slots: CommandSlots;
  readonly firstSeq: number;
  readonly count: number;
}

export class TrailingEngine implements EngineBalances {
  readonly #engine: Engine;
  readonly #reader: JournalReader;
  readonly #waiting: Waiting[] = [];
  #lastIndex = -1;

  /** Begins with the newest snapshot from which the event can be reached. */
  constructor(options: { readonly folder: string; readonly config: EngineConfig; readonly at: EventPlace }) {
    const { folder, config, at } = options;
    const journal = { files: nodeFiles, folder, configHash: configHashOf(config) };
    // The events of a command are to be counted only where it is settled in part. A command that is settled whole is not needed any
    // more, so the oldest snapshot that is kept may be the one behind it.
    const snapshotsThroughSeq = at.index === wholeCommand ? at.seq : Math.max(at.seq - 1, 0);
    const start = new Replica({ ...journal, config, snapshotsThroughSeq });
    this.#engine = start.engine;
    this.#reader = new JournalReader({ ...journal, afterSeq: start.engine.seq });
  }

  get seq(): number {
    return this.#engine.seq;
  }
  /** Of the last command that was applied here; -1 before the first, also behind a snapshot. */
  get lastIndex(): number {
    return this.#lastIndex;
  }
  balance(account: number, asset: number): ReturnType<Engine['balance']> {
    return this.#engine.balance(account, asset);
  }

  /** @throws MATCHING_JOURNAL_GAP when what is needed was removed, or the journal does not reach so far */
  advanceTo(seq: number): void {
    this.#apply(seq);
    if (this.seq < seq) {
      this.#reader.follow(({ commands, firstSeq }, { bytes }, at) => {
        const own = bytes.slice(at * commandBytes, (at + commands) * commandBytes);
        this.#waiting.push({ slots: commandSlots(own.buffer), firstSeq, count: commands });
      });
      this.#apply(seq);
    }
    if (this.seq !== seq)
      throw fail('MATCHING_JOURNAL_GAP', `settled is command ${seq}, the journal was read to ${this.seq}`, {
        settledSeq: seq,
        journalSeq: this.seq,
      });
  }

  #apply(seq: number): void {
    const engine = this.#engine;
    let first = this.#waiting[0];
    while (first !== undefined && first.firstSeq <= seq) {
      const { slots, firstSeq, count } = first;
      for (let at = Math.max(engine.seq + 1 - firstSeq, 0); at < count && firstSeq + at <= seq; at++) {
        this.#lastIndex = engine.submit(slots, at) - 1;
        engine.drainEvents(() => undefined);
      }
      if (firstSeq + count - 1 > seq) return;
      this.#waiting.shift();
      first = this.#waiting[0];
    }
  }
}
