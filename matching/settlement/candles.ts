/**
 * Candles as the settlement keeps them, in the engine's numbers: each covers exactly the trades that are booked. What is newer than
 * the settled head, a reader adds itself.
 */
import type { Queryable } from '#infra/db';
import { candleIntervalMs, tradingLimits } from '../trading/contract.ts';
import type { EventPlace } from './settlement-events.ts';
import type { SettledEngine } from './store.ts';

/**
 * By minute: two days, which begin with the day of 24 hours ago, and twelve hours that the settlement may be ahead of the view of who
 * asks. 310 KB.
 */
const atHeadRowsMax = 3_600;

export interface CandleRow {
  /** A whole multiple of the interval since 1970. */
  readonly startMs: number;
  /** Ticks. */
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly lots: bigint;
  /** Sum of lots times price in ticks; times `tickUnits` it is engine units of quote. */
  readonly value: bigint;
  readonly trades: number;
  /** The newest trade in it. */
  readonly last: EventPlace;
}
export interface CandleRange {
  /** One of `candleIntervalMs`. */
  readonly intervalMs: number;
  /** Starts from then on. */
  readonly fromMs: number;
  /** Starts before then. */
  readonly toMs: number;
  /** 1 to `tradingLimits.candles`. */
  readonly limit: number;
}
export interface CandlesAtHead {
  /** The last event that is booked, and that the candles cover. */
  readonly head: EventPlace;
  /** Of a minute, by start. */
  readonly candles1m: readonly CandleRow[];
}
type EngineNumber = Pick<SettledEngine, 'no'>;

interface RawCandle {
  readonly start_ms: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly lots: string;
  readonly value: string;
  readonly trades: string;
  readonly last_seq: string;
  readonly last_index: number;
}
/** Times, places and counts are below 2^53. */
const exact = (value: string): number => Number.parseInt(value, 10);

const candleOf = (row: RawCandle): CandleRow => ({
  startMs: exact(row.start_ms),
  open: row.open,
  high: row.high,
  low: row.low,
  close: row.close,
  lots: BigInt(row.lots),
  value: BigInt(row.value),
  trades: exact(row.trades),
  last: { seq: exact(row.last_seq), index: row.last_index },
});

/** The newest `limit` of the range, by start. @throws RangeError for a limit that is not 1 to `tradingLimits.candles` */
export async function candlesOf(
  queryable: Queryable,
  engine: EngineNumber,
  market: number,
  { intervalMs, fromMs, toMs, limit }: CandleRange,
): Promise<readonly CandleRow[]> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > tradingLimits.candles)
    throw new RangeError(`${limit} candles, allowed are 1 to ${tradingLimits.candles}`);
  const { rows } = await queryable.query<RawCandle>(
    `SELECT start_ms, open, high, low, close, lots, value, trades, last_seq, last_index FROM matching.candle
      WHERE engine = $1 AND market = $2 AND interval_ms = $3 AND start_ms >= $4 AND start_ms < $5
      ORDER BY start_ms DESC LIMIT $6`,
    [engine.no, market, intervalMs, fromMs, toMs, limit],
  );
  return rows.map(candleOf).reverse();
}

/**
 * The settled head, and the candles of a minute from that of `sinceMs` on, which cover all up to the head and nothing after it: one
 * statement, so one snapshot. The newest 3,600 where there are more.
 * @throws RangeError for an engine that is not registered
 */
export async function candlesAtHead(
  queryable: Queryable,
  engine: EngineNumber,
  { market, sinceMs }: { readonly market: number; readonly sinceMs: number },
): Promise<CandlesAtHead> {
  const { rows } = await queryable.query<{ head_seq: string; head_index: number } & Partial<RawCandle>>(
    `SELECT h.seq AS head_seq, h.index AS head_index, c.*
       FROM matching.head AS h
       LEFT JOIN LATERAL (
         SELECT start_ms, open, high, low, close, lots, value, trades, last_seq, last_index FROM matching.candle
          WHERE engine = h.engine AND market = $2 AND interval_ms = $3 AND start_ms > $4 - $3::bigint
          ORDER BY start_ms DESC LIMIT $5) AS c ON true
      WHERE h.engine = $1
      ORDER BY c.start_ms`,
    [engine.no, market, candleIntervalMs['1m'], sinceMs, atHeadRowsMax],
  );
  const [first] = rows;
  if (first === undefined) throw new RangeError(`engine ${engine.no} is not registered`);
  return {
    head: { seq: exact(first.head_seq), index: first.head_index },
    candles1m: rows.flatMap((row) => (row.start_ms == null ? [] : [candleOf(row as RawCandle)])),
  };
}
