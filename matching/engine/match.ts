/** A taker goes through the other side of the book: best price first, at a price in the order of arrival. */
import { selfTradeModes } from '../vocabulary.ts';
import { buy, type Core, doneNumber, eventNumber, type Market } from './core.ts';
import { metaFlag, none, orderFloat, orderInt, selfTradeOf, sideOf } from './orders.ts';
import { exchange } from './settle.ts';
import { intAt } from './words.ts';

// Why these are named once more: see orders.ts.
const noSlot = none;
const { price: priceWord, account: accountWord, meta: metaWord } = orderInt;
const { rest: restWord } = orderFloat;
const { budget: budgetFlag, display: displayFlag } = metaFlag;
const { budget: budgetSpent } = doneNumber;

const mode = {
  cancelTaker: selfTradeModes.indexOf('cancel-taker'),
  cancelMaker: selfTradeModes.indexOf('cancel-maker'),
  cancelBoth: selfTradeModes.indexOf('cancel-both'),
} as const;

/** After `lots` were taken off a maker that showed `visible`: an empty order leaves, after an empty slice the next goes to the tail. */
function settleMaker(
  core: Core,
  market: Market,
  maker: number,
  visible: number,
  lots: number,
  doneReason: number,
): void {
  const { orders } = core;
  if (orders.float64[maker * 8 + restWord] === 0) {
    core.unlink(market, maker);
    if (doneReason !== noSlot) core.tellDone(maker, doneReason);
    core.forget(maker, true);
  } else if (((orders.int32[maker * 16 + metaWord] as number) & displayFlag) !== 0) {
    if (visible === lots) nextSlice(core, market, maker);
    else orders.visible[maker] = visible - lots;
  }
}

function nextSlice(core: Core, market: Market, maker: number): void {
  const { orders } = core;
  orders.visible[maker] = Math.min(orders.displayOf(maker), orders.float(maker, restWord));
  const level = orders.int(maker, priceWord) - market.minPrice;
  market.own(sideOf(orders.int(maker, metaWord))).requeue(orders, maker, level);
  core.tellRested(maker);
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
  const { base, quote, tickUnits } = market;
  const account = orders.int(taker, accountWord);
  const takerSide = sideOf(orders.int(taker, metaWord));
  let takerHeld = core.heldFor(market, taker, lots);
  if (orders.isForBudget(taker)) {
    takerHeld = price * lots * tickUnits;
    orders.budget[taker] = orders.budgetOf(taker) - takerHeld;
  }
  balances.release(account, takerSide === buy ? quote : base, takerHeld);
  balances.release(account, takerSide === buy ? base : quote, core.heldFor(market, maker, lots));
  orders.setFloat(taker, restWord, orders.float(taker, restWord) - lots);
  const visible = orders.visibleOf(maker);
  orders.setFloat(maker, restWord, orders.float(maker, restWord) - lots);
  core.events.addOfPair(eventNumber.decremented, orders, taker, maker, price, lots, 0);
  settleMaker(core, market, maker, visible, lots, doneNumber.decremented);
}

/**
 * @param limit ticks; as far as the taker goes
 * @returns why it ended with lots left (a number of `doneReasons`), or -1: nothing is left, or nothing more within its limit
 */
export function match(core: Core, market: Market, taker: number, limit: number): number {
  const { orders } = core;
  const { int32, float64 } = orders;
  const { minPrice } = market;
  const meta = int32[taker * 16 + metaWord] as number;
  const account = int32[taker * 16 + accountWord] as number;
  const isBuyer = (meta & 1) === 0;
  const makers = isBuyer ? market.asks : market.bids;
  for (;;) {
    const rest = float64[taker * 8 + restWord] as number;
    const level = makers.best;
    if (rest === 0 || level === noSlot) return noSlot;
    const price = level + minPrice;
    if (isBuyer ? price > limit : price < limit) return noSlot;
    const maker = makers.head[level] as number;
    const isIceberg = ((int32[maker * 16 + metaWord] as number) & displayFlag) !== 0;
    const visible = (isIceberg ? orders.visible[maker] : float64[maker * 8 + restWord]) as number;
    let lots = Math.min(rest, visible);
    if ((meta & budgetFlag) !== 0) {
      const affordable = affordableLots(orders.budget[taker] as number, price * market.tickUnits);
      if (affordable === 0) return budgetSpent;
      if (affordable < lots) lots = affordable;
    }
    if (int32[maker * 16 + accountWord] === account) {
      const reason = meetOwn(core, market, taker, maker, price, lots);
      if (reason !== noSlot) return reason;
      continue;
    }
    exchange(core, market, taker, maker, price, lots, false);
    settleMaker(core, market, maker, visible, lots, noSlot);
  }
}

/** The next maker is of the taker's account. @returns why the taker ends, or -1: it goes on */
function meetOwn(
  core: Core,
  market: Market,
  taker: number,
  maker: number,
  price: number,
  lots: number,
): number {
  const { orders } = core;
  const selfTrade = selfTradeOf(orders.int(taker, metaWord));
  if (selfTrade === mode.cancelTaker) return doneNumber['self-trade'];
  if (selfTrade === mode.cancelMaker || selfTrade === mode.cancelBoth) {
    core.drop(market, maker, doneNumber['self-trade']);
    return selfTrade === mode.cancelBoth ? doneNumber['self-trade'] : none;
  }
  decrement(core, market, taker, maker, price, lots);
  return orders.float(taker, restWord) === 0 ? doneNumber.decremented : none;
}

/** `floor(budget / each)`, exact for integers below 2^53. */
function affordableLots(budget: number, each: number): number {
  const lots = Math.floor(budget / each);
  return lots * each > budget ? lots - 1 : lots;
}

/** Whether a fill-or-kill order would be filled: the makers within its limit, in the order they would be met. */
export function isFillable(core: Core, market: Market, taker: number, limit: number): boolean {
  const { orders } = core;
  const meta = orders.int(taker, metaWord);
  const account = orders.int(taker, accountWord);
  const isBuyer = sideOf(meta) === buy;
  const makers = market.opposite(sideOf(meta));
  const { minPrice } = market;
  let missing = orders.float(taker, restWord);
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
    if (orders.int(slot, accountWord) !== account) {
      found += orders.float(slot, restWord);
      visibleAhead += orders.visibleOf(slot);
      if (visibleAhead >= missing) return found;
    } else if (selfTrade !== mode.cancelMaker) return none;
  }
  return found;
}
