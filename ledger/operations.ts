/** What keeping a ledger going needs: partitions ahead of the writers, and which batches are the newest. */
import type { Queryable } from '#infra/db';
import type { BatchRange } from './contract.ts';

/**
 * Whole partitions that are empty and ready: 40 million transfers, or half an hour at the highest rate measured. More than what
 * is written while something long (a dump) holds locks that make the calls in between fail.
 */
export const partitionsAhead = 4;

export interface PartitionChange {
  /** A table of the schema `ledger`. */
  readonly partition: string;
  /**
   * `added`: an empty one. `rest-attached`: transfers had found none, and the table that took them became one.
   * `sealed`: it is full, and vacuum is told to freeze what is left of it.
   */
  readonly action: 'added' | 'rest-attached' | 'sealed';
}
export type PartitionsOutcome =
  | { readonly state: 'done'; readonly changes: readonly PartitionChange[] }
  /** Somebody reads or copies the whole journal: nothing was changed, the next call will. */
  | { readonly state: 'busy' };

const lockNotAvailable = '55P03';

/**
 * Safe to call from any process at any time: writers wait for it a tenth of a second at most, but for the rare case that
 * transfers had found no partition (docs/operations/ledger.md).
 * @param ahead 1 to 64
 */
export async function ensurePartitions(pool: Queryable, ahead = partitionsAhead): Promise<PartitionsOutcome> {
  try {
    const { rows } = await pool.query<PartitionChange>(
      'SELECT partition, action FROM ledger.ensure_partitions($1)',
      [ahead],
    );
    return { state: 'done', changes: rows };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === lockNotAvailable)
      return { state: 'busy' };
    throw error;
  }
}

/** The newest `count` batches, for `verify` to look at; undefined when there is none. @param count above zero */
export async function newestBatches(queryable: Queryable, count: bigint): Promise<BatchRange | undefined> {
  const { rows } = await queryable.query<{ batch_no: string }>('SELECT batch_no FROM ledger.head');
  const to = BigInt(rows[0]?.batch_no ?? '0');
  if (to === 0n) return undefined;
  return { from: to > count ? to - count + 1n : 1n, to };
}
