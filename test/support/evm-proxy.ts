/**
 * A JSON-RPC proxy before anvil that gives it a real node's pool rules (geth 1.17) and faults on command: transactions held
 * back ("stuck"), lost answers, hanging and throttled calls, a node that lags. Shares no code with chains/.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createPool, RpcFault } from './evm-proxy-pool.ts';

export { RpcFault };

/**
 * `lost`: done by the node, the connection dies before the answer. `unreachable`: dies before the node saw it. `hang`: never
 * answers. `throttled`: HTTP 429. `broken`: HTTP 503. `garbage`: an answer cut in the middle.
 */
export type TransportFault = 'lost' | 'unreachable' | 'hang' | 'throttled' | 'broken' | 'garbage';

export interface RpcCall {
  readonly method: string;
  readonly params: readonly unknown[];
}
export interface EvmProxy {
  readonly url: string;
  /** Every call that arrived, oldest first. */
  readonly calls: readonly RpcCall[];
  /**
   * Transactions with a lower max fee are taken and kept back from the node, as if dearer ones filled every block;
   * undefined takes the threshold away (what is held stays held until {@link EvmProxy.release}).
   */
  holdBelow(maxFeePerGas: bigint | undefined): void;
  /** Ids of the transactions held back. */
  held(): readonly string[];
  /** Hands what is held to the node, by nonce. */
  release(): Promise<void>;
  /** Forgets what is held, as a full pool evicts. */
  evict(): void;
  /** The next calls of the method meet the fault. */
  failNext(method: string, fault: TransportFault, times?: number): void;
  /** The next calls of the method are answered with this JSON-RPC error and never reach the node. */
  refuseNext(method: string, message: string, times?: number, code?: number): void;
  /** Calls of the method whose parameters fit meet this answer instead of the node's, until the returned function is called. */
  lie(
    method: string,
    fits: (params: readonly unknown[]) => boolean,
    answer: (params: readonly unknown[]) => unknown,
  ): () => void;
  /** The node appears to be this many blocks behind. */
  setLag(blocks: number): void;
  /** A call to the node itself, past all faults. */
  node(method: string, params?: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

interface Request {
  readonly id: unknown;
  readonly method: string;
  readonly params: readonly unknown[];
}
interface Lie {
  readonly method: string;
  readonly fits: (params: readonly unknown[]) => boolean;
  readonly answer: (params: readonly unknown[]) => unknown;
}
type PlannedFault =
  | { readonly kind: 'transport'; readonly fault: TransportFault }
  | { readonly kind: 'refusal'; readonly error: RpcFault };

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Plain JSON-RPC; throws {@link RpcFault} for an error answer. */
export async function rpc(url: string, method: string, params: readonly unknown[] = []): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const answer: unknown = await response.json();
  if (!isRecord(answer)) throw new Error(`${method} answered no object`);
  if (isRecord(answer['error'])) {
    const { code, message } = answer['error'];
    throw new RpcFault(typeof code === 'number' ? code : -32_000, String(message));
  }
  return answer['result'];
}

const heightOf = (hex: unknown): number => Number.parseInt(String(hex), 16);
const hexOf = (height: number): string => `0x${height.toString(16)}`;

/** Calls that name a block by its position, and where in their parameters. */
const blockParameter: Readonly<Record<string, number>> = {
  eth_getTransactionCount: 1,
  eth_getBalance: 1,
  eth_getCode: 1,
  eth_call: 1,
  eth_feeHistory: 1,
  eth_getBlockByNumber: 0,
};

/** Answers as a node would whose newest block is `lag` behind. */
async function behind(node: EvmProxy['node'], lag: number, { method, params }: Request): Promise<unknown> {
  const newest = Math.max(0, heightOf(await node('eth_blockNumber')) - lag);
  if (method === 'eth_blockNumber') return hexOf(newest);
  const at = blockParameter[method];
  if (at !== undefined) {
    const asked = params[at];
    const changed = [...params];
    if (asked === 'latest' || asked === 'pending' || asked === undefined) changed[at] = hexOf(newest);
    else if (asked === 'finalized' || asked === 'safe') {
      const tagged = await node('eth_getBlockByNumber', [asked, false]);
      changed[at] = hexOf(Math.min(newest, heightOf(isRecord(tagged) ? tagged['number'] : '0x0')));
    } else if (heightOf(asked) > newest) {
      if (method === 'eth_getBlockByNumber') return null;
      throw new RpcFault(-32_000, 'header not found');
    }
    return await node(method, changed);
  }
  const answer = await node(method, params);
  const first = Array.isArray(answer) ? (answer[0] as unknown) : answer;
  const height = isRecord(first) ? (first['blockNumber'] ?? first['number']) : undefined;
  if (typeof height !== 'string' || heightOf(height) <= newest) return answer;
  if (method === 'eth_getTransactionByHash' && isRecord(answer))
    return { ...answer, blockHash: null, blockNumber: null, transactionIndex: null };
  return null;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function parseRequest(text: string): Request {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || typeof value['method'] !== 'string') throw new Error('not a single JSON-RPC call');
  const params: unknown = value['params'];
  return {
    id: value['id'],
    method: value['method'],
    params: Array.isArray(params) ? (params as unknown[]) : [],
  };
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Answers with the fault; returns false when the call must still be carried out first (`lost`). */
function applyTransportFault(fault: TransportFault, response: ServerResponse): boolean {
  switch (fault) {
    case 'lost':
      return false;
    case 'unreachable':
      response.destroy();
      return true;
    case 'hang':
      return true;
    case 'throttled':
      response.writeHead(429).end('too many requests');
      return true;
    case 'broken':
      response.writeHead(503).end('service unavailable');
      return true;
    case 'garbage':
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","res');
      return true;
  }
}

export async function startEvmProxy(options: {
  readonly nodeUrl: string;
  readonly port?: number;
}): Promise<EvmProxy> {
  const calls: RpcCall[] = [];
  const planned = new Map<string, PlannedFault[]>();
  const lies = new Set<Lie>();
  let lag = 0;
  const node: EvmProxy['node'] = async (method, params = []) => await rpc(options.nodeUrl, method, params);
  const pool = createPool(node);
  const plan = (method: string, fault: PlannedFault, times: number): void => {
    planned.set(method, [...(planned.get(method) ?? []), ...Array.from({ length: times }, () => fault)]);
  };
  const carryOut = async (request: Request): Promise<unknown> => {
    const told = [...lies].find((one) => one.method === request.method && one.fits(request.params));
    if (told !== undefined) return told.answer(request.params);
    if (request.method === 'eth_sendRawTransaction') return await pool.send(String(request.params[0]));
    if (request.method === 'eth_getTransactionByHash') {
      const held = pool.find(String(request.params[0]));
      if (held !== undefined) return held;
    }
    return lag > 0 && request.method.startsWith('eth_')
      ? await behind(node, lag, request)
      : await node(request.method, request.params);
  };
  const answer = async (request: Request, response: ServerResponse): Promise<void> => {
    calls.push({ method: request.method, params: request.params });
    const fault = planned.get(request.method)?.shift();
    const { id } = request;
    try {
      if (fault?.kind === 'refusal') throw fault.error;
      if (fault?.kind === 'transport' && applyTransportFault(fault.fault, response)) return;
      const result = await carryOut(request);
      if (fault === undefined) sendJson(response, { jsonrpc: '2.0', id, result });
      else response.destroy();
    } catch (error) {
      const { code, message } = error instanceof RpcFault ? error : new RpcFault(-32_603, String(error));
      if (fault?.kind === 'transport') response.destroy();
      else sendJson(response, { jsonrpc: '2.0', id, error: { code, message } });
    }
  };
  const server = createServer((request, response) => {
    bodyOf(request)
      .then(async (text) => {
        await answer(parseRequest(text), response);
      })
      .catch(() => response.destroy());
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    holdBelow: pool.holdBelow,
    held: pool.held,
    release: pool.release,
    evict: pool.evict,
    failNext: (method, fault, times = 1) => {
      plan(method, { kind: 'transport', fault }, times);
    },
    refuseNext: (method, message, times = 1, code = -32_000) => {
      plan(method, { kind: 'refusal', error: new RpcFault(code, message) }, times);
    },
    lie: (method, fits, answer) => {
      const told = { method, fits, answer };
      lies.add(told);
      return () => lies.delete(told);
    },
    setLag: (blocks) => {
      lag = blocks;
    },
    node,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
