/** What trading shows, as schemas; the types of `#matching/trading/contract` are the source, and must fit. */
import { z } from 'zod';
import { uuidPattern } from '#core/ids';
import {
  doneReasons,
  marketStates,
  orderTypes,
  selfTradeModes,
  sides,
  timesInForce,
} from '#matching/contract';
import {
  type AccountChange,
  type AccountSnapshot,
  type BookView,
  type CandleView,
  candleIntervals,
  engineStates,
  type FeedMessage,
  type FillView,
  type NewOrder,
  type OrderOutcome,
  type OrderView,
  type SpotBalance,
  type TickerView,
  type TradeView,
} from '#matching/trading/contract';

export type Plain<T> = T extends string | number | boolean | null | undefined
  ? T
  : { -readonly [K in keyof T]: Plain<T[K]> };
/** Does not compile when a value of the contract's type would not pass the schema. */
export const shows =
  <T>() =>
  <S extends z.ZodType>(schema: Plain<T> extends z.output<S> ? S : never): S =>
    schema;

const prefixed = <P extends string>(prefix: P) =>
  z.templateLiteral(
    [`${prefix}_`, z.string().regex(new RegExp(`^${uuidPattern}$`))],
    `${prefix}_<uuid>, in lower case`,
  );

export const marketId = z
  .string()
  .regex(/^[A-Z0-9]{1,16}-[A-Z0-9]{1,16}$/, 'a market as GET /v1/markets lists it, e.g. ETH-USD')
  .describe('as GET /v1/markets lists it, e.g. ETH-USD');
export const accountId = prefixed('acc').describe('customer account');
export const interval = z.enum(candleIntervals);
export const seq = z.number().int().min(0).describe('sequence number of the engine');
export const engineState = z
  .enum(engineStates)
  .describe(
    'live: the present state of the engine; away: there is no connection to it, what is shown is as it was and orders are refused',
  );
export const decimal = z.string().describe('decimal number of whole coins');
const timeMs = z.number().int().describe('milliseconds since 1970');
const asset = z.string();
const orderId = z.string();
/** Digits of 2^64 - 1. */
const clientOrderId = z
  .string()
  .regex(/^[0-9]{1,20}$/, 'a whole number in digits, 1 to 18446744073709551615')
  .describe('1 to 18446744073709551615');
/** As many digits as an amount can have, and a point. */
export const number = z.string().min(1).max(80).describe('decimal number of whole coins, e.g. 2000.50');

export const ownAccount = accountId.optional().describe('only a key of one account may leave it out');
export const newOrder = z.strictObject({
  accountId: ownAccount,
  market: marketId,
  side: z.enum(sides),
  type: z.enum(orderTypes),
  timeInForce: z.enum(timesInForce).optional(),
  postOnly: z.boolean().optional(),
  price: number.optional(),
  triggerPrice: number.optional(),
  size: number.optional(),
  displaySize: number.optional(),
  budget: number.optional(),
  selfTrade: z.enum(selfTradeModes).optional(),
  clientOrderId: clientOrderId.optional(),
});
shows<NewOrder>()(newOrder);
export const orderName = {
  accountId: ownAccount,
  orderId: z.string().max(20).optional(),
  clientOrderId: clientOrderId.optional(),
};
export const orderChange = { price: number.optional(), size: number.optional() };

export const orderView = shows<OrderView>()(
  z.strictObject({
    orderId,
    clientOrderId: z.string().nullable(),
    accountId,
    market: marketId,
    side: z.enum(sides),
    type: z.enum(orderTypes),
    timeInForce: z.enum(timesInForce),
    postOnly: z.boolean(),
    selfTrade: z.enum(selfTradeModes),
    status: z.enum(['open', 'waiting']),
    price: decimal.nullable(),
    triggerPrice: decimal.nullable(),
    size: decimal,
    filled: decimal,
    remaining: decimal,
    displaySize: decimal.nullable(),
    budgetLeft: decimal.nullable(),
  }),
);
export const fillView = shows<FillView>()(
  z.strictObject({
    tradeId: z.string(),
    orderId,
    accountId,
    market: marketId,
    side: z.enum(sides),
    role: z.enum(['maker', 'taker']),
    price: decimal,
    size: decimal,
    value: decimal,
    fee: decimal,
    feeAsset: asset,
    timeMs,
  }),
);
export const orderOutcome = shows<OrderOutcome>()(
  z.strictObject({
    orderId,
    clientOrderId: z.string().nullable(),
    market: marketId,
    seq,
    status: z.enum(['open', 'waiting', 'filled', 'done']),
    doneReason: z.enum(doneReasons).nullable(),
    filled: decimal,
    remaining: decimal,
    fills: z.array(fillView),
  }),
);
const spotBalance = shows<SpotBalance>()(z.strictObject({ asset, available: decimal, held: decimal }));

