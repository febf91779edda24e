/** What a sequencer is given and what it offers. */
import type { Clock } from '#core/ports';
import type { CommandBody, CommandSlots } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import type { BookLevel, Engine } from '../engine/index.ts';
import type { EngineEvent, EventSlots } from '../events.ts';
import type { Files, JournalNotice, Recovered, StateHash } from '../journal/index.ts';
import type { Side } from '../vocabulary.ts';
import type { EngineState } from './engine-thread.ts';
import type { SequencerLimits } from './limits.ts';

/**
 * Slots `from` to `from + count - 1` hold the next events, in the order of (sequence, index) and without a gap; they are
 * used again after the call. One command's events may come in several calls.
 */
export type EventsListener = (events: EventSlots, from: number, count: number) => void;

/** Slots `from` to `from + count - 1` hold the next commands, in order and without a gap; they are used again after the call. */
export type CommandsListener = (commands: CommandSlots, from: number, count: number) => void;

export type SequencerNotice =
  | JournalNotice
  | { readonly kind: 'snapshot-named'; readonly seq: number }
  /** Trading goes on, for the journal has everything; recovery takes longer. */
  | { readonly kind: 'snapshot-failed'; readonly seq: number; readonly problem: string }
  | { readonly kind: 'files-removed'; readonly names: readonly string[] }
  /** What a process that ended had not finished could not be removed; it only takes room. */
  | { readonly kind: 'files-left'; readonly problem: string }
  /** It was taken off the list; what it missed it can get from `replayEvents`. */
  | { readonly kind: 'listener-failed'; readonly problem: string; readonly seq: number };

export interface SequencerOptions {
  /** Of the journal and its snapshots; shared with the standby, used by nothing else. */
  readonly folder: string;
  readonly config: EngineConfig;
  readonly clock: Clock;
  readonly limits?: Partial<SequencerLimits>;
  /** What the journal is written and snapshots are named with; the engine's thread always uses node's. */
  readonly files?: Files;
  readonly onNotice?: (notice: SequencerNotice) => void;
  /** Once, when it stops without having been closed: fenced, the disk or the engine failed. */
  readonly onStopped?: (error: Error) => void;
}

export interface Sequencer {
  /**
   * @returns the command's events, when they are durable
   * @throws MATCHING_BUSY (not taken); MATCHING_STOPPED (not taken); MATCHING_FENCED, MATCHING_JOURNAL_WRITE_FAILED,
   * MATCHING_ENGINE_FAILED: whether it was taken is for the next primary to say
   */
  readonly submit: (command: CommandBody) => Promise<readonly EngineEvent[]>;
  /**
   * Takes `count` commands from slots that `writeCommand` has filled, all or none; their sequence numbers and times are
   * overwritten. For gateways with many: nothing is allocated per command, events come to listeners.
   * @returns sequence number of the last one; see {@link published}
   * @throws MATCHING_BUSY, MATCHING_STOPPED
   */
  readonly submitSlots: (slots: CommandSlots, from: number, count: number) => number;
  /** Resolves when every event up to this command has been published. @throws as {@link submit} */
  readonly published: (seq: number) => Promise<void>;
  /** @returns ends it */
  readonly subscribe: (listener: EventsListener) => () => void;
  /**
   * For whoever runs the commands through an engine of its own: each command once, as soon as it is durable and before its
   * events are published, beginning behind {@link durableSeq}. Nothing is allocated per command.
   * @returns ends it
   */
  readonly subscribeCommands: (listener: CommandsListener) => () => void;
  /**
   * Only what is durable is told: the answer is held back until its command is published.
   * @throws MATCHING_FENCED when another process may have gone on
   */
  readonly state: () => Promise<EngineState>;
  readonly balance: (account: number, asset: number) => Promise<ReturnType<Engine['balance']>>;
  /** Best first. */
  readonly levels: (market: number, side: Side, max: number) => Promise<readonly BookLevel[]>;
  readonly epoch: number;
  /** Last command taken, and last one published. */
  readonly lastSeq: number;
  readonly publishedSeq: number;
  /** Last one the journal has for certain; never before the last one published. */
  readonly durableSeq: number;
  /** Commands between two state hashes, and the newest one that the journal has got; its command is durable. */
  readonly hashEvery: number;
  readonly recordedHash: StateHash | undefined;
  /** What recovery found. Events up to its end that a listener has not had are got with `replayEvents`. */
  readonly recovered: Recovered;
  /** Events of commands from here on may still be asked for again; older segments may go when snapshots cover them. */
  readonly neededFrom: (seq: number) => void;
  /** Publishes what was taken, records the state hash, and ends. */
  readonly close: () => Promise<void>;
}
