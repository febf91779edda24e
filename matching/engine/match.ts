/** A taker goes through the other side of the book: best price first, at a price in the order of arrival. */
import { detailBits, eventFloat64, eventInt32 } from '../events.ts';
import { selfTradeModes } from '../vocabulary.ts';
import { buy, type Core, doneNumber, eventNumber, flagged, type Market } from './core.ts';
import { none, orderFloat, orderInt, selfTradeOf, sideOf } from './orders.ts';
import { type Party, settle } from './settle.ts';
import { floatAt, intAt } from './words.ts';

const mode = {
  cancelTaker: selfTradeModes.indexOf('cancel-taker'),
  cancelMaker: selfTradeModes.indexOf('cancel-maker'),
  cancelBoth: selfTradeModes.indexOf('cancel-both'),
} as const;

/** Filled anew for each trade, so that none is made on the way. */
const takerParty: Party = { account: 0, ppm: 0, fee: 0 };
const makerParty: Party = { account: 0, ppm: 0, fee: 0 };

/** Writes the trade as it was settled; the rests are already reduced. */
export function tellTrade(
  core: Core,
  market: Market,
  taker: number,
  maker: number,
  price: number,
  lots: number,
  takerFee: number,
  makerFee: number,
  isAuction: boolean,
): void {
  const { orders, events } = core;
  const side = sideOf(orders.int(taker, orderInt.meta));
  const detail = (side << detailBits.side) | (isAuction ? flagged('auction') : 0);
  const at = tellPair(core, eventNumber.trade, market, taker, maker, price, lots, detail);
  const { float64 } = events.slots;
  float64[at * 12 + eventFloat64.feeTaker] = takerFee;
  float64[at * 12 + eventFloat64.feeMaker] = makerFee;
  float64[at * 12 + eventFloat64.timeMs] = core.timeMs;
  events.end();
}

function tellPair(
  core: Core,
  kind: number,
  market: Market,
  taker: number,
  maker: number,
  price: number,
  lots: number,
  detail: number,
): number {
  const { orders, events } = core;
  const at = events.start(kind, market.index, orders.int(taker, orderInt.account), price, detail);
  const { float64, int32 } = events.slots;
  int32[at * 24 + eventInt32.makerAccount] = orders.int(maker, orderInt.account);
  const f = at * 12;
  float64[f + eventFloat64.order] = orders.float(taker, orderFloat.id);
  float64[f + eventFloat64.maker] = orders.float(maker, orderFloat.id);
  float64[f + eventFloat64.lots] = lots;
  float64[f + eventFloat64.restTaker] = orders.float(taker, orderFloat.rest);
  float64[f + eventFloat64.restMaker] = orders.float(maker, orderFloat.rest);
  return at;
}

function trade(core: Core, market: Market, taker: number, maker: number, price: number, lots: number): void {
  const { orders } = core;
  const { lotUnits, tickUnits, fees } = market.config;
  const value = price * lots * tickUnits;
  const goods = lots * lotUnits;
  const isBuyer = sideOf(orders.int(taker, orderInt.meta)) === buy;
  const takerAccount = orders.int(taker, orderInt.account);
  const makerAccount = orders.int(maker, orderInt.account);
  takerParty.account = takerAccount;
  takerParty.ppm = fees[core.feeTier[takerAccount] as number]?.takerPpm ?? 0;
  makerParty.account = makerAccount;
  makerParty.ppm = fees[core.feeTier[makerAccount] as number]?.makerPpm ?? 0;
  if (!isBuyer) settle(core, market, makerParty, takerParty, value, goods, value);
  else if (core.isBudget(taker)) {
    orders.budget[taker] = floatAt(orders.budget, taker) - value;
    settle(core, market, takerParty, makerParty, value, goods, value);
  } else {
    const held = orders.int(taker, orderInt.price) * lots * tickUnits;
    settle(core, market, takerParty, makerParty, value, goods, held);
  }
  orders.setFloat(taker, orderFloat.rest, orders.float(taker, orderFloat.rest) - lots);
  orders.setFloat(taker, orderFloat.filled, orders.float(taker, orderFloat.filled) + lots);
  orders.setFloat(maker, orderFloat.filled, orders.float(maker, orderFloat.filled) + lots);
  takeOff(core, maker, lots);
  market.lastPrice = price;
  tellTrade(core, market, taker, maker, price, lots, takerParty.fee, makerParty.fee, false);
}

/** From a resting order's visible slice and its rest. */
function takeOff({ orders }: Core, maker: number, lots: number): void {
  orders.setFloat(maker, orderFloat.rest, orders.float(maker, orderFloat.rest) - lots);
  orders.setFloat(maker, orderFloat.visible, orders.float(maker, orderFloat.visible) - lots);
}

/** After lots were taken off: an empty order leaves, an empty slice makes room for the next one at the tail. */
function settleMaker(core: Core, market: Market, maker: number, doneReason: number): void {
  const { orders } = core;
  const rest = orders.float(maker, orderFloat.rest);
  if (rest === 0) {
    core.unlink(market, maker);
    if (doneReason !== none) core.tellDone(market, maker, doneReason);
    core.forget(maker, true);
  } else if (orders.float(maker, orderFloat.visible) === 0) {
    const display = floatAt(orders.display, maker);
    orders.setFloat(maker, orderFloat.visible, Math.min(display, rest));
    const level = orders.int(maker, orderInt.price) - market.config.minPrice;
    market.own(sideOf(orders.int(maker, orderInt.meta))).requeue(orders, maker, level);
    core.tellRested(market, maker);
  }
}

