/**
 * The stream: WebSocket at `streamPath` beside the routes of an HTTP server. docs/operations/stream.md says what goes over it.
 *
 * Nothing here waits for a client: a message of the feed is encoded once, given to each socket, and whoever does not read is cut.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { errorsOf, isStrongroomError, type StrongroomError } from '#core/errors';
import type { EngineStatus } from '#matching/trading/contract';
import { apiErrors } from '../contract.ts';
import type { UpgradeLimits } from '../limits.ts';
import { answerOnSocket } from '../socket-answer.ts';
import type { TradingAuth, TradingCaller } from '../trading-auth.ts';
import { within } from '../within.ts';
import { Channels, type StreamTrading } from './channels.ts';
import { Connection, Corks, type OwnBytes, Pace } from './connection.ts';
import { streamErrors } from './errors.ts';
import { type Frame, frameOf, problemFrom } from './frames.ts';
import { closeCodes, inboundBytesMax, type StreamLimits, streamLimits, streamPath } from './limits.ts';
import { Session } from './session.ts';

const fail = errorsOf({ ...apiErrors, ...streamErrors });
const goingAway = 1001;
const secondMs = 1_000;

export type StreamNotice =
  | { readonly kind: 'connected' | 'disconnected'; readonly caller: string; readonly requestId: string }
  | {
      readonly kind: 'slow-consumer';
      readonly caller: string;
      readonly requestId: string;
      readonly waitingBytes: number;
    }
  /** An error without a name of ours, or a broken invariant; the client got the request id only. */
  | { readonly kind: 'failed'; readonly requestId: string; readonly error: unknown };

export interface StreamOptions {
  readonly trading: StreamTrading;
  readonly auth: Pick<TradingAuth, 'caller' | 'recheck'>;
  /** Of the server's own routes; without it, addresses are not limited. */
  readonly strangers?: UpgradeLimits;
  readonly limits?: Partial<StreamLimits>;
  readonly onNotice?: (notice: StreamNotice) => void;
  /** Milliseconds since any moment; a clock that is set does not change it. */
  readonly elapsedMs?: () => number;
}
export interface Stream {
  /** Tells every client (1001), and ends those who do not answer. The HTTP server is the caller's to close. */
  readonly close: () => Promise<void>;
  readonly clients: number;
}

/** Of one caller, whatever the number of its connections; none for a moment after the last. */
interface Presence {
  readonly caller: TradingCaller;
  readonly sessions: Set<Session>;
  readonly messages: Pace;
  /** When it was last known that the caller is in force; and whether the last look has not found it out. */
  vouchedMs: number;
  isUnsure: boolean;
}

