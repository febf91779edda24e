/**
 * What was settled, to be read: fills of an account, trades of a market, a debit by its client order id. In the engine's numbers;
 * newest first. A page is found by index whatever else an account or a market has traded.
 */
import type { Queryable } from '#infra/db';
import type { Side } from '../vocabulary.ts';
import type { EventPlace } from './settlement-events.ts';
import type { SettledEngine } from './store.ts';

/** Rows of a page: what the api offers at most, 60 KB. */
const pageRowsMax = 500;

export interface TradeRow extends EventPlace {
  readonly timeMs: number;
  readonly market: number;
  /** Ticks. */
  readonly price: number;
  readonly lots: number;
  readonly auction: boolean;
  /** Of the taker. */
  readonly side: Side;
}
/** A trade as one of its two accounts sees it. */
export interface FillRow extends Omit<TradeRow, 'side'> {
  readonly order: number;
  /** Of the account. */
  readonly side: Side;
  readonly role: 'taker' | 'maker';
  /** Engine units of the asset received. */
  readonly fee: number;
}
export interface HistoryPage {
  /** The last row of the page before; without it from the newest. */
  readonly before?: EventPlace;
  /** 1 to 500. */
  readonly limit: number;
}
export interface BookedDebit extends EventPlace {
  readonly portion: bigint;
  readonly asset: number;
  /** Engine units. */
  readonly units: bigint;
}
type EngineNumber = Pick<SettledEngine, 'no'>;

interface RawTrade {
  readonly seq: string;
  readonly index: number;
  readonly time_ms: string;
  readonly market: number;
  readonly price: number;
  readonly lots: string;
  readonly auction: boolean;
  readonly taker_buys: boolean;
}
interface RawFill extends RawTrade {
  readonly taker: number;
  readonly own_order: string;
  readonly own_fee: string;
}

const sideOf = (buys: boolean): Side => (buys ? 'buy' : 'sell');
/** Places, times, lots and fees are below 2^53. */
const exact = (value: string): number => Number.parseInt(value, 10);

const tradeOf = (row: RawTrade): Omit<TradeRow, 'side'> => ({
  seq: exact(row.seq),
  index: row.index,
  timeMs: exact(row.time_ms),
  market: row.market,
  price: row.price,
  lots: exact(row.lots),
  auction: row.auction,
});

function assertLimit(limit: number, max: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > max)
    throw new RangeError(`a page of ${limit} rows, allowed are 1 to ${max}`);
}

/**
 * Fills of an account, of one market or of all, newest first.
 * @param account its number
 * @throws RangeError for a limit that is not 1 to 500
 */
export async function fillsOf(
  queryable: Queryable,
  engine: EngineNumber,
  account: number,
  { market, before, limit }: HistoryPage & { readonly market?: number },
): Promise<readonly FillRow[]> {
  assertLimit(limit, pageRowsMax);
  const { rows } = await queryable.query<RawFill>(
    `SELECT seq, index, time_ms, market, price, lots, auction, taker_buys, taker,
            CASE WHEN taker = $2 THEN taker_order ELSE maker_order END AS own_order,
            CASE WHEN taker = $2 THEN taker_fee ELSE maker_fee END AS own_fee
       FROM matching.fills_of($1, $2, $3, $4, $5, $6) ORDER BY number DESC`,
    [engine.no, account, market ?? null, before?.seq ?? null, before?.index ?? null, limit],
  );
  return rows.map((row) => {
    const isTaker = row.taker === account;
    return {
      ...tradeOf(row),
      order: exact(row.own_order),
      side: sideOf(row.taker_buys === isTaker),
      role: isTaker ? 'taker' : 'maker',
      fee: exact(row.own_fee),
    };
  });
}

/** Trades of a market, newest first. @throws RangeError for a limit that is not 1 to 500 */
export async function tradesOf(
  queryable: Queryable,
  engine: EngineNumber,
  market: number,
  { before, limit }: HistoryPage,
): Promise<readonly TradeRow[]> {
  assertLimit(limit, pageRowsMax);
  const { rows } = await queryable.query<RawTrade>(
    `SELECT seq, index, time_ms, market, price, lots, auction, taker_buys
       FROM matching.trades_of($1, $2, $3, $4, $5) ORDER BY number DESC`,
    [engine.no, market, before?.seq ?? null, before?.index ?? null, limit],
  );
  return rows.map((row) => ({ ...tradeOf(row), side: sideOf(row.taker_buys) }));
}

/**
 * The newest debit of an account that carried this client order id and is booked; undefined: none is booked so far. The engine
 * itself refuses an id again only while it is among the newest it keeps, of all accounts together.
 * @param account its number
 * @param clientOrderId uint64, not 0
 */
export async function debitOf(
  queryable: Queryable,
  engine: EngineNumber,
  account: number,
  clientOrderId: bigint,
): Promise<BookedDebit | undefined> {
  const { rows } = await queryable.query<{
    seq: string;
    index: number;
    portion: string;
    asset: number;
    units: string;
  }>(
    `SELECT seq, index, portion, asset, units FROM matching.movement
      WHERE engine = $1 AND account = $2 AND client_order_id = $3 ORDER BY seq DESC, index DESC LIMIT 1`,
    [engine.no, account, clientOrderId.toString()],
  );
  const [row] = rows;
  return row === undefined
    ? undefined
    : {
        seq: exact(row.seq),
        index: row.index,
        portion: BigInt(row.portion),
        asset: row.asset,
        units: BigInt(row.units),
      };
}
