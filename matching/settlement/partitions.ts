/** Partitions of `matching.trade` ahead of the settler. */
import type { Queryable } from '#infra/db';
import type { SettledEngine } from './store.ts';

/**
 * Whole partitions that are empty and ready: 20 million trades. One that is missing is made when a portion needs it, so being late
 * costs some milliseconds of one portion and nothing else.
 */
const partitionsAhead = 2;
const lockNotAvailable = '55P03';

export type TradePartitionsOutcome =
  /** Tables of the schema `matching` that were made. */
  | { readonly state: 'done'; readonly made: readonly string[] }
  /** A portion is being booked, or somebody analyses or reshapes the table: the next call will. */
  | { readonly state: 'busy' };

/** Safe to call from any process at any time; every minute is often enough. @param ahead 1 to 64 */
export async function ensureTradePartitions(
  pool: Queryable,
  engine: Pick<SettledEngine, 'no'>,
  ahead = partitionsAhead,
): Promise<TradePartitionsOutcome> {
  try {
    const { rows } = await pool.query<{ made: string }>(
      'SELECT made FROM matching.ensure_trade_partitions($1, $2) AS made',
      [engine.no, ahead],
    );
    return { state: 'done', made: rows.map(({ made }) => made) };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === lockNotAvailable)
      return { state: 'busy' };
    throw error;
  }
}
