/** The end of a call auction: one price at which the most can be traded, and the trades at it. */
import { type Core, doneNumber, type Market } from './core.ts';
import type { Ladder } from './ladder.ts';
import { none, orderFloat, orderInt } from './orders.ts';
import { exchange } from './settle.ts';
import { intAt } from './words.ts';

/** Ticks at which the same is bought and sold: between two prices with orders nothing changes, however wide the ladder. */
interface Segment {
  /** Levels, both ends included. */
  readonly from: number;
  readonly to: number;
  /** Sums over many orders may leave the integers a number holds exactly. */
  readonly volume: bigint;
  /** Buys less sells. */
  readonly surplus: bigint;
}

/** Of all orders of a level, hidden lots included. */
function lotsAt({ orders }: Core, ladder: Ladder, level: number): bigint {
  let lots = 0n;
  for (let slot = intAt(ladder.head, level); slot !== none; slot = orders.int(slot, orderInt.next))
    lots += BigInt(orders.float(slot, orderFloat.rest));
  return lots;
}

/** Executable volume from the best ask to the best bid, ascending. */
function segments(core: Core, { bids, asks }: Market): Segment[] {
  const high = bids.best;
  const bidLevels: number[] = [];
  for (let level = high; level !== none && level >= asks.best; level = bids.after(level))
    bidLevels.push(level);
  let buys = bidLevels.reduce((sum, level) => sum + lotsAt(core, bids, level), 0n);
  let sells = 0n;
  let nextAsk = asks.best;
  const found: Segment[] = [];
  for (let from = nextAsk; from <= high; ) {
    if (from === nextAsk) {
      sells += lotsAt(core, asks, from);
      nextAsk = asks.after(from);
    }
    // The lowest bid not below `from`: up to it, itself included, nobody stops buying.
    const bid = bidLevels.at(-1) ?? high;
    const to = nextAsk === none ? bid : Math.min(bid, nextAsk - 1);
    found.push({ from, to, volume: lesserOf(buys, sells), surplus: buys - sells });
    if (to === bid) {
      buys -= lotsAt(core, bids, bid);
      bidLevels.pop();
    }
    from = to + 1;
  }
  return found;
}

// Math.min and Math.max take no bigint.
function lesserOf(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
function largerOf(a: bigint, b: bigint): bigint {
  return a < b ? b : a;
}
const sizeOf = ({ surplus }: Segment): bigint => (surplus < 0n ? -surplus : surplus);

/** The tick of the uniform price, from the ladder's lowest; `undefined`: nothing crosses. */
function uniformLevel(core: Core, market: Market): number | undefined {
  const { bids, asks, config } = market;
  if (bids.best === none || asks.best === none || bids.best < asks.best) return undefined;
  const all = segments(core, market);
  const volume = all.reduce((most, each) => largerOf(most, each.volume), 0n);
  const fullest = all.filter((each) => each.volume === volume);
  const [first] = fullest;
  if (first === undefined) return undefined;
  const surplus = fullest.reduce((least, each) => lesserOf(least, sizeOf(each)), sizeOf(first));
  const left = fullest.filter((each) => sizeOf(each) === surplus);
  if (left.every((each) => each.surplus > 0n)) return left.at(-1)?.to;
  if (left.every((each) => each.surplus < 0n)) return left[0]?.from;
  const reference =
    market.lastPrice === 0 ? Math.floor((market.bandLow + market.bandHigh) / 2) : market.lastPrice;
  const wanted = reference - config.minPrice;
  const nearest = left.map(({ from, to }) => Math.min(Math.max(wanted, from), to));
  // They ascend, so of two as near the lower one stays.
  return nearest.reduce((best, level) => (Math.abs(level - wanted) < Math.abs(best - wanted) ? level : best));
}

/** What is left shows a new slice, or leaves if it is nothing. */
function showRest(core: Core, market: Market, slot: number): void {
  const { orders } = core;
  const rest = orders.float(slot, orderFloat.rest);
  orders.visible[slot] = Math.min(orders.displayOf(slot), rest);
  if (rest > 0) return;
  core.unlink(market, slot);
  core.forget(slot, true);
}

function trade(core: Core, market: Market, buySlot: number, sellSlot: number, price: number): void {
  const { orders } = core;
  const lots = Math.min(orders.float(buySlot, orderFloat.rest), orders.float(sellSlot, orderFloat.rest));
  exchange(core, market, buySlot, sellSlot, price, lots, true);
  showRest(core, market, buySlot);
  showRest(core, market, sellSlot);
}

/** Trades all that crosses at one price. Orders cancelled as self-trades may leave a cross behind: then once more. */
export function uncross(core: Core, market: Market): void {
  for (let level = uniformLevel(core, market); level !== undefined; level = uniformLevel(core, market))
    uncrossAt(core, market, level);
}

function uncrossAt(core: Core, market: Market, level: number): void {
  const { bids, asks, config } = market;
  const { orders } = core;
  while (bids.best >= level && asks.best !== none && asks.best <= level) {
    const buySlot = intAt(bids.head, bids.best);
    const sellSlot = intAt(asks.head, asks.best);
    if (orders.int(buySlot, orderInt.account) === orders.int(sellSlot, orderInt.account)) {
      const isBuyNewer = orders.float(buySlot, orderFloat.id) > orders.float(sellSlot, orderFloat.id);
      core.drop(market, isBuyNewer ? buySlot : sellSlot, doneNumber['self-trade']);
    } else trade(core, market, buySlot, sellSlot, level + config.minPrice);
  }
}
