/** `amend`, `cancel` and `cancel-all`: what becomes of orders that are open. */
import { allMarkets, type CommandSlots, commandFloat64, commandInt32 } from '../commands.ts';
import { eventFloat64 } from '../events.ts';
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

const valid = -1;

// Why these are named once more: see orders.ts.
const noSlot = none;
const { price: priceWord, account: accountWord, meta: metaWord } = orderInt;
const { rest: restWord, filled: filledWord } = orderFloat;
const { resting, waiting, postOnly, display } = metaFlag;
const { extra: extraWord, clientOrderId: clientWord, lots: lotsWord } = commandFloat64;
const { account: ofAccount, price: newPrice } = commandInt32;
const { amended: amendedKind } = eventNumber;
const { cancelled } = doneNumber;
const { open, auction } = stateNumber;
const priorityKept = flagged('priorityKept');

/** The open order the command names, if it is the account's; -1: there is none. */
function orderOf(core: Core, slots: CommandSlots, at: number, account: number): number {
  const id = slots.float64[at * 8 + extraWord] as number;
  const client = (at * 8 + clientWord) * 2;
  const low = slots.int32[client] as number;
  const high = slots.int32[client + 1] as number;
  if (id === 0)
    return low === 0 && high === 0 ? none : core.clientIds.find(ClientIds.keyOf(account, low, high));
  if (!Number.isSafeInteger(id)) return none;
  const slot = core.ids.find(id);
  return slot !== noSlot && core.orders.int(slot, accountWord) === account ? slot : none;
}

export function cancel(core: Core, slots: CommandSlots, at: number): void {
  const account = slots.int32[at * 16 + ofAccount] as number;
  if (!core.isTrader(account)) {
    core.reject(-1, account, reasonNumber['unknown-account']);
    return;
  }
  const slot = orderOf(core, slots, at, account);
  if (slot === noSlot) core.reject(-1, account, reasonNumber['unknown-order']);
  else core.drop(core.marketOf(slot), slot, cancelled);
}

export function cancelAll(core: Core, slots: CommandSlots, at: number): void {
  const { orders, events } = core;
  const account = slots.int32[at * 16 + ofAccount] as number;
  const market = slots.int32[at * 16 + commandInt32.market] as number;
  if (!core.isTrader(account)) {
    core.reject(market, account, reasonNumber['unknown-account']);
    return;
  }
  if (market !== allMarkets && core.markets[market] === undefined) {
    core.reject(market, account, reasonNumber['unknown-market']);
    return;
  }
  let count = 0;
  for (let slot = core.firstOrder[account] as number; slot !== noSlot; ) {
    const next = orders.int(slot, orderInt.accountNext);
    if (market === allMarkets || orders.market(slot) === market) {
      core.drop(core.marketOf(slot), slot, cancelled);
      count++;
    }
    slot = next;
  }
  const slotAt = events.add(eventNumber['cancelled-all'], market, account, 0, 0);
  events.float64[slotAt * 12 + eventFloat64.lots] = count;
}

// ---------------------------------------------------------------- amend

/** What is asked for; one, filled anew each time. */
const change = { price: 0, rest: 0, units: 0 };

function shapeProblem(core: Core, slot: number, price: number, lots: number): number {
  const { orders } = core;
  const isWaiting = (orders.int(slot, metaWord) & waiting) !== 0;
  const own = orders.int(slot, priceWord);
  const total = orders.float(slot, restWord) + orders.float(slot, filledWord);
  if (core.orders.isForBudget(slot) || (isWaiting && price !== 0 && price !== own))
    return reasonNumber['invalid-order'];
  const isSame = (price === 0 || price === own) && (lots === 0 || lots === total);
  return isSame ? reasonNumber['invalid-order'] : valid;
}

function lotsProblem(core: Core, market: Market, slot: number, lots: number): number {
  const { orders } = core;
  const filled = orders.float(slot, filledWord);
  const total = lots === 0 ? orders.float(slot, restWord) + filled : lots;
  const { minOrderLots, maxOrderLots } = market.config;
  if (!Number.isSafeInteger(total) || total < minOrderLots || total > maxOrderLots)
    return reasonNumber['invalid-lots'];
  if (hasTooManySlices(orders.displayOf(slot), total)) return reasonNumber['invalid-lots'];
  if (total <= filled) return reasonNumber['already-filled'];
  change.rest = total - filled;
  return valid;
}