const priceLevel = z
  .tuple([decimal, decimal])
  .describe('price and size; in a delta a size of zero, such as "0.0000", ends the price');
export const bookView = shows<BookView>()(
  z.strictObject({
    market: marketId,
    seq,
    timeMs,
    bids: z.array(priceLevel).describe('best first'),
    asks: z.array(priceLevel).describe('best first'),
  }),
);
export const tradeView = shows<TradeView>()(
  z.strictObject({
    tradeId: z.string(),
    market: marketId,
    price: decimal,
    size: decimal,
    side: z.enum(sides).describe('of the taker'),
    auction: z.boolean(),
    timeMs,
  }),
);
export const tickerView = shows<TickerView>()(
  z.strictObject({
    market: marketId,
    seq,
    timeMs,
    state: z.enum(marketStates),
    lastPrice: decimal.nullable(),
    bestBid: priceLevel.nullable(),
    bestAsk: priceLevel.nullable(),
    open24h: decimal.nullable(),
    high24h: decimal.nullable(),
    low24h: decimal.nullable(),
    size24h: decimal.nullable(),
    value24h: decimal.nullable(),
  }),
);
export const candleView = shows<CandleView>()(
  z.strictObject({
    startMs: timeMs,
    open: decimal,
    high: decimal,
    low: decimal,
    close: decimal,
    size: decimal,
    value: decimal,
    trades: z.number().int(),
  }),
);
export const accountSnapshot = shows<AccountSnapshot>()(
  z.strictObject({
    accountId,
    seq,
    timeMs,
    orders: z.array(orderView),
    balances: z.array(spotBalance),
  }),
);
const accountChange = shows<AccountChange>()(
  z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('order'), order: orderView }),
    z.strictObject({
      kind: z.literal('order-ended'),
      orderId,
      clientOrderId: z.string().nullable(),
      market: marketId,
      doneReason: z.enum(doneReasons).nullable(),
      filled: decimal,
      remaining: decimal,
    }),
    z.strictObject({ kind: z.literal('fill'), fill: fillView }),
    z.strictObject({ kind: z.literal('balance'), balance: spotBalance }),
  ]),
);

const sequenced = { seq, prevSeq: seq.describe('`seq` of the message before on this channel'), timeMs };
type On<C extends FeedMessage['channel']> = Extract<FeedMessage, { readonly channel: C }>;
/** What the feed says, by channel. */
export const feedMessages = {
  book: shows<On<'book'>>()(
    z.strictObject({
      channel: z.literal('book'),
      market: marketId,
      ...sequenced,
      bids: z.array(priceLevel),
      asks: z.array(priceLevel),
    }),
  ),
  trades: shows<On<'trades'>>()(
    z.strictObject({
      channel: z.literal('trades'),
      market: marketId,
      ...sequenced,
      trades: z.array(tradeView),
    }),
  ),
  ticker: shows<On<'ticker'>>()(
    z.strictObject({ channel: z.literal('ticker'), market: marketId, ...sequenced, ticker: tickerView }),
  ),
  candles: shows<On<'candles'>>()(
    z.strictObject({
      channel: z.literal('candles'),
      market: marketId,
      interval,
      ...sequenced,
      candles: z.array(candleView),
    }),
  ),
  account: shows<On<'account'>>()(
    z.strictObject({
      channel: z.literal('account'),
      accountId,
      ...sequenced,
      changes: z.array(accountChange),
    }),
  ),
};
