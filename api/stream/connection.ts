/**
 * One connection: what is written to it, and how much may wait. It never waits for the other side: one that does not read is
 * closed, and the rest go on.
 */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Frame } from './frames.ts';
import { closeCodes, corkedBytesMax, type StreamLimits } from './limits.ts';

const textMessage = { binary: false } as const;

/** Connections with something to write at the end of this turn: many messages to one of them are one call of the system. */
export class Corks {
  #corked: Connection[] = [];

  add(connection: Connection): void {
    if (this.#corked.push(connection) === 1) process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    const corked = this.#corked;
    this.#corked = [];
    for (const connection of corked) connection.uncork();
  };
}

/** Things in a span of time; a new span begins with the first thing after the last one. */
export class Pace {
  readonly #spanMs: number;
  #startMs = 0;
  #count = 0;

  constructor(spanMs: number) {
    this.#spanMs = spanMs;
  }

  /** Nothing it has counted counts any more. */
  isOver(nowMs: number): boolean {
    return nowMs - this.#startMs >= this.#spanMs;
  }

  /** One more. @returns how many of this span, it included */
  count(nowMs: number): number {
    if (this.isOver(nowMs)) {
      this.#startMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count;
  }
}

/** Of what was asked for: made for this connection alone, or the same bytes for all who hear it. */
export type Asked = 'own' | 'shared';
/** Bytes on their way that were made for one connection alone, of all connections. */
export interface OwnBytes {
  bytes: number;
}

export interface ConnectionOptions {
  readonly ws: WebSocket;
  readonly socket: Duplex;
  readonly corks: Corks;
  readonly limits: StreamLimits;
  readonly ownBytes: OwnBytes;
  readonly onSlow: () => void;
  /** A ping, or a pong nobody asked for: WebSocket answers the one by itself, and both cost as much as a message. */
  readonly onControl: () => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  /** Bytes of snapshots and missed messages on their way: asked for, so no sign of a slow reader. */
  #askedBytes = 0;
  /** Written in this turn of the loop and not asked for: nobody could have taken it yet, however fast they read. */
  #turnBytes = 0;
  #corkedBytes = 0;
  #isCorked = false;
  #isClosing = false;
  #alive = true;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    options.ws.on('pong', () => {
      if (this.#alive) options.onControl();
      this.#alive = true;
    });
    // One that does not take the answers is ended by ws, which keeps 60 at most.
    options.ws.on('ping', options.onControl);
    options.ws.on('close', () => {
      this.#isClosing = true;
      clearTimeout(this.#killTimer);
    });
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** The limit that stands against making more for it. */
  get fullAt(): 'askedBytesMax' | 'askedBytesInAll' | undefined {
    const { limits, ownBytes } = this.#options;
    if (this.#askedBytes >= limits.askedBytesMax) return 'askedBytesMax';
    return ownBytes.bytes >= limits.askedBytesInAll ? 'askedBytesInAll' : undefined;
  }

  send(frame: Frame, asked?: Asked): void {
    const { ws, ownBytes } = this.#options;
    // One whose other side has said goodbye takes nothing any more, and what it does not take is no sign of a slow reader.
    if (this.#isClosing || ws.readyState !== ws.OPEN) return;
    const bytes = frame.length;
    if (asked === undefined) {
      if (this.#isTooSlow()) return;
      this.#cork(bytes);
      this.#turnBytes += bytes;
      ws.send(frame, textMessage);
      return;
    }
    this.#cork(bytes);
    this.#askedBytes += bytes;
    if (asked === 'own') ownBytes.bytes += bytes;
    ws.send(frame, textMessage, () => {
      this.#askedBytes -= bytes;
      if (asked === 'own') ownBytes.bytes -= bytes;
    });
  }

  /** @returns whether it is closed, as one that does not read */
  #isTooSlow(): boolean {
    const { ws, limits, onSlow } = this.#options;
    if (this.#isClosing) return true;
    if (ws.bufferedAmount - this.#askedBytes - this.#turnBytes <= limits.bufferedBytesMax) return false;
    onSlow();
    this.close(closeCodes.slowConsumer, 'slow consumer');
    return true;
  }

  /** Ends the connection; also one that does not read or answer. */
  close(code: number, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const { ws, limits } = this.#options;
    ws.close(code, reason);
    this.#killTimer = setTimeout(() => {
      ws.terminate();
    }, limits.closeGraceMs);
    // Else what a process waits for at its end would be a peer that does not read.
    this.#killTimer.unref();
  }

  /** Asks for a sign of life; ends one that gave none since it was asked last. */
  beat(): void {
    if (this.#isClosing) return;
    if (!this.#alive) {
      this.terminate();
      return;
    }
    this.#alive = false;
    this.#options.ws.ping();
  }

  terminate(): void {
    this.#isClosing = true;
    this.#options.ws.terminate();
  }

  uncork(): void {
    this.#isCorked = false;
    this.#turnBytes = 0;
    this.#options.socket.uncork();
  }

  #cork(bytes: number): void {
    const { socket, corks } = this.#options;
    this.#corkedBytes += bytes;
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#corkedBytes = bytes;
      socket.cork();
      corks.add(this);
    } else if (this.#corkedBytes > corkedBytesMax) {
      socket.uncork();
      socket.cork();
      this.#corkedBytes = 0;
    }
  }
}
