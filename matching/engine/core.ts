/** All state of an engine, and what every part of it does to an order: hold, rest, leave. */
import type { EngineConfig, MarketConfig } from '../config.ts';
import { detailBits, eventFlags, eventFloat64 } from '../events.ts';
import {
  type DoneReason,
  doneReasons,
  eventKinds,
  marketStates,
  type RejectReason,
  rejectReasons,
} from '../vocabulary.ts';
import { Balances } from './balances.ts';
import { ClientIds } from './client-ids.ts';
import { EventLog } from './event-log.ts';
import { Ladder } from './ladder.ts';
import { OrderIds } from './order-ids.ts';
import { metaFlag, none, Orders, orderFloat, orderInt, sideOf, typeOf } from './orders.ts';
import { floatAt, intAt } from './words.ts';

type Numbers<T extends string> = Readonly<Record<T, number>>;
const numbersOf = <T extends string>(words: readonly T[]): Numbers<T> =>
  Object.fromEntries(words.map((word, at) => [word, at])) as Numbers<T>;
export const eventNumber = numbersOf(eventKinds);
export const reasonNumber: Numbers<RejectReason> = numbersOf(rejectReasons);
export const doneNumber: Numbers<DoneReason> = numbersOf(doneReasons);
export const stateNumber = numbersOf(marketStates);

export const buy = 0;
export const sell = 1;
export const typeNumber = { limit: 0, market: 1, stop: 2, stopLimit: 3 } as const;
export const house = 0;
const rateWindowMs = 1_000;

export class Market {
  readonly bids: Ladder;
  readonly asks: Ladder;
  /** By trigger price; made with the first stop. */
  buyStops: Ladder | undefined;
  sellStops: Ladder | undefined;
  stops = 0;
  state: number;
  bandLow: number;
  bandHigh: number;
  /** 0: none yet. */
  lastPrice = 0;
  readonly ticks: number;
  readonly index: number;
  readonly config: MarketConfig;

  constructor(index: number, config: MarketConfig) {
    this.index = index;
    this.config = config;
    this.ticks = config.maxPrice - config.minPrice + 1;
    this.bids = new Ladder(this.ticks, true);
    this.asks = new Ladder(this.ticks, false);
    this.state = stateNumber[config.state];
    this.bandLow = config.minPrice;
    this.bandHigh = config.maxPrice;
  }

  /** Where orders of the side rest. */
  own(side: number): Ladder {
    return side === buy ? this.bids : this.asks;
  }

  opposite(side: number): Ladder {
    return side === buy ? this.asks : this.bids;
  }

  stopsOf(side: number): Ladder {
    if (side === buy) {
      this.buyStops ??= new Ladder(this.ticks, false);
      return this.buyStops;
    }
    this.sellStops ??= new Ladder(this.ticks, true);
    return this.sellStops;
  }
}

export class Core {
  readonly orders: Orders;
  readonly ids: OrderIds;
  readonly clientIds: ClientIds;
  readonly balances: Balances;
  readonly events = new EventLog();
  readonly markets: readonly Market[];
  /** Per account. */
  readonly feeTier: Uint8Array;
  readonly blocked: Uint8Array;
  readonly openOrders: Int32Array;
  readonly windowEndMs: Float64Array;
  readonly windowOrders: Int32Array;
  readonly firstOrder: Int32Array;
  readonly lastOrder: Int32Array;
  /** Opened, the house included. */
  accounts = 1;
  seq = 0;
  timeMs = 0;
  creditPosition = 0;
  /** What outside has put in and not taken out, by asset. */
  readonly totals: BigInt64Array;

  readonly config: EngineConfig;

  constructor(config: EngineConfig) {
    this.config = config;
    const { accountsMax, assets, ordersMax } = config;
    this.orders = new Orders(ordersMax);
    this.ids = new OrderIds(this.orders);
    this.clientIds = new ClientIds(config.clientIdsKept);
    this.balances = new Balances(accountsMax, assets.length);
    this.markets = config.markets.map((market, index) => new Market(index, market));
    this.feeTier = new Uint8Array(accountsMax);
    this.blocked = new Uint8Array(accountsMax);
    this.openOrders = new Int32Array(accountsMax);
    this.windowEndMs = new Float64Array(accountsMax);
    this.windowOrders = new Int32Array(accountsMax);
    this.firstOrder = new Int32Array(accountsMax).fill(none);
    this.lastOrder = new Int32Array(accountsMax).fill(none);
    this.totals = new BigInt64Array(assets.length);
  }

  isTrader(account: number): boolean {
    return account > house && account < this.accounts;
  }

  /** Counts an order command against the account's rate, also one that is refused. @returns false when there were too many */
  withinRate(account: number): boolean {
    const { ordersPerSecond } = this.config.limits;
    if (ordersPerSecond === 0) return true;
    if (this.timeMs >= floatAt(this.windowEndMs, account)) {
      this.windowEndMs[account] = this.timeMs + rateWindowMs;
      this.windowOrders[account] = 0;
    }
    if (intAt(this.windowOrders, account) >= ordersPerSecond) return false;
    this.windowOrders[account] = intAt(this.windowOrders, account) + 1;
    return true;
  }

  reject(market: number, account: number, reason: number): void {
    this.events.start(eventNumber.rejected, market, account, 0, reason << detailBits.reason);
    this.events.end();
  }

  // -------------------------------------------------------------- holds

  isBudget(slot: number): boolean {
    const meta = this.orders.int(slot, orderInt.meta);
    const type = typeOf(meta);
    return sideOf(meta) === buy && (type === typeNumber.market || type === typeNumber.stop);
  }

