/** What can be asked of the engine, beside what the reference's open orders, markets and accounts say it must answer. */
import type { EngineConfig } from '../../../matching/config.ts';
import type { AccountNow, BookLevel, Engine, MarketNow, OpenOrder } from '../../../matching/engine/index.ts';
import type { Reference } from '../../../matching/reference/index.ts';
import { type Side, sides } from '../../../matching/vocabulary.ts';
import { clientIdsOfStreams } from './streams.ts';

interface Reads {
  /** All open orders of each account, asked for in pages. */
  readonly ordersOf: readonly (readonly OpenOrder[])[];
  /** Each open order by its id, asked for by its account. */
  readonly byId: readonly (OpenOrder | undefined)[];
  /** The same of an account that is not theirs: nothing. */
  readonly ofOthers: readonly (OpenOrder | undefined)[];
  /** For each account and each client id of the streams. */
  readonly byClientId: readonly (readonly (OpenOrder | undefined)[])[];
  /** Of each market and side: at each price with orders, beside it, and past both ends of the ladder. */
  readonly levels: readonly (readonly BookLevel[])[];
  readonly markets: readonly (MarketNow | undefined)[];
  readonly accounts: readonly (AccountNow | undefined)[];
}
/** Small, so that pages end inside and at the end of what there is. */
const pageMax = 3;
/** One number past the last, too: what is not there is answered as such. */
const numbersTo = (end: number): number[] => Array.from({ length: end + 1 }, (_, number) => number);

function pages(engine: Engine, account: number): OpenOrder[] {
  const all: OpenOrder[] = [];
  for (;;) {
    const page = engine.ordersOf(account, all.at(-1)?.id ?? 0, pageMax);
    all.push(...page);
    if (page.length < pageMax) return all;
  }
}

function pricesAsked(plain: Reference, { markets }: EngineConfig, market: number, side: Side): number[] {
  const { minPrice = 0, maxPrice = 0 } = markets[market] ?? {};
  const levels = plain.levels(market, side);
  return [...levels.flatMap(({ price }) => [price, price + 1]), minPrice - 1, maxPrice + 1];
}

export function readsOfEngine(engine: Engine, config: EngineConfig, plain: Reference): Reads {
  const accounts = numbersTo(plain.accounts());
  const open = plain.openOrders();
  return {
    ordersOf: accounts.map((account) => pages(engine, account)),
    byId: open.map(({ id, account }) => engine.order({ id, account })),
    ofOthers: open.map(({ id, account }) => engine.order({ id, account: account === 1 ? 2 : 1 })),
    byClientId: accounts.map((account) =>
      clientIdsOfStreams.map((clientOrderId) => engine.order({ account, clientOrderId })),
    ),
    levels: config.markets.flatMap((_, market) =>
      sides.map((side) =>
        pricesAsked(plain, config, market, side).map((price) => engine.level(market, side, price)),
      ),
    ),
    markets: numbersTo(config.markets.length).map((market) => engine.market(market)),
    accounts: accounts.map((account) => engine.account(account)),
  };
}

export function readsOfReference(plain: Reference, config: EngineConfig): Reads {
  const open = plain.openOrders().map(openOrderOf);
  const accounts = numbersTo(plain.accounts());
  return {
    ordersOf: accounts.map((account) => open.filter((order) => order.account === account)),
    byId: open,
    ofOthers: open.map(() => undefined),
    byClientId: accounts.map((account) =>
      clientIdsOfStreams.map((id) =>
        open.find((order) => id !== 0n && order.account === account && order.clientOrderId === id),
      ),
    ),
    levels: config.markets.flatMap((_, market) =>
      sides.map((side) => {
        const levels = plain.levels(market, side);
        const at = (price: number): BookLevel => {
          const found = levels.find((level) => level.price === price);
          return { price, lots: found?.visible ?? 0, orders: found?.orders ?? 0 };
        };
        return pricesAsked(plain, config, market, side).map(at);
      }),
    ),
    markets: numbersTo(config.markets.length).map((market) => marketOf(plain, config, market)),
    accounts: accounts.map((account) => accountOf(plain, account)),
  };
}

/** The reference shows nothing of a stop that waits; and of the orders that can be open only stops at no price are not GTC. */
function openOrderOf(order: ReturnType<Reference['openOrders']>[number]): OpenOrder {
  const { id, account, market, side, postOnly, selfTrade, clientOrderId, triggerPrice } = order;
  const { price, rest, filled, visible, displayLots, byBudget, held } = order;
  const waiting = visible === 0;
  const isStop = price === 0;
  const typeOfWaiting = isStop ? 'stop' : 'stop-limit';
  return {
    ...{ id, account, market, side, postOnly, selfTrade, clientOrderId, triggerPrice },
    ...{ price, rest, filled, visible, displayLots, waiting },
    type: waiting ? typeOfWaiting : 'limit',
    timeInForce: isStop ? 'ioc' : 'gtc',
    budget: byBudget ? Number.parseInt(held.toString(), 10) : 0,
  };
}

function marketOf(plain: Reference, { markets }: EngineConfig, market: number): MarketNow | undefined {
  if (markets[market] === undefined) return undefined;
  const { state, low, high } = plain.market(market);
  return { state, bandLow: low, bandHigh: high, lastPrice: plain.lastPrice(market) ?? 0 };
}

function accountOf(plain: Reference, account: number): AccountNow | undefined {
  if (account === 0 || account >= plain.accounts()) return undefined;
  const openOrders = plain.openOrders().filter((order) => order.account === account).length;
  return { ...plain.account(account), openOrders };
}
