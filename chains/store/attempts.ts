/** Attempts: every transaction built for a conflict set. Signed bytes and their id are stored before they are sent. */
import { errorsOf, invariant } from '#core/errors';
import type { Id } from '#core/ids';
import type { ChainId } from '#core/money';
import type { Queryable, Tx } from '#infra/db';
import {
  type BroadcastOutcome,
  chainErrors,
  type SignedTransaction,
  type UnsignedTransaction,
} from '../contract.ts';
import { advanceTo, lockOutgoing } from './outgoing.ts';
import { countOf, onlyRow } from './rows.ts';

const fail = errorsOf(chainErrors);

export type AttemptId = Id<'att'>;
type AttemptState = 'built' | 'signed' | 'broadcast';
export interface Attempt {
  readonly id: AttemptId;
  readonly intentId: string;
  readonly unsigned: UnsignedTransaction;
  /** Absent while `built`. */
  readonly signed: SignedTransaction | undefined;
  readonly state: AttemptState;
  /** What the last broadcast answered. */
  readonly outcome: BroadcastOutcome['outcome'] | undefined;
}

interface AttemptRow {
  readonly id: AttemptId;
  readonly intent_id: string;
  readonly chain: ChainId;
  readonly sender: string;
  readonly nonce: string;
  readonly unsigned: string;
  readonly recipient: string;
  readonly units: string;
  readonly gas_limit: string;
  readonly max_fee_per_gas: string;
  readonly max_priority_fee_per_gas: string;
  readonly raw: string | null;
  readonly tx_id: string | null;
  readonly state: AttemptState;
  readonly outcome: BroadcastOutcome['outcome'] | null;
}

function attemptOfRow(row: AttemptRow): Attempt {
  const gasLimit = BigInt(row.gas_limit);
  const maxFeePerGas = BigInt(row.max_fee_per_gas);
  return {
    id: row.id,
    intentId: row.intent_id,
    unsigned: {
      chain: row.chain,
      unsigned: row.unsigned,
      sender: row.sender,
      nonce: countOf(row.nonce),
      to: row.recipient,
      units: BigInt(row.units),
      fee: {
        gasLimit,
        maxFeePerGas,
        maxPriorityFeePerGas: BigInt(row.max_priority_fee_per_gas),
        maxCostUnits: gasLimit * maxFeePerGas,
      },
    },
    signed:
      row.raw === null || row.tx_id === null
        ? undefined
        : { txId: row.tx_id, raw: row.raw, sender: row.sender },
    state: row.state,
    outcome: row.outcome ?? undefined,
  };
}

/** Spends the conflict set on nothing: no value, to the sender itself. */
export const isCancel = (unsigned: UnsignedTransaction): boolean =>
  unsigned.units === 0n && unsigned.to === unsigned.sender;

const selectAttempt = `SELECT a.*, o.intent_id, o.sender, o.nonce
  FROM chains.attempt a JOIN chains.outgoing o ON o.id = a.outgoing_id`;

/** All attempts of the intent, oldest first. */
export async function attemptsOf(db: Queryable, intentId: string): Promise<readonly Attempt[]> {
  const { rows } = await db.query<AttemptRow>(
    `${selectAttempt} WHERE o.intent_id = $1 ORDER BY a.created_at, a.id`,
    [intentId],
  );
  return rows.map(attemptOfRow);
}

export async function attempt(db: Queryable, id: AttemptId): Promise<Attempt | undefined> {
  const { rows } = await db.query<AttemptRow>(`${selectAttempt} WHERE a.id = $1`, [id]);
  return rows[0] === undefined ? undefined : attemptOfRow(rows[0]);
}

/**
 * Stores what is about to be signed. Attempts of one conflict set pay the same recipient the same amount, or cancel it
 * (nothing to the sender itself). Same id and content again: the stored attempt.
 * @throws CHAINS_ATTEMPT_CONFLICT when the id was used for other bytes
 */
