/**
 * The outbox: a message is written in the transaction of the change it tells of, and delivered afterwards at least once.
 *
 * Within a topic messages are delivered in the order of their ids, one relay at a time. Two transactions that were open
 * at the same moment have no order between them: the one that commits later may hold the lower id.
 */

import type { JsonValue } from '#core/canonical-json';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from './contract.ts';
import { inTransaction, type Pool, type Tx } from './db.ts';

const fail = errorsOf(infraErrors);

export interface OutboxEntry {
  readonly topic: string;
  /** What the message is about (an account, a withdrawal), for the receiver's own idempotency. */
  readonly key: string;
  readonly payload: JsonValue;
}
export interface OutboxMessage extends OutboxEntry {
  /** Decimal; grows within a topic. */
  readonly id: string;
  readonly createdAt: Date;
}
/** Must be safe to run twice with the same message. */
export type OutboxHandler = (message: OutboxMessage) => Promise<void>;

export interface RelayOptions {
  /** Messages taken per topic and call; their rows stay locked while the handler runs. */
  readonly batchMax: number;
}

export async function enqueue(tx: Tx, entry: OutboxEntry): Promise<void> {
  await tx.query('INSERT INTO infra.outbox (topic, key, payload) VALUES ($1, $2, $3::jsonb)', [
    entry.topic,
    entry.key,
    JSON.stringify(entry.payload),
  ]);
}

interface OutboxRow {
  readonly id: string;
  readonly topic: string;
  readonly key: string;
  readonly payload: JsonValue;
  readonly created_at: Date;
}

interface TopicOutcome {
  readonly delivered: number;
  readonly failure?: { readonly message: OutboxMessage; readonly error: unknown };
}

async function relayTopic(
  tx: Tx,
  topic: string,
  handler: OutboxHandler,
  batchMax: number,
): Promise<TopicOutcome> {
  // SKIP LOCKED alone would let a second relay overtake within the topic; whoever holds this lock has the topic.
  const lock = await tx.query<{ held: boolean }>(
    "SELECT pg_try_advisory_xact_lock(hashtextextended('infra.outbox/' || $1, 0)) AS held",
    [topic],
  );
  if (lock.rows[0]?.held !== true) return { delivered: 0 };
  const { rows } = await tx.query<OutboxRow>(
    `SELECT id, topic, key, payload, created_at FROM infra.outbox
      WHERE topic = $1 AND delivered_at IS NULL ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [topic, batchMax],
  );
  const deliveredIds: string[] = [];
  let failure: TopicOutcome['failure'];
  for (const row of rows) {
    const message: OutboxMessage = {
      id: row.id,
      topic: row.topic,
      key: row.key,
      payload: row.payload,
      createdAt: row.created_at,
    };
    try {
      await handler(message);
    } catch (error) {
      failure = { message, error };
      break;
    }
    deliveredIds.push(row.id);
  }
  if (deliveredIds.length > 0)
    await tx.query('UPDATE infra.outbox SET delivered_at = now() WHERE id = ANY($1::bigint[])', [
      deliveredIds,
    ]);
  return { delivered: deliveredIds.length, ...(failure === undefined ? {} : { failure }) };
}

/**
 * Delivers what is waiting, at most `batchMax` messages per topic, and returns how many were delivered. A topic stops at
 * the first message its handler refuses; the other topics still run, then that failure is thrown.
 * @throws INFRA_OUTBOX_DELIVERY_FAILED
 */
export async function relay(pool: Pool, handler: OutboxHandler, options: RelayOptions): Promise<number> {
  const { rows } = await pool.query<{ topic: string }>(
    'SELECT DISTINCT topic FROM infra.outbox WHERE delivered_at IS NULL ORDER BY topic',
  );
  let delivered = 0;
  let failure: TopicOutcome['failure'];
  for (const { topic } of rows) {
    const outcome = await inTransaction(
      pool,
      async (tx) => await relayTopic(tx, topic, handler, options.batchMax),
    );
    delivered += outcome.delivered;
    failure ??= outcome.failure;
  }
  if (failure !== undefined)
    throw fail(
      'INFRA_OUTBOX_DELIVERY_FAILED',
      `message ${failure.message.id} of ${failure.message.topic} was not taken: ${messageOf(failure.error)}`,
      { topic: failure.message.topic, id: failure.message.id, delivered },
      failure.error,
    );
  return delivered;
}
