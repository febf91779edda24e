/**
 * What the api offers of trading. Pure: words, shapes, error codes.
 *
 * Prices, sizes and values are decimal numbers as strings in whole coins, as in every trading API: a price is quote coins per
 * base coin, a size is base coins, a value, budget or fee is coins of its asset. `units` are always base units of the ledger.
 * Sequence numbers are the engine's; a client order id is a uint64 as a decimal string.
 */
import type { Id } from '#core/ids';
import type { AssetId } from '#core/money';
import type {
  DoneReason,
  MarketState,
  OrderType,
  RejectReason,
  SelfTradeMode,
  Side,
  TimeInForce,
} from '../vocabulary.ts';

export interface MarketView {
  readonly id: string;
  readonly base: AssetId;
  readonly quote: AssetId;
  readonly state: MarketState;
  readonly tickSize: string;
  readonly lotSize: string;
  readonly minSize: string;
  readonly maxSize: string;
  /** Of one order. */
  readonly maxValue: string;
  readonly minPrice: string;
  readonly maxPrice: string;
  readonly bandLow: string;
  readonly bandHigh: string;
  /** How far from the best price a market order may go, parts per million. */
  readonly collarPpm: number;
  /** By fee tier. */
  readonly fees: readonly { readonly makerPpm: number; readonly takerPpm: number }[];
  readonly lastPrice: string | null;
}

export interface NewOrder {
  readonly accountId: Id<'acc'>;
  readonly market: string;
  readonly side: Side;
  readonly type: OrderType;
  /** Default: gtc for limit and stop-limit, ioc for market and stop. */
  readonly timeInForce?: TimeInForce;
  readonly postOnly?: boolean;
  readonly price?: string;
  readonly triggerPrice?: string;
  /** Of all but a market or stop order with a budget. */
  readonly size?: string;
  /** Of an iceberg. */
  readonly displaySize?: string;
  /** Of a buying market or stop order: what it may spend at most. */
  readonly budget?: string;
  readonly selfTrade?: SelfTradeMode;
  readonly clientOrderId?: string;
}
/** One of the two names it. */
export interface OrderName {
  readonly accountId: Id<'acc'>;
  readonly orderId?: string;
  readonly clientOrderId?: string;
}
export interface OrderView {
  readonly orderId: string;
  readonly clientOrderId: string | null;
  readonly accountId: Id<'acc'>;
  readonly market: string;
  readonly side: Side;
  readonly type: OrderType;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly selfTrade: SelfTradeMode;
  readonly status: 'open' | 'waiting';
  readonly price: string | null;
  readonly triggerPrice: string | null;
  /** What was asked for in all; `filled` and `remaining` come to it. */
  readonly size: string;
  readonly filled: string;
  readonly remaining: string;
  readonly displaySize: string | null;
  readonly budgetLeft: string | null;
}
export interface FillView {
  /** `<seq>-<index>` of the trade, unique in the market's engine. */
  readonly tradeId: string;
  readonly orderId: string;
  readonly accountId: Id<'acc'>;
  readonly market: string;
  readonly side: Side;
  readonly role: 'maker' | 'taker';
  readonly price: string;
  readonly size: string;
  readonly value: string;
  readonly fee: string;
  /** What the fee was taken in: the asset received. */
  readonly feeAsset: AssetId;
  readonly timeMs: number;
}
/** What became of a placed or amended order at once. */
export interface OrderOutcome {
  readonly orderId: string;
  readonly clientOrderId: string | null;
  readonly market: string;
  /** Sequence number of the command. */
  readonly seq: number;
  readonly status: 'open' | 'waiting' | 'filled' | 'done';
  /** Why it left with a rest; null unless `done`. */
  readonly doneReason: DoneReason | null;
  readonly filled: string;
  readonly remaining: string;
  readonly fills: readonly FillView[];
}
export interface SpotBalance {
  readonly asset: AssetId;
  readonly available: string;
  /** By open orders. */
  readonly held: string;
}
export interface SpotTransfer {
  /** Made by the caller; the idempotency key. */
  readonly id: Id<'spt'>;
  readonly accountId: Id<'acc'>;
  readonly asset: AssetId;
  readonly units: string;
  readonly direction: 'to-spot' | 'to-main';
}
export interface SpotTransferView extends SpotTransfer {
  /**
   * `pending`: taken, and on its way between ledger and engine; `done`: it can be used where it went; `returned`: the engine could
   * not take it and it is back in the main account; `refused`: nothing was moved.
   */
  readonly state: 'pending' | 'done' | 'returned' | 'refused';
  /** Why the engine refused it; only there when it did. */
  readonly refusal?: RejectReason;
}

