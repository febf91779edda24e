/**
 * Conflict sets: one intent, one nonce, in both directions, reserved before anything is built, and given back only while
 * nothing was built. All writes run in the
 * caller's transaction; every function may run again with the same arguments.
 */
import { errorsOf, invariant } from '#core/errors';
import type { ChainId } from '#core/money';
import type { Queryable, Tx } from '#infra/db';
import { type BlockRef, type ConflictSet, chainErrors, type TrackOutcome } from '../contract.ts';
import { assertNotHalted } from './halts.ts';
import { countOf, onlyRow } from './rows.ts';

const fail = errorsOf(chainErrors);

export type OutgoingState = 'reserved' | 'signed' | 'broadcast' | 'mined' | 'final' | 'dead';

/** What a transaction of ours did on the chain. */
export interface MinedOutcome {
  readonly txId: string;
  readonly blockHash: string;
  readonly blockHeight: number;
  readonly succeeded: boolean;
  readonly feeUnits: bigint;
}
export interface Outgoing {
  readonly intentId: string;
  readonly conflictSet: ConflictSet;
  readonly state: OutgoingState;
  /** Present in `mined` and `final`. */
  readonly mined: MinedOutcome | undefined;
}

interface OutgoingRow {
  readonly id: string;
  readonly chain: ChainId;
  readonly sender: string;
  readonly nonce: string;
  readonly intent_id: string;
  readonly state: OutgoingState;
  readonly mined_tx_id: string | null;
  readonly block_hash: string | null;
  readonly block_height: string | null;
  readonly succeeded: boolean | null;
  readonly fee_units: string | null;
}

const noMined = `mined_tx_id = NULL, block_hash = NULL, block_height = NULL, succeeded = NULL, fee_units = NULL,
  updated_at = now()`;

function minedOf(row: OutgoingRow): MinedOutcome | undefined {
  const { mined_tx_id, block_hash, block_height, succeeded, fee_units } = row;
  if (
    mined_tx_id === null ||
    block_hash === null ||
    block_height === null ||
    succeeded === null ||
    fee_units === null
  )
    return undefined;
  return {
    txId: mined_tx_id,
    blockHash: block_hash,
    blockHeight: countOf(block_height),
    succeeded,
    feeUnits: BigInt(fee_units),
  };
}

const outgoingOfRow = (row: OutgoingRow): Outgoing => ({
  intentId: row.intent_id,
  conflictSet: { chain: row.chain, sender: row.sender, nonce: countOf(row.nonce) },
  state: row.state,
  mined: minedOf(row),
});

/** What the intent holds now; a nonce it has given back is not its any more. */
export async function outgoingOf(db: Queryable, intentId: string): Promise<Outgoing | undefined> {
  const { rows } = await db.query<OutgoingRow>(
    `SELECT * FROM chains.outgoing WHERE intent_id = $1 AND state <> 'released'`,
    [intentId],
  );
  return rows[0] === undefined ? undefined : outgoingOfRow(rows[0]);
}

/** The intent that owns the transaction, by the id of any attempt; undefined for transactions we never signed. */
export async function outgoingOfTransaction(
  db: Queryable,
  chain: ChainId,
  txId: string,
): Promise<Outgoing | undefined> {
  const { rows } = await db.query<OutgoingRow>(
    `SELECT o.* FROM chains.outgoing o JOIN chains.attempt a ON a.outgoing_id = o.id
      WHERE a.chain = $1 AND a.tx_id = $2`,
    [chain, txId],
  );
  return rows[0] === undefined ? undefined : outgoingOfRow(rows[0]);
}

/** Conflict sets of a sender that are neither final, dead nor released, by nonce. */
export async function openOutgoings(
  db: Queryable,
  chain: ChainId,
  sender: string,
): Promise<readonly Outgoing[]> {
  const { rows } = await db.query<OutgoingRow>(
    `SELECT * FROM chains.outgoing WHERE chain = $1 AND sender = $2 AND state NOT IN ('final', 'dead', 'released')
      ORDER BY nonce`,
    [chain, sender],
  );
  return rows.map(outgoingOfRow);
}

export interface Reservation {
  readonly chain: ChainId;
  /** Canonical address. */
  readonly sender: string;
  readonly intentId: string;
  /** The chain's own count ({@link ChainAdapter.minedNonce}), a floor: our counter is the authority. */
  readonly chainNonce: number;
}

/**
 * The lowest nonce that was given back and that nobody holds. One below the chain's own count was used by a transaction
 * that we did not send: the watcher reports that one as a payment without an intent.
 */
