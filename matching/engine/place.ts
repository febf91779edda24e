/** `place`: every refusal before anything changes, in the order of SEMANTICS.md; then hold, accept, match. */
import { type CommandSlots, commandFlags, commandFloat64, commandInt32, headShift } from '../commands.ts';
import { icebergSlicesMax, type MarketConfig } from '../config.ts';
import { detailBits, eventFloat64, eventInt32 } from '../events.ts';
import { orderTypes, selfTradeModes, sides, timesInForce } from '../vocabulary.ts';
import { ClientIds } from './client-ids.ts';
import {
  buy,
  type Core,
  eventNumber,
  type Market,
  reasonNumber,
  sell,
  stateNumber,
  typeNumber,
} from './core.ts';
import { isFillable } from './match.ts';
import { metaFlag, metaShift, none, orderFloat, orderInt } from './orders.ts';
import { wait } from './stops.ts';
import { enterLimit, enterMarket } from './taker.ts';
import { intAt } from './words.ts';

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
};

const isStop = (type: number): boolean => type === typeNumber.stop || type === typeNumber.stopLimit;
/** Bought for a budget: no price says what it costs. */
const isForBudget = ({ side, type }: Draft): boolean =>
  side === buy && (type === typeNumber.market || type === typeNumber.stop);
const staysOpen = ({ type, timeInForce }: Draft): boolean =>
  isStop(type) || (type === typeNumber.limit && timeInForce === gtc);

function read(slots: CommandSlots, at: number): void {
  const { float64, int32 } = slots;
  const head = intAt(int32, at * 16 + commandInt32.head);
  draft.account = intAt(int32, at * 16 + commandInt32.account);
  draft.side = (head >>> headShift.side) & fourBits;
  draft.type = (head >>> headShift.type) & fourBits;
  draft.timeInForce = (head >>> headShift.timeInForce) & fourBits;
  draft.selfTrade = (head >>> headShift.selfTrade) & fourBits;
  draft.isPostOnly = ((head >>> headShift.flags) & commandFlags.postOnly) !== 0;
  draft.price = intAt(int32, at * 16 + commandInt32.price);
  draft.trigger = intAt(int32, at * 16 + commandInt32.trigger);
  draft.lots = float64[at * 8 + commandFloat64.lots] as number;
  const extra = float64[at * 8 + commandFloat64.extra] as number;
  draft.budget = 0;
  draft.display = 0;
  if (isForBudget(draft)) draft.budget = extra;
  else draft.display = extra;
  const client = (at * 8 + commandFloat64.clientOrderId) * 2;
  draft.clientLow = intAt(int32, client);
  draft.clientHigh = intAt(int32, client + 1);
}

/** Fields that the type does not have, and combinations that do not exist. */
function isFormed(): boolean {
  const { side, type, timeInForce, selfTrade, isPostOnly, price, trigger, display, budget } = draft;
  if (side >= sides.length || type >= orderTypes.length) return false;
  if (timeInForce >= timesInForce.length || selfTrade >= selfTradeModes.length) return false;
  if (!Number.isSafeInteger(budget)) return false;
  const isLimit = type === typeNumber.limit;
  if ((isPostOnly || display !== 0) && !(isLimit && timeInForce === gtc)) return false;
  if (isStop(type) ? trigger === 0 : trigger !== 0) return false;
  if (type === typeNumber.stopLimit) return timeInForce === gtc && price !== 0;
  if (isLimit) return price !== 0;
  return timeInForce === ioc && price === 0 && (side === sell || budget > 0);
}

export const hasTooManySlices = (display: number, lots: number): boolean =>
  display > 0 && lots > display * icebergSlicesMax;

