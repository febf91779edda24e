/** Amend, cancel, cancel-all. SEMANTICS.md: Amend, Cancel. */
import { allMarkets, type Command } from '../commands.ts';
import type { RejectReason } from '../vocabulary.ts';
import {
  areLotsValid,
  enterLimit,
  hasTooManySlices,
  isInBand,
  isOnLadder,
  isOverRate,
  wouldCross,
} from './place.ts';
import {
  accountOf,
  assetHeld,
  baseOf,
  done,
  emit,
  found,
  hold,
  type Market,
  marketOf,
  type Order,
  ofOrder,
  openOrders,
  quoteOf,
  reject,
  removeFrom,
  traderOf,
  type World,
} from './state.ts';

type Amend = Extract<Command, { kind: 'amend' }>;
type Cancel = Extract<Command, { kind: 'cancel' }>;
type CancelAll = Extract<Command, { kind: 'cancel-all' }>;

/** The order id counts when both are given. */
function findOrder(
  world: World,
  { account, orderId = 0, clientOrderId = 0n }: Amend | Cancel,
): Order | undefined {
  const own = openOrders(world).filter((order) => order.account === account);
  if (orderId !== 0) return own.find(({ id }) => id === orderId);
  return clientOrderId === 0n ? undefined : own.find((order) => order.clientOrderId === clientOrderId);
}

export function cancel(world: World, command: Cancel): void {
  const order = findOrder(world, command);
  if (traderOf(world, command.account) === undefined) reject(world, 'unknown-account', command.account, -1);
  else if (order === undefined) reject(world, 'unknown-order', command.account, -1);
  else done(world, order, 'cancelled');
}

export function cancelAll(world: World, { account, market = allMarkets }: CancelAll): void {
  if (traderOf(world, account) === undefined) {
    reject(world, 'unknown-account', account, market);
    return;
  }
  if (market !== allMarkets && world.markets[market] === undefined) {
    reject(world, 'unknown-market', account, market);
    return;
  }
  const orders = openOrders(world)
    .filter((order) => order.account === account && (market === allMarkets || order.market === market))
    .sort((a, b) => a.id - b.id);
  for (const order of orders) done(world, order, 'cancelled');
  emit(world, { kind: 'cancelled-all', account, market, count: orders.length });
}

export function amend(world: World, command: Amend): void {
  const account = traderOf(world, command.account);
  if (account === undefined) {
    reject(world, 'unknown-account', command.account, -1);
    return;
  }
  const isOver = isOverRate(world, account);
  const order = findOrder(world, command);
  if (order === undefined) {
    reject(world, 'unknown-order', command.account, -1);
    return;
  }
  const asked = changeOf(order, command);
  const reason = isOver ? 'rate-limit' : refusalOf(world, order, asked);
  if (reason !== undefined) {
    reject(world, reason, order.account, order.market);
    return;
  }
  apply(world, order, asked);
}

interface Change {
  readonly price: number;
  /** New total, and what of it is not filled. */
  readonly lots: number;
  readonly rest: number;
}
function changeOf(order: Order, { price = 0, lots = 0 }: Amend): Change {
  const total = lots === 0 ? order.filled + order.rest : lots;
  return { price: price === 0 ? order.price : price, lots: total, rest: total - order.filled };
}
const isWaiting = (market: Market, order: Order): boolean => market.stops.includes(order);

function refusalOf(world: World, order: Order, { price, lots, rest }: Change): RejectReason | undefined {
  const market = marketOf(world, order);
  const account = accountOf(world, order);
  const newPrice = price !== order.price;
  if (account.blocked) return 'account-blocked';
  if (order.byBudget || (!newPrice && rest === order.rest) || (newPrice && isWaiting(market, order)))
    return 'invalid-order';
  if (market.state === 'closed' || market.state === 'halted') return 'market-closed';
  if (!areLotsValid(market, lots) || hasTooManySlices(order.displayLots, lots)) return 'invalid-lots';
  if (rest <= 0) return 'already-filled';
  if (newPrice && !isOnLadder(market, price)) return 'invalid-price';
  if (newPrice && !isInBand(market, price)) return 'outside-band';
  if (quoteOf(market, price, rest) > BigInt(market.config.maxOrderValue)) return 'value-limit';
  if (
    order.postOnly &&
    newPrice &&
    market.state === 'open' &&
    wouldCross(market, { side: order.side, price })
  )
    return 'would-cross';
  const more = newHold(market, order, { price, rest }) - order.held;
  const available = found(account.available[assetHeld(market, order.side)], 'a balance');
  return more > available ? 'insufficient-balance' : undefined;
}

const newHold = (market: Market, { side }: Order, { price, rest }: Omit<Change, 'lots'>): bigint =>
  side === 'buy' ? quoteOf(market, price, rest) : baseOf(market, rest);

function apply(world: World, order: Order, { price, rest }: Change): void {
  const market = marketOf(world, order);
  const waiting = isWaiting(market, order);
  const priorityKept = waiting || (price === order.price && rest < order.rest);
  hold(world, order, newHold(market, order, { price, rest }) - order.held);
  order.price = price;
  order.rest = rest;
  order.visible = Math.min(order.visible, rest);
  if (!priorityKept) removeFrom(market, order);
  emit(world, { kind: 'amended', ...ofOrder(order), price, rest, priorityKept });
  if (!priorityKept) enterLimit(world, order, 'gtc');
}
