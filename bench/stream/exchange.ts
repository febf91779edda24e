/**
 * An exchange with a stream and nothing beside it: the engine's process with its journal, and a gateway over the link. No
 * PostgreSQL: names of accounts are made, and nothing is settled, so there is no history.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { derivedId, type Id } from '#core/ids';
import { connectLink, type EngineLink } from '#matching/link';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import type { StreamTrading } from '../../api/stream/channels.ts';
import { attachStream, type Stream } from '../../api/stream/index.ts';
import { createTradingAuth } from '../../api/trading-auth.ts';
import { nodeArguments, nodeEnvironment } from '../../infra/dev/node-process.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { type EngineConfig, parseEngineConfig } from '../../matching/config.ts';
import { wholeCommand } from '../../matching/settlement/settlement-events.ts';
import type { TradingAccounts } from '../../matching/trading/accounts.ts';
import { LinkFeed } from '../../matching/trading/feed/feed.ts';
import type { SettledHistory } from '../../matching/trading/feed/history.ts';
import { createScales } from '../../matching/trading/scale.ts';
import { streamMarket, streamTradingOf } from './stream-trading.ts';

const host = '127.0.0.1';
export const market = 'ETH-USD';
/** Accounts 1 to this are open and rich. */
const accounts = 16;
const creditUnits = 10n ** 16n;
/** Of as many callers as it takes for `clientsPerCaller`. */
const tokenCount = 25;

const config: EngineConfig = parseEngineConfig({
  assets: [
    { id: 'ledger:eth', unitExponent: 5 },
    { id: 'ledger:usd', unitExponent: 3 },
  ],
  markets: [{ ...streamMarket, id: market }],
  ordersMax: 100_000,
  accountsMax: 64,
  limits: { openOrders: 10_000, ordersPerSecond: 0 },
  clientIdsKept: 16,
});
export const customer = (number: number): Id<'acc'> => derivedId('acc', `stream ${number}`);

export interface EnginePlace {
  readonly linkPort: number;
  readonly token: string;
}
export interface RunningEngine extends EnginePlace {
  readonly stop: () => Promise<void>;
  /** No goodbye; then it is started again, on its journal. */
  readonly crash: () => Promise<void>;
}

/** The engine with its journal, in a process of its own. @param folder is made */
export async function startEngine(folder: string): Promise<RunningEngine> {
  mkdirSync(folder, { recursive: true });
  const place = { linkPort: await findFreePorts(), token: randomBytes(32).toString('base64url') };
  const engineConfigFile = path.join(folder, 'engine.json');
  const file = path.join(folder, 'process.json');
  writeFileSync(engineConfigFile, JSON.stringify(config));
  const settings = { mode: 'primary', folder: path.join(folder, 'journal'), engineConfigFile, ...place };
  writeFileSync(file, JSON.stringify(settings), { mode: 0o600 });
  let running = await startProcess(file);
  return {
    ...place,
    stop: async () => {
      await running.end('SIGTERM');
    },
    crash: async () => {
      await running.end('SIGKILL');
      running = await startProcess(file);
    },
  };
}

