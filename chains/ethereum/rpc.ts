/**
 * JSON-RPC to one Ethereum node, through ethers' provider with everything that hides a call switched off: no batching, no
 * cache, no network detection, no retry after 429. Whoever calls decides what to repeat.
 */
import {
  FetchRequest,
  type JsonRpcError,
  type JsonRpcPayload,
  JsonRpcProvider,
  Network,
  toQuantity,
} from 'ethers';
import type { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { chainErrors } from '../contract.ts';
import { count, quantity } from './wire.ts';

const fail = errorsOf(chainErrors);

/** A full block with receipts takes a slow node seconds; above this the caller is better served by an error. */
const requestTimeoutMs = 15_000;
/** ethers counts the first try: one attempt means that a 429 is reported, never repeated silently. */
const throttleAttemptsMax = 1;
const throttleSlotMs = 250;
/** What a node says is quoted in errors up to this length. */
const nodeMessageCharsMax = 300;

/** The node answered, and the answer is a JSON-RPC error. Everything else that fails is CHAINS_NODE_UNAVAILABLE. */
export class NodeRefusal extends Error {
  override readonly name = 'NodeRefusal';
  readonly rpcCode: number;

  constructor(rpcCode: number, message = 'no message') {
    super(message.slice(0, nodeMessageCharsMax));
    this.rpcCode = rpcCode;
  }
}

/** ethers rewrites some refusals into its own errors; we need the node's words to tell "already known" from the rest. */
class PlainRefusalProvider extends JsonRpcProvider {
  override getRpcError(_payload: JsonRpcPayload, answer: JsonRpcError): Error {
    return new NodeRefusal(answer.error.code, answer.error.message);
  }
}

export interface NodeOptions {
  readonly url: string;
  /** EIP-155 chain id the node must answer. */
  readonly evmChainId: bigint;
  readonly timeoutMs?: number;
}

export interface EthereumNode {
  readonly evmChainId: bigint;
  /**
   * One call, its answer parsed by `schema`; the chain id is checked before the first call and again after each failure
   * of the connection, because what comes back may be another node.
   * @throws NodeRefusal when the node answers with an error
   * @throws CHAINS_NODE_UNAVAILABLE, CHAINS_NODE_WRONG_CHAIN, CHAINS_NODE_INCONSISTENT (an answer of another form)
   */
  call<S extends z.ZodType>(method: string, params: readonly unknown[], schema: S): Promise<z.output<S>>;
  close(): void;
}

/** Scheme, host and port only: paths and user parts of provider URLs carry keys. */
function origin(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : 'an invalid URL';
}

export function openNode(options: NodeOptions): EthereumNode {
  const { url, evmChainId } = options;
  const request = new FetchRequest(url);
  request.timeout = options.timeoutMs ?? requestTimeoutMs;
  request.setThrottleParams({ maxAttempts: throttleAttemptsMax, slotInterval: throttleSlotMs });
  const network = Network.from(evmChainId);
  const provider = new PlainRefusalProvider(request, network, {
    staticNetwork: network,
    batchMaxCount: 1,
    cacheTimeout: -1,
  });
  let checked: Promise<void> | undefined;

  const send = async (method: string, params: readonly unknown[]): Promise<unknown> => {
    try {
      return (await provider.send(method, [...params])) as unknown;
    } catch (error) {
      if (error instanceof NodeRefusal) throw error;
      checked = undefined;
      throw fail(
        'CHAINS_NODE_UNAVAILABLE',
        `${method} at ${origin(url)} failed: ${messageOf(error).slice(0, nodeMessageCharsMax)}`,
        { method, node: origin(url) },
        error,
      );
    }
  };
  const parse = <S extends z.ZodType>(method: string, answer: unknown, schema: S): z.output<S> => {
    const parsed = schema.safeParse(answer);
    if (parsed.success) return parsed.data;
    const problems = parsed.error.issues
      .slice(0, 5)
      .map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw fail('CHAINS_NODE_INCONSISTENT', `${method} at ${origin(url)} answered in another form`, {
      method,
      node: origin(url),
      problems,
    });
  };
  const checkChain = async (): Promise<void> => {
    const actual = parse('eth_chainId', await send('eth_chainId', []), quantity);
    if (actual !== evmChainId)
      throw fail(
        'CHAINS_NODE_WRONG_CHAIN',
        `the node at ${origin(url)} is on chain ${actual.toString()}, configured is ${evmChainId.toString()}`,
        { node: origin(url), expected: evmChainId.toString(), actual: actual.toString() },
      );
  };

  return {
    evmChainId,
    async call(method, params, schema) {
      checked ??= checkChain();
      const checking = checked;
      try {
        await checking;
      } catch (error) {
        if (checked === checking) checked = undefined;
        throw error;
      }
      return parse(method, await send(method, params), schema);
    },
    close: () => {
      provider.destroy();
    },
  };
}

/** A height as the quantity the protocol wants. */
export const heightHex = (height: number): string => toQuantity(height);

/** Number of transactions of the address that are mined at the given height or tag: its next nonce there. */
export async function minedCountAt(
  node: EthereumNode,
  address: string,
  at: number | 'latest',
): Promise<number> {
  const block = at === 'latest' ? at : heightHex(at);
  return await node.call('eth_getTransactionCount', [address, block], count);
}