function priceProblem(core: Core, market: Market, slot: number, price: number): number {
  const { orders } = core;
  const { minPrice, maxPrice, maxOrderValue, tickUnits, lotUnits } = market.config;
  const meta = orders.int(slot, metaWord);
  const own = orders.int(slot, priceWord);
  change.price = price === 0 ? own : price;
  const isPriced = typeOf(meta) === typeNumber.limit || typeOf(meta) === typeNumber.stopLimit;
  if (isPriced) {
    if (change.price < minPrice || change.price > maxPrice) return reasonNumber['invalid-price'];
    if (change.price !== own && (change.price < market.bandLow || change.price > market.bandHigh))
      return reasonNumber['outside-band'];
    if (change.price * change.rest * tickUnits > maxOrderValue) return reasonNumber['value-limit'];
  }
  const isBuyer = sideOf(meta) === buy;
  if ((meta & postOnly) !== 0 && change.price !== own && crosses(market, sideOf(meta), change.price))
    return reasonNumber['would-cross'];
  const needed = isBuyer ? change.price * change.rest * tickUnits : change.rest * lotUnits;
  change.units = needed - core.heldFor(market, slot, orders.float(slot, restWord));
  const asset = isBuyer ? market.config.quote : market.config.base;
  const account = orders.int(slot, accountWord);
  return change.units > 0 && !core.balances.covers(account, asset, change.units)
    ? reasonNumber['insufficient-balance']
    : valid;
}

function adjustHold(core: Core, market: Market, slot: number): void {
  const { orders, balances } = core;
  const { base, quote } = market.config;
  const asset = sideOf(orders.int(slot, metaWord)) === buy ? quote : base;
  const account = orders.int(slot, accountWord);
  if (change.units > 0) balances.hold(account, asset, change.units);
  else if (change.units < 0) balances.release(account, asset, -change.units);
}

function tellAmended({ orders, events }: Core, slot: number, isKept: boolean): void {
  events.addOfOrder(amendedKind, orders, slot, orders.int(slot, priceWord), isKept ? priorityKept : 0, 0);
}

/** Fewer lots at the same price, or any lots of a stop: the order stays where it is. What is hidden shrinks first. */
function amendInPlace(core: Core, slot: number): void {
  const { orders } = core;
  const meta = orders.int(slot, metaWord);
  if ((meta & resting) !== 0 && (meta & display) !== 0)
    orders.visible[slot] = Math.min(orders.visibleOf(slot), change.rest);
  orders.setFloat(slot, restWord, change.rest);
  tellAmended(core, slot, true);
}

function amendSlot(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  adjustHold(core, market, slot);
  const isWaiting = (orders.int(slot, metaWord) & waiting) !== 0;
  const isLess = change.rest < orders.float(slot, restWord);
  if (isWaiting || (change.price === orders.int(slot, priceWord) && isLess)) {
    amendInPlace(core, slot);
    return;
  }
  core.unlink(market, slot);
  orders.setInt(slot, priceWord, change.price);
  orders.setFloat(slot, restWord, change.rest);
  tellAmended(core, slot, false);
  enterLimit(core, market, slot, true);
}

/** What stands against the change of an order that is there, besides the rate. */
function problemOf(core: Core, market: Market, slot: number, price: number, lots: number): number {
  if (core.blocked[core.orders.int(slot, accountWord)] === 1) return reasonNumber['account-blocked'];
  let problem = shapeProblem(core, slot, price, lots);
  if (problem === valid && market.state !== open && market.state !== auction)
    problem = reasonNumber['market-closed'];
  if (problem === valid) problem = lotsProblem(core, market, slot, lots);
  return problem === valid ? priceProblem(core, market, slot, price) : problem;
}

/** @returns the market whose stops are to be looked at, if it was done */
export function amend(core: Core, slots: CommandSlots, at: number): Market | undefined {
  const account = slots.int32[at * 16 + ofAccount] as number;
  if (!core.isTrader(account)) {
    core.reject(-1, account, reasonNumber['unknown-account']);
    return undefined;
  }
  const isWithinRate = core.withinRate(account);
  const slot = orderOf(core, slots, at, account);
  if (slot === noSlot) {
    core.reject(-1, account, reasonNumber['unknown-order']);
    return undefined;
  }
  const market = core.marketOf(slot);
  const price = slots.int32[at * 16 + newPrice] as number;
  const lots = slots.float64[at * 8 + lotsWord] as number;
  const problem = isWithinRate ? problemOf(core, market, slot, price, lots) : reasonNumber['rate-limit'];
  if (problem !== valid) {
    core.reject(market.index, account, problem);
    return undefined;
  }
  amendSlot(core, market, slot);
  return market;
}
