/** Everything of the link that has a size or a pace. */

export interface LinkServerLimits {
  /**
   * Durable commands that are kept in memory, for those who are behind; a power of two. 64 bytes each: 16 MiB, 2.6 s at 100,000
   * commands a second. Whoever falls further behind is cut off, and gets on with the journal.
   */
  readonly recentCommands: number;
  /** An api has one connection; a few more for tools, and for those that the other end has lost but we have not yet. */
  readonly clientsMax: number;
  /** Not sent yet, of one client: commands wait beyond the first, and beyond the second its answers are too many. */
  readonly flowBytes: number;
  readonly bufferedBytesMax: number;
  /** Between two messages about how it goes; every fourth one asks the engine for its state hash. */
  readonly statusMs: number;
  /** For the first message of a client, for its answer to a ping, and for the rest after we have closed. */
  readonly helloMs: number;
  readonly pingMs: number;
  readonly closeMs: number;
}
export const serverLimits: LinkServerLimits = {
  recentCommands: 1 << 18,
  clientsMax: 16,
  flowBytes: 1 << 20,
  bufferedBytesMax: 4 << 20,
  statusMs: 250,
  helloMs: 5_000,
  pingMs: 5_000,
  closeMs: 2_000,
};

export interface LinkClientLimits {
  /** Commands that were sent and have no answer: at 10 ms to an answer, 1.6 million commands a second. */
  readonly pendingCommands: number;
  /** From sending to the events, a lost connection included; then MATCHING_OUTCOME_UNKNOWN. */
  readonly answerMs: number;
  /** Without a word of the engine's process: twenty of its messages are missing. */
  readonly silentMs: number;
  /** For the connection and the first message. */
  readonly connectMs: number;
  /** Between two tries: doubled from the first to the second, and the third when it was refused and a person has to help. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly refusedRetryMs: number;
}
export const clientLimits: LinkClientLimits = {
  pendingCommands: 16_384,
  answerMs: 30_000,
  silentMs: 5_000,
  connectMs: 5_000,
  retryMinMs: 50,
  retryMaxMs: 2_000,
  refusedRetryMs: 10_000,
};

/** Of one message: 256 KiB, which an engine applies within a few milliseconds. */
export const messageCommandsMax = 4_096;
export const snapshotPartBytes = 1 << 18;
/** An engine with the most accounts, 2^22, and 16 assets has 1 GiB of balances. */
export const snapshotBytesMax = 2 ** 31 - 1;
/** How far the reading of the journal may be ahead of the network; well below what makes a client one that is too slow. */
export const historyBytesMax = 1 << 20;
/** Times that a client may read the journal again because the commands in memory have overtaken it. */
export const historyRoundsMax = 16;
/** Readings of the journal at once: each has a thread, and a segment of 64 MiB in memory. */
export const historyThreadsMax = 2;
/** Commands between two drains of the view's events: an event is 96 bytes, and few commands cause more than a handful. */
export const drainEvents = 16_384;
/** Own state hashes that wait for those of the engine's process: 4 million commands at one in 4,096. */
export const hashesKept = 1_024;
/** 128 bits as hexadecimal digits. */
export const tokenLengthMin = 32;
