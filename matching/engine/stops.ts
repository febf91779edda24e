/** Stops wait by trigger price; after a command those the last price has reached become plain orders, one after another. */
import { type Core, doneNumber, eventNumber, type Market, stateNumber, typeNumber } from './core.ts';
import { metaFlag, metaShift, none, orderInt, sideOf, typeOf } from './orders.ts';
import { endTaker, enterLimit, enterMarket } from './taker.ts';
import { intAt } from './words.ts';

const typeBits = 3 << metaShift.type;

function tell(core: Core, slot: number, kind: number): void {
  core.events.addOfOrder(kind, core.orders, slot, intAt(core.orders.trigger, slot), 0, 0);
}

/** A new stop joins those that wait. */
export function wait(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  const meta = orders.int(slot, orderInt.meta);
  orders.setInt(slot, orderInt.meta, meta | metaFlag.waiting);
  const level = intAt(orders.trigger, slot) - market.config.minPrice;
  market.stopsOf(sideOf(meta)).append(orders, slot, level);
  market.stops++;
  core.register(slot);
  tell(core, slot, eventNumber.waiting);
}

/** The stop that comes first among those the last price has reached; -1: none. */
function firstTriggered(market: Market): number {
  const { lastPrice, config } = market;
  const level = lastPrice - config.minPrice;
  const buys = market.buyStops;
  if (buys !== undefined && buys.best !== none && buys.best <= level) return intAt(buys.head, buys.best);
  const sells = market.sellStops;
  if (sells !== undefined && sells.best !== none && sells.best >= level) return intAt(sells.head, sells.best);
  return none;
}

function trigger(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  core.unlink(market, slot);
  tell(core, slot, eventNumber.triggered);
  const meta = orders.int(slot, orderInt.meta);
  const isStop = typeOf(meta) === typeNumber.stop;
  const type = isStop ? typeNumber.market : typeNumber.limit;
  orders.setInt(slot, orderInt.meta, (meta & ~typeBits) | (type << metaShift.type));
  if (isStop) {
    enterMarket(core, market, slot, true);
    return;
  }
  const price = orders.int(slot, orderInt.price);
  if (price < market.bandLow || price > market.bandHigh)
    endTaker(core, market, slot, doneNumber['outside-band'], true);
  else enterLimit(core, market, slot, true);
}

/** Each stop is triggered once, so this ends. */
export function triggerStops(core: Core, market: Market): void {
  while (market.stops > 0 && market.lastPrice !== 0 && market.state === stateNumber.open) {
    const slot = firstTriggered(market);
    if (slot === none) return;
    trigger(core, market, slot);
  }
}
