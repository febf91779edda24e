/**
 * What became of a conflict set. The nonce is asked first, because a receipt that is missing after a reorg says nothing by
 * itself; then every hash ever signed for it, because any of them may be the one that was mined.
 */
import { errorsOf } from '#core/errors';
import { type BlockRef, type ConflictSet, chainErrors, type TrackOutcome } from '../contract.ts';
import { blockRefOf, headerAt } from './blocks.ts';
import { type EthereumNode, heightHex, minedCountAt, NodeRefusal } from './rpc.ts';
import {
  feeUnitsOf,
  type WireReceipt,
  type WireTransaction,
  wireBlock,
  wireReceipt,
  wireTransaction,
} from './wire.ts';

const fail = errorsOf(chainErrors);
/** Full nodes keep the states of about 128 blocks; older ones cannot be asked for a nonce. */
const statesKeptMax = 120;

/** Hashes in lower case; `pending` with nothing known means "cannot be said now, ask again". */
export async function trackConflictSet(
  node: EthereumNode,
  finalizedHeight: () => Promise<number>,
  conflictSet: ConflictSet,
  txIds: readonly string[],
): Promise<TrackOutcome> {
  // Finality before the receipts: what was final then and is on the chain now is final.
  const finalized = await finalizedHeight();
  const minedCount = await minedCountAt(node, conflictSet.sender, 'latest');
  if (minedCount <= conflictSet.nonce) return await trackUnmined(node, conflictSet, txIds);
  const mined = await findReceipt(node, txIds, finalized);
  if (mined !== undefined) return mined;
  return await lookForForeign(node, conflictSet, txIds);
}

async function trackUnmined(
  node: EthereumNode,
  conflictSet: ConflictSet,
  txIds: readonly string[],
): Promise<TrackOutcome> {
  const known: string[] = [];
  for (const txId of txIds) {
    const transaction = await transactionOf(node, txId);
    // Mined since the nonce was read: the next look sees its receipt.
    if (transaction !== undefined) known.push(txId);
  }
  if (known.length > 0) return { state: 'pending', known };
  const minedCount = await minedCountAt(node, conflictSet.sender, 'latest');
  return minedCount > conflictSet.nonce ? { state: 'pending', known: [] } : { state: 'lost' };
}

async function transactionOf(node: EthereumNode, txId: string): Promise<WireTransaction | undefined> {
  return (await node.call('eth_getTransactionByHash', [txId], wireTransaction.nullable())) ?? undefined;
}

async function findReceipt(
  node: EthereumNode,
  txIds: readonly string[],
  finalizedHeight: number,
): Promise<TrackOutcome | undefined> {
  const found: { receipt: WireReceipt; block: BlockRef }[] = [];
  for (const txId of txIds) {
    const receipt = await node.call('eth_getTransactionReceipt', [txId], wireReceipt.nullable());
    if (receipt === null) continue;
    const header = await headerAt(node, receipt.blockNumber);
    // A receipt of a block that was reorganised away in between counts as none.
    if (header?.hash === receipt.blockHash) found.push({ receipt, block: blockRefOf(header) });
  }
  const [only, second] = found;
  if (only === undefined) return undefined;
  if (second !== undefined)
    throw fail('CHAINS_NODE_INCONSISTENT', 'two transactions with one nonce both have receipts', {
      txIds: found.map(({ receipt }) => receipt.transactionHash),
    });
  return {
    state: 'mined',
    txId: only.receipt.transactionHash,
    block: only.block,
    succeeded: only.receipt.status === 1,
    feeUnits: feeUnitsOf(only.receipt),
    final: only.block.height <= finalizedHeight,
  };
}

/**
 * The nonce is used and none of our hashes has a receipt. `foreign` halts, so it is only said with the other transaction
 * in hand; while that cannot be shown (a reorg under way, a receipt index that lags, a pruned state) it is `pending`.
 */
async function lookForForeign(
  node: EthereumNode,
  conflictSet: ConflictSet,
  txIds: readonly string[],
): Promise<TrackOutcome> {
  const unsure: TrackOutcome = { state: 'pending', known: [] };
  const head = await headerAt(node, 'latest');
  if (head === undefined) return unsure;
  const height = await heightOfUse(node, conflictSet, head.number);
  if (height === undefined) return unsure;
  const block = await node.call('eth_getBlockByNumber', [heightHex(height), true], wireBlock.nullable());
  const user = block?.transactions.find(
    (transaction) =>
      transaction.from === conflictSet.sender.toLowerCase() && transaction.nonce === conflictSet.nonce,
  );
  if (user === undefined || txIds.includes(user.hash)) return unsure;
  const headAfter = await headerAt(node, 'latest');
  const receiptsAfter = await findReceipt(node, txIds, 0);
  if (headAfter?.hash !== head.hash || receiptsAfter !== undefined) return unsure;
  return {
    state: 'foreign',
    detail: `nonce ${conflictSet.nonce} of ${conflictSet.sender} was used by ${user.hash} in block ${height}`,
  };
}

/** Height of the block in which the nonce was used, by bisection over the sender's mined count. */
async function heightOfUse(
  node: EthereumNode,
  conflictSet: ConflictSet,
  headHeight: number,
): Promise<number | undefined> {
  const used = async (height: number): Promise<boolean> =>
    (await minedCountAt(node, conflictSet.sender, height)) > conflictSet.nonce;
  let unusedAt = Math.max(0, headHeight - statesKeptMax);
  let usedAt = headHeight;
  try {
    if (!(await used(usedAt))) return undefined;
    if (await used(unusedAt)) {
      // Used longer ago than a full node can say; an archive node can.
      usedAt = unusedAt;
      unusedAt = -1;
    }
    while (usedAt - unusedAt > 1) {
      const middle = Math.floor((usedAt + unusedAt) / 2);
      if (await used(middle)) usedAt = middle;
      else unusedAt = middle;
    }
    return usedAt;
  } catch (error) {
    if (error instanceof NodeRefusal) return undefined;
    throw error;
  }
}
