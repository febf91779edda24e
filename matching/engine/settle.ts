/** What a trade moves: goods and money out of the holds, net of fees, to the other; fees to the house. */
import { type Core, house, type Market } from './core.ts';

const million = 1_000_000;

/** `ceil(units * ppm / 1,000,000)`, exact for units below 2^53 and ppm up to a million. */
export function feeOf(units: number, ppm: number): number {
  if (ppm === 0) return 0;
  let millions = Math.floor(units / million);
  let rest = units - millions * million;
  // The division may have rounded up to the next whole number.
  if (rest < 0) {
    millions--;
    rest += million;
  }
  return millions * ppm + Math.ceil((rest * ppm) / million);
}

export interface Party {
  account: number;
  ppm: number;
  /** Filled by {@link settle}. */
  fee: number;
}

/**
 * @param heldQuote what the buyer has held for these lots: at its own limit, which may be above the price
 */
export function settle(
  core: Core,
  market: Market,
  buyer: Party,
  seller: Party,
  value: number,
  goods: number,
  heldQuote: number,
): void {
  const { balances } = core;
  const { base, quote } = market.config;
  buyer.fee = feeOf(goods, buyer.ppm);
  seller.fee = feeOf(value, seller.ppm);
  balances.pay(buyer.account, quote, heldQuote);
  if (heldQuote > value) balances.receive(buyer.account, quote, heldQuote - value);
  balances.pay(seller.account, base, goods);
  balances.receive(buyer.account, base, goods - buyer.fee);
  balances.receive(seller.account, quote, value - seller.fee);
  if (buyer.fee > 0) balances.receive(house, base, buyer.fee);
  if (seller.fee > 0) balances.receive(house, quote, seller.fee);
}
