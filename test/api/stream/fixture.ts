/** A stream on a real socket, over the feed and orders of a real engine in this process; and a client that only records. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Id } from '#core/ids';
import { createAuthenticate, tokenDigest } from '../../../api/auth.ts';
import type { ApiKey, ApiPermission } from '../../../api/keys/contract.ts';
import type { Problem } from '../../../api/problem.ts';
import type { StreamTrading } from '../../../api/stream/channels.ts';
import { attachStream, type Stream, type StreamNotice } from '../../../api/stream/index.ts';
import { type StreamLimits, streamPath } from '../../../api/stream/limits.ts';
import { createTradingAuth } from '../../../api/trading-auth.ts';
import { streamMarket, streamTradingOf } from '../../../bench/stream/stream-trading.ts';
import type { CommandBody } from '../../../matching/commands.ts';
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';
import type { NewOrder } from '../../../matching/trading/contract.ts';
import { accountOf, type World, worldOf } from '../../matching/trading/feed/exchange.ts';
import { type Holder, newHolder, nextMs, signedBy } from '../signing.ts';

export const config: EngineConfig = parseEngineConfig({
  assets: [
    { id: 'ledger:eth', unitExponent: 5 },
    { id: 'ledger:usd', unitExponent: 3 },
  ],
  markets: [
    { ...streamMarket, id: 'ETH-USD' },
    { ...streamMarket, id: 'USD-ETH', base: 1, quote: 0 },
  ],
  ordersMax: 20_000,
  accountsMax: 64,
  limits: { openOrders: 10_000, ordersPerSecond: 0 },
  clientIdsKept: 16,
});
export const ethUsd = 'ETH-USD';

/** Of an exchange's service; all accounts. */
export const token = 't'.repeat(43);
/** Reads everything, changes nothing. */
export const auditorToken = 'a'.repeat(43);
const authenticate = createAuthenticate({
  tokens: [
    { name: 'service', role: 'trading', sha256: tokenDigest(token) },
    { name: 'auditor', role: 'auditor', sha256: tokenDigest(auditorToken) },
  ],
});

export interface ServeOptions {
  /** Of what is counted by second and minute. */
  readonly elapsedMs?: () => number;
  readonly limits?: Partial<StreamLimits>;
  /** Before each look at a key: throws, or never ends, as a database that is away does. */
  readonly beforeKey?: () => Promise<void>;
  /** In place of the engine's, to be slow or to fail. */
  readonly trading?: (real: StreamTrading) => StreamTrading;
}
export interface Served {
  readonly world: World;
  readonly trading: StreamTrading;
  readonly stream: Stream;
  readonly server: Server;
  readonly port: number;
  readonly baseUrl: string;
  readonly notices: StreamNotice[];
  /** A key in force. */
  readonly register: (accounts: readonly Id<'acc'>[], permissions?: readonly ApiPermission[]) => Holder;
  readonly revoke: (holder: Holder) => void;
  readonly close: () => Promise<void>;
}

/** Accounts 1 to 3 are open and rich. */
const rich = [1, 2, 3] as const;
export const openingCommands = rich.flatMap((account): CommandBody[] => [
  { kind: 'open-account', account },
  ...[0, 1].map(
    (asset): CommandBody => ({
      kind: 'credit',
      account,
      asset,
      units: 10n ** 15n,
      position: account * 2 + asset,
    }),
  ),
]);

export const tradingOf = ({ link, feed, scales, accounts }: World): StreamTrading =>
  streamTradingOf({ link, feed, scales, accounts, clock: { nowMs: () => Date.now() } });

const running: Served[] = [];
/** For `afterEach`. */
export async function closeAll(): Promise<void> {
  await Promise.all(running.splice(0).map(async (served) => await served.close()));
}

export async function serve(options: ServeOptions = {}): Promise<Served> {
  const world = worldOf({ seed: 1, config });
  world.run(openingCommands);
  const real = tradingOf(world);
  const trading = options.trading?.(real) ?? real;
  const keys = new Map<string, ApiKey>();
  const auth = createTradingAuth({
    authenticate,
    keys: {
      find: async (id) => {
        await options.beforeKey?.();
        return keys.get(id);
      },
    },
    // Signed before it started would be refused: tests sign within its first millisecond.
    clock: { nowMs: () => Date.now() },
  });
  const server = createServer((_request, response) => response.writeHead(404).end());
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const notices: StreamNotice[] = [];
  const stream = attachStream(server, {
    trading,
    auth,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.elapsedMs === undefined ? {} : { elapsedMs: options.elapsedMs }),
    onNotice: (notice) => notices.push(notice),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const served: Served = {
    world,
    trading,
    stream,
    server,
    port,
    baseUrl: `http://127.0.0.1:${port}`,
    notices,
    register: (accounts, permissions = ['read', 'trade', 'transfer']) => {
      const holder = newHolder();
      keys.set(holder.id, {
        id: holder.id,
        name: 'a test',
        publicKey: holder.publicKey,
        accounts,
        permissions,
        rateTier: 'standard',
        createdAtMs: 0,
        createdBy: 'service',
        revoked: null,
      });
      return holder;
    },
    revoke: ({ id }) => {
      const key = keys.get(id);
      if (key !== undefined) keys.set(id, { ...key, revoked: { atMs: 1, by: 'service' } });
    },
    close: async () => {
      await stream.close();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  running.push(served);
  return served;
}

export const asService = { authorization: `Bearer ${token}` };
export const signedHeadersOf = (holder: Holder): Record<string, string> =>
  signedBy(holder, { method: 'GET', url: streamPath }, nextMs());

export interface Message {
  readonly type?: string;
  readonly id?: string | null;
  readonly channel?: string;
  readonly seq?: number;
  readonly prevSeq?: number;
  readonly problem?: Problem;
  readonly [field: string]: unknown;
}

/** Keeps all that comes; what is said of the engine apart, because it says when it comes. */
export class Recorder {
  readonly messages: Message[] = [];
  readonly statuses: Message[] = [];
  readonly ws: WebSocket;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  #wake: () => void = () => undefined;
  #ids = 0;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as Message;
      (message.type === 'status' ? this.statuses : this.messages).push(message);
      this.#wake();
    });
    ws.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      ws.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  static async open(served: Served, headers: Record<string, string> = asService): Promise<Recorder> {
    const ws = new WebSocket(`ws://127.0.0.1:${served.port}${streamPath}`, { headers });
    const recorder = new Recorder(ws);
    await once(ws, 'open');
    return recorder;
  }

  say(message: unknown): void {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** The first that fits, of those before too; the test's own limit ends it. */
  async next(fits: (message: Message) => boolean): Promise<Message> {
    for (;;) {
      const found = this.messages.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Says it with an id of its own, and waits for the answer. */
  async ask(message: object): Promise<Message> {
    this.#ids++;
    const id = `r${this.#ids}`;
    this.say({ id, ...message });
    return await this.next((answer) => answer.id === id);
  }

  /** Everything the server had to say so far was heard. */
  async caughtUp(): Promise<void> {
    await this.ask({ op: 'ping' });
  }

  /** Messages of a channel of the feed. */
  feed(channel: string): Message[] {
    return this.messages.filter((message) => message.type === undefined && message.channel === channel);
  }
}

export const account = (number: number): Id<'acc'> => accountOf(number);

/** Sells 1.0000 at 100.00 as account 1, or what is said. */
export const order = (changes: Partial<NewOrder> = {}): NewOrder => ({
  accountId: account(1),
  market: ethUsd,
  side: 'sell',
  type: 'limit',
  price: '100',
  size: '1',
  ...changes,
});
