/**
 * What the plain engine knows: arrays of objects, amounts as bigint. It follows SEMANTICS.md and shares no line with
 * `matching/engine`, so that a mistake has to be made twice to stay unseen. Slow on purpose.
 */
import type { EngineConfig, MarketConfig } from '../config.ts';
import type { EngineEvent } from '../events.ts';
import type { DoneReason, MarketState, RejectReason, SelfTradeMode, Side } from '../vocabulary.ts';

export interface Account {
  readonly number: number;
  /** By asset. */
  readonly available: bigint[];
  readonly held: bigint[];
  blocked: boolean;
  feeTier: number;
  /** Of the window of order commands; undefined before the first. */
  windowStartMs: number | undefined;
  windowCommands: number;
}

export interface Order {
  readonly id: number;
  readonly account: number;
  readonly market: number;
  readonly side: Side;
  readonly selfTrade: SelfTradeMode;
  readonly postOnly: boolean;
  readonly clientOrderId: bigint;
  readonly triggerPrice: number;
  /** Of an iceberg; 0: shows everything. */
  readonly displayLots: number;
  readonly byBudget: boolean;
  /** 0: at any price within the collar. */
  price: number;
  /** Hidden part included. */
  rest: number;
  filled: number;
  /** In the book. */
  visible: number;
  /** Of the asset it gives away. */
  held: bigint;
}

export interface Market {
  readonly number: number;
  readonly config: MarketConfig;
  state: MarketState;
  low: number;
  high: number;
  lastPrice: number | undefined;
  /** Best price first, at a price in the order of arrival. */
  readonly book: Readonly<Record<Side, Order[]>>;
  readonly stops: Order[];
}

/** Sum over all accounts that the engine promises to hold exactly. */
interface Supply {
  units: bigint;
}

export interface World {
  readonly config: EngineConfig;
  readonly accounts: Account[];
  readonly markets: readonly Market[];
  /** By asset: credited less debited. */
  readonly supplies: readonly Supply[];
  /** Newest last, at most `clientIdsKept`. */
  readonly clientIds: { readonly account: number; readonly clientOrderId: bigint }[];
  creditPosition: number;
  seq: number;
  timeMs: number;
  /** Of the command in work. */
  events: EngineEvent[];
}

type WithoutPlace<T> = T extends EngineEvent ? Omit<T, 'seq' | 'index'> : never;

export function emit(world: World, event: WithoutPlace<EngineEvent>): void {
  world.events.push({ ...event, seq: world.seq, index: world.events.length } as EngineEvent);
}

export function createWorld(config: EngineConfig): World {
  return {
    config,
    accounts: [newAccount(config, 0)],
    markets: config.markets.map((market, number) => ({
      number,
      config: market,
      state: market.state,
      low: market.minPrice,
      high: market.maxPrice,
      lastPrice: undefined,
      book: { buy: [], sell: [] },
      stops: [],
    })),
    supplies: config.assets.map(() => ({ units: 0n })),
    clientIds: [],
    creditPosition: 0,
    seq: 0,
    timeMs: 0,
    events: [],
  };
}

export function newAccount(config: EngineConfig, number: number): Account {
  return {
    number,
    available: config.assets.map(() => 0n),
    held: config.assets.map(() => 0n),
    blocked: false,
    feeTier: 0,
    windowStartMs: undefined,
    windowCommands: 0,
  };
}

/** An account that trades: the house does not. */
export const traderOf = (world: World, number: number): Account | undefined =>
  number === 0 ? undefined : world.accounts[number];

export function reject(world: World, reason: RejectReason, account: number, market: number): void {
  emit(world, { kind: 'rejected', account, market, reason });
}

export function accountOf(world: World, order: Order): Account {
  return found(world.accounts[order.account], `account ${order.account}`);
}
export function marketOf(world: World, order: Order): Market {
  return found(world.markets[order.market], `market ${order.market}`);
}
export function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the reference engine lost ${what}`);
  return value;
}

export const openOrders = (world: World): Order[] =>
  world.markets.flatMap(({ book, stops }) => [...book.buy, ...book.sell, ...stops]);

/** What every event about one order says. */
export const ofOrder = ({ id, account, market, side }: Order) => ({ order: id, account, market, side });

export const oppositeOf = (side: Side): Side => (side === 'buy' ? 'sell' : 'buy');

/** Whether `side` would rather have price `a` than price `b` on its own side of the book. */
const isBetter = (side: Side, a: number, b: number): boolean => (side === 'buy' ? a > b : a < b);

/** Whether an order with this limit takes from the other side at `price`. */
export const reaches = (side: Side, limit: number, price: number): boolean =>
  side === 'buy' ? price <= limit : price >= limit;

/** Behind every order of the same or a better price. */
function enqueue(market: Market, order: Order): void {
  const queue = market.book[order.side];
  const behind = queue.findIndex(({ price }) => isBetter(order.side, order.price, price));
  if (behind === -1) queue.push(order);
  else queue.splice(behind, 0, order);
}

/** From the book and from the stops. */
export function removeFrom(market: Market, order: Order): void {
  for (const list of [market.book.buy, market.book.sell, market.stops]) {
    const at = list.indexOf(order);
    if (at !== -1) list.splice(at, 1);
  }
}

/** The next slice of an iceberg, or all. */
export const sliceOf = ({ displayLots, rest }: Order): number =>
  displayLots === 0 ? rest : Math.min(displayLots, rest);

export function rest(world: World, order: Order): void {
  order.visible = sliceOf(order);
  enqueue(marketOf(world, order), order);
  emit(world, {
    kind: 'rested',
    ...ofOrder(order),
    price: order.price,
    rest: order.rest,
    visible: order.visible,
  });
}

/** Leaves the engine: what is still held becomes available. */
export function leave(world: World, order: Order): void {
  removeFrom(marketOf(world, order), order);
  release(world, order, order.held);
}

export function done(world: World, order: Order, reason: DoneReason): void {
  leave(world, order);
  emit(world, { kind: 'done', ...ofOrder(order), reason, rest: order.rest });
}

/** What an order gives away: quote to buy, base to sell. */
export const assetHeld = ({ config }: Market, side: Side): number =>
  side === 'buy' ? config.quote : config.base;

export function hold(world: World, order: Order, units: bigint): void {
  const asset = assetHeld(marketOf(world, order), order.side);
  move(accountOf(world, order).available, asset, -units);
  move(accountOf(world, order).held, asset, units);
  order.held += units;
}
export function release(world: World, order: Order, units: bigint): void {
  hold(world, order, -units);
}
/** Out of the hold and out of the account. */
export function pay(world: World, order: Order, units: bigint): void {
  const asset = assetHeld(marketOf(world, order), order.side);
  move(accountOf(world, order).held, asset, -units);
  order.held -= units;
}

export function move(amounts: bigint[], asset: number, units: bigint): void {
  amounts[asset] = found(amounts[asset], `asset ${asset}`) + units;
}

/** Quote units. */
export const quoteOf = ({ config }: Market, price: number, lots: number): bigint =>
  BigInt(price) * BigInt(lots) * BigInt(config.tickUnits);
export const baseOf = ({ config }: Market, lots: number): bigint => BigInt(lots) * BigInt(config.lotUnits);
