/** Reading blocks: always by hash, always with receipts that name the same block. */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import type { AssetId, ChainId } from '#core/money';
import { type Block, type BlockRef, chainErrors, type MinedTransaction } from '../contract.ts';
import { canonicalAddress } from './address.ts';
import { type EthereumNode, heightHex, NodeRefusal } from './rpc.ts';
import {
  feeUnitsOf,
  type WireBlock,
  type WireHeader,
  type WireReceipt,
  type WireTransaction,
  wireBlock,
  wireHeader,
  wireReceipt,
} from './wire.ts';

const fail = errorsOf(chainErrors);
const methodNotFound = -32_601;
/** Receipts asked for one by one when the node cannot give a block's at once: so many at a time. */
const receiptsAtOnce = 16;

export interface EthereumAssets {
  readonly chain: ChainId;
  readonly nativeAsset: AssetId;
}

export const blockRefOf = (header: WireHeader): BlockRef => ({
  height: header.number,
  hash: header.hash,
  parentHash: header.parentHash,
  timeMs: header.timestamp * 1000,
});

export type BlockTag = 'latest' | 'safe' | 'finalized';

export async function headerAt(node: EthereumNode, at: number | BlockTag): Promise<WireHeader | undefined> {
  const which = typeof at === 'number' ? heightHex(at) : at;
  const header = await node.call('eth_getBlockByNumber', [which, false], wireHeader.nullable());
  if (header !== null && typeof at === 'number' && header.number !== at)
    throw fail('CHAINS_NODE_INCONSISTENT', `asked for block ${at}, got block ${header.number}`, {
      height: at,
    });
  return header ?? undefined;
}

async function receiptsOf(node: EthereumNode, block: WireBlock): Promise<readonly WireReceipt[] | undefined> {
  try {
    return (
      (await node.call('eth_getBlockReceipts', [block.hash], z.array(wireReceipt).nullable())) ?? undefined
    );
  } catch (error) {
    if (!(error instanceof NodeRefusal) || error.rpcCode !== methodNotFound) throw error;
  }
  const receipts: WireReceipt[] = [];
  for (let first = 0; first < block.transactions.length; first += receiptsAtOnce) {
    const some = await Promise.all(
      block.transactions
        .slice(first, first + receiptsAtOnce)
        .map(
          async ({ hash }) => await node.call('eth_getTransactionReceipt', [hash], wireReceipt.nullable()),
        ),
    );
    for (const receipt of some) {
      if (receipt === null) return undefined;
      receipts.push(receipt);
    }
  }
  return receipts;
}

function minedTransaction(
  assets: EthereumAssets,
  transaction: WireTransaction,
  receipt: WireReceipt,
): MinedTransaction {
  const from = canonicalAddress(transaction.from);
  const succeeded = receipt.status === 1;
  const to = typeof transaction.to === 'string' ? canonicalAddress(transaction.to) : undefined;
  const moved = succeeded && to !== undefined && to !== from && transaction.value > 0n;
  return {
    txId: transaction.hash,
    from,
    nonce: transaction.nonce,
    succeeded,
    feeUnits: feeUnitsOf(receipt),
    transfers: moved
      ? [
          {
            chain: assets.chain,
            txId: transaction.hash,
            index: 0,
            asset: assets.nativeAsset,
            from,
            to,
            units: transaction.value,
          },
        ]
      : [],
  };
}

/**
 * The block with what its transactions did. Only the value of the transactions themselves is seen: transfers made by
 * contracts inside a transaction need tracing and come with it; contract creations and self-sends move nothing here.
 * @returns undefined when the node does not have the block
 * @throws CHAINS_NODE_INCONSISTENT when block and receipts do not belong together
 */
export async function readBlock(
  node: EthereumNode,
  assets: EthereumAssets,
  hash: string,
): Promise<Block | undefined> {
  const block = await node.call('eth_getBlockByHash', [hash, true], wireBlock.nullable());
  if (block === null) return undefined;
  if (block.hash !== hash)
    throw fail('CHAINS_NODE_INCONSISTENT', `asked for block ${hash}, got ${block.hash}`, { hash });
  const receipts = block.transactions.length === 0 ? [] : await receiptsOf(node, block);
  if (receipts === undefined || receipts.length !== block.transactions.length)
    throw fail('CHAINS_NODE_INCONSISTENT', `block ${hash} came without all its receipts`, { hash });
  const transactions = block.transactions.map((transaction, index) => {
    const receipt = receipts[index];
    if (receipt?.transactionHash !== transaction.hash || receipt.blockHash !== hash)
      throw fail('CHAINS_NODE_INCONSISTENT', `a receipt of block ${hash} belongs elsewhere`, {
        hash,
        txId: transaction.hash,
      });
    return minedTransaction(assets, transaction, receipt);
  });
  return { ...blockRefOf(block), transactions };
}