async function startProcess(
  file: string,
): Promise<{ readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void> }> {
  const child = spawn(process.execPath, nodeArguments('matching/process/drill-process.ts', [file]), {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: nodeEnvironment(),
  });
  const exited = once(child, 'exit');
  // Its first line says that it serves.
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(() => {
      throw new Error('the engine ended before it served');
    }),
  ]);
  return {
    end: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

/** Whoever has a number has a name. */
const names: TradingAccounts = {
  numberOf: async (accountId) =>
    await Promise.resolve(
      Array.from({ length: accounts }, (_, at) => at + 1).find((number) => customer(number) === accountId),
    ),
  load: async () => await Promise.resolve(),
  nameOf: customer,
};
const nothingSettled: SettledHistory = {
  head: async () => await Promise.resolve({ seq: Number.MAX_SAFE_INTEGER, index: wholeCommand }),
  candlesAtHead: async () =>
    await Promise.resolve({ head: { seq: Number.MAX_SAFE_INTEGER, index: wholeCommand }, candles1m: [] }),
  candles: async () => await Promise.resolve([]),
  trades: async () => await Promise.resolve([]),
};

export interface Gateway {
  readonly baseUrl: string;
  /** Each of a caller of its own. */
  readonly tokens: readonly string[];
  readonly link: EngineLink;
  readonly trading: StreamTrading;
  readonly stream: Stream;
  readonly close: () => Promise<void>;
}

/** What the api's process does of trading. Opens the accounts if they are not. */
export async function openGateway(engine: EnginePlace): Promise<Gateway> {
  const link = connectLink({ url: `ws://${host}:${engine.linkPort}`, token: engine.token, config });
  await link.ready();
  await fund(link);
  const scales = createScales(config, () => 9);
  const clock = { nowMs: () => Date.now() };
  const feed = new LinkFeed({ link, scales, accounts: names, history: nothingSettled, clock });
  const trading = streamTradingOf({ link, feed, scales, accounts: names, clock });
  const tokens = Array.from({ length: tokenCount }, () => randomBytes(32).toString('base64url'));
  const auth = createTradingAuth({
    authenticate: createAuthenticate({
      tokens: tokens.map((token, at) => ({
        name: `client-${at}`,
        role: 'trading',
        sha256: tokenDigest(token),
      })),
    }),
    keys: { find: async () => await Promise.resolve(undefined) },
    clock,
  });
  const server = createServer((_request, response) => response.writeHead(404).end());
  const stream = attachStream(server, { trading, auth });
  const port = await listen(server);
  return {
    baseUrl: `http://${host}:${port}`,
    tokens,
    link,
    trading,
    stream,
    close: async () => {
      await stream.close();
      server.close();
      await feed.close();
      await link.close();
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen({ host, port: 0, backlog: 2_048 });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function fund(link: EngineLink): Promise<void> {
  if (link.view().account(accounts) !== undefined) return;
  let position = 0;
  for (let account = 1; account <= accounts; account++) {
    await link.submit({ kind: 'open-account', account });
    for (const asset of config.assets.keys())
      await link.submit({ kind: 'credit', account, asset, units: creditUnits, position: ++position });
  }
}

/** Random orders around a price, of which about a third trade; the oldest are cancelled, so that the book stays as deep. */
export class OrderFlow {
  readonly #place: Pick<StreamTrading, 'place' | 'cancel'>;
  readonly #random: () => number;
  readonly #open: { readonly accountId: Id<'acc'>; readonly orderId: string }[] = [];
  #account = 0;
  commands = 0;

  constructor(place: Pick<StreamTrading, 'place' | 'cancel'>, seed: number) {
    this.#place = place;
    let state = seed;
    this.#random = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  /** One order, and a cancel when many are open. */
  async step(openMax = 500): Promise<void> {
    this.#account = (this.#account % accounts) + 1;
    const accountId = customer(this.#account);
    const ticks = 200_000 + Math.floor(this.#random() * 200) - 100;
    const side = this.#random() < 0.5 + (200_000 - ticks) / 300 ? 'buy' : 'sell';
    this.commands++;
    const { orderId, status } = await this.#place.place({
      accountId,
      market,
      side,
      type: 'limit',
      price: `${Math.floor(ticks / 100)}.${(ticks % 100).toString().padStart(2, '0')}`,
      size: `0.${(1 + Math.floor(this.#random() * 9_000)).toString().padStart(4, '0')}`,
    });
    if (status === 'open') this.#open.push({ accountId, orderId });
    const oldest = this.#open.length > openMax ? this.#open.shift() : undefined;
    if (oldest === undefined) return;
    this.commands++;
    // It may have been filled meanwhile.
    await this.#place.cancel(oldest).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'TRADING_ORDER_UNKNOWN')) throw error;
    });
  }
}
