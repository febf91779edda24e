/** What trades come to, per account and asset. Pure and exact: sums are of bigints. */
import { invariant } from '#core/errors';
import type { MarketConfig } from '../config.ts';
import type { SettledTrade } from './settlement-events.ts';

/** Engine units of one account and asset, signed. */
export interface Net {
  readonly account: number;
  readonly asset: number;
  readonly units: bigint;
}
/** More than `assetsMax` of the configuration, so that account and asset make one number. */
export const assetsPerAccount = 2_048;

export class Netting {
  readonly #markets: readonly MarketConfig[];
  readonly #sums = new Map<number, bigint>();

  constructor(markets: readonly MarketConfig[]) {
    this.#markets = markets;
  }
  /** At least as many as {@link nets} gives: those that came to nothing count too. */
  get size(): number {
    return this.#sums.size;
  }
  add(trade: SettledTrade): void {
    const market = this.#markets[trade.market];
    invariant(market !== undefined, 'a trade is in a market of the configuration', { market: trade.market });
    // Exact in a double: the configuration bounds both products by 2^53 - 1.
    const base = BigInt(trade.lots * market.lotUnits);
    const quote = BigInt(trade.price * trade.lots * market.tickUnits);
    const { takerBuys } = trade;
    const [buyer, seller] = takerBuys ? [trade.taker, trade.maker] : [trade.maker, trade.taker];
    const buyerFee = BigInt(takerBuys ? trade.takerFee : trade.makerFee);
    const sellerFee = BigInt(takerBuys ? trade.makerFee : trade.takerFee);
    this.#change(seller, market.base, -base);
    this.#change(buyer, market.base, base - buyerFee);
    this.#change(buyer, market.quote, -quote);
    this.#change(seller, market.quote, quote - sellerFee);
    if (buyerFee > 0n) this.#change(0, market.base, buyerFee);
    if (sellerFee > 0n) this.#change(0, market.quote, sellerFee);
  }
  /** In the order of account and asset; account 0 is the house with its fees. Zeros are left out. */
  nets(): Net[] {
    return [...this.#sums]
      .filter(([, units]) => units !== 0n)
      .sort(([a], [b]) => a - b)
      .map(([key, units]) => ({
        account: Math.floor(key / assetsPerAccount),
        asset: key % assetsPerAccount,
        units,
      }));
  }
  #change(account: number, asset: number, units: bigint): void {
    const key = account * assetsPerAccount + asset;
    this.#sums.set(key, (this.#sums.get(key) ?? 0n) + units);
  }
}
