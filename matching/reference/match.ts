/** Matching, self-trade prevention, settlement of one trade. SEMANTICS.md: Matching, Self-trade prevention. */
import type { DoneReason, Side } from '../vocabulary.ts';
import {
  accountOf,
  baseOf,
  done,
  emit,
  found,
  leave,
  type Market,
  marketOf,
  move,
  type Order,
  oppositeOf,
  pay,
  quoteOf,
  reaches,
  release,
  rest,
  type World,
} from './state.ts';

/** Why a taker stops: filled, nothing (more) within its price, or an end of its own. */
export type Outcome =
  | 'filled'
  | 'other-side-empty'
  | 'price-not-reached'
  | Extract<DoneReason, 'budget' | 'self-trade' | 'decremented'>;

/** An order that is in no book takes what its limit and its lots or budget allow. */
export function take(world: World, taker: Order, limit: number): Outcome {
  const market = marketOf(world, taker);
  for (;;) {
    if (taker.rest === 0) return 'filled';
    const maker = market.book[oppositeOf(taker.side)][0];
    if (maker === undefined) return 'other-side-empty';
    if (!reaches(taker.side, limit, maker.price)) return 'price-not-reached';
    const wanted = lotsWanted(market, taker, maker.price);
    if (wanted === 0) return 'budget';
    const lots = Math.min(wanted, maker.visible);
    if (maker.account === taker.account) {
      const end = preventSelfTrade(world, { taker, maker, lots });
      if (end !== undefined) return end;
    } else {
      trade(world, { taker, maker, lots, price: maker.price, auction: false });
      endMakersTurn(world, maker);
    }
  }
}

/** Bounded by the lots left and by what the budget left buys at this price. */
function lotsWanted(market: Market, taker: Order, price: number): number {
  if (!taker.byBudget) return taker.rest;
  return Math.min(taker.rest, toNumber(taker.held / quoteOf(market, price, 1)));
}

/** After it lost lots: out when empty, next slice to the tail when the slice is empty. */
function endMakersTurn(world: World, maker: Order): void {
  if (maker.rest === 0) leave(world, maker);
  else nextSlice(world, maker);
}
function nextSlice(world: World, maker: Order): void {
  if (maker.visible > 0) return;
  const market = marketOf(world, maker);
  market.book[maker.side].splice(market.book[maker.side].indexOf(maker), 1);
  rest(world, maker);
}

interface Meeting {
  readonly taker: Order;
  readonly maker: Order;
  readonly lots: number;
}

/** @returns how the taker ends, undefined when it goes on */
function preventSelfTrade(
  world: World,
  { taker, maker, lots }: Meeting,
): 'self-trade' | 'decremented' | undefined {
  switch (taker.selfTrade) {
    case 'cancel-maker':
      done(world, maker, 'self-trade');
      return undefined;
    case 'cancel-taker':
      return 'self-trade';
    case 'cancel-both':
      done(world, maker, 'self-trade');
      return 'self-trade';
    case 'decrement':
      return decrement(world, { taker, maker, lots });
  }
}

function decrement(world: World, { taker, maker, lots }: Meeting): 'decremented' | undefined {
  const market = marketOf(world, taker);
  const { price } = maker;
  loseLots(world, taker, lots, taker.byBudget ? price : taker.price);
  loseLots(world, maker, lots, price);
  maker.visible -= lots;
  emit(world, {
    kind: 'decremented',
    market: market.number,
    price,
    lots,
    side: taker.side,
    taker: { order: taker.id, account: taker.account, rest: taker.rest },
    maker: { order: maker.id, account: maker.account, rest: maker.rest },
  });
  if (maker.rest === 0) done(world, maker, 'decremented');
  else nextSlice(world, maker);
  return taker.rest === 0 ? 'decremented' : undefined;
}
function loseLots(world: World, order: Order, lots: number, price: number): void {
  const market = marketOf(world, order);
  order.rest -= lots;
  release(world, order, order.side === 'buy' ? quoteOf(market, price, lots) : baseOf(market, lots));
}

