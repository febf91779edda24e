/** What must hold after every command. A broken one throws, so that no wrong answer is compared with. */
import { bestOf } from './match.ts';
import {
  assetHeld,
  baseOf,
  type Market,
  marketOf,
  type Order,
  openOrders,
  quoteOf,
  type World,
} from './state.ts';

export function checkInvariants(world: World): void {
  checkConservation(world);
  checkHolds(world);
  for (const market of world.markets) {
    checkOrder(market);
    checkCross(market);
  }
  if (world.events.length === 0) throw new Error(`command ${world.seq} gave no event`);
}

/** What was credited and not debited is there, and nobody has less than nothing. */
function checkConservation({ accounts, supplies, seq }: World): void {
  for (const [asset, { units }] of supplies.entries()) {
    let sum = 0n;
    for (const { number, available, held } of accounts)
      for (const amounts of [available, held]) {
        const amount = amounts[asset] ?? 0n;
        if (amount < 0n) throw new Error(`after ${seq} account ${number} has ${amount} of asset ${asset}`);
        sum += amount;
      }
    if (sum !== units) throw new Error(`after ${seq} there are ${sum} of asset ${asset}, not ${units}`);
  }
}

/** What an account holds is what its open orders need. */
function checkHolds(world: World): void {
  const held = world.accounts.map(() => world.supplies.map(() => 0n));
  for (const order of openOrders(world)) {
    const market = marketOf(world, order);
    const needed = order.byBudget ? order.held : needOf(market, order);
    if (order.held !== needed)
      throw new Error(`after ${world.seq} order ${order.id} holds ${order.held}, needs ${needed}`);
    const row = held[order.account] ?? [];
    const asset = assetHeld(market, order.side);
    row[asset] = (row[asset] ?? 0n) + order.held;
  }
  for (const account of world.accounts)
    for (const [asset, sum] of (held[account.number] ?? []).entries())
      if (account.held[asset] !== sum)
        throw new Error(`after ${world.seq} account ${account.number} holds another amount than its orders`);
}
const needOf = (market: Market, { side, price, rest }: Order): bigint =>
  side === 'buy' ? quoteOf(market, price, rest) : baseOf(market, rest);

function checkOrder({ book, number }: Market): void {
  for (const side of ['buy', 'sell'] as const)
    for (const [at, { id, price, rest, visible, displayLots }] of book[side].entries()) {
      const before = book[side][at - 1]?.price ?? price;
      const sorted = side === 'buy' ? before >= price : before <= price;
      const shown =
        displayLots === 0 ? visible === rest : visible >= 1 && visible <= Math.min(displayLots, rest);
      if (!sorted || !shown || rest < 1) throw new Error(`order ${id} of market ${number} is out of place`);
    }
}

/** Only an auction, and what follows it without an uncross, may have a bid at or above an ask. */
function checkCross(market: Market): void {
  const bid = bestOf(market, 'buy');
  const ask = bestOf(market, 'sell');
  if (market.state !== 'open' && market.state !== 'closed') return;
  if (bid !== undefined && ask !== undefined && bid >= ask)
    throw new Error(`market ${market.number} is crossed: ${bid} to ${ask}`);
}
