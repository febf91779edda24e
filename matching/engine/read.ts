/** What can be asked of an engine without changing it: orders, markets, accounts, levels. Copies; for people and gateways. */
import {
  type MarketState,
  marketStates,
  type OrderType,
  orderTypes,
  type SelfTradeMode,
  type Side,
  selfTradeModes,
  sides,
  type TimeInForce,
  timesInForce,
} from '../vocabulary.ts';
import { ClientIds } from './client-ids.ts';
import type { Core, Market } from './core.ts';
import type { Ladder } from './ladder.ts';
import {
  metaFlag,
  none,
  orderFloat,
  orderInt,
  selfTradeOf,
  sideOf,
  timeInForceOf,
  typeOf,
} from './orders.ts';
import { intAt } from './words.ts';

/** One price of the book. */
export interface BookLevel {
  /** Ticks. */
  readonly price: number;
  /** Shown lots; what icebergs hide is not in it. */
  readonly lots: number;
  readonly orders: number;
}
/** An order that rests, or waits for its trigger. */
export interface OpenOrder {
  readonly id: number;
  readonly account: number;
  readonly market: number;
  readonly side: Side;
  readonly type: OrderType;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly selfTrade: SelfTradeMode;
  /** 0n: none. */
  readonly clientOrderId: bigint;
  /** Ticks; 0: none. */
  readonly price: number;
  readonly triggerPrice: number;
  /** Whether it waits for its trigger. */
  readonly waiting: boolean;
  /** Lots. Placed are `filled + rest`. */
  readonly rest: number;
  readonly filled: number;
  /** 0 while it waits. */
  readonly visible: number;
  /** Lots an iceberg shows at a time; 0: no iceberg. */
  readonly displayLots: number;
  /** Quote units a stop by budget still holds; 0: by lots. */
  readonly budget: number;
}
/** One of the two; the id counts where both are given. */
export interface OrderQuestion {
  readonly account: number;
  readonly id?: number;
  readonly clientOrderId?: bigint;
}
export interface MarketNow {
  readonly state: MarketState;
  /** Ticks. */
  readonly bandLow: number;
  readonly bandHigh: number;
  /** 0: none yet. */
  readonly lastPrice: number;
}
export interface AccountNow {
  readonly blocked: boolean;
  readonly feeTier: number;
  readonly openOrders: number;
}

const wordOf = <T>(words: readonly T[], at: number): T => words[at] as T;

function orderIn(core: Core, slot: number): OpenOrder {
  const { orders } = core;
  const meta = orders.int(slot, orderInt.meta);
  const isWaiting = (meta & metaFlag.waiting) !== 0;
  const hasClientId = (meta & metaFlag.clientId) !== 0;
  const [low, high] = [intAt(orders.clientId, slot * 2), intAt(orders.clientId, slot * 2 + 1)];
  return {
    id: orders.float(slot, orderFloat.id),
    account: orders.int(slot, orderInt.account),
    market: orders.market(slot),
    side: wordOf(sides, sideOf(meta)),
    type: wordOf(orderTypes, typeOf(meta)),
    timeInForce: wordOf(timesInForce, timeInForceOf(meta)),
    postOnly: (meta & metaFlag.postOnly) !== 0,
    selfTrade: wordOf(selfTradeModes, selfTradeOf(meta)),
    clientOrderId: hasClientId ? (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0) : 0n,
    price: orders.int(slot, orderInt.price),
    triggerPrice: orders.triggerOf(slot),
    waiting: isWaiting,
    rest: orders.float(slot, orderFloat.rest),
    filled: orders.float(slot, orderFloat.filled),
    visible: isWaiting ? 0 : orders.visibleOf(slot),
    displayLots: orders.displayOf(slot),
    budget: orders.budgetOf(slot),
  };
}

/** Undefined when the account has no such open order. */
export function openOrder(
  core: Core,
  { account, id, clientOrderId = 0n }: OrderQuestion,
): OpenOrder | undefined {
  if (!core.isTrader(account)) return undefined;
  const slot =
    id === undefined ? core.clientIds.find(ClientIds.keyOfId(account, clientOrderId)) : core.ids.find(id);
  if (slot === none || core.orders.int(slot, orderInt.account) !== account) return undefined;
  return orderIn(core, slot);
}

/** By order id, those with a greater one than `after`. */
export function ordersOf(core: Core, account: number, after: number, max: number): OpenOrder[] {
  const found: OpenOrder[] = [];
  if (!core.isTrader(account)) return found;
  for (let slot = intAt(core.firstOrder, account); slot !== none && found.length < max; ) {
    if (core.orders.float(slot, orderFloat.id) > after) found.push(orderIn(core, slot));
    slot = core.orders.int(slot, orderInt.accountNext);
  }
  return found;
}

export function marketNow(core: Core, index: number): MarketNow | undefined {
  const market = core.markets[index];
  if (market === undefined) return undefined;
  const { state, bandLow, bandHigh, lastPrice } = market;
  return { state: wordOf(marketStates, state), bandLow, bandHigh, lastPrice };
}

export function accountNow(core: Core, account: number): AccountNow | undefined {
  if (!core.isTrader(account)) return undefined;
  return {
    blocked: core.blocked[account] === 1,
    feeTier: core.feeTier[account] ?? 0,
    openOrders: intAt(core.openOrders, account),
  };
}

function levelIn(core: Core, market: Market, ladder: Ladder, level: number): BookLevel {
  const { orders } = core;
  let lots = 0;
  let count = 0;
  for (let slot = intAt(ladder.head, level); slot !== none; slot = orders.int(slot, orderInt.next)) {
    lots += orders.visibleOf(slot);
    count++;
  }
  return { price: level + market.config.minPrice, lots, orders: count };
}

/** At a price in ticks; without orders where nothing rests. */
export function level(core: Core, marketIndex: number, side: Side, price: number): BookLevel {
  const market = core.markets[marketIndex];
  const at = price - (market?.config.minPrice ?? 0);
  if (market === undefined || at < 0 || at >= market.ticks) return { price, lots: 0, orders: 0 };
  return levelIn(core, market, side === 'buy' ? market.bids : market.asks, at);
}

/** Best first. */
export function levels(core: Core, marketIndex: number, side: Side, max: number): BookLevel[] {
  const market = core.markets[marketIndex];
  if (market === undefined) return [];
  const ladder = side === 'buy' ? market.bids : market.asks;
  const found: BookLevel[] = [];
  for (let at = ladder.best; at !== none && found.length < max; at = ladder.after(at))
    found.push(levelIn(core, market, ladder, at));
  return found;
}
