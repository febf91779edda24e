/** A new, triggered or amended order becomes a taker, and what is left of it rests or ends. */
import { buy, type Core, doneNumber, type Market, stateNumber } from './core.ts';
import { match } from './match.ts';
import { none, orderFloat, orderInt, sideOf, timeInForceOf } from './orders.ts';
import { floatAt } from './words.ts';

const million = 1_000_000;
const goodTillCancelled = 0;

/** Ends a taker that is in no ladder: what it still holds goes back. */
export function endTaker(
  core: Core,
  market: Market,
  slot: number,
  reason: number,
  isRegistered: boolean,
): void {
  core.releaseRest(market, slot);
  core.tellDone(market, slot, reason);
  core.forget(slot, isRegistered);
}

/** How far a market order may go from the best opposite price, inside the band; -1: there is no opposite order. */
function collarLimit(market: Market, side: number): number {
  const { best } = market.opposite(side);
  if (best === none) return none;
  const price = best + market.config.minPrice;
  // Below 2^31 * 10^6, so the product is exact.
  const width = Math.floor((price * market.config.collarPpm) / million);
  return side === buy ? Math.min(price + width, market.bandHigh) : Math.max(price - width, market.bandLow);
}

/** @param isRegistered whether it was open before: triggered or amended */
export function enterLimit(core: Core, market: Market, slot: number, isRegistered: boolean): void {
  const { orders } = core;
  const isMatched = market.state === stateNumber.open;
  const reason = isMatched ? match(core, market, slot, orders.int(slot, orderInt.price)) : none;
  if (reason !== none) {
    endTaker(core, market, slot, reason, isRegistered);
    return;
  }
  if (orders.float(slot, orderFloat.rest) === 0) core.forget(slot, isRegistered);
  else if (timeInForceOf(orders.int(slot, orderInt.meta)) === goodTillCancelled)
    core.rest(market, slot, isRegistered);
  else endTaker(core, market, slot, doneNumber.immediate, isRegistered);
}

/** Ends with what it could get within the collar. */
export function enterMarket(core: Core, market: Market, slot: number, isRegistered: boolean): void {
  const { orders } = core;
  const side = sideOf(orders.int(slot, orderInt.meta));
  const limit = collarLimit(market, side);
  const reason = limit === none ? doneNumber['no-liquidity'] : match(core, market, slot, limit);
  if (reason === none && orders.float(slot, orderFloat.rest) === 0) {
    if (floatAt(orders.budget, slot) > 0) core.releaseRest(market, slot);
    core.forget(slot, isRegistered);
    return;
  }
  const isDry = market.opposite(side).best === none;
  const left = isDry ? doneNumber['no-liquidity'] : doneNumber.collar;
  endTaker(core, market, slot, reason === none ? left : reason, isRegistered);
}