interface Trade extends Meeting {
  readonly price: number;
  readonly auction: boolean;
}

/** Moves the lots, the money and the fees. In an auction the taker is the buyer, and both pay the maker's rate. */
export function trade(world: World, { taker, maker, lots, price, auction }: Trade): void {
  const market = marketOf(world, taker);
  for (const order of [taker, maker]) {
    order.rest -= lots;
    order.filled += lots;
    settleHold(world, order, { lots, price });
  }
  maker.visible -= lots;
  const takerFee = receive(world, taker, { lots, price, rate: auction ? 'makerPpm' : 'takerPpm' });
  const makerFee = receive(world, maker, { lots, price, rate: 'makerPpm' });
  market.lastPrice = price;
  emit(world, {
    kind: 'trade',
    timeMs: world.timeMs,
    market: market.number,
    price,
    lots,
    side: taker.side,
    auction,
    taker: { order: taker.id, account: taker.account, fee: takerFee, rest: taker.rest },
    maker: { order: maker.id, account: maker.account, fee: makerFee, rest: maker.rest },
  });
}

/** A seller gives base; a buyer pays the price, and gets back what it held above it. */
function settleHold(world: World, order: Order, { lots, price }: { lots: number; price: number }): void {
  const market = marketOf(world, order);
  if (order.side === 'sell') {
    pay(world, order, baseOf(market, lots));
    return;
  }
  pay(world, order, quoteOf(market, price, lots));
  if (!order.byBudget) release(world, order, quoteOf(market, order.price - price, lots));
}

/** @returns the fee, in units of the asset received */
function receive(
  world: World,
  order: Order,
  { lots, price, rate }: { lots: number; price: number; rate: 'makerPpm' | 'takerPpm' },
): number {
  const market = marketOf(world, order);
  const account = accountOf(world, order);
  const asset = order.side === 'buy' ? market.config.base : market.config.quote;
  const amount = order.side === 'buy' ? baseOf(market, lots) : quoteOf(market, price, lots);
  const ppm = found(market.config.fees[account.feeTier], `tier ${account.feeTier}`)[rate];
  const fee = (amount * BigInt(ppm) + 999_999n) / 1_000_000n;
  move(account.available, asset, amount - fee);
  move(found(world.accounts[0], 'the house').available, asset, fee);
  return toNumber(fee);
}

/** Whether matching would fill all its lots; it is tried on a copy of the other side. */
export function isFillable(market: Market, taker: Order): boolean {
  const queue = market.book[oppositeOf(taker.side)]
    .filter(({ price }) => reaches(taker.side, taker.price, price))
    .map((order) => ({ ...order }));
  let missing = taker.rest;
  while (missing > 0) {
    const maker = queue.shift();
    if (maker === undefined) return false;
    if (maker.account === taker.account) {
      if (taker.selfTrade === 'cancel-maker') continue;
      return false;
    }
    const lots = Math.min(missing, maker.visible);
    missing -= lots;
    maker.rest -= lots;
    if (maker.rest > 0 && lots === maker.visible) {
      maker.visible = Math.min(maker.displayLots, maker.rest);
      const behind = queue.findIndex(({ price }) => price !== maker.price);
      queue.splice(behind === -1 ? queue.length : behind, 0, maker);
    }
  }
  return true;
}

/** The best price of a side. */
export const bestOf = (market: Market, side: Side): number | undefined => market.book[side][0]?.price;

/** The worst price a market order takes: the collar around the best price of the other side, inside the band. */
export function collarOf(market: Market, side: Side, best: number): number {
  const width = toNumber((BigInt(best) * BigInt(market.config.collarPpm)) / 1_000_000n);
  return side === 'buy' ? Math.min(best + width, market.high) : Math.max(best - width, market.low);
}

function toNumber(value: bigint): number {
  return Number.parseInt(value.toString(), 10);
}
