/** The transaction pool of the proxy: geth's rules where anvil is laxer, and the transactions held back. */
import { type DecodedTransaction, decodeTransaction } from './rlp.ts';

/** A JSON-RPC error answer. */
export class RpcFault extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

type Node = (method: string, params?: readonly unknown[]) => Promise<unknown>;

interface PoolEntry {
  readonly raw: string;
  readonly transaction: DecodedTransaction & { readonly sender: string };
  readonly isHeld: boolean;
}

export interface ProxyPool {
  send(raw: string): Promise<string>;
  /** A held transaction as a node shows a pending one. */
  find(txId: string): Record<string, unknown> | undefined;
  holdBelow(maxFeePerGas: bigint | undefined): void;
  held(): readonly string[];
  release(): Promise<void>;
  evict(): void;
}

const serverError = -32_000;
/** geth `txpool.pricebump`: 10 % on both fees. */
const priceBumpPercent = 10n;
const hex = (value: bigint): string => `0x${value.toString(16)}`;

function isBumped(old: DecodedTransaction, next: DecodedTransaction): boolean {
  const enough = (before: bigint, after: bigint): boolean =>
    after > before && after * 100n >= before * (100n + priceBumpPercent);
  return (
    enough(old.maxFeePerGas, next.maxFeePerGas) && enough(old.maxPriorityFeePerGas, next.maxPriorityFeePerGas)
  );
}

function pendingForm({ raw, transaction }: PoolEntry): Record<string, unknown> {
  return {
    hash: transaction.txId,
    type: '0x2',
    chainId: hex(transaction.chainId),
    from: transaction.sender,
    to: transaction.to,
    nonce: hex(transaction.nonce),
    value: hex(transaction.value),
    gas: hex(transaction.gasLimit),
    maxFeePerGas: hex(transaction.maxFeePerGas),
    maxPriorityFeePerGas: hex(transaction.maxPriorityFeePerGas),
    input: `0x${transaction.dataHex}`,
    accessList: [],
    raw,
    blockHash: null,
    blockNumber: null,
    transactionIndex: null,
  };
}

export function createPool(node: Node): ProxyPool {
  const entries = new Map<string, PoolEntry>();
  let threshold: bigint | undefined;

  /** What the pool knows for the nonce; a forwarded one that the node has mined or dropped is forgotten. */
  const current = async (key: string): Promise<PoolEntry | undefined> => {
    const entry = entries.get(key);
    if (entry === undefined || entry.isHeld) return entry;
    const seen = await node('eth_getTransactionByHash', [entry.transaction.txId]);
    if (typeof seen === 'object' && seen !== null && 'blockHash' in seen && seen.blockHash === null)
      return entry;
    entries.delete(key);
    return undefined;
  };
  const minedCount = async (sender: string): Promise<bigint> =>
    BigInt(String(await node('eth_getTransactionCount', [sender, 'latest'])));

  const send = async (raw: string): Promise<string> => {
    const decoded = decodeTransaction(raw);
    const { sender } = decoded;
    if (sender === undefined) throw new RpcFault(serverError, 'rlp: the transaction is not signed');
    const transaction = { ...decoded, sender };
    if (transaction.maxPriorityFeePerGas === 0n)
      throw new RpcFault(serverError, 'transaction underpriced: gas tip cap 0, minimum needed 1');
    const key = `${sender}:${transaction.nonce.toString()}`;
    const old = await current(key);
    if (old?.transaction.txId === transaction.txId) throw new RpcFault(serverError, 'already known');
    const next = await minedCount(sender);
    if (transaction.nonce < next)
      throw new RpcFault(
        serverError,
        `nonce too low: next nonce ${next.toString()}, tx nonce ${transaction.nonce.toString()}`,
      );
    if (old !== undefined && !isBumped(old.transaction, transaction))
      throw new RpcFault(serverError, 'replacement transaction underpriced');
    const isHeld = threshold !== undefined && transaction.maxFeePerGas < threshold;
    if (isHeld) {
      if (old !== undefined && !old.isHeld) await node('anvil_dropTransaction', [old.transaction.txId]);
      entries.set(key, { raw, transaction, isHeld });
      return transaction.txId;
    }
    const txId = await node('eth_sendRawTransaction', [raw]);
    entries.set(key, { raw, transaction, isHeld });
    return String(txId);
  };

  // One at a time, as a node's pool has one lock: two sends of one nonce must see each other.
  let turn: Promise<unknown> = Promise.resolve();
  const sendInTurn = async (raw: string): Promise<string> => {
    const sent = turn.then(async () => await send(raw));
    turn = sent.catch(() => undefined);
    return await sent;
  };

  const heldEntries = (): [string, PoolEntry][] => [...entries].filter(([, { isHeld }]) => isHeld);
  return {
    send: sendInTurn,
    find: (txId) => {
      const found = heldEntries().find(([, { transaction }]) => transaction.txId === txId.toLowerCase());
      return found === undefined ? undefined : pendingForm(found[1]);
    },
    holdBelow: (maxFeePerGas) => {
      threshold = maxFeePerGas;
    },
    held: () => heldEntries().map(([, { transaction }]) => transaction.txId),
    release: async () => {
      const byNonce = heldEntries().sort(([, a], [, b]) =>
        a.transaction.nonce < b.transaction.nonce ? -1 : 1,
      );
      for (const [key, entry] of byNonce) {
        await node('eth_sendRawTransaction', [entry.raw]);
        entries.set(key, { ...entry, isHeld: false });
      }
    },
    evict: () => {
      for (const [key] of heldEntries()) entries.delete(key);
    },
  };
}