/** Both lose lots without a trade; what was held for them goes back. */
function decrement(
  core: Core,
  market: Market,
  taker: number,
  maker: number,
  price: number,
  lots: number,
): void {
  const { orders, balances } = core;
  const { base, quote, tickUnits } = market.config;
  const account = orders.int(taker, orderInt.account);
  const takerSide = sideOf(orders.int(taker, orderInt.meta));
  let takerHeld = core.heldFor(market, taker, lots);
  if (core.isBudget(taker)) {
    takerHeld = price * lots * tickUnits;
    orders.budget[taker] = floatAt(orders.budget, taker) - takerHeld;
  }
  balances.release(account, takerSide === buy ? quote : base, takerHeld);
  balances.release(account, takerSide === buy ? base : quote, core.heldFor(market, maker, lots));
  orders.setFloat(taker, orderFloat.rest, orders.float(taker, orderFloat.rest) - lots);
  takeOff(core, maker, lots);
  tellPair(core, eventNumber.decremented, market, taker, maker, price, lots, takerSide << detailBits.side);
  core.events.end();
  settleMaker(core, market, maker, doneNumber.decremented);
}

/**
 * @param limit ticks; as far as the taker goes
 * @returns why it ended with lots left (a number of `doneReasons`), or -1: nothing is left, or nothing more within its limit
 */
export function match(core: Core, market: Market, taker: number, limit: number): number {
  const { orders } = core;
  const { minPrice, tickUnits } = market.config;
  const meta = orders.int(taker, orderInt.meta);
  const account = orders.int(taker, orderInt.account);
  const isBuyer = sideOf(meta) === buy;
  const isBudget = core.isBudget(taker);
  const makers = isBuyer ? market.asks : market.bids;
  for (
    let rest = orders.float(taker, orderFloat.rest);
    rest > 0;
    rest = orders.float(taker, orderFloat.rest)
  ) {
    const level = makers.best;
    if (level === none) return none;
    const price = level + minPrice;
    if (isBuyer ? price > limit : price < limit) return none;
    const maker = intAt(makers.head, level);
    const visible = orders.float(maker, orderFloat.visible);
    let lots = Math.min(rest, visible);
    if (isBudget) {
      const affordable = affordableLots(floatAt(orders.budget, taker), price * tickUnits);
      if (affordable === 0) return doneNumber.budget;
      if (affordable < lots) lots = affordable;
    }
    if (orders.int(maker, orderInt.account) === account) {
      const selfTrade = selfTradeOf(meta);
      if (selfTrade === mode.cancelTaker) return doneNumber['self-trade'];
      if (selfTrade === mode.cancelMaker || selfTrade === mode.cancelBoth) {
        core.drop(market, maker, doneNumber['self-trade']);
        if (selfTrade === mode.cancelBoth) return doneNumber['self-trade'];
      } else {
        decrement(core, market, taker, maker, price, lots);
        if (orders.float(taker, orderFloat.rest) === 0) return doneNumber.decremented;
      }
      continue;
    }
    trade(core, market, taker, maker, price, lots);
    settleMaker(core, market, maker, none);
  }
  return none;
}

/** `floor(budget / each)`, exact for integers below 2^53. */
function affordableLots(budget: number, each: number): number {
  const lots = Math.floor(budget / each);
  return lots * each > budget ? lots - 1 : lots;
}

/** Whether a fill-or-kill order would be filled: the makers within its limit, in the order they would be met. */
export function isFillable(core: Core, market: Market, taker: number, limit: number): boolean {
  const { orders } = core;
  const meta = orders.int(taker, orderInt.meta);
  const account = orders.int(taker, orderInt.account);
  const isBuyer = sideOf(meta) === buy;
  const makers = market.opposite(sideOf(meta));
  const { minPrice } = market.config;
  let missing = orders.float(taker, orderFloat.rest);
  for (let level = makers.best; level !== none; level = makers.after(level)) {
    const price = level + minPrice;
    if (isBuyer ? price > limit : price < limit) return false;
    const found = coveredByLevel(core, intAt(makers.head, level), account, selfTradeOf(meta), missing);
    if (found === none) return false;
    missing -= found;
    if (missing <= 0) return true;
  }
  return false;
}

/**
 * Lots of other accounts at a level; -1 when an own order would end the taker before. Slices ahead of an own order are met
 * before it, what is hidden behind them after it.
 */
function coveredByLevel(
  core: Core,
  first: number,
  account: number,
  selfTrade: number,
  missing: number,
): number {
  const { orders } = core;
  let found = 0;
  let visibleAhead = 0;
  for (let slot = first; slot !== none; slot = orders.int(slot, orderInt.next)) {
    if (orders.int(slot, orderInt.account) !== account) {
      found += orders.float(slot, orderFloat.rest);
      visibleAhead += orders.float(slot, orderFloat.visible);
      if (visibleAhead >= missing) return found;
    } else if (selfTrade !== mode.cancelMaker) return none;
  }
  return found;
}
