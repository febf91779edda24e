/** The chain as we recorded it, and the cursor. All writes run in the caller's transaction. */
import { errorsOf, invariant } from '#core/errors';
import type { ChainId } from '#core/money';
import { setHalt } from '#infra/cases';
import type { Queryable, Tx } from '#infra/db';
import { type BlockRef, chainErrors, type FollowStep, recordedBlocksMax } from '../contract.ts';
import { haltScopeOf } from './halts.ts';
import { unmineBlocks } from './outgoing.ts';
import { countOf, onlyRow } from './rows.ts';

const fail = errorsOf(chainErrors);

export interface Cursor {
  readonly head: BlockRef;
  /** Highest block recorded as final; never falls. */
  readonly finalizedHeight: number;
}

/** What recording a step changed beside the block or the rollback itself. */
export interface RecordedStep {
  /** Oldest first. */
  readonly newlyFinal: readonly BlockRef[];
  /** Intents whose payment was in an orphaned block: back in `broadcast`, to be tracked and sent again. */
  readonly unminedIntents: readonly string[];
}

interface BlockRow {
  readonly height: string;
  readonly hash: string;
  readonly parent_hash: string;
  readonly time_ms: string;
}
const blockColumns = 'b.height, b.hash, b.parent_hash, b.time_ms';
const refOf = (row: BlockRow): BlockRef => ({
  height: countOf(row.height),
  hash: row.hash,
  parentHash: row.parent_hash,
  timeMs: countOf(row.time_ms),
});

export async function cursorOf(db: Queryable, chain: ChainId): Promise<Cursor | undefined> {
  const { rows } = await db.query<BlockRow & { finalized_height: string }>(
    `SELECT ${blockColumns}, c.finalized_height
       FROM chains.cursor c JOIN chains.block b ON b.chain = c.chain AND b.hash = c.hash WHERE c.chain = $1`,
    [chain],
  );
  const row = rows[0];
  return row === undefined ? undefined : { head: refOf(row), finalizedHeight: countOf(row.finalized_height) };
}

/** The recorded block of our chain at this height. */
export async function blockRecordedAt(
  db: Queryable,
  chain: ChainId,
  height: number,
): Promise<BlockRef | undefined> {
  const { rows } = await db.query<BlockRow>(
    `SELECT ${blockColumns} FROM chains.block b WHERE b.chain = $1 AND b.height = $2 AND b.canonical`,
    [chain, height],
  );
  return rows[0] === undefined ? undefined : refOf(rows[0]);
}

/**
 * Records a step: the block or the rollback, the cursor, and what became final. The same step twice changes nothing more;
 * a step read beside an older cursor is refused. A rollback below a final block halts the chain in the same transaction.
 * @throws CHAINS_CURSOR_MOVED
 */
export async function recordStep(tx: Tx, chain: ChainId, step: FollowStep): Promise<RecordedStep> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`chains.cursor ${chain}`]);
  const cursor = await cursorOf(tx, chain);
  switch (step.kind) {
    case 'idle': {
      const final = Math.min(step.finalizedHeight, step.head.height);
      return { newlyFinal: await finalise(tx, chain, final), unminedIntents: [] };
    }
    case 'extend':
      await recordBlock(tx, chain, step.block, cursor);
      return { newlyFinal: await finalise(tx, chain, step.finalizedHeight), unminedIntents: [] };
    case 'rollback':
      return { newlyFinal: [], unminedIntents: await recordRollback(tx, chain, step, cursor) };
  }
}

async function recordBlock(
  tx: Tx,
  chain: ChainId,
  block: BlockRef,
  cursor: Cursor | undefined,
): Promise<void> {
  if (cursor?.head.hash === block.hash) return;
  if (
    cursor !== undefined &&
    (cursor.head.hash !== block.parentHash || cursor.head.height + 1 !== block.height)
  )
    throw fail('CHAINS_CURSOR_MOVED', `block ${block.height} no longer follows the cursor of ${chain}`, {
      chain,
      height: block.height,
      cursor: cursor.head.height,
    });
  // A block that a reorg took away can come back.
  await tx.query(
    `INSERT INTO chains.block (chain, hash, height, parent_hash, time_ms) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (chain, hash) DO UPDATE SET canonical = true`,
    [chain, block.hash, block.height, block.parentHash, block.timeMs],
  );
  await moveCursor(tx, chain, block);
}

async function recordRollback(
  tx: Tx,
  chain: ChainId,
  step: Extract<FollowStep, { kind: 'rollback' }>,
  cursor: Cursor | undefined,
): Promise<readonly string[]> {
  const { ancestor, orphaned, belowFinal } = step;
  if (cursor?.head.hash === ancestor.hash) return [];
  if (cursor === undefined || cursor.head.hash !== orphaned[0]?.hash)
    throw fail('CHAINS_CURSOR_MOVED', `the rollback to ${ancestor.height} was read beside another cursor`, {
      chain,
      ancestor: ancestor.height,
    });
  await moveCursor(tx, chain, ancestor);
  const gone = await tx.query(
    'UPDATE chains.block SET canonical = false WHERE chain = $1 AND canonical AND height > $2',
    [chain, ancestor.height],
  );
  invariant(gone.rowCount === orphaned.length, 'a rollback must orphan every block above its ancestor', {
    chain,
    ancestor: ancestor.height,
    orphaned: orphaned.length,
  });
  if (belowFinal)
    await setHalt(tx, {
      scope: haltScopeOf(chain),
      reason: `blocks above ${ancestor.height} left the chain, final was ${cursor.finalizedHeight}`,
    });
  return await unmineBlocks(tx, chain, orphaned);
}

async function moveCursor(tx: Tx, chain: ChainId, to: BlockRef): Promise<void> {
  await tx.query(
    `INSERT INTO chains.cursor (chain, height, hash, finalized_height) VALUES ($1, $2, $3, 0)
     ON CONFLICT (chain) DO UPDATE SET height = $2, hash = $3, updated_at = now()`,
    [chain, to.height, to.hash],
  );
}

/**
 * Marks recorded blocks up to the height as final and returns those that were not before, oldest first. Finality only
 * rises; final blocks older than {@link recordedBlocksMax} are forgotten.
 */
export async function finalise(
  tx: Tx,
  chain: ChainId,
  finalizedHeight: number,
): Promise<readonly BlockRef[]> {
  const cursor = await cursorOf(tx, chain);
  if (cursor === undefined) return [];
  const height = Math.min(finalizedHeight, cursor.head.height);
  const { rows } = await tx.query<BlockRow>(
    `UPDATE chains.block b SET final = true WHERE b.chain = $1 AND b.canonical AND NOT b.final AND b.height <= $2
     RETURNING ${blockColumns}`,
    [chain, height],
  );
  if (rows.length === 0) return [];
  const raised = await tx.query(
    'UPDATE chains.cursor SET finalized_height = greatest(finalized_height, $2) WHERE chain = $1 RETURNING 1',
    [chain, height],
  );
  onlyRow(raised.rows, `cursor of ${chain}`);
  await tx.query('DELETE FROM chains.block WHERE chain = $1 AND canonical AND final AND height <= $2', [
    chain,
    cursor.head.height - recordedBlocksMax,
  ]);
  return rows.map(refOf).sort((a, b) => a.height - b.height);
}