  /** Units held for `lots` of an order that has no budget. */
  heldFor(market: Market, slot: number, lots: number): number {
    const { orders } = this;
    if (sideOf(orders.int(slot, orderInt.meta)) === sell) return lots * market.config.lotUnits;
    return orders.int(slot, orderInt.price) * lots * market.config.tickUnits;
  }

  /** What the order still holds goes back. */
  releaseRest(market: Market, slot: number): void {
    const { orders } = this;
    const side = sideOf(orders.int(slot, orderInt.meta));
    const asset = side === buy ? market.config.quote : market.config.base;
    let units: number;
    if (this.isBudget(slot)) {
      units = floatAt(orders.budget, slot);
      orders.budget[slot] = 0;
    } else units = this.heldFor(market, slot, orders.float(slot, orderFloat.rest));
    if (units > 0) this.balances.release(orders.int(slot, orderInt.account), asset, units);
  }

  // -------------------------------------------------------------- coming and going

  /** Into the registers of open orders; once, when it first rests or waits. */
  register(slot: number): void {
    const { orders, lastOrder } = this;
    const account = orders.int(slot, orderInt.account);
    const last = intAt(lastOrder, account);
    orders.setInt(slot, orderInt.accountPrev, last);
    orders.setInt(slot, orderInt.accountNext, none);
    if (last === none) this.firstOrder[account] = slot;
    else orders.setInt(last, orderInt.accountNext, slot);
    lastOrder[account] = slot;
    this.openOrders[account] = intAt(this.openOrders, account) + 1;
    this.ids.add(slot);
  }

  /** Out of the registers, and the slot is free. The order is in no ladder any more. */
  forget(slot: number, isRegistered: boolean): void {
    const { orders } = this;
    const account = orders.int(slot, orderInt.account);
    if (isRegistered) {
      const next = orders.int(slot, orderInt.accountNext);
      const prev = orders.int(slot, orderInt.accountPrev);
      if (next === none) this.lastOrder[account] = prev;
      else orders.setInt(next, orderInt.accountPrev, prev);
      if (prev === none) this.firstOrder[account] = next;
      else orders.setInt(prev, orderInt.accountNext, next);
      this.openOrders[account] = intAt(this.openOrders, account) - 1;
      this.ids.remove(slot);
    }
    // Most have none; the flag spares them a look at memory that nothing else here needs.
    if ((orders.int(slot, orderInt.meta) & metaFlag.clientId) !== 0) {
      const low = intAt(orders.clientId, slot * 2);
      const high = intAt(orders.clientId, slot * 2 + 1);
      this.clientIds.close(ClientIds.keyOf(account, low, high));
    }
    orders.give(slot);
  }

  /** Out of the ladder it rests or waits in; still registered. */
  unlink(market: Market, slot: number): void {
    const { orders } = this;
    const meta = orders.int(slot, orderInt.meta);
    const { minPrice } = market.config;
    if ((meta & metaFlag.resting) !== 0) {
      const level = orders.int(slot, orderInt.price) - minPrice;
      market.own(sideOf(meta)).remove(orders, slot, level);
    } else {
      market.stopsOf(sideOf(meta)).remove(orders, slot, intAt(orders.trigger, slot) - minPrice);
      market.stops--;
    }
    orders.setInt(slot, orderInt.meta, meta & ~(metaFlag.resting | metaFlag.waiting));
  }

  /** Into the book with what is left of it; registered if it is new. */
  rest(market: Market, slot: number, isRegistered: boolean): void {
    const { orders } = this;
    const meta = orders.int(slot, orderInt.meta);
    const rest = orders.float(slot, orderFloat.rest);
    const display = floatAt(orders.display, slot);
    orders.setFloat(slot, orderFloat.visible, display > 0 && display < rest ? display : rest);
    orders.setInt(slot, orderInt.meta, meta | metaFlag.resting);
    const level = orders.int(slot, orderInt.price) - market.config.minPrice;
    market.own(sideOf(meta)).append(orders, slot, level);
    if (!isRegistered) this.register(slot);
    this.tellRested(market, slot);
  }

  tellRested(market: Market, slot: number): void {
    const { orders, events } = this;
    const at = this.startOrderEvent(eventNumber.rested, market, slot, orders.int(slot, orderInt.price), 0);
    const { float64 } = events.slots;
    float64[at * 12 + eventFloat64.lots] = orders.float(slot, orderFloat.rest);
    float64[at * 12 + eventFloat64.feeTaker] = orders.float(slot, orderFloat.visible);
    events.end();
  }

  /** The order ends with `rest` lots unfilled. Hold, registers and ladder are the caller's. */
  tellDone(market: Market, slot: number, reason: number): void {
    const { orders, events } = this;
    const at = this.startOrderEvent(eventNumber.done, market, slot, 0, reason);
    events.slots.float64[at * 12 + eventFloat64.lots] = orders.float(slot, orderFloat.rest);
    events.end();
  }

  /** An order that rests or waits leaves: everything of it. */
  drop(market: Market, slot: number, reason: number): void {
    this.unlink(market, slot);
    this.releaseRest(market, slot);
    this.tellDone(market, slot, reason);
    this.forget(slot, true);
  }

  /** @param low what stands in the lowest 8 bits of the detail */
  startOrderEvent(kind: number, market: Market, slot: number, price: number, low: number): number {
    const { orders, events } = this;
    const detail = (low << detailBits.reason) | (sideOf(orders.int(slot, orderInt.meta)) << detailBits.side);
    const at = events.start(kind, market.index, orders.int(slot, orderInt.account), price, detail);
    events.slots.float64[at * 12 + eventFloat64.order] = orders.float(slot, orderFloat.id);
    return at;
  }
}

export const flagged = (flag: keyof typeof eventFlags): number => eventFlags[flag] << detailBits.flags;
