/**
 * One step of following a chain: the node's chain beside our recorded one. Reads only; the caller records the step in one
 * transaction, so that a lost worker changes nothing.
 *
 * Finality is read before the blocks. What the node called final at that moment and still has at the later one cannot have
 * been replaced in between.
 */
import { errorsOf } from '#core/errors';
import type { Queryable } from '#infra/db';
import {
  type BlockRef,
  type ChainAdapter,
  chainErrors,
  type FollowStep,
  recordedBlocksMax,
} from './contract.ts';
import { blockRecordedAt, type Cursor, cursorOf } from './store/blocks.ts';

const fail = errorsOf(chainErrors);

export type FollowedNode = Pick<ChainAdapter, 'chain' | 'head' | 'finalizedHeight' | 'block' | 'blockRefAt'>;

/**
 * Where following starts on an empty database: a height, or the node's final block. The first recorded block is always a
 * final one (a start above it is lowered), so that a reorg finds its ancestor among the recorded blocks.
 */
export type StartHeight = number | 'final';

/**
 * @throws CHAINS_NODE_UNAVAILABLE, CHAINS_NODE_INCONSISTENT: try again
 * @throws CHAINS_HALTED when no recorded block is on the node's chain any more
 */
export async function nextStep(
  db: Queryable,
  node: FollowedNode,
  startHeight: StartHeight,
): Promise<FollowStep> {
  const cursor = await cursorOf(db, node.chain);
  const finalizedHeight = await node.finalizedHeight();
  const head = await node.head();
  if (cursor === undefined) {
    const first = startHeight === 'final' ? finalizedHeight : Math.min(startHeight, finalizedHeight);
    return await extendTo(node, first, undefined, finalizedHeight);
  }
  // A node behind our cursor is compared where it stands: lagging is not a reorg.
  const comparedHeight = Math.min(head.height, cursor.head.height);
  const comparable = await refAt(node, comparedHeight, head);
  const recorded =
    comparedHeight === cursor.head.height
      ? cursor.head
      : await blockRecordedAt(db, node.chain, comparedHeight);
  if (recorded?.hash !== comparable.hash) return await rollback(db, node, cursor, comparedHeight);
  if (head.height <= cursor.head.height) return { kind: 'idle', head, finalizedHeight };
  return await extendTo(node, cursor.head.height + 1, cursor.head, finalizedHeight);
}

async function refAt(node: FollowedNode, height: number, head: BlockRef): Promise<BlockRef> {
  if (height === head.height) return head;
  const ref = await node.blockRefAt(height);
  if (ref === undefined)
    throw fail('CHAINS_NODE_INCONSISTENT', `the node has a head at ${head.height} and no block ${height}`, {
      height,
    });
  return ref;
}

async function extendTo(
  node: FollowedNode,
  height: number,
  parent: BlockRef | undefined,
  finalizedHeight: number,
): Promise<FollowStep> {
  const ref = await node.blockRefAt(height);
  const block = ref === undefined ? undefined : await node.block(ref.hash);
  if (block === undefined)
    throw fail('CHAINS_NODE_INCONSISTENT', `the node shows block ${height} and does not give it`, { height });
  if (block.height !== height || (parent !== undefined && block.parentHash !== parent.hash))
    throw fail('CHAINS_NODE_INCONSISTENT', `block ${height} does not follow the recorded one`, {
      height,
      parent: block.parentHash,
    });
  return { kind: 'extend', block, finalizedHeight };
}

/** Walks down from the first difference to the newest recorded block the node still has. */
async function rollback(
  db: Queryable,
  node: FollowedNode,
  cursor: Cursor,
  differsAt: number,
): Promise<FollowStep> {
  const orphaned: BlockRef[] = [];
  for (let height = cursor.head.height; height > cursor.head.height - recordedBlocksMax; height--) {
    const recorded = await blockRecordedAt(db, node.chain, height);
    if (recorded === undefined) break;
    const onNode = height < differsAt ? await node.blockRefAt(height) : undefined;
    if (onNode?.hash === recorded.hash)
      return {
        kind: 'rollback',
        ancestor: recorded,
        orphaned,
        belowFinal: recorded.height < cursor.finalizedHeight,
      };
    orphaned.push(recorded);
  }
  throw fail(
    'CHAINS_HALTED',
    `the node of ${node.chain} shares no recorded block with us below height ${differsAt}`,
    { chain: node.chain, height: differsAt },
  );
}
