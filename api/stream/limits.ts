/** Everything of the stream that has a size or a pace, with its sum, and the codes a connection is closed with. */

export const streamPath = '/v1/stream';

export interface StreamLimits {
  /**
   * Connections of the process. What waits for them is mostly one frame that all share; were it never shared, 2,000 connections at
   * `bufferedBytesMax` would hold 2 GiB.
   */
  readonly clients: number;
  /** Connections of one caller: a key cannot take the place of all others. 20 keys fill the process. */
  readonly clientsPerCaller: number;
  /** Channels of one connection; a market has 9 (book, trades, ticker, six intervals), so 20 markets whole. */
  readonly subscriptionsPerClient: number;
  /** Messages in a minute that are not understood; one above closes the connection. */
  readonly invalidPerMinute: number;
  /**
   * Orders, those of batches each, and accounts asked for on one connection and not answered yet: a full batch and some more. 2,000
   * connections at it are 128,000, of which the link takes 16,384 and refuses the rest with TRADING_BUSY.
   */
  readonly inFlightPerClient: number;
  /**
   * Waiting to be sent to one connection: some seconds of a market at 1,000 messages a second of 150 bytes. Beyond it the
   * connection is closed, so that a slow one costs no more than this. A snapshot it asked for does not count, nor what was written in
   * the same turn: an order that meets 8,000 is 1.3 MB of trades at once, which is nobody's fault.
   */
  readonly bufferedBytesMax: number;
  /**
   * Snapshots and missed messages on their way to one connection; beyond it it may ask for no more. 50 books of 80 KiB. What is
   * asked for of a market at the same moment is the same bytes for all.
   */
  readonly askedBytesMax: number;
  /**
   * Of those, what was made for one connection alone (missed messages, snapshots of accounts), of all connections: 1,000 that come
   * back at once with as much as `replayBytesMax`. Above it none is made until some were taken.
   */
  readonly askedBytesInAll: number;
  /** Missed messages that are sent at once to one who comes back; beyond it a snapshot is less. Half of what may wait. */
  readonly replayBytesMax: number;
  /** Messages kept for one who waits for the snapshot of an account, which takes milliseconds. */
  readonly heldMessagesMax: number;
  /** Between two pings. One who did not answer the last ping by the next is gone: 15 to 30 s. */
  readonly heartbeatMs: number;
  /**
   * Between two looks whether a key is in force still; an order looks for itself at once. 2,000 connections of as many keys are
   * 400 reads of a row in a second.
   */
  readonly recheckMs: number;
  /**
   * How long a stream goes on while nobody says whether its key is in force: the key may have been revoked where the database is seen.
   * Longer than a database takes to be replaced by its standby.
   */
  readonly unvouchedMs: number;
  /** From the code of a close to the end of a connection that does not answer it; the end of the api waits for it too. */
  readonly closeGraceMs: number;
  /** For the headers of an upgrade to be judged. */
  readonly upgradeMs: number;
}

export const streamLimits: StreamLimits = {
  clients: 2_000,
  clientsPerCaller: 100,
  subscriptionsPerClient: 200,
  invalidPerMinute: 20,
  inFlightPerClient: 64,
  bufferedBytesMax: 2 ** 20,
  askedBytesMax: 4 * 2 ** 20,
  askedBytesInAll: 2 ** 29,
  replayBytesMax: 2 ** 19,
  heldMessagesMax: 10_000,
  heartbeatMs: 15_000,
  recheckMs: 5_000,
  unvouchedMs: 60_000,
  closeGraceMs: 2_000,
  upgradeMs: 5_000,
};

/**
 * Of one message that comes in, as of a body over REST: the largest honest one is a batch of 50 orders of 500 bytes. 2,000
 * connections that leave one unfinished hold 128 MiB.
 */
export const inboundBytesMax = 64 * 1_024;
/** Of what is written to a socket in one piece, so that the kernel has it early. */
export const corkedBytesMax = 2 ** 16;

/** Beside those of RFC 6455: 1001 the server ends, 1003 a binary message, 1007 not UTF-8, 1009 a message too large. */
export const closeCodes = {
  /** The key was revoked. */
  credentialsEnded: 4001,
  /** More than `invalidPerMinute`. */
  invalidMessages: 4002,
  /** Twice what the key may send in a second; what is above once is answered with a problem, unread. */
  tooManyMessages: 4003,
  /** For `unvouchedMs` it could not be told whether the key is in force. */
  credentialsUnknown: 4004,
  /** More than `bufferedBytesMax` waited. */
  slowConsumer: 4008,
} as const;
