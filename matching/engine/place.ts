/** `place`: every refusal before anything changes, in the order of SEMANTICS.md; then hold, accept, match. */
import { type CommandSlots, commandFlags, commandFloat64, commandInt32, headShift } from '../commands.ts';
import { icebergSlicesMax, type MarketConfig } from '../config.ts';
import { detailBits, eventFloat64, eventInt32 } from '../events.ts';
import { orderTypes, selfTradeModes, sides, timesInForce } from '../vocabulary.ts';
import { ClientIds } from './client-ids.ts';
import { type Core, eventNumber, type Market, reasonNumber, sell, stateNumber, typeNumber } from './core.ts';
import { isFillable } from './match.ts';
import { metaFlag, metaShift, none, orderFloat, orderInt } from './orders.ts';
import { wait } from './stops.ts';
import { enterLimit, enterMarket } from './taker.ts';

// Why these are named once more: see orders.ts.
const noSlot = none;
const sells = sell;
const types = typeNumber;
const states = stateNumber;
const { lots: lotsOf, extra: extraOf, clientOrderId: clientOf } = commandFloat64;
const {
  head: headOf,
  account: accountOf,
  market: marketOf,
  price: priceOf,
  trigger: triggerOf,
} = commandInt32;
const { price: priceWord, account: accountWord, meta: metaWord } = orderInt;
const { id: idWord, rest: restWord, filled: filledWord } = orderFloat;
const { postOnly: postOnlyBit } = commandFlags;
const head = { ...headShift } as const;
const bits = { ...metaShift } as const;
const has = { ...metaFlag } as const;
const { accepted: acceptedKind } = eventNumber;
const words = {
  sides: sides.length,
  types: orderTypes.length,
  times: timesInForce.length,
  modes: selfTradeModes.length,
};

const gtc = timesInForce.indexOf('gtc');
const ioc = timesInForce.indexOf('ioc');
const fok = timesInForce.indexOf('fok');
const valid = -1;
const fourBits = 0xf;

/** The order as the command says it; one, filled anew each time. */
interface Draft {
  account: number;
  side: number;
  type: number;
  timeInForce: number;
  selfTrade: number;
  isPostOnly: boolean;
  price: number;
  trigger: number;
  lots: number;
  display: number;
  budget: number;
  clientLow: number;
  clientHigh: number;
  /** What it holds; filled when everything else is valid. */
  units: number;
}
const draft: Draft = {
  account: 0,
  side: 0,
  type: 0,
  timeInForce: 0,
  selfTrade: 0,
  isPostOnly: false,
  price: 0,
  trigger: 0,
  lots: 0,
  display: 0,
  budget: 0,
  clientLow: 0,
  clientHigh: 0,
  units: 0,
};

const isStop = (type: number): boolean => type === types.stop || type === types.stopLimit;
/** Bought for a budget: no price says what it costs. */
const isForBudget = (): boolean =>
  draft.side !== sells && (draft.type === types.market || draft.type === types.stop);
const staysOpen = (): boolean =>
  draft.type === types.limit ? draft.timeInForce === gtc : isStop(draft.type);
const hasClientId = (): boolean => (draft.clientLow | draft.clientHigh) !== 0;

function read({ float64, int32 }: CommandSlots, at: number): void {
  const f = at * 8;
  const i = at * 16;
  const shape = int32[i + headOf] as number;
  draft.account = int32[i + accountOf] as number;
  draft.side = (shape >>> head.side) & fourBits;
  draft.type = (shape >>> head.type) & fourBits;
  draft.timeInForce = (shape >>> head.timeInForce) & fourBits;
  draft.selfTrade = (shape >>> head.selfTrade) & fourBits;
  draft.isPostOnly = ((shape >>> head.flags) & postOnlyBit) !== 0;
  draft.price = int32[i + priceOf] as number;
  draft.trigger = int32[i + triggerOf] as number;
  draft.lots = float64[f + lotsOf] as number;
  const extra = float64[f + extraOf] as number;
  const isBudget = isForBudget();
  draft.budget = isBudget ? extra : 0;
  draft.display = isBudget ? 0 : extra;
  draft.clientLow = int32[(f + clientOf) * 2] as number;
  draft.clientHigh = int32[(f + clientOf) * 2 + 1] as number;
}

