/** What a trade moves: goods and money out of the holds, net of fees, to the other; fees to the house. */
import { detailBits, eventFlags, eventFloat64 } from '../events.ts';
import { eventKinds } from '../vocabulary.ts';
import { type Core, house, type Market } from './core.ts';
import { metaFlag, orderFloat, orderInt } from './orders.ts';

// Why these are named once more: see orders.ts.
const { price: priceWord, account: accountWord, meta: metaWord } = orderInt;
const { rest: restWord, filled: filledWord } = orderFloat;
const { feeTaker, feeMaker, timeMs } = eventFloat64;
const { budget: budgetFlag } = metaFlag;
const auctionDetail = eventFlags.auction << detailBits.flags;
const tradeKind = eventKinds.indexOf('trade');
const toHouse = house;
const million = 1_000_000;
const exactMax = Number.MAX_SAFE_INTEGER;

/** `ceil(units * ppm / 1,000,000)`, exact for units below 2^53 and ppm up to a million. */
export function feeOf(units: number, ppm: number): number {
  const product = units * ppm;
  // Below 2^34 a quotient is rounded by at most 2^-20; one that is not whole is a millionth or more above a whole one and stays so.
  if (product <= exactMax) return Math.ceil(product / million);
  return feeOfLarge(units, ppm);
}

function feeOfLarge(units: number, ppm: number): number {
  let millions = Math.floor(units / million);
  let rest = units - millions * million;
  // The division may have rounded up to the next whole number.
  if (rest < 0) {
    millions--;
    rest += million;
  }
  return millions * ppm + Math.ceil((rest * ppm) / million);
}

function fill(float64: Float64Array, slot: number, lots: number): void {
  float64[slot * 8 + restWord] = (float64[slot * 8 + restWord] as number) - lots;
  float64[slot * 8 + filledWord] = (float64[slot * 8 + filledWord] as number) + lots;
}

/**
 * Trades `lots` of two orders at `price`: balances, rests and what is filled of both, the last price, the event. What is visible of
 * them and whether they leave is the caller's. In an auction the buyer stands for the taker, and both pay the maker's rate.
 */
export function exchange(
  core: Core,
  market: Market,
  taker: number,
  maker: number,
  price: number,
  lots: number,
  isAuction: boolean,
): void {
  const { orders, balances, events, feeTier } = core;
  const { int32, float64 } = orders;
  const { base, quote, tickUnits, makerPpm } = market;
  const meta = int32[taker * 16 + metaWord] as number;
  const takerAccount = int32[taker * 16 + accountWord] as number;
  const makerAccount = int32[maker * 16 + accountWord] as number;
  const isBuyer = (meta & 1) === 0;
  const value = price * lots * tickUnits;
  const goods = lots * market.lotUnits;
  const takerRates = isAuction ? makerPpm : market.takerPpm;
  const takerFee = feeOf(isBuyer ? goods : value, takerRates[feeTier[takerAccount] as number] as number);
  const makerFee = feeOf(isBuyer ? value : goods, makerPpm[feeTier[makerAccount] as number] as number);

  // A buyer with a limit has held these lots at its own price, which may be above this one.
  const buyer = isBuyer ? taker : maker;
  let held = (int32[buyer * 16 + priceWord] as number) * lots * tickUnits;
  if ((meta & budgetFlag) !== 0) {
    held = value;
    orders.budget[taker] = (orders.budget[taker] as number) - value;
  }
  const buyerAccount = isBuyer ? takerAccount : makerAccount;
  const sellerAccount = isBuyer ? makerAccount : takerAccount;
  const baseFee = isBuyer ? takerFee : makerFee;
  const quoteFee = isBuyer ? makerFee : takerFee;
  balances.pay(buyerAccount, quote, held);
  if (held > value) balances.receive(buyerAccount, quote, held - value);
  balances.pay(sellerAccount, base, goods);
  balances.receive(buyerAccount, base, goods - baseFee);
  balances.receive(sellerAccount, quote, value - quoteFee);
  if (baseFee > 0) balances.receive(toHouse, base, baseFee);
  if (quoteFee > 0) balances.receive(toHouse, quote, quoteFee);

  fill(float64, taker, lots);
  fill(float64, maker, lots);
  market.lastPrice = price;
  const at = events.addOfPair(tradeKind, orders, taker, maker, price, lots, isAuction ? auctionDetail : 0);
  events.float64[at * 12 + feeTaker] = takerFee;
  events.float64[at * 12 + feeMaker] = makerFee;
  events.float64[at * 12 + timeMs] = core.timeMs;
}