function lotsProblem({ minOrderLots, maxOrderLots }: MarketConfig): number {
  if (isForBudget(draft) && draft.lots === 0) draft.lots = maxOrderLots;
  const { lots, display } = draft;
  if (!Number.isSafeInteger(lots) || lots < minOrderLots || lots > maxOrderLots)
    return reasonNumber['invalid-lots'];
  const isShown = display === 0 || (Number.isSafeInteger(display) && display >= 1 && display < lots);
  return isShown && !hasTooManySlices(display, lots) ? valid : reasonNumber['invalid-lots'];
}

function priceProblem(market: Market): number {
  const { minPrice, maxPrice, maxOrderValue, tickUnits } = market.config;
  const { type, side, price, trigger, lots, budget } = draft;
  const isPriced = type === typeNumber.limit || type === typeNumber.stopLimit;
  if (isPriced && (price < minPrice || price > maxPrice)) return reasonNumber['invalid-price'];
  if (isPriced && (price < market.bandLow || price > market.bandHigh)) return reasonNumber['outside-band'];
  if (isStop(type)) {
    if (trigger < minPrice || trigger > maxPrice) return reasonNumber['invalid-trigger'];
    const { lastPrice } = market;
    if (lastPrice !== 0 && (side === buy ? lastPrice >= trigger : lastPrice <= trigger))
      return reasonNumber['would-trigger'];
  }
  const value = isPriced ? price * lots * tickUnits : budget;
  return value > maxOrderValue ? reasonNumber['value-limit'] : valid;
}

function stateProblem(market: Market): number {
  if (market.state === stateNumber.open) return valid;
  if (market.state !== stateNumber.auction) return reasonNumber['market-closed'];
  const { type, timeInForce, isPostOnly } = draft;
  const isAllowed = isStop(type) || (type === typeNumber.limit && timeInForce === gtc && !isPostOnly);
  return isAllowed ? valid : reasonNumber['not-in-auction'];
}

const unitsToHold = ({ lotUnits, tickUnits }: MarketConfig): number => {
  if (draft.side === sell) return draft.lots * lotUnits;
  return isForBudget(draft) ? draft.budget : draft.price * draft.lots * tickUnits;
};

function registersProblem(core: Core, market: Market): number {
  const { account, type } = draft;
  if (staysOpen(draft) && intAt(core.openOrders, account) >= core.config.limits.openOrders)
    return reasonNumber['open-order-limit'];
  if (core.orders.isFull) return reasonNumber.capacity;
  if (type === typeNumber.market && market.opposite(draft.side).best === none)
    return reasonNumber['no-liquidity'];
  const asset = draft.side === buy ? market.config.quote : market.config.base;
  return core.balances.covers(account, asset, unitsToHold(market.config))
    ? valid
    : reasonNumber['insufficient-balance'];
}

function problemOf(core: Core, market: Market, isWithinRate: boolean): number {
  if (!isFormed()) return reasonNumber['invalid-order'];
  const { account, clientLow, clientHigh } = draft;
  if (!isWithinRate) return reasonNumber['rate-limit'];
  if (core.blocked[account] === 1) return reasonNumber['account-blocked'];
  const state = stateProblem(market);
  if (state !== valid) return state;
  if (
    (clientLow !== 0 || clientHigh !== 0) &&
    core.clientIds.isTaken(ClientIds.keyOf(account, clientLow, clientHigh))
  )
    return reasonNumber['duplicate-client-id'];
  const lots = lotsProblem(market.config);
  if (lots !== valid) return lots;
  const price = priceProblem(market);
  return price === valid ? registersProblem(core, market) : price;
}

/** Whether a limit order would meet the other side. */
export function crosses(market: Market, side: number, price: number): boolean {
  const { best } = market.opposite(side);
  if (best === none || market.state !== stateNumber.open) return false;
  const opposite = best + market.config.minPrice;
  return side === buy ? price >= opposite : price <= opposite;
}

