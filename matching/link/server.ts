/** The engine's end of the link: lets those in who have the token, and passes on what is durable. */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { messageOf } from '#core/errors';
import type { EngineConfig } from '../config.ts';
import { configHashOf, type StateHash } from '../journal/index.ts';
import type { Sequencer } from '../sequencer/index.ts';
import { semanticsVersion } from '../vocabulary.ts';
import { HistoryReadings } from './history.ts';
import { type LinkServerLimits, serverLimits } from './limits.ts';
import { RecentCommands } from './recent.ts';
import { Session, type SessionNotice } from './session.ts';
import { tokenCheck } from './token.ts';
import { closeCode, encodeServerHello, type Meaning, protocolVersion, toServerBytesMax } from './wire.ts';

export type LinkServerNotice =
  | SessionNotice
  | { readonly kind: 'client-refused'; readonly client: string; readonly problem: string }
  /** The sequencer has stopped; nobody is served any more. */
  | { readonly kind: 'stopped'; readonly problem: string };

export interface LinkServerOptions {
  readonly sequencer: Sequencer;
  /** The sequencer's; only read. */
  readonly folder: string;
  readonly config: EngineConfig;
  /** Under which the engine is settled. */
  readonly engineName: string;
  /** 32 or more visible ASCII characters. */
  readonly token: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Asked with every submission: whether orders are refused because too much waits to be booked. */
  readonly settlementLags: () => boolean;
  readonly onNotice?: (notice: LinkServerNotice) => void;
  readonly limits?: Partial<LinkServerLimits>;
}
export interface LinkServer {
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** One in so many status messages asks the engine for its state hash. */
const probeEvery = 4;
/** RFC 6455: the end is going away. */
const goingAway = 1001;

class RunningServer {
  readonly #options: LinkServerOptions;
  readonly #limits: LinkServerLimits;
  readonly #meaning: Meaning;
  readonly #recent: RecentCommands;
  readonly #history: HistoryReadings;
  readonly #sessions = new Set<Session>();
  readonly #hasToken: (authorization: string | undefined) => boolean;
  readonly #sockets: WebSocketServer;
  readonly #http: Server;
  readonly #endCommands: () => void;
  #statusTimer: NodeJS.Timeout | undefined;
  #isPumpDue = false;
  #statuses = 0;
  #isProbing = false;
  #toldHash: StateHash | undefined;
  #stopped: string | undefined;

