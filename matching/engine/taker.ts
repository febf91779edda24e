/** A new, triggered or amended order becomes a taker, and what is left of it rests or ends. */
import { buy, type Core, doneNumber, type Market, stateNumber } from './core.ts';
import { match } from './match.ts';
import { none, orderFloat, orderInt, sideOf, timeInForceOf } from './orders.ts';

// Why these are named once more: see orders.ts.
const noSlot = none;
const { price: priceWord, meta: metaWord } = orderInt;
const { rest: restWord } = orderFloat;
const { open } = stateNumber;
const { immediate, collar, 'no-liquidity': noLiquidity } = doneNumber;
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
  core.tellDone(slot, reason);
  core.forget(slot, isRegistered);
}

/** How far a market order may go from the best opposite price, inside the band; -1: there is no opposite order. */
function collarLimit(market: Market, side: number): number {
  const { best } = market.opposite(side);
  if (best === noSlot) return noSlot;
  const price = best + market.minPrice;
  // Below 2^31 * 10^6, so the product is exact.
  const width = Math.floor((price * market.config.collarPpm) / million);
  return side === buy ? Math.min(price + width, market.bandHigh) : Math.max(price - width, market.bandLow);
}

/** @param isRegistered whether it was open before: triggered or amended */
export function enterLimit(core: Core, market: Market, slot: number, isRegistered: boolean): void {
  const { int32, float64 } = core.orders;
  const limit = int32[slot * 16 + priceWord] as number;
  const reason = market.state === open ? match(core, market, slot, limit) : noSlot;
  if (reason !== noSlot) endTaker(core, market, slot, reason, isRegistered);
  else if (float64[slot * 8 + restWord] === 0) core.forget(slot, isRegistered);
  else if (timeInForceOf(int32[slot * 16 + metaWord] as number) === goodTillCancelled)
    core.rest(market, slot, isRegistered);
  else endTaker(core, market, slot, immediate, isRegistered);
}

/** Ends with what it could get within the collar. */
export function enterMarket(core: Core, market: Market, slot: number, isRegistered: boolean): void {
  const { int32, float64 } = core.orders;
  const side = sideOf(int32[slot * 16 + metaWord] as number);
  const limit = collarLimit(market, side);
  const reason = limit === noSlot ? noLiquidity : match(core, market, slot, limit);
  if (reason === noSlot && float64[slot * 8 + restWord] === 0) {
    // What is left of a budget.
    core.releaseRest(market, slot);
    core.forget(slot, isRegistered);
    return;
  }
  const left = market.opposite(side).best === noSlot ? noLiquidity : collar;
  endTaker(core, market, slot, reason === noSlot ? left : reason, isRegistered);
}