/** Into a slot of the pool, which is not full; nothing is held yet. */
function make(core: Core, market: Market): number {
  const { orders } = core;
  const slot = orders.take();
  const { side, type, timeInForce, selfTrade, isPostOnly, lots } = draft;
  orders.setInt(slot, orderInt.price, draft.price);
  orders.setInt(slot, orderInt.account, draft.account);
  orders.setInt(slot, orderInt.market, market.index);
  const words =
    (side << metaShift.side) |
    (type << metaShift.type) |
    (timeInForce << metaShift.timeInForce) |
    (selfTrade << metaShift.selfTrade);
  const hasClientId = draft.clientLow !== 0 || draft.clientHigh !== 0;
  const flags = (isPostOnly ? metaFlag.postOnly : 0) | (hasClientId ? metaFlag.clientId : 0);
  orders.setInt(slot, orderInt.meta, words | flags);
  orders.setFloat(slot, orderFloat.id, core.seq);
  orders.setFloat(slot, orderFloat.rest, lots);
  orders.setFloat(slot, orderFloat.visible, lots);
  orders.setFloat(slot, orderFloat.filled, 0);
  orders.display[slot] = draft.display;
  orders.budget[slot] = draft.budget;
  orders.trigger[slot] = draft.trigger;
  orders.clientId[slot * 2] = draft.clientLow;
  orders.clientId[slot * 2 + 1] = draft.clientHigh;
  return slot;
}

function tellAccepted(core: Core, market: Market, slot: number): void {
  const { events } = core;
  const at = core.startOrderEvent(eventNumber.accepted, market, slot, draft.price, 0);
  const { float64, int32 } = events.slots;
  float64[at * 12 + eventFloat64.lots] = draft.lots;
  float64[at * 12 + eventFloat64.feeTaker] = draft.budget;
  const client = (at * 12 + eventFloat64.maker) * 2;
  int32[client] = draft.clientLow;
  int32[client + 1] = draft.clientHigh;
  int32[at * 24 + eventInt32.high] = draft.trigger;
  int32[at * 24 + eventInt32.detail] =
    intAt(int32, at * 24 + eventInt32.detail) | (draft.type << detailBits.type);
  events.end();
}

function accept(core: Core, market: Market, slot: number): void {
  const { account, side, type, clientLow, clientHigh } = draft;
  const { base, quote } = market.config;
  core.balances.hold(account, side === buy ? quote : base, unitsToHold(market.config));
  if (clientLow !== 0 || clientHigh !== 0)
    core.clientIds.take(ClientIds.keyOf(account, clientLow, clientHigh), slot);
  tellAccepted(core, market, slot);
  if (type === typeNumber.limit) enterLimit(core, market, slot, false);
  else if (type === typeNumber.market) enterMarket(core, market, slot, false);
  else wait(core, market, slot);
}

export function place(core: Core, slots: CommandSlots, at: number): void {
  read(slots, at);
  const marketIndex = intAt(slots.int32, at * 16 + commandInt32.market);
  const { account } = draft;
  if (!core.isTrader(account)) {
    core.reject(marketIndex, account, reasonNumber['unknown-account']);
    return;
  }
  const isWithinRate = core.withinRate(account);
  const market = core.markets[marketIndex];
  if (market === undefined) {
    core.reject(marketIndex, account, reasonNumber['unknown-market']);
    return;
  }
  const problem = problemOf(core, market, isWithinRate);
  if (problem !== valid) {
    core.reject(marketIndex, account, problem);
    return;
  }
  const slot = make(core, market);
  if (
    draft.type === typeNumber.limit &&
    draft.timeInForce === fok &&
    !isFillable(core, market, slot, draft.price)
  ) {
    core.orders.give(slot);
    core.reject(marketIndex, account, reasonNumber['not-fillable']);
    return;
  }
  if (draft.isPostOnly && crosses(market, draft.side, draft.price)) {
    core.orders.give(slot);
    core.reject(marketIndex, account, reasonNumber['would-cross']);
    return;
  }
  accept(core, market, slot);
}