  constructor(options: LinkServerOptions) {
    const { sequencer, folder, config, token, limits } = options;
    this.#options = options;
    this.#limits = { ...serverLimits, ...limits };
    this.#hasToken = tokenCheck(token);
    const configHash = configHashOf(config);
    this.#meaning = {
      protocol: protocolVersion,
      semantics: semanticsVersion,
      configHash: Buffer.from(configHash).toString('hex'),
    };
    this.#recent = new RecentCommands(this.#limits.recentCommands, sequencer.durableSeq);
    this.#history = new HistoryReadings({ folder, configHash });
    this.#sockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: toServerBytesMax,
      clientTracking: false,
    });
    const { helloMs } = this.#limits;
    this.#http = createServer(
      { headersTimeout: helloMs, requestTimeout: helloMs, connectionsCheckingInterval: helloMs },
      (_, response) => response.writeHead(426, { upgrade: 'websocket', connection: 'close' }).end(),
    );
    this.#http.maxConnections = this.#limits.clientsMax * 4;
    this.#http.on('upgrade', (request, socket, ahead) => {
      socket.on('error', () => undefined);
      void this.#admit(request, socket, ahead);
    });
    this.#endCommands = sequencer.subscribeCommands((commands, from, count) => {
      this.#recent.add(commands, from, count);
      // One message for what comes in one turn, and none while the sequencer publishes.
      if (!this.#isPumpDue) setImmediate(() => this.#pump());
      this.#isPumpDue = true;
    });
  }

  async listen(): Promise<number> {
    const { host, port } = this.#options.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#http.once('error', reject).listen(port, host, resolve);
      });
    } catch (error) {
      this.#endCommands();
      throw error;
    }
    this.#statusTimer = setInterval(() => this.#status(), this.#limits.statusMs);
    return (this.#http.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#endCommands();
    clearInterval(this.#statusTimer);
    this.#stopped ??= 'the engine closes';
    for (const session of this.#sessions) session.close(goingAway, this.#stopped);
    await new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
      // Those that have not asked for anything yet; nobody looks at how long they take any more.
      this.#http.closeAllConnections();
    });
  }

  #tell(notice: LinkServerNotice): void {
    this.#options.onNotice?.(notice);
  }

  // -------------------------------------------------------------- clients

  async #admit(request: IncomingMessage, socket: Duplex, ahead: Buffer): Promise<void> {
    const client = `${request.socket.remoteAddress ?? 'unknown'}:${request.socket.remotePort ?? 0}`;
    const refuse = (status: string, problem: string): void => {
      this.#tell({ kind: 'client-refused', client, problem });
      // Its own end it may keep open for ever.
      socket.once('finish', () => socket.destroy());
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    };
    if (!this.#hasToken(request.headers.authorization)) {
      refuse('401 Unauthorized', 'another token');
      return;
    }
    try {
      // A primary that was fenced while it was idle finds out here, and does not show anybody the past.
      await this.#options.sequencer.state();
    } catch (error) {
      this.#stop(messageOf(error));
    }
    if (this.#stopped !== undefined) {
      refuse('503 Service Unavailable', this.#stopped);
      return;
    }
    // After the question: who was asked about meanwhile may have taken the last place.
    if (this.#sessions.size >= this.#limits.clientsMax) {
      refuse('429 Too Many Requests', `${this.#limits.clientsMax} clients are connected`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, ahead, (webSocket) => {
      const { sequencer, settlementLags, engineName } = this.#options;
      const session = new Session(webSocket, {
        client,
        limits: this.#limits,
        meaning: this.#meaning,
        sequencer,
        recent: this.#recent,
        history: this.#history,
        settlementLags,
        onNotice: (notice) => this.#tell(notice),
        onClosed: () => this.#sessions.delete(session),
      });
      this.#sessions.add(session);
      const { epoch, recovered, hashEvery } = sequencer;
      session.send(
        encodeServerHello({
          ...this.#meaning,
          engineName,
          epoch,
          epochFirstSeq: recovered.nextSeq,
          epochBefore: recovered.epoch,
          seq: this.#recent.lastSeq,
          hashEvery,
        }),
      );
    });
  }

  #pump(): void {
    this.#isPumpDue = false;
    for (const session of this.#sessions) session.pump();
  }

  // -------------------------------------------------------------- how it goes

  #status(): void {
    if (this.#stopped !== undefined) return;
    const recorded = this.#options.sequencer.recordedHash;
    const news = recorded === this.#toldHash ? undefined : recorded;
    this.#toldHash = recorded;
    this.#tellStatus(news, false);
    this.#statuses++;
    if (this.#statuses % probeEvery === 0 && !this.#isProbing) void this.#probe();
  }

  #tellStatus(stateHash: StateHash | undefined, isExact: boolean): void {
    const settlementLags = this.#options.settlementLags();
    for (const session of this.#sessions) session.tellStatus(settlementLags, stateHash, isExact);
  }

  /** Compares also while few commands come; and finds out that another process has taken over. */
  async #probe(): Promise<void> {
    this.#isProbing = true;
    try {
      const { seq, hash } = await this.#options.sequencer.state();
      this.#tellStatus({ seq, hash }, true);
    } catch (error) {
      this.#stop(messageOf(error));
    } finally {
      this.#isProbing = false;
    }
  }

  #stop(problem: string): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = problem;
    this.#tell({ kind: 'stopped', problem });
    for (const session of this.#sessions) session.close(closeCode.stopped, problem);
  }
}

/**
 * Serves the engine to the processes that offer trading, until it is closed; before the sequencer is, so that what it still
 * publishes is sent. Without TLS: between machines it belongs into a private network or behind a proxy that has it.
 * @throws MATCHING_CONFIG_INVALID (token); what listening fails with
 */
export async function serveLink(options: LinkServerOptions): Promise<LinkServer> {
  const server = new RunningServer(options);
  return { port: await server.listen(), close: async () => await server.close() };
}
