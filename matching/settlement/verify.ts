/** Proof of the settlement from its rows: chain of portions, nets and candles recomputed from trades, movements one by one. */
import type { Queryable } from '#infra/db';
import { readHead, type SettledEngine } from './store.ts';

export interface SettlementProblem {
  readonly check: 'chain' | 'head' | 'net' | 'candle' | 'movement' | 'house' | 'clearing';
  /** A portion, a movement, an asset, a candle. */
  readonly place: string;
  readonly problem: string;
}
/** Portions by number, both included. */
export interface PortionRange {
  readonly from: bigint;
  readonly to: bigint;
}

/** Reads every trade; with `range` only those of these portions. Nothing for all is well. */
export async function verifySettlement(
  queryable: Queryable,
  engine: SettledEngine,
  range?: PortionRange,
): Promise<readonly SettlementProblem[]> {
  const { from, to } = range ?? { from: 1n, to: (await readHead(queryable, engine)).portion };
  const { rows } = await queryable.query<SettlementProblem>(
    'SELECT "check", place, problem FROM matching.verify($1, $2, $3) ORDER BY "check", place',
    [engine.name, from, to],
  );
  return rows;
}
