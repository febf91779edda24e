/**
 * The demo's own eyes on the chain: plain JSON-RPC to the node, so that what it proves does not rest on our database or
 * adapters. The `anvil_*` calls play the part of the outside world: customers who pay, blocks that come, a reorg.
 */
import { setTimeout as delay } from 'node:timers/promises';

const callTimeoutMs = 15_000;

export interface NodeBlock {
  readonly number: string;
  readonly hash: string;
  readonly transactions: readonly NodeTransaction[];
}
export interface NodeTransaction {
  readonly hash: string;
  readonly from: string;
  readonly to: string | null;
  readonly value: string;
}
export interface NodeReceipt {
  readonly status: string;
  readonly blockNumber: string;
  readonly blockHash: string;
  readonly gasUsed: string;
  readonly effectiveGasPrice: string;
  readonly from: string;
  readonly to: string | null;
}

export interface ChainClient {
  call<T>(method: string, params: readonly unknown[]): Promise<T>;
  height(tag?: 'latest' | 'finalized'): Promise<number>;
  balance(address: string, height: number): Promise<bigint>;
  block(height: number): Promise<NodeBlock>;
  receipt(txId: string): Promise<NodeReceipt | undefined>;
  mine(blocks: number): Promise<void>;
  /** Pays from one of the node's own funded accounts; returns the transaction id. */
  pay(options: { from: string; to: string; units: bigint }): Promise<string>;
}

const quantity = (value: bigint | number): string => `0x${value.toString(16)}`;
export const heightOf = (text: string): number => Number.parseInt(text.slice(2), 16);

export function createChainClient(url: string): ChainClient {
  let id = 0;
  async function call<T>(method: string, params: readonly unknown[]): Promise<T> {
    id += 1;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    const { result, error } = (await answer.json()) as { result: T; error?: { message: string } };
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }
  return {
    call,
    height: async (tag = 'latest') =>
      heightOf((await call<{ number: string }>('eth_getBlockByNumber', [tag, false])).number),
    balance: async (address, height) =>
      BigInt(await call<string>('eth_getBalance', [address, quantity(height)])),
    block: async (height) => await call<NodeBlock>('eth_getBlockByNumber', [quantity(height), true]),
    receipt: async (txId) =>
      (await call<NodeReceipt | null>('eth_getTransactionReceipt', [txId])) ?? undefined,
    mine: async (blocks) => {
      await call('anvil_mine', [quantity(blocks)]);
    },
    pay: async ({ from, to, units }) =>
      await call<string>('eth_sendTransaction', [{ from, to, value: quantity(units) }]),
  };
}

/**
 * Polls until `probe` gives something. Fails with what was waited for, so that a demo never hangs without a word.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  options: { timeoutMs?: number; everyMs?: number } = {},
): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 100 } = options;
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await delay(everyMs);
  }
}
