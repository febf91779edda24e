/** `amend`, `cancel` and `cancel-all`: what becomes of orders that are open. */
import { allMarkets, type CommandSlots, commandFloat64, commandInt32 } from '../commands.ts';
import { eventFloat64, eventInt32 } from '../events.ts';
import { ClientIds } from './client-ids.ts';
import {
  buy,
  type Core,
  doneNumber,
  eventNumber,
  flagged,
  type Market,
  reasonNumber,
  stateNumber,
  typeNumber,
} from './core.ts';
import { metaFlag, none, orderFloat, orderInt, sideOf, typeOf } from './orders.ts';
import { crosses, hasTooManySlices } from './place.ts';
import { enterLimit } from './taker.ts';
import { floatAt, intAt } from './words.ts';

const valid = -1;

/** The open order the command names, if it is the account's; -1: there is none. */
function orderOf(core: Core, slots: CommandSlots, at: number, account: number): number {
  const id = floatAt(slots.float64, at * 8 + commandFloat64.extra);
  const client = (at * 8 + commandFloat64.clientOrderId) * 2;
  const low = intAt(slots.int32, client);
  const high = intAt(slots.int32, client + 1);
  if (id === 0)
    return low === 0 && high === 0 ? none : core.clientIds.find(ClientIds.keyOf(account, low, high));
  if (!Number.isSafeInteger(id)) return none;
  const slot = core.ids.find(id);
  return slot !== none && core.orders.int(slot, orderInt.account) === account ? slot : none;
}

/** Only orders that rest or wait have a market here, so it is there. */
const marketOf = (core: Core, slot: number): Market =>
  core.markets[core.orders.int(slot, orderInt.market)] as Market;

export function cancel(core: Core, slots: CommandSlots, at: number): void {
  const account = intAt(slots.int32, at * 16 + commandInt32.account);
  if (!core.isTrader(account)) {
    core.reject(-1, account, reasonNumber['unknown-account']);
    return;
  }
  const slot = orderOf(core, slots, at, account);
  if (slot === none) core.reject(-1, account, reasonNumber['unknown-order']);
  else core.drop(marketOf(core, slot), slot, doneNumber.cancelled);
}

export function cancelAll(core: Core, slots: CommandSlots, at: number): void {
  const { orders, events } = core;
  const account = intAt(slots.int32, at * 16 + commandInt32.account);
  const market = intAt(slots.int32, at * 16 + commandInt32.market);
  if (!core.isTrader(account)) {
    core.reject(market, account, reasonNumber['unknown-account']);
    return;
  }
  if (market !== allMarkets && core.markets[market] === undefined) {
    core.reject(market, account, reasonNumber['unknown-market']);
    return;
  }
  let count = 0;
  for (let slot = intAt(core.firstOrder, account); slot !== none; ) {
    const next = orders.int(slot, orderInt.accountNext);
    if (market === allMarkets || orders.int(slot, orderInt.market) === market) {
      core.drop(marketOf(core, slot), slot, doneNumber.cancelled);
      count++;
    }
    slot = next;
  }
  const slotAt = events.start(eventNumber['cancelled-all'], market, account, 0, 0);
  events.slots.float64[slotAt * 12 + eventFloat64.lots] = count;
  events.end();
}

// ---------------------------------------------------------------- amend

/** What is asked for; one, filled anew each time. */
const change = { price: 0, rest: 0, units: 0 };

function shapeProblem(core: Core, slot: number, price: number, lots: number): number {
  const { orders } = core;
  const isWaiting = (orders.int(slot, orderInt.meta) & metaFlag.waiting) !== 0;
  const own = orders.int(slot, orderInt.price);
  const total = orders.float(slot, orderFloat.rest) + orders.float(slot, orderFloat.filled);
  if (core.isBudget(slot) || (isWaiting && price !== 0 && price !== own))
    return reasonNumber['invalid-order'];
  const isSame = (price === 0 || price === own) && (lots === 0 || lots === total);
  return isSame ? reasonNumber['invalid-order'] : valid;
}

function lotsProblem(core: Core, market: Market, slot: number, lots: number): number {
  const { orders } = core;
  const filled = orders.float(slot, orderFloat.filled);
  const total = lots === 0 ? orders.float(slot, orderFloat.rest) + filled : lots;
  const { minOrderLots, maxOrderLots } = market.config;
  if (!Number.isSafeInteger(total) || total < minOrderLots || total > maxOrderLots)
    return reasonNumber['invalid-lots'];
  if (hasTooManySlices(floatAt(orders.display, slot), total)) return reasonNumber['invalid-lots'];
  if (total <= filled) return reasonNumber['already-filled'];
  change.rest = total - filled;
  return valid;
}

