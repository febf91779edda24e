/** New orders, and orders that enter the book once more. SEMANTICS.md: Refusals of `place`, Order types, Client order ids. */
import type { Command } from '../commands.ts';
import { icebergSlicesMax } from '../config.ts';
import type { RejectReason, TimeInForce } from '../vocabulary.ts';
import { bestOf, collarOf, isFillable, take } from './match.ts';
import {
  type Account,
  assetHeld,
  baseOf,
  done,
  emit,
  found,
  hold,
  leave,
  type Market,
  marketOf,
  type Order,
  ofOrder,
  openOrders,
  oppositeOf,
  quoteOf,
  reaches,
  reject,
  rest,
  traderOf,
  type World,
} from './state.ts';

type Place = Extract<Command, { kind: 'place' }>;
/** Every field there, 0 where it is absent. */
type Asked = Required<Place>;

function askedBy(world: World, command: Place): Asked {
  const { type, side, market, lots = 0, displayLots, budget } = command;
  const forBudget = side === 'buy' && (type === 'market' || type === 'stop');
  // One word of the command holds both (commands.ts); the type says what it means.
  const extra = displayLots ?? budget ?? 0;
  const { maxOrderLots = 0 } = world.markets[market]?.config ?? {};
  return {
    postOnly: false,
    price: 0,
    triggerPrice: 0,
    selfTrade: 'cancel-taker',
    clientOrderId: 0n,
    ...command,
    lots: forBudget && lots === 0 ? maxOrderLots : lots,
    displayLots: forBudget ? 0 : extra,
    budget: forBudget ? extra : 0,
  };
}

export function place(world: World, command: Place): void {
  const asked = askedBy(world, command);
  const reason = refusalOf(world, asked);
  if (reason !== undefined) {
    reject(world, reason, asked.account, asked.market);
    return;
  }
  const order = orderOf(asked);
  const market = marketOf(world, order);
  hold(world, order, holdOf(market, order, asked.budget));
  keepClientId(world, order);
  const { type, price, triggerPrice, lots, budget, clientOrderId } = asked;
  emit(world, {
    kind: 'accepted',
    ...ofOrder(order),
    type,
    price,
    triggerPrice,
    lots,
    budget,
    clientOrderId,
  });
  if (type === 'limit') enterLimit(world, order, asked.timeInForce);
  else if (type === 'market') enterMarket(world, order);
  else {
    market.stops.push(order);
    emit(world, { kind: 'waiting', ...ofOrder(order), triggerPrice, rest: order.rest });
  }
}

function orderOf(asked: Asked): Order {
  const { seq, account, market, side, selfTrade, postOnly, clientOrderId, triggerPrice, displayLots } = asked;
  const byBudget = asked.budget > 0;
  return {
    id: seq,
    account,
    market,
    side,
    selfTrade,
    postOnly,
    clientOrderId,
    triggerPrice,
    displayLots,
    byBudget,
    price: asked.price,
    rest: asked.lots,
    filled: 0,
    visible: 0,
    held: 0n,
  };
}

function holdOf(market: Market, order: Order, budget: number): bigint {
  if (order.byBudget) return BigInt(budget);
  return order.side === 'buy' ? quoteOf(market, order.price, order.rest) : baseOf(market, order.rest);
}

/** A limit order, or a stop-limit that was triggered, or an amended order. */
export function enterLimit(world: World, order: Order, timeInForce: TimeInForce): void {
  if (marketOf(world, order).state === 'auction') {
    rest(world, order);
    return;
  }
  const outcome = take(world, order, order.price);
  switch (outcome) {
    case 'filled':
      leave(world, order);
      return;
    case 'other-side-empty':
    case 'price-not-reached':
      if (timeInForce === 'gtc') rest(world, order);
      else done(world, order, 'immediate');
      return;
    case 'budget':
    case 'self-trade':
    case 'decremented':
      done(world, order, outcome);
  }
}

/** A market order, or a stop that was triggered. */
export function enterMarket(world: World, order: Order): void {
  const market = marketOf(world, order);
  const best = bestOf(market, oppositeOf(order.side));
  if (best === undefined) {
    done(world, order, 'no-liquidity');
    return;
  }
  const outcome = take(world, order, collarOf(market, order.side, best));
  switch (outcome) {
    case 'filled':
      leave(world, order);
      return;
    case 'other-side-empty':
      done(world, order, 'no-liquidity');
      return;
    case 'price-not-reached':
      done(world, order, 'collar');
      return;
    case 'budget':
    case 'self-trade':
    case 'decremented':
      done(world, order, outcome);
  }
}

function refusalOf(world: World, asked: Asked): RejectReason | undefined {
  const account = traderOf(world, asked.account);
  if (account === undefined) return 'unknown-account';
  const isOver = isOverRate(world, account);
  const market = world.markets[asked.market];
  if (market === undefined) return 'unknown-market';
  if (!isCombination(asked)) return 'invalid-order';
  if (isOver) return 'rate-limit';
  if (account.blocked) return 'account-blocked';
  return (
    refusalOfState(market, asked) ??
    (isClientIdTaken(world, asked) ? 'duplicate-client-id' : undefined) ??
    refusalOfNumbers(market, asked) ??
    refusalOfRoom(world, market, asked) ??
    refusalOfMatching(account, market, asked)
  );
}

