/** All state of an engine, and what every part of it does to an order: hold, rest, leave. */
import type { EngineConfig, MarketConfig } from '../config.ts';
import { detailBits, eventFlags } from '../events.ts';
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
import { metaFlag, metaShift, none, Orders, orderFloat, orderInt } from './orders.ts';
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

// Why these are named once more: see orders.ts.
const noSlot = none;
const sells = sell;
const toHouse = house;
const { price: priceWord, account: accountWord, meta: metaWord, accountNext, accountPrev } = orderInt;
const { rest: restWord } = orderFloat;
const { resting, waiting, display, budget: budgetFlag, clientId: clientIdFlag } = metaFlag;
const { market: marketShift } = metaShift;
const { rested: restedKind, done: doneKind, rejected: rejectedKind } = eventNumber;
const { reason: reasonShift } = detailBits;

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
  /** Of the configuration, what every order needs. */
  readonly minPrice: number;
  readonly base: number;
  readonly quote: number;
  readonly lotUnits: number;
  readonly tickUnits: number;
  /** By fee tier. */
  readonly makerPpm: Int32Array;
  readonly takerPpm: Int32Array;

  constructor(index: number, config: MarketConfig) {
    this.index = index;
    this.config = config;
    this.ticks = config.maxPrice - config.minPrice + 1;
    this.bids = new Ladder(this.ticks, true);
    this.asks = new Ladder(this.ticks, false);
    this.state = stateNumber[config.state];
    this.bandLow = config.minPrice;
    this.bandHigh = config.maxPrice;
    this.minPrice = config.minPrice;
    this.base = config.base;
    this.quote = config.quote;
    this.lotUnits = config.lotUnits;
    this.tickUnits = config.tickUnits;
    this.makerPpm = Int32Array.from(config.fees, ({ makerPpm }) => makerPpm);
    this.takerPpm = Int32Array.from(config.fees, ({ takerPpm }) => takerPpm);
  }

  /** Where orders of the side rest. */
  own(side: number): Ladder {
    return side === sells ? this.asks : this.bids;
  }

  opposite(side: number): Ladder {
    return side === sells ? this.bids : this.asks;
  }

  stopsOf(side: number): Ladder {
    if (side !== sells) {
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
  readonly openOrdersMax: number;
  readonly ordersPerSecond: number;

  constructor(config: EngineConfig) {
    this.config = config;
    this.openOrdersMax = config.limits.openOrders;
    this.ordersPerSecond = config.limits.ordersPerSecond;
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
    return account > toHouse && account < this.accounts;
  }

  /** Counts an order command against the account's rate, also one that is refused. @returns false when there were too many */
  withinRate(account: number): boolean {
    const { ordersPerSecond } = this;
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
    this.events.add(rejectedKind, market, account, 0, reason << reasonShift);
  }

  // -------------------------------------------------------------- holds

  /** Units held for `lots` of an order that has no budget. */
  heldFor(market: Market, slot: number, lots: number): number {
    const { int32 } = this.orders;
    if (((int32[slot * 16 + metaWord] as number) & 1) === sells) return lots * market.lotUnits;
    return (int32[slot * 16 + priceWord] as number) * lots * market.tickUnits;
  }

  /** What the order still holds goes back. */
  releaseRest(market: Market, slot: number): void {
    const { int32, float64, budget } = this.orders;
    const meta = int32[slot * 16 + metaWord] as number;
    const rest = float64[slot * 8 + restWord] as number;
    let units: number;
    if ((meta & 1) === sells) units = rest * market.lotUnits;
    else if ((meta & budgetFlag) === 0)
      units = (int32[slot * 16 + priceWord] as number) * rest * market.tickUnits;
    else {
      units = budget[slot] as number;
      budget[slot] = 0;
    }
    if (units === 0) return;
    const asset = (meta & 1) === sells ? market.base : market.quote;
    this.balances.release(int32[slot * 16 + accountWord] as number, asset, units);
  }

  // -------------------------------------------------------------- coming and going

  /** Into the registers of open orders; once, when it first rests or waits. */
  register(slot: number): void {
    const { lastOrder } = this;
    const { int32 } = this.orders;
    const account = int32[slot * 16 + accountWord] as number;
    const last = lastOrder[account] as number;
    int32[slot * 16 + accountPrev] = last;
    int32[slot * 16 + accountNext] = noSlot;
    if (last === noSlot) this.firstOrder[account] = slot;
    else int32[last * 16 + accountNext] = slot;
    lastOrder[account] = slot;
    this.openOrders[account] = (this.openOrders[account] as number) + 1;
    this.ids.add(slot);
  }

  /** Out of the registers, and the slot is free. The order is in no ladder any more. */
  forget(slot: number, isRegistered: boolean): void {
    if (isRegistered) this.#unregister(slot);
    // Most have none; the flag spares them a look at memory that nothing else here needs.
    if (((this.orders.int32[slot * 16 + metaWord] as number) & clientIdFlag) !== 0) this.#closeClientId(slot);
    this.orders.give(slot);
  }

  #unregister(slot: number): void {
    const { int32 } = this.orders;
    const account = int32[slot * 16 + accountWord] as number;
    const next = int32[slot * 16 + accountNext] as number;
    const prev = int32[slot * 16 + accountPrev] as number;
    if (next === noSlot) this.lastOrder[account] = prev;
    else int32[next * 16 + accountPrev] = prev;
    if (prev === noSlot) this.firstOrder[account] = next;
    else int32[prev * 16 + accountNext] = next;
    this.openOrders[account] = (this.openOrders[account] as number) - 1;
    this.ids.remove(slot);
  }

  #closeClientId(slot: number): void {
    const { orders } = this;
    const low = intAt(orders.clientId, slot * 2);
    const high = intAt(orders.clientId, slot * 2 + 1);
    this.clientIds.close(ClientIds.keyOf(orders.int(slot, accountWord), low, high));
  }

  /** Out of the ladder it rests or waits in; still registered. */
  unlink(market: Market, slot: number): void {
    const { orders } = this;
    const meta = orders.int32[slot * 16 + metaWord] as number;
    if ((meta & resting) !== 0) {
      const level = (orders.int32[slot * 16 + priceWord] as number) - market.minPrice;
      market.own(meta & 1).remove(orders, slot, level);
    } else {
      market.stopsOf(meta & 1).remove(orders, slot, intAt(orders.trigger, slot) - market.minPrice);
      market.stops--;
    }
    orders.int32[slot * 16 + metaWord] = meta & ~(resting | waiting);
  }

  /** Into the book with what is left of it; registered if it is new. */
  rest(market: Market, slot: number, isRegistered: boolean): void {
    const { orders } = this;
    const { int32, float64 } = orders;
    const meta = int32[slot * 16 + metaWord] as number;
    let visible = float64[slot * 8 + restWord] as number;
    if ((meta & display) !== 0) {
      visible = Math.min(visible, orders.display[slot] as number);
      orders.visible[slot] = visible;
    }
    int32[slot * 16 + metaWord] = meta | resting;
    const price = int32[slot * 16 + priceWord] as number;
    market.own(meta & 1).append(orders, slot, price - market.minPrice);
    if (!isRegistered) this.register(slot);
    this.events.addOfOrder(restedKind, orders, slot, price, 0, visible);
  }

  /** The next slice of an iceberg is in the book. */
  tellRested(slot: number): void {
    const { orders } = this;
    this.events.addOfOrder(restedKind, orders, slot, orders.int(slot, priceWord), 0, orders.visibleOf(slot));
  }

  /** The order ends with its rest unfilled. Hold, registers and ladder are the caller's. */
  tellDone(slot: number, reason: number): void {
    this.events.addOfOrder(doneKind, this.orders, slot, 0, reason << reasonShift, 0);
  }

  /** An order that rests or waits leaves: everything of it. */
  drop(market: Market, slot: number, reason: number): void {
    this.unlink(market, slot);
    this.releaseRest(market, slot);
    this.tellDone(slot, reason);
    this.forget(slot, true);
  }

  /** Only orders that rest or wait have a market here, so it is there. */
  marketOf(slot: number): Market {
    return this.markets[(this.orders.int32[slot * 16 + metaWord] as number) >>> marketShift] as Market;
  }
}

export const flagged = (flag: keyof typeof eventFlags): number => eventFlags[flag] << detailBits.flags;
