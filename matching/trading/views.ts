/** Orders, fills and trades as the api shows them. Pure. */
import type { Id } from '#core/ids';
import type { OpenOrder } from '../engine/index.ts';
import type { EngineEvent } from '../events.ts';
import type { DoneReason, Side } from '../vocabulary.ts';
import type { FillView, OrderOutcome, OrderView, TradeView } from './contract.ts';
import type { MarketScale } from './scale.ts';
import { tradeId } from './trade-id.ts';

export type TradeEvent = Extract<EngineEvent, { kind: 'trade' }>;
export type TradeRole = FillView['role'];

/** An open order, its market, and whose it is. An order by budget is of the market's largest size. */
export function orderView(order: OpenOrder, scale: MarketScale, accountId: Id<'acc'>): OrderView {
  const { price, triggerPrice, rest, filled, displayLots, budget } = order;
  return {
    orderId: order.id.toString(),
    clientOrderId: clientOrderIdText(order.clientOrderId),
    accountId,
    market: scale.id,
    side: order.side,
    type: order.type,
    timeInForce: order.timeInForce,
    postOnly: order.postOnly,
    selfTrade: order.selfTrade,
    status: order.waiting ? 'waiting' : 'open',
    price: price === 0 ? null : scale.price(price),
    triggerPrice: triggerPrice === 0 ? null : scale.price(triggerPrice),
    size: scale.size(filled + rest),
    filled: scale.size(filled),
    remaining: scale.size(rest),
    displaySize: displayLots === 0 ? null : scale.size(displayLots),
    budgetLeft: budget === 0 ? null : scale.value(budget),
  };
}

/** 0n: none. */
export const clientOrderIdText = (id: bigint): string | null => (id === 0n ? null : id.toString());
const otherSide = (side: Side): Side => (side === 'buy' ? 'sell' : 'buy');

/** A trade as one of its two accounts has it. */
export interface Fill {
  readonly seq: number;
  readonly index: number;
  readonly timeMs: number;
  /** Ticks. */
  readonly price: number;
  readonly lots: number;
  readonly order: number;
  readonly side: Side;
  readonly role: TradeRole;
  /** Engine units of the asset received. */
  readonly fee: number;
}
export function ownFillView(fill: Fill, scale: MarketScale, accountId: Id<'acc'>): FillView {
  const { order, side, role, price, lots, fee, timeMs } = fill;
  const quoteUnits = BigInt(price) * BigInt(lots) * BigInt(scale.config.tickUnits);
  return {
    tradeId: tradeId(fill),
    orderId: order.toString(),
    accountId,
    market: scale.id,
    side,
    role,
    price: scale.price(price),
    size: scale.size(lots),
    value: scale.value(quoteUnits),
    fee: side === 'buy' ? scale.baseAmount(fee) : scale.quoteAmount(fee),
    feeAsset: side === 'buy' ? scale.base : scale.quote,
    timeMs,
  };
}
/** One side of a trade. */
export const fillView = (
  trade: TradeEvent,
  role: TradeRole,
  scale: MarketScale,
  accountId: Id<'acc'>,
): FillView => {
  const { order, fee } = trade[role];
  const side = role === 'taker' ? trade.side : otherSide(trade.side);
  return ownFillView({ ...trade, order, fee, side, role }, scale, accountId);
};

/** What of a trade is for all. */
export type PublicTrade = Pick<
  TradeEvent,
  'seq' | 'index' | 'timeMs' | 'price' | 'lots' | 'side' | 'auction'
>;
export const tradeView = (trade: PublicTrade, scale: MarketScale): TradeView => ({
  tradeId: tradeId(trade),
  market: scale.id,
  price: scale.price(trade.price),
  size: scale.size(trade.lots),
  side: trade.side,
  auction: trade.auction,
  timeMs: trade.timeMs,
});

/** The order as it was before the command; of a new one nothing was filled. */
export interface OrderBefore {
  readonly id: number;
  readonly accountId: Id<'acc'>;
  readonly clientOrderId: bigint;
  readonly waiting: boolean;
  /** Lots of the whole order, as the command leaves or makes it. */
  readonly lots: number;
}

class Progress {
  readonly #order: OrderBefore;
  readonly #scale: MarketScale;
  readonly fills: FillView[] = [];
  status: OrderOutcome['status'];
  doneReason: DoneReason | null = null;
  filled = 0;
  rest: number;

  constructor(order: OrderBefore, scale: MarketScale) {
    this.#order = order;
    this.#scale = scale;
    this.status = order.waiting ? 'waiting' : 'open';
    this.rest = order.lots;
  }
  /** What the event says of the order: as a taker, and as a maker for a stop that its own trade has triggered. */
  follow(event: EngineEvent): void {
    if (event.kind === 'trade' || event.kind === 'decremented') {
      this.#meet(event, 'taker');
      this.#meet(event, 'maker');
    } else if ('order' in event && event.order === this.#order.id) this.#become(event);
  }
  #meet(event: Extract<EngineEvent, { kind: 'trade' | 'decremented' }>, role: TradeRole): void {
    const { order, rest } = event[role];
    if (order !== this.#order.id) return;
    this.rest = rest;
    if (rest === 0) this.status = 'filled';
    if (event.kind === 'decremented') return;
    this.filled += event.lots;
    this.fills.push(fillView(event, role, this.#scale, this.#order.accountId));
  }
  #become(event: Extract<EngineEvent, { order: number }>): void {
    if (event.kind === 'accepted' || event.kind === 'triggered') return;
    this.rest = event.rest;
    if (event.kind === 'rested') this.status = 'open';
    else if (event.kind === 'waiting') this.status = 'waiting';
    else if (event.kind === 'amended') this.filled = this.#order.lots - event.rest;
    else {
      this.status = 'done';
      this.doneReason = event.reason;
      if (event.reason === 'cancelled') this.filled = this.#order.lots - event.rest;
    }
  }
}

/**
 * What became of one order by the events of one command. `filled` and `remaining` come to the order's size, but for what
 * self-trade prevention took off.
 */
export function outcomeOf(
  events: readonly EngineEvent[],
  order: OrderBefore,
  scale: MarketScale,
): OrderOutcome {
  const progress = new Progress(order, scale);
  for (const event of events) progress.follow(event);
  return {
    orderId: order.id.toString(),
    clientOrderId: clientOrderIdText(order.clientOrderId),
    market: scale.id,
    seq: events[0]?.seq ?? 0,
    status: progress.status,
    doneReason: progress.doneReason,
    filled: scale.size(progress.filled),
    remaining: scale.size(progress.rest),
    fills: progress.fills,
  };
}
