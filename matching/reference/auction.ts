/** Uncross at one price, and the stops that wait. SEMANTICS.md: Uncross, Stops after each command. */
import { bestOf, trade } from './match.ts';
import { enterLimit, enterMarket, isInBand, isTriggered } from './place.ts';
import {
  done,
  emit,
  leave,
  type Market,
  type Order,
  ofOrder,
  reaches,
  removeFrom,
  sliceOf,
  type World,
} from './state.ts';

/** Until the best bid is below the best ask: orders cancelled as self-trades can leave the book crossed. */
export function uncross(world: World, market: Market): void {
  for (;;) {
    const price = uniformPrice(market);
    if (price === undefined) return;
    uncrossAt(world, market, price);
  }
}

interface Candidate {
  readonly price: number;
  readonly executable: bigint;
  /** Buys less sells. */
  readonly surplus: bigint;
}

function uniformPrice(market: Market): number | undefined {
  const bid = bestOf(market, 'buy');
  const ask = bestOf(market, 'sell');
  if (bid === undefined || ask === undefined || bid < ask) return undefined;
  const all: Candidate[] = [];
  for (let price = ask; price <= bid; price += 1) {
    const buys = lotsAt(market.book.buy, price);
    const sells = lotsAt(market.book.sell, price);
    all.push({ price, executable: lesserOf(buys, sells), surplus: buys - sells });
  }
  const byVolume = leastBy(all, ({ executable }) => -executable);
  const best = leastBy(byVolume, ({ surplus }) => (surplus < 0n ? -surplus : surplus));
  const prices = best.map(({ price }) => price);
  if (best.every(({ surplus }) => surplus > 0n)) return Math.max(...prices);
  if (best.every(({ surplus }) => surplus < 0n)) return Math.min(...prices);
  const wanted = market.lastPrice ?? Math.floor((market.low + market.high) / 2);
  return leastBy(prices, (price) => BigInt(Math.abs(price - wanted)))[0];
}

/** Of all orders that trade at this price, hidden parts included. */
const lotsAt = (orders: readonly Order[], price: number): bigint =>
  orders
    .filter((order) => reaches(order.side, order.price, price))
    .reduce((sum, order) => sum + BigInt(order.rest), 0n);

/** Math.min takes no bigint. */
function lesserOf(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}
function leastBy<T>(values: readonly T[], measure: (value: T) => bigint): T[] {
  const measures = values.map(measure);
  const least = measures.reduce(lesserOf);
  return values.filter((_, at) => measures[at] === least);
}

function uncrossAt(world: World, market: Market, price: number): void {
  for (;;) {
    const [buy] = market.book.buy;
    const [sell] = market.book.sell;
    if (buy === undefined || sell === undefined) return;
    if (!reaches('buy', buy.price, price) || !reaches('sell', sell.price, price)) return;
    if (buy.account === sell.account) {
      done(world, buy.id > sell.id ? buy : sell, 'self-trade');
      continue;
    }
    trade(world, { taker: buy, maker: sell, lots: Math.min(buy.rest, sell.rest), price, auction: true });
    for (const order of [buy, sell]) {
      order.visible = sliceOf(order);
      if (order.rest === 0) leave(world, order);
    }
  }
}

/** As long as one is triggered by the last price. */
export function triggerStops(world: World, market: Market): void {
  while (market.state === 'open') {
    const [stop] = market.stops.filter((order) => isTriggered(market, order)).sort(firstTriggered);
    if (stop === undefined) return;
    removeFrom(market, stop);
    emit(world, { kind: 'triggered', ...ofOrder(stop), triggerPrice: stop.triggerPrice, rest: stop.rest });
    if (stop.price === 0) enterMarket(world, stop);
    else if (isInBand(market, stop.price)) enterLimit(world, stop, 'gtc');
    else done(world, stop, 'outside-band');
  }
}

/** Buys before sells; buys from the lowest trigger, sells from the highest; then by order id. */
function firstTriggered(a: Order, b: Order): number {
  if (a.side !== b.side) return a.side === 'buy' ? -1 : 1;
  const byTrigger = a.triggerPrice - b.triggerPrice;
  if (byTrigger !== 0) return a.side === 'buy' ? byTrigger : -byTrigger;
  return a.id - b.id;
}