/** `[price, size]`; in a delta a size of zero, such as "0.0000", says that the price has no orders any more. */
export type PriceLevel = readonly [price: string, size: string];
export interface BookView {
  readonly market: string;
  /** The book after this command; deltas with a greater `seq` follow. */
  readonly seq: number;
  readonly timeMs: number;
  /** Best first. */
  readonly bids: readonly PriceLevel[];
  readonly asks: readonly PriceLevel[];
}
export interface TradeView {
  readonly tradeId: string;
  readonly market: string;
  readonly price: string;
  readonly size: string;
  /** Of the taker; in an auction `buy`. */
  readonly side: Side;
  readonly auction: boolean;
  readonly timeMs: number;
}
export interface TickerView {
  readonly market: string;
  readonly seq: number;
  readonly timeMs: number;
  readonly state: MarketState;
  readonly lastPrice: string | null;
  readonly bestBid: PriceLevel | null;
  readonly bestAsk: PriceLevel | null;
  /** Of the last 24 hours, in whole minutes; null without trades. */
  readonly open24h: string | null;
  readonly high24h: string | null;
  readonly low24h: string | null;
  /** Null until the last 24 hours are known: for some seconds after the api has started. */
  readonly size24h: string | null;
  readonly value24h: string | null;
}
export const candleIntervals = ['1m', '5m', '15m', '1h', '4h', '1d'] as const;
export type CandleInterval = (typeof candleIntervals)[number];
export const candleIntervalMs: Readonly<Record<CandleInterval, number>> = {
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
};
export interface CandleView {
  /** Start, a whole multiple of the interval since 1970. */
  readonly startMs: number;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly size: string;
  readonly value: string;
  readonly trades: number;
}

/**
 * Messages of the feed. Each channel (`channelKey`) has its own chain: `prevSeq` is the `seq` of the message before, so a gap is
 * seen at once; the first message after a snapshot has a `prevSeq` at or below the snapshot's `seq`, and a client leaves out
 * messages whose `seq` is at or below it.
 */
interface Sequenced {
  readonly seq: number;
  readonly prevSeq: number;
  readonly timeMs: number;
}
export type FeedMessage = Sequenced &
  (
    | {
        /** Prices whose size has changed at any time since the message before, each as it is now; best first. */
        readonly channel: 'book';
        readonly market: string;
        readonly bids: readonly PriceLevel[];
        readonly asks: readonly PriceLevel[];
      }
    | { readonly channel: 'trades'; readonly market: string; readonly trades: readonly TradeView[] }
    | { readonly channel: 'ticker'; readonly market: string; readonly ticker: TickerView }
    | {
        readonly channel: 'candles';
        readonly market: string;
        readonly interval: CandleInterval;
        readonly candles: readonly CandleView[];
      }
    | {
        readonly channel: 'account';
        readonly accountId: Id<'acc'>;
        readonly changes: readonly AccountChange[];
      }
  );
/** In the order they happened. */
export type AccountChange =
  | { readonly kind: 'order'; readonly order: OrderView }
  /** It left the books: filled when `doneReason` is null. */
  | {
      readonly kind: 'order-ended';
      readonly orderId: string;
      readonly clientOrderId: string | null;
      readonly market: string;
      readonly doneReason: DoneReason | null;
      readonly filled: string;
      readonly remaining: string;
    }
  | { readonly kind: 'fill'; readonly fill: FillView }
  /** As they are after the last change of the message; only those that changed. */
  | { readonly kind: 'balance'; readonly balance: SpotBalance };
/** Everything of an account, to begin or to begin anew with. */
export interface AccountSnapshot {
  readonly accountId: Id<'acc'>;
  readonly seq: number;
  readonly timeMs: number;
  readonly orders: readonly OrderView[];
  readonly balances: readonly SpotBalance[];
}

/** What a channel is about: `book/ETH-USD`, `candles/ETH-USD/1m`, `account/acc_...`. */
export type ChannelKey =
  | `${'book' | 'trades' | 'ticker'}/${string}`
  | `candles/${string}/${CandleInterval}`
  | `account/${Id<'acc'>}`;

export interface MarketFeed {
  /**
   * Every message of the channel from now on, in order.
   * @param after `seq` of the last message or snapshot the caller had, of this process or another: messages after it come first,
   * at once. Without it: from now on. Of another process the first may hold trades and fills that were had already; their ids
   * say so. All else in messages is as it is at their end, so it does no harm twice
   * @returns false when `after` is too long ago (or ahead): a snapshot is needed; nothing was subscribed then
   */
  subscribe(key: ChannelKey, listener: FeedListener, after?: number): { readonly end: () => void } | false;
  /** `seq` of the newest message of the channel, which has the newest state; of the view while there was none. */
  newestSeq(key: ChannelKey): number;
}
export interface FeedListener {
  /** `text` is the message as JSON, made once for all who hear it. */
  readonly onMessage: (message: FeedMessage, text: string) => void;
  /**
   * In place of `onMessage` where the text is all that is wanted: an older message need not be read from it then. One that throws
   * hears nothing more, so messages after it are not made.
   */
  readonly onText?: (seq: number, text: string) => void;
  /** The chain is broken by a reset of the link: nothing follows, a new snapshot is needed. */
  readonly onReset: () => void;
}