/** Fields that the type has, and combinations that exist. */
function isCombination(asked: Asked): boolean {
  const { type, side, timeInForce, postOnly, price, triggerPrice, displayLots, budget } = asked;
  const plain = !postOnly && displayLots === 0;
  const budgetFits = side === 'buy' ? Number.isSafeInteger(budget) && budget > 0 : budget === 0;
  switch (type) {
    case 'limit':
      return price !== 0 && triggerPrice === 0 && (timeInForce === 'gtc' || plain);
    case 'market':
      return timeInForce === 'ioc' && plain && price === 0 && triggerPrice === 0 && budgetFits;
    case 'stop':
      return timeInForce === 'ioc' && plain && price === 0 && triggerPrice !== 0 && budgetFits;
    case 'stop-limit':
      return timeInForce === 'gtc' && plain && price !== 0 && triggerPrice !== 0;
  }
}

/** Counts this command too. */
export function isOverRate({ timeMs, config }: World, account: Account): boolean {
  if (account.windowStartMs === undefined || timeMs >= account.windowStartMs + 1_000) {
    account.windowStartMs = timeMs;
    account.windowCommands = 0;
  }
  account.windowCommands += 1;
  const { ordersPerSecond } = config.limits;
  return ordersPerSecond > 0 && account.windowCommands > ordersPerSecond;
}

const waits = ({ type }: Asked): boolean => type === 'stop' || type === 'stop-limit';

function refusalOfState({ state }: Market, asked: Asked): RejectReason | undefined {
  if (state === 'closed' || state === 'halted') return 'market-closed';
  const rests = asked.type === 'limit' && asked.timeInForce === 'gtc' && !asked.postOnly;
  return state === 'auction' && !rests && !waits(asked) ? 'not-in-auction' : undefined;
}

interface ClientId {
  readonly account: number;
  readonly clientOrderId: bigint;
}
export function isClientIdTaken(world: World, { account, clientOrderId }: ClientId): boolean {
  if (clientOrderId === 0n) return false;
  return [...openOrders(world), ...world.clientIds].some(
    (other) => other.account === account && other.clientOrderId === clientOrderId,
  );
}
export function keepClientId({ clientIds, config }: World, { account, clientOrderId }: ClientId): void {
  if (clientOrderId === 0n) return;
  clientIds.push({ account, clientOrderId });
  if (clientIds.length > config.clientIdsKept) clientIds.shift();
}

export const areLotsValid = ({ config }: Market, lots: number): boolean =>
  Number.isInteger(lots) && lots >= config.minOrderLots && lots <= config.maxOrderLots;
const isDisplayValid = (displayLots: number, lots: number): boolean =>
  displayLots === 0 ||
  (Number.isInteger(displayLots) &&
    displayLots >= 1 &&
    displayLots < lots &&
    !hasTooManySlices(displayLots, lots));
export const hasTooManySlices = (displayLots: number, lots: number): boolean =>
  displayLots > 0 && lots / displayLots > icebergSlicesMax;
export const isOnLadder = ({ config }: Market, price: number): boolean =>
  price >= config.minPrice && price <= config.maxPrice;
export const isInBand = ({ low, high }: Market, price: number): boolean => price >= low && price <= high;

function refusalOfNumbers(market: Market, asked: Asked): RejectReason | undefined {
  const { type, price, triggerPrice, lots, displayLots, budget, side } = asked;
  if (!areLotsValid(market, lots) || !isDisplayValid(displayLots, lots)) return 'invalid-lots';
  const hasPrice = type === 'limit' || type === 'stop-limit';
  if (hasPrice && !isOnLadder(market, price)) return 'invalid-price';
  if (hasPrice && !isInBand(market, price)) return 'outside-band';
  if (waits(asked)) {
    if (!isOnLadder(market, triggerPrice)) return 'invalid-trigger';
    if (isTriggered(market, { side, triggerPrice })) return 'would-trigger';
  }
  const value = budget > 0 ? BigInt(budget) : quoteOf(market, price, lots);
  return value > BigInt(market.config.maxOrderValue) ? 'value-limit' : undefined;
}

export const isTriggered = (
  { lastPrice }: Market,
  { side, triggerPrice }: Pick<Order, 'side' | 'triggerPrice'>,
): boolean =>
  lastPrice !== undefined && (side === 'buy' ? lastPrice >= triggerPrice : lastPrice <= triggerPrice);

function refusalOfRoom(world: World, market: Market, asked: Asked): RejectReason | undefined {
  const open = openOrders(world);
  const staysOpen = waits(asked) || asked.timeInForce === 'gtc';
  if (
    staysOpen &&
    open.filter(({ account }) => account === asked.account).length >= world.config.limits.openOrders
  )
    return 'open-order-limit';
  if (open.length >= world.config.ordersMax) return 'capacity';
  if (asked.type === 'market' && bestOf(market, oppositeOf(asked.side)) === undefined) return 'no-liquidity';
  return undefined;
}

function refusalOfMatching(account: Account, market: Market, asked: Asked): RejectReason | undefined {
  const order = orderOf(asked);
  const available = found(account.available[assetHeld(market, asked.side)], 'a balance');
  if (holdOf(market, order, asked.budget) > available) return 'insufficient-balance';
  if (asked.timeInForce === 'fok' && !isFillable(market, order)) return 'not-fillable';
  return asked.postOnly && market.state === 'open' && wouldCross(market, order) ? 'would-cross' : undefined;
}

/** Whether it would meet an order of the other side, of any account. */
export function wouldCross(market: Market, { side, price }: Pick<Order, 'side' | 'price'>): boolean {
  const best = bestOf(market, oppositeOf(side));
  return best !== undefined && reaches(side, price, best);
}