async function releasedNonce(
  tx: Tx,
  { chain, sender, chainNonce }: Reservation,
): Promise<number | undefined> {
  const { rows } = await tx.query<{ nonce: string }>(
    `SELECT nonce FROM chains.outgoing r WHERE chain = $1 AND sender = $2 AND nonce >= $3 AND state = 'released'
        AND NOT EXISTS (SELECT 1 FROM chains.outgoing o WHERE o.chain = r.chain AND o.sender = r.sender
                          AND o.nonce = r.nonce AND o.state <> 'released')
      ORDER BY nonce LIMIT 1`,
    [chain, sender, chainNonce],
  );
  return rows[0] === undefined ? undefined : countOf(rows[0].nonce);
}

/**
 * The nonce of the intent; the same one on every call until it is given back. Nonces that were given back are taken
 * first, so that none of them holds up the ones above it. The sender's row is locked until the transaction ends, so that a
 * reservation that is rolled back leaves no gap.
 * @throws CHAINS_CONFLICT_SET_TAKEN when the intent holds a conflict set of another chain or sender
 * @throws CHAINS_HALTED
 */
export async function reserveConflictSet(tx: Tx, reservation: Reservation): Promise<ConflictSet> {
  const { chain, sender, intentId, chainNonce } = reservation;
  invariant(Number.isSafeInteger(chainNonce) && chainNonce >= 0, 'a nonce is a whole count', { chainNonce });
  await tx.query(
    `INSERT INTO chains.sender (chain, sender, next_nonce) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING`,
    [chain, sender],
  );
  const locked = await tx.query<{ next_nonce: string }>(
    'SELECT next_nonce FROM chains.sender WHERE chain = $1 AND sender = $2 FOR UPDATE',
    [chain, sender],
  );
  const existing = await outgoingOf(tx, intentId);
  if (existing !== undefined) {
    if (existing.conflictSet.chain === chain && existing.conflictSet.sender === sender)
      return existing.conflictSet;
    throw fail('CHAINS_CONFLICT_SET_TAKEN', `${intentId} already holds a nonce of another address`, {
      intentId,
      sender: existing.conflictSet.sender,
      nonce: existing.conflictSet.nonce,
    });
  }
  await assertNotHalted(tx, chain);
  const counted = Math.max(countOf(onlyRow(locked.rows, 'sender').next_nonce), chainNonce);
  const nonce = (await releasedNonce(tx, reservation)) ?? counted;
  const inserted = await tx.query(
    `INSERT INTO chains.outgoing (chain, sender, nonce, intent_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
    [chain, sender, nonce, intentId],
  );
  if (inserted.rowCount !== 1)
    throw fail('CHAINS_CONFLICT_SET_TAKEN', `nonce ${nonce} of ${sender}, or ${intentId}, is taken`, {
      sender,
      nonce,
      intentId,
    });
  await tx.query('UPDATE chains.sender SET next_nonce = $3 WHERE chain = $1 AND sender = $2', [
    chain,
    sender,
    Math.max(counted, nonce + 1),
  ]);
  return { chain, sender, nonce };
}

/**
 * Gives the intent's nonce back to the next intent of its sender, if nothing was ever built for it; with a stored attempt
 * the nonce stays, because signed bytes may exist. Returns whether a nonce was given back. The row is kept as history.
 *
 * Why this pays nobody twice: without an attempt the co-signers were never asked, so no bytes of this intent exist; the
 * old and the new intent share a nonce, of which the chain takes one transaction; and a co-signer that did bind the set
 * or the intent refuses the other one by its own record (check `conflict`), which stops the payment with a case.
 */
export async function releaseConflictSet(tx: Tx, intentId: string): Promise<boolean> {
  const held = await tx.query<{ id: string; has_attempts: boolean }>(
    `SELECT id, EXISTS (SELECT 1 FROM chains.attempt a WHERE a.outgoing_id = o.id) AS has_attempts
       FROM chains.outgoing o WHERE intent_id = $1 AND state <> 'released'`,
    [intentId],
  );
  const row = held.rows[0];
  // Looked at without a lock first: whoever records what was mined locks the nonce before the payment, callers after it.
  if (row === undefined || row.has_attempts) return false;
  await tx.query('SELECT 1 FROM chains.outgoing WHERE id = $1 FOR UPDATE', [row.id]);
  const { rowCount } = await tx.query(
    `UPDATE chains.outgoing SET state = 'released', updated_at = now() WHERE id = $1 AND state = 'reserved'
        AND NOT EXISTS (SELECT 1 FROM chains.attempt WHERE outgoing_id = $1)`,
    [row.id],
  );
  return rowCount === 1;
}

/** The row behind an intent, locked. */
export async function lockOutgoing(tx: Tx, intentId: string): Promise<Outgoing & { readonly rowId: string }> {
  const { rows } = await tx.query<OutgoingRow>(
    `SELECT * FROM chains.outgoing WHERE intent_id = $1 AND state <> 'released' FOR UPDATE`,
    [intentId],
  );
  const row = onlyRow(rows, `conflict set of ${intentId}`);
  return { ...outgoingOfRow(row), rowId: row.id };
}

/** Moves the state on; never back from `mined`, `final` or `dead`, which have functions of their own. */
export async function advanceTo(tx: Tx, rowId: string, state: 'signed' | 'broadcast'): Promise<void> {
  const before = state === 'signed' ? ['reserved'] : ['reserved', 'signed'];
  await tx.query(
    'UPDATE chains.outgoing SET state = $2, updated_at = now() WHERE id = $1 AND state = ANY($3)',
    [rowId, state, before],
  );
}

/**
 * One of our transactions is in a block. A second sight of another block (a reorg moved it) replaces the first; after
 * `final` only the same answer is accepted.
 */
export async function recordMined(
  tx: Tx,
  intentId: string,
  mined: Extract<TrackOutcome, { state: 'mined' }>,
): Promise<void> {
  const outgoing = await lockOutgoing(tx, intentId);
  const owner = await outgoingOfTransaction(tx, outgoing.conflictSet.chain, mined.txId);
  invariant(owner?.intentId === intentId, 'a mined transaction belongs to another intent or to none', {
    intentId,
    txId: mined.txId,
  });
  invariant(outgoing.state !== 'dead', 'a conflict set recorded as dead was mined', { intentId });
  if (outgoing.state === 'final') {
    invariant(
      outgoing.mined?.txId === mined.txId && outgoing.mined.blockHash === mined.block.hash,
      'a final transaction was seen elsewhere',
      { intentId, txId: mined.txId },
    );
    return;
  }
  await tx.query(
    `UPDATE chains.outgoing SET state = 'mined', mined_tx_id = $2, block_hash = $3, block_height = $4,
            succeeded = $5, fee_units = $6, updated_at = now() WHERE id = $1`,
    [
      outgoing.rowId,
      mined.txId,
      mined.block.hash,
      mined.block.height,
      mined.succeeded,
      mined.feeUnits.toString(),
    ],
  );
}

/** Settled: the block of the recorded transaction is final. */
export async function recordFinal(tx: Tx, intentId: string, block: BlockRef): Promise<void> {
  const outgoing = await lockOutgoing(tx, intentId);
  invariant(
    (outgoing.state === 'mined' || outgoing.state === 'final') && outgoing.mined?.blockHash === block.hash,
    'only a mined transaction becomes final, in the block it was seen in',
    { intentId, state: outgoing.state, block: block.hash },
  );
  await tx.query(`UPDATE chains.outgoing SET state = 'final', updated_at = now() WHERE id = $1`, [
    outgoing.rowId,
  ]);
}

/**
 * A reorg took these blocks away: what was mined in them goes back to `broadcast`, to be tracked and sent again. Returns
 * the intents. Part of recording a rollback; a final one stays final, because that reorg halts the chain.
 */
export async function unmineBlocks(
  tx: Tx,
  chain: ChainId,
  orphaned: readonly BlockRef[],
): Promise<readonly string[]> {
  const { rows } = await tx.query<{ intent_id: string }>(
    `UPDATE chains.outgoing SET state = 'broadcast', ${noMined}
      WHERE chain = $1 AND state = 'mined' AND block_hash = ANY($2) RETURNING intent_id`,
    [chain, orphaned.map(({ hash }) => hash)],
  );
  return rows.map(({ intent_id }) => intent_id);
}

/**
 * The tracker no longer sees the transaction in the block it was in, before the follower recorded the reorg: back to
 * `broadcast`. Returns whether it was mined.
 */
export async function unmine(tx: Tx, intentId: string): Promise<boolean> {
  const outgoing = await lockOutgoing(tx, intentId);
  if (outgoing.state !== 'mined') return false;
  await tx.query(`UPDATE chains.outgoing SET state = 'broadcast', ${noMined} WHERE id = $1`, [
    outgoing.rowId,
  ]);
  return true;
}

/**
 * Given up for good by a person's case: the nonce stays reserved for this intent and is never given to another.
 */
export async function recordDead(tx: Tx, intentId: string): Promise<void> {
  const outgoing = await lockOutgoing(tx, intentId);
  invariant(outgoing.state !== 'mined' && outgoing.state !== 'final', 'a mined conflict set is not dead', {
    intentId,
  });
  await tx.query(`UPDATE chains.outgoing SET state = 'dead', updated_at = now() WHERE id = $1`, [
    outgoing.rowId,
  ]);
}