/** Fields that the type does not have, and combinations that do not exist. */
function isFormed(): boolean {
  const { side, type, timeInForce, price, trigger } = draft;
  if (side >= words.sides || type >= words.types) return false;
  if (timeInForce >= words.times || draft.selfTrade >= words.modes) return false;
  if (type === types.limit) {
    if (price === 0 || trigger !== 0) return false;
    return timeInForce === gtc || (!draft.isPostOnly && draft.display === 0);
  }
  if (draft.isPostOnly || draft.display !== 0 || !Number.isSafeInteger(draft.budget)) return false;
  if (isStop(type) ? trigger === 0 : trigger !== 0) return false;
  if (type === types.stopLimit) return timeInForce === gtc && price !== 0;
  return timeInForce === ioc && price === 0 && (side === sells || draft.budget > 0);
}

export const hasTooManySlices = (display: number, lots: number): boolean =>
  display > 0 && lots > display * icebergSlicesMax;

function lotsProblem({ minOrderLots, maxOrderLots }: MarketConfig): number {
  if (draft.lots === 0 && isForBudget()) draft.lots = maxOrderLots;
  const { lots, display } = draft;
  if (!(lots >= minOrderLots && lots <= maxOrderLots && Number.isSafeInteger(lots)))
    return reasonNumber['invalid-lots'];
  if (display === 0) return valid;
  const isShown = Number.isSafeInteger(display) && display >= 1 && display < lots;
  return isShown && !hasTooManySlices(display, lots) ? valid : reasonNumber['invalid-lots'];
}

function triggerProblem({ config, lastPrice }: Market): number {
  const { side, trigger } = draft;
  if (trigger < config.minPrice || trigger > config.maxPrice) return reasonNumber['invalid-trigger'];
  const isReached = side === sells ? lastPrice <= trigger : lastPrice >= trigger;
  return lastPrice !== 0 && isReached ? reasonNumber['would-trigger'] : valid;
}

function priceProblem(market: Market): number {
  const { minPrice, maxPrice, maxOrderValue } = market.config;
  const { type, price } = draft;
  const isPriced = type === types.limit || type === types.stopLimit;
  if (isPriced) {
    if (price < minPrice || price > maxPrice) return reasonNumber['invalid-price'];
    if (price < market.bandLow || price > market.bandHigh) return reasonNumber['outside-band'];
  }
  if (isStop(type)) {
    const problem = triggerProblem(market);
    if (problem !== valid) return problem;
  }
  const value = isPriced ? price * draft.lots * market.tickUnits : draft.budget;
  return value > maxOrderValue ? reasonNumber['value-limit'] : valid;
}

function stateProblem(market: Market): number {
  if (market.state === states.open) return valid;
  if (market.state !== states.auction) return reasonNumber['market-closed'];
  const { type, timeInForce, isPostOnly } = draft;
  const isAllowed = isStop(type) || (type === types.limit && timeInForce === gtc && !isPostOnly);
  return isAllowed ? valid : reasonNumber['not-in-auction'];
}

function registersProblem(core: Core, market: Market): number {
  const { account } = draft;
  if (staysOpen() && (core.openOrders[account] as number) >= core.openOrdersMax)
    return reasonNumber['open-order-limit'];
  if (core.orders.isFull) return reasonNumber.capacity;
  if (draft.type === types.market && market.opposite(draft.side).best === noSlot)
    return reasonNumber['no-liquidity'];
  if (draft.side === sells) draft.units = draft.lots * market.lotUnits;
  else draft.units = isForBudget() ? draft.budget : draft.price * draft.lots * market.tickUnits;
  const asset = draft.side === sells ? market.base : market.quote;
  return core.balances.covers(account, asset, draft.units) ? valid : reasonNumber['insufficient-balance'];
}

function problemOf(core: Core, market: Market, isWithinRate: boolean): number {
  if (!isFormed()) return reasonNumber['invalid-order'];
  if (!isWithinRate) return reasonNumber['rate-limit'];
  if (core.blocked[draft.account] === 1) return reasonNumber['account-blocked'];
  const state = stateProblem(market);
  if (state !== valid) return state;
  if (hasClientId() && core.clientIds.isTaken(clientKey())) return reasonNumber['duplicate-client-id'];
  const lots = lotsProblem(market.config);
  if (lots !== valid) return lots;
  const price = priceProblem(market);
  return price === valid ? registersProblem(core, market) : price;
}
const clientKey = (): string => ClientIds.keyOf(draft.account, draft.clientLow, draft.clientHigh);