/** Most rows of one page, orders of one batch (to place or to cancel) and levels of one book. */
export const tradingLimits = { pageRows: 500, batchOrders: 50, bookLevels: 1_000, candles: 1_000 } as const;

/**
 * `live`: what is shown is the engine's present state. `away`: there is no connection to it (it is dead, failing over, or was not
 * reached yet), so what is shown is as it was, and orders are refused with TRADING_UNAVAILABLE; or a defect has ended the feed.
 */
export const engineStates = ['live', 'away'] as const;
export type EngineState = (typeof engineStates)[number];
export interface EngineStatus {
  readonly engine: EngineState;
  /** When this process found that out, ms since 1970 by its own clock. */
  readonly sinceMs: number;
  /** The last command of what is shown; null while there is nothing to show. */
  readonly seq: number | null;
}
/** A view, and whether it is the engine's present state. */
export type Shown<T> = T & { readonly engine: EngineState };

export interface TradingOperations {
  /** Never throws: it is what says that nothing else can be had. */
  engineStatus(): EngineStatus;
  /**
   * Each change from now on: `away` at once, `live` when the messages of what was missed were given to the listeners of the feed
   * (or their `onReset`). @returns ends it
   */
  onEngineStatus(listener: (status: EngineStatus) => void): () => void;
  /** @throws TRADING_MARKET_UNKNOWN where a market is named, TRADING_UNAVAILABLE without a view; so all below */
  markets(): readonly MarketView[];
  market(id: string): MarketView;
  book(market: string, levels: number): BookView;
  ticker(market: string): TickerView;
  /** Newest first; those before the trade `before`. */
  trades(
    market: string,
    page: { readonly before?: string; readonly limit: number },
  ): Promise<readonly TradeView[]>;
  /** By start, the one that is open now included. */
  candles(
    market: string,
    range: {
      readonly interval: CandleInterval;
      readonly fromMs?: number;
      readonly toMs?: number;
      readonly limit: number;
    },
  ): Promise<readonly CandleView[]>;
  readonly feed: MarketFeed;

  /**
   * @throws TRADING_ORDER_REJECTED (details: reason), TRADING_PRICE_OFF_TICK, TRADING_SIZE_OFF_LOT, TRADING_NUMBER_INVALID,
   * TRADING_BUSY, TRADING_SETTLEMENT_LAGS, TRADING_UNAVAILABLE: nothing was placed; TRADING_OUTCOME_UNKNOWN
   */
  place(order: NewOrder): Promise<OrderOutcome>;
  /** One answer for each, in their order; each stands for itself. @throws what concerns all: TRADING_BUSY and below */
  placeAll(orders: readonly NewOrder[]): Promise<readonly (OrderOutcome | Error)[]>;
  amend(name: OrderName, change: { readonly price?: string; readonly size?: string }): Promise<OrderOutcome>;
  cancel(name: OrderName): Promise<OrderOutcome>;
  /** At most `batchOrders`; one answer for each, in their order. @throws as `placeAll` */
  cancelEach(names: readonly OrderName[]): Promise<readonly (OrderOutcome | Error)[]>;
  cancelAll(options: {
    readonly accountId: Id<'acc'>;
    readonly market?: string;
  }): Promise<{ readonly cancelled: number }>;
  openOrders(options: {
    readonly accountId: Id<'acc'>;
    readonly market?: string;
    readonly after?: string;
    readonly limit: number;
  }): Promise<readonly OrderView[]>;
  /** @throws TRADING_ORDER_UNKNOWN */
  order(name: OrderName): Promise<OrderView>;
  /** Settled fills, newest first; those before the trade `before`. */
  fills(options: {
    readonly accountId: Id<'acc'>;
    readonly market?: string;
    readonly before?: string;
    readonly limit: number;
  }): Promise<readonly FillView[]>;
  account(accountId: Id<'acc'>): Promise<AccountSnapshot>;
  /** Waits up to a few seconds for the end. @throws TRADING_TRANSFER_CONFLICT, MATCHING_AMOUNT_NOT_TRADABLE, LEDGER_* */
  moveSpot(transfer: SpotTransfer): Promise<SpotTransferView>;
  /** @throws TRADING_TRANSFER_UNKNOWN */
  spotTransfer(id: Id<'spt'>): Promise<SpotTransferView>;

  /** Kill switches and call auctions, for operators. @throws TRADING_ORDER_REJECTED (details: reason) */
  setMarketState(market: string, state: MarketState): Promise<MarketView>;
  setBand(market: string, band: { readonly low: string; readonly high: string }): Promise<MarketView>;
  setAccount(
    accountId: Id<'acc'>,
    settings: { readonly blocked: boolean; readonly feeTier: number },
  ): Promise<{ readonly blocked: boolean; readonly feeTier: number }>;
}
export { tradingErrors } from './errors.ts';