function priceProblem(core: Core, market: Market, slot: number, price: number): number {
  const { orders } = core;
  const { minPrice, maxPrice, maxOrderValue, tickUnits, lotUnits } = market.config;
  const meta = orders.int(slot, orderInt.meta);
  const own = orders.int(slot, orderInt.price);
  change.price = price === 0 ? own : price;
  const isPriced = typeOf(meta) === typeNumber.limit || typeOf(meta) === typeNumber.stopLimit;
  if (isPriced) {
    if (change.price < minPrice || change.price > maxPrice) return reasonNumber['invalid-price'];
    if (change.price !== own && (change.price < market.bandLow || change.price > market.bandHigh))
      return reasonNumber['outside-band'];
    if (change.price * change.rest * tickUnits > maxOrderValue) return reasonNumber['value-limit'];
  }
  const isBuyer = sideOf(meta) === buy;
  if ((meta & metaFlag.postOnly) !== 0 && change.price !== own && crosses(market, sideOf(meta), change.price))
    return reasonNumber['would-cross'];
  const needed = isBuyer ? change.price * change.rest * tickUnits : change.rest * lotUnits;
  change.units = needed - core.heldFor(market, slot, orders.float(slot, orderFloat.rest));
  const asset = isBuyer ? market.config.quote : market.config.base;
  const account = orders.int(slot, orderInt.account);
  return change.units > 0 && !core.balances.covers(account, asset, change.units)
    ? reasonNumber['insufficient-balance']
    : valid;
}

function adjustHold(core: Core, market: Market, slot: number): void {
  const { orders, balances } = core;
  const { base, quote } = market.config;
  const asset = sideOf(orders.int(slot, orderInt.meta)) === buy ? quote : base;
  const account = orders.int(slot, orderInt.account);
  if (change.units > 0) balances.hold(account, asset, change.units);
  else if (change.units < 0) balances.release(account, asset, -change.units);
}

function tellAmended(core: Core, market: Market, slot: number, isKept: boolean): void {
  const { orders, events } = core;
  const at = core.startOrderEvent(eventNumber.amended, market, slot, orders.int(slot, orderInt.price), 0);
  const { float64, int32 } = events.slots;
  float64[at * 12 + eventFloat64.lots] = orders.float(slot, orderFloat.rest);
  if (isKept)
    int32[at * 24 + eventInt32.detail] = intAt(int32, at * 24 + eventInt32.detail) | flagged('priorityKept');
  events.end();
}

/** Fewer lots at the same price, or any lots of a stop: the order stays where it is. What is hidden shrinks first. */
function amendInPlace(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  const meta = orders.int(slot, orderInt.meta);
  if ((meta & metaFlag.resting) !== 0) {
    const visible = orders.float(slot, orderFloat.visible);
    if (visible > change.rest) orders.setFloat(slot, orderFloat.visible, change.rest);
  }
  orders.setFloat(slot, orderFloat.rest, change.rest);
  tellAmended(core, market, slot, true);
}

function amendSlot(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  adjustHold(core, market, slot);
  const isWaiting = (orders.int(slot, orderInt.meta) & metaFlag.waiting) !== 0;
  const isLess = change.rest < orders.float(slot, orderFloat.rest);
  if (isWaiting || (change.price === orders.int(slot, orderInt.price) && isLess)) {
    amendInPlace(core, market, slot);
    return;
  }
  core.unlink(market, slot);
  orders.setInt(slot, orderInt.price, change.price);
  orders.setFloat(slot, orderFloat.rest, change.rest);
  tellAmended(core, market, slot, false);
  enterLimit(core, market, slot, true);
}

/** What stands against the change of an order that is there, besides the rate. */
function problemOf(core: Core, market: Market, slot: number, price: number, lots: number): number {
  if (core.blocked[core.orders.int(slot, orderInt.account)] === 1) return reasonNumber['account-blocked'];
  let problem = shapeProblem(core, slot, price, lots);
  if (problem === valid && market.state !== stateNumber.open && market.state !== stateNumber.auction)
    problem = reasonNumber['market-closed'];
  if (problem === valid) problem = lotsProblem(core, market, slot, lots);
  return problem === valid ? priceProblem(core, market, slot, price) : problem;
}

/** @returns the market whose stops are to be looked at, if it was done */
export function amend(core: Core, slots: CommandSlots, at: number): Market | undefined {
  const account = intAt(slots.int32, at * 16 + commandInt32.account);
  if (!core.isTrader(account)) {
    core.reject(-1, account, reasonNumber['unknown-account']);
    return undefined;
  }
  const isWithinRate = core.withinRate(account);
  const slot = orderOf(core, slots, at, account);
  if (slot === none) {
    core.reject(-1, account, reasonNumber['unknown-order']);
    return undefined;
  }
  const market = marketOf(core, slot);
  const price = intAt(slots.int32, at * 16 + commandInt32.price);
  const lots = floatAt(slots.float64, at * 8 + commandFloat64.lots);
  const problem = isWithinRate ? problemOf(core, market, slot, price, lots) : reasonNumber['rate-limit'];
  if (problem !== valid) {
    core.reject(market.index, account, problem);
    return undefined;
  }
  amendSlot(core, market, slot);
  return market;
}