/** Whether a limit order would meet the other side. */
export function crosses(market: Market, side: number, price: number): boolean {
  const { best } = market.opposite(side);
  if (best === noSlot || market.state !== states.open) return false;
  const opposite = best + market.minPrice;
  return side === sells ? price <= opposite : price >= opposite;
}

/** Into a slot of the pool, which is not full; nothing is held yet. */
function make(core: Core, market: Market): number {
  const { orders } = core;
  const { int32, float64 } = orders;
  const slot = orders.take();
  const { lots } = draft;
  int32[slot * 16 + priceWord] = draft.price;
  int32[slot * 16 + accountWord] = draft.account;
  int32[slot * 16 + metaWord] =
    (market.index << bits.market) |
    (draft.side << bits.side) |
    (draft.type << bits.type) |
    (draft.timeInForce << bits.timeInForce) |
    (draft.selfTrade << bits.selfTrade) |
    (draft.isPostOnly ? has.postOnly : 0);
  float64[slot * 8 + idWord] = core.seq;
  float64[slot * 8 + restWord] = lots;
  float64[slot * 8 + filledWord] = 0;
  if (draft.type !== types.limit || draft.display !== 0 || hasClientId()) makeBeside(core, slot);
  return slot;
}

/** What few orders have. */
function makeBeside({ orders }: Core, slot: number): void {
  let flags = 0;
  if (draft.display !== 0) {
    flags |= has.display;
    orders.display[slot] = draft.display;
  }
  if (draft.trigger !== 0) {
    flags |= has.trigger;
    orders.trigger[slot] = draft.trigger;
  }
  if (isForBudget()) {
    flags |= has.budget;
    orders.budget[slot] = draft.budget;
  }
  if (hasClientId()) {
    flags |= has.clientId;
    orders.clientId[slot * 2] = draft.clientLow;
    orders.clientId[slot * 2 + 1] = draft.clientHigh;
  }
  orders.setInt(slot, metaWord, orders.int(slot, metaWord) | flags);
}

function tellAccepted({ events, orders }: Core, slot: number): void {
  const type = draft.type << detailBits.type;
  const at = events.addOfOrder(acceptedKind, orders, slot, draft.price, type, 0);
  if (draft.budget !== 0) events.float64[at * 12 + eventFloat64.feeTaker] = draft.budget;
  if (hasClientId()) {
    events.int32[(at * 12 + eventFloat64.maker) * 2] = draft.clientLow;
    events.int32[(at * 12 + eventFloat64.maker) * 2 + 1] = draft.clientHigh;
  }
  if (draft.trigger !== 0) events.int32[at * 24 + eventInt32.high] = draft.trigger;
}

function accept(core: Core, market: Market, slot: number): void {
  const { account, side, type } = draft;
  core.balances.hold(account, side === sells ? market.base : market.quote, draft.units);
  if (hasClientId()) core.clientIds.take(clientKey(), slot);
  tellAccepted(core, slot);
  if (type === types.limit) enterLimit(core, market, slot, false);
  else if (type === types.market) enterMarket(core, market, slot, false);
  else wait(core, market, slot);
}

/** What only the book can say of an order that is made and not accepted yet. */
function bookProblem(core: Core, market: Market, slot: number): number {
  if (draft.timeInForce === fok && !isFillable(core, market, slot, draft.price))
    return reasonNumber['not-fillable'];
  return draft.isPostOnly && crosses(market, draft.side, draft.price) ? reasonNumber['would-cross'] : valid;
}

/** @returns the market, whose stops are to be looked at, unless there is no such market or account */
export function place(core: Core, slots: CommandSlots, at: number): Market | undefined {
  read(slots, at);
  const marketIndex = slots.int32[at * 16 + marketOf] as number;
  const { account } = draft;
  if (!core.isTrader(account)) {
    core.reject(marketIndex, account, reasonNumber['unknown-account']);
    return undefined;
  }
  const isWithinRate = core.withinRate(account);
  const market = core.markets[marketIndex];
  if (market === undefined) {
    core.reject(marketIndex, account, reasonNumber['unknown-market']);
    return undefined;
  }
  let problem = problemOf(core, market, isWithinRate);
  if (problem === valid) {
    const slot = make(core, market);
    if (draft.type === types.limit && (draft.timeInForce === fok || draft.isPostOnly))
      problem = bookProblem(core, market, slot);
    if (problem === valid) accept(core, market, slot);
    else core.orders.give(slot);
  }
  if (problem !== valid) core.reject(marketIndex, account, problem);
  return market;
}
