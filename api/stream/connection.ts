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

  /** One more. @returns how many of this span, it included */
  count(nowMs: number): number {
    if (nowMs - this.#startMs >= this.#spanMs) {
      this.#startMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count;
  }
}

export interface ConnectionOptions {
  readonly ws: WebSocket;
  readonly socket: Duplex;
  readonly corks: Corks;
  readonly limits: StreamLimits;
  readonly onSlow: () => void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  /** Bytes of snapshots and missed messages on their way: asked for, so no sign of a slow reader. */
  #askedBytes = 0;
  #corkedBytes = 0;
  #isCorked = false;
  #isClosing = false;
  #alive = true;
  #killTimer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    options.ws.on('pong', () => {
      this.#alive = true;
    });
    options.ws.on('close', () => {
      this.#isClosing = true;
      clearTimeout(this.#killTimer);
    });
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Of snapshots and missed messages that are on their way. */
  get askedBytes(): number {
    return this.#askedBytes;
  }

  send(frame: Frame, asked?: 'asked'): void {
    if (this.#isClosing) return;
    const { ws, limits } = this.#options;
    if (asked === undefined) {
      if (ws.bufferedAmount - this.#askedBytes > limits.bufferedBytesMax) {
        this.#options.onSlow();
        this.close(closeCodes.slowConsumer, 'slow consumer');
        return;
      }
      this.#cork(frame.length);
      ws.send(frame, textMessage);
      return;
    }
    this.#cork(frame.length);
    this.#askedBytes += frame.length;
    ws.send(frame, textMessage, () => {
      this.#askedBytes -= frame.length;
    });
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