export async function saveBuilt(
  tx: Tx,
  options: { readonly id: AttemptId; readonly intentId: string; readonly unsigned: UnsignedTransaction },
): Promise<Attempt> {
  const { id, intentId, unsigned } = options;
  const outgoing = await lockOutgoing(tx, intentId);
  const { conflictSet } = outgoing;
  const stored = await attempt(tx, id);
  if (stored !== undefined) {
    if (stored.intentId !== intentId || stored.unsigned.unsigned !== unsigned.unsigned)
      throw fail('CHAINS_ATTEMPT_CONFLICT', `${id} was built with other bytes`, { id });
    return stored;
  }
  invariant(
    unsigned.chain === conflictSet.chain &&
      unsigned.sender === conflictSet.sender &&
      unsigned.nonce === conflictSet.nonce,
    'an attempt must use the conflict set of its intent',
    { intentId, nonce: conflictSet.nonce },
  );
  const paid = (await attemptsOf(tx, intentId)).find(({ unsigned: other }) => other.units > 0n)?.unsigned;
  invariant(
    isCancel(unsigned) || paid === undefined || (paid.to === unsigned.to && paid.units === unsigned.units),
    'attempts of one intent pay the same recipient the same amount',
    { intentId },
  );
  const { rowCount } = await tx.query(
    `INSERT INTO chains.attempt (id, outgoing_id, chain, unsigned, recipient, units, gas_limit, max_fee_per_gas,
                                 max_priority_fee_per_gas)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (outgoing_id, unsigned) DO NOTHING`,
    [
      id,
      outgoing.rowId,
      unsigned.chain,
      unsigned.unsigned,
      unsigned.to,
      unsigned.units.toString(),
      unsigned.fee.gasLimit.toString(),
      unsigned.fee.maxFeePerGas.toString(),
      unsigned.fee.maxPriorityFeePerGas.toString(),
    ],
  );
  if (rowCount !== 1)
    throw fail('CHAINS_ATTEMPT_CONFLICT', `another attempt of ${intentId} has the same bytes`, { id });
  return onlyRow(
    (await attemptsOf(tx, intentId)).filter((candidate) => candidate.id === id),
    id,
  );
}

/**
 * Stores the signed bytes and their id, before they are sent. Threshold signatures differ from run to run, so a repeated
 * signing gives another id for the same content: the first one stored is the one that counts and is returned.
 */
export async function saveSigned(
  tx: Tx,
  id: AttemptId,
  signed: SignedTransaction,
): Promise<SignedTransaction> {
  const { rows } = await tx.query<{ outgoing_id: string; sender: string }>(
    `SELECT a.outgoing_id, o.sender FROM chains.attempt a JOIN chains.outgoing o ON o.id = a.outgoing_id
      WHERE a.id = $1 FOR UPDATE`,
    [id],
  );
  const row = onlyRow(rows, `attempt ${id}`);
  invariant(row.sender === signed.sender, 'the signed transaction has another sender', {
    id,
    sender: signed.sender,
  });
  await tx.query(
    `UPDATE chains.attempt SET raw = $2, tx_id = $3, state = 'signed' WHERE id = $1 AND state = 'built'`,
    [id, signed.raw, signed.txId],
  );
  await advanceTo(tx, row.outgoing_id, 'signed');
  const stored = (await attempt(tx, id))?.signed;
  invariant(stored !== undefined, 'a signed attempt has bytes', { id });
  return stored;
}

/** Notes what the node answered. Only stored bytes can have been sent. */
export async function markBroadcast(tx: Tx, id: AttemptId, answer: BroadcastOutcome): Promise<void> {
  const { rows } = await tx.query<{ outgoing_id: string }>(
    `UPDATE chains.attempt SET state = 'broadcast', outcome = $2, detail = $3
      WHERE id = $1 AND raw IS NOT NULL RETURNING outgoing_id`,
    [id, answer.outcome, answer.detail],
  );
  await advanceTo(tx, onlyRow(rows, `signed attempt ${id}`).outgoing_id, 'broadcast');
}