class StreamServer implements Stream {
  readonly #server: Server;
  readonly #options: StreamOptions;
  readonly #limits: StreamLimits;
  readonly #elapsedMs: () => number;
  readonly #channels: Channels;
  readonly #corks = new Corks();
  readonly #ownBytes: OwnBytes = { bytes: 0 };
  readonly #presences = new Map<string, Presence>();
  readonly #sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: inboundBytesMax,
  });
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #leaveStatus: () => void;
  #clients = 0;
  /** Upgrades that wait for their caller to be known. */
  #judged = 0;
  #isClosing = false;
  #onEmpty: (() => void) | undefined;

  constructor(server: Server, options: StreamOptions) {
    this.#server = server;
    this.#options = options;
    this.#limits = { ...streamLimits, ...options.limits };
    this.#elapsedMs = options.elapsedMs ?? (() => performance.now());
    this.#channels = new Channels({ trading: options.trading, limits: this.#limits });
    this.#sockets.on('wsClientError', (error, socket) => {
      answerOnSocket(
        socket,
        problemFrom(fail('API_STREAM_UPGRADE_INVALID', error.message), randomUUID(), () => undefined),
      );
    });
    server.on('upgrade', this.#onUpgrade);
    this.#leaveStatus = options.trading.onEngineStatus(this.#tellStatus);
    this.#timers = [
      setInterval(this.#beat, this.#limits.heartbeatMs),
      setInterval(this.#recheckAll, this.#limits.recheckMs),
    ];
  }

  get clients(): number {
    return this.#clients;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#leaveStatus();
    for (const timer of this.#timers) clearInterval(timer);
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const session of this.#sessions()) session.connection.close(goingAway, 'the server ends');
    if (this.#clients > 0) await empty;
    this.#channels.end();
    this.#server.off('upgrade', this.#onUpgrade);
  }

  *#sessions(): Generator<Session> {
    for (const { sessions } of this.#presences.values()) yield* sessions;
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // One that resets before it has its answer is no news.
    const onError = (): void => {
      socket.destroy();
    };
    socket.on('error', onError);
    const requestId = randomUUID();
    this.#judge(request).then(
      (caller) => {
        const refusal = this.#refusal(caller);
        if (refusal !== undefined) {
          answerOnSocket(socket, problemFrom(refusal, requestId, this.#failed(requestId)));
          return;
        }
        socket.off('error', onError);
        this.#sockets.handleUpgrade(request, socket, head, (ws) => {
          this.#welcome(ws, socket, { caller, requestId });
        });
      },
      (error: unknown) => {
        answerOnSocket(socket, problemFrom(error, requestId, this.#failed(requestId)));
      },
    );
  };

  /** At the moment of the upgrade, so that no two pass for one place. */
  #refusal(caller: TradingCaller): StrongroomError | undefined {
    const { clients, clientsPerCaller } = this.#limits;
    if (this.#isClosing) return fail('API_STREAM_CLOSING', 'the server ends');
    if (this.#clients >= clients) return limitReached('clients', clients);
    if ((this.#presences.get(caller.name)?.sessions.size ?? 0) >= clientsPerCaller)
      return limitReached('clientsPerCaller', clientsPerCaller);
    return undefined;
  }

  /** @throws what a route of the same caller would get, API_STREAM_LIMIT */
  async #judge(request: IncomingMessage): Promise<TradingCaller> {
    const { strangers } = this.#options;
    const find = async () => await this.#callerOf(request);
    if (strangers === undefined) return await find();
    // A token costs next to nothing to look at, and a good one passes whoever else is behind its address.
    if (request.headers.authorization === undefined) return await strangers.inTurn(request, find, isStranger);
    try {
      return await find();
    } catch (error) {
      if (isStrongroomError(error) && isStranger(error)) await strangers.countStranger(request);
      throw error;
    }
  }

  async #callerOf(request: IncomingMessage): Promise<TradingCaller> {
    const { upgrade = '' } = request.headers;
    if (upgrade.toLowerCase() !== 'websocket')
      throw fail('API_STREAM_UPGRADE_INVALID', `this server speaks no ${upgrade.slice(0, 100)}`);
    const url = request.url ?? '';
    if (url.split('?')[0] !== streamPath) throw fail('API_NOT_FOUND', `no stream at ${url.slice(0, 100)}`);
    const { clients, upgradeMs } = this.#limits;
    // So many judged at a time, that strangers cannot make it remember more.
    if (this.#clients + this.#judged >= clients) throw limitReached('clients', clients);
    this.#judged++;
    try {
      const asked = { method: request.method ?? '', url, headers: request.headers, rawBody: Buffer.alloc(0) };
      const caller = await within(upgradeMs, this.#options.auth.caller(asked));
      if (caller === undefined)
        throw fail('API_STREAM_UPGRADE_LATE', `who calls was not known within ${upgradeMs} ms`);
      return caller;
    } finally {
      this.#judged--;
    }
  }

  #welcome(
    ws: WebSocket,
    socket: Duplex,
    { caller, requestId }: { readonly caller: TradingCaller; readonly requestId: string },
  ): void {
    const presence = this.#presence(caller);
    const notice = this.#options.onNotice ?? (() => undefined);
    const connection = new Connection({
      ws,
      socket,
      corks: this.#corks,
      limits: this.#limits,
      ownBytes: this.#ownBytes,
      onControl: () => {
        session.onControl();
      },
      onSlow: () => {
        notice({ kind: 'slow-consumer', caller: caller.name, requestId, waitingBytes: ws.bufferedAmount });
        session.end();
      },
    });
    const session = new Session({
      connection,
      caller,
      trading: this.#options.trading,
      auth: this.#options.auth,
      channels: this.#channels,
      limits: this.#limits,
      messages: presence.messages,
      elapsedMs: this.#elapsedMs,
      requestId,
      onUnknown: this.#failed(requestId),
    });
    presence.sessions.add(session);
    this.#clients++;
    notice({ kind: 'connected', caller: caller.name, requestId });
    connection.send(statusFrame(this.#options.trading.engineStatus()));
    ws.on('message', (data: Buffer, isBinary) => {
      session.onMessage(data, isBinary);
    });
    // ws closes the connection itself with the code of what was wrong with the frame.
    ws.on('error', () => undefined);
    ws.on('close', () => {
      session.end();
      presence.sessions.delete(session);
      this.#clients--;
      notice({ kind: 'disconnected', caller: caller.name, requestId });
      if (this.#clients === 0) this.#onEmpty?.();
    });
  }

  #presence(caller: TradingCaller): Presence {
    const found = this.#presences.get(caller.name);
    if (found !== undefined) return found;
    this.#forgetAbsent();
    const presence: Presence = {
      caller,
      sessions: new Set(),
      messages: new Pace(secondMs),
      vouchedMs: this.#elapsedMs(),
      isUnsure: false,
    };
    this.#presences.set(caller.name, presence);
    return presence;
  }

  /** Kept for a second after the last connection, so that a new one is no way to a new rate. */
  #forgetAbsent(): void {
    const nowMs = this.#elapsedMs();
    for (const [name, { sessions, messages }] of this.#presences)
      if (sessions.size === 0 && messages.isOver(nowMs)) this.#presences.delete(name);
  }

  readonly #tellStatus = (status: EngineStatus): void => {
    // After what the channels have to say in this turn: a reset of the feed begins them anew in one that was asked for before.
    queueMicrotask(() => {
      const frame = statusFrame(status);
      for (const session of this.#sessions()) session.connection.send(frame);
    });
  };

  readonly #beat = (): void => {
    for (const session of this.#sessions()) session.connection.beat();
  };

  /** One question for each caller. */
  readonly #recheckAll = (): void => {
    this.#forgetAbsent();
    for (const presence of this.#presences.values()) {
      const { caller, sessions, isUnsure, vouchedMs } = presence;
      // That nobody can say it at the moment ends no stream, but it does not go on like that; an order asks for itself.
      if (isUnsure && this.#elapsedMs() - vouchedMs > this.#limits.unvouchedMs)
        closeAll(sessions, closeCodes.credentialsUnknown, 'it is not known whether the key is in force');
      presence.isUnsure = true;
      this.#options.auth.recheck(caller).then(
        () => {
          presence.isUnsure = false;
          presence.vouchedMs = this.#elapsedMs();
        },
        (error: unknown) => {
          if (isStrongroomError(error) && error.kind === 'unauthenticated')
            closeAll(sessions, closeCodes.credentialsEnded, 'the key is no longer in force');
        },
      );
    }
  };

  #failed(requestId: string): (error: unknown) => void {
    return (error) => this.#options.onNotice?.({ kind: 'failed', requestId, error });
  }
}

function closeAll(sessions: ReadonlySet<Session>, code: number, reason: string): void {
  for (const { connection } of sessions) connection.close(code, reason);
}
const statusFrame = (status: EngineStatus): Frame => frameOf({ type: 'status', ...status });
/** Known to be nobody's, or not asked whose. */
const isStranger = ({ kind }: StrongroomError): boolean =>
  kind === 'unauthenticated' || kind === 'not_found' || kind === 'invalid';
const limitReached = (limit: keyof StreamLimits, max: number) =>
  fail('API_STREAM_LIMIT', `more than ${max}: ${limit}`, { limit, max });

export const attachStream = (server: Server, options: StreamOptions): Stream =>
  new StreamServer(server, options);
