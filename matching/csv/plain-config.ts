/** For a run that is given no configuration: one market, numbers as they come, nothing that stands in the way. */
import {
  type EngineConfig,
  ladderTicksMax,
  type MarketConfig,
  orderValueMax,
  parseEngineConfig,
} from '../config.ts';

/** A command file has as many accounts and open orders as these; a larger one brings its own configuration. */
const accountsMax = 65_536;
const ordersMax = 1_048_576;

export const plainMarket: MarketConfig = {
  id: 'BASE-QUOTE',
  base: 0,
  quote: 1,
  lotUnits: 1,
  tickUnits: 1,
  minPrice: 1,
  maxPrice: ladderTicksMax,
  minOrderLots: 1,
  // Times the highest price below 2^53.
  maxOrderLots: 2 ** 32,
  maxOrderValue: orderValueMax,
  collarPpm: 1_000_000,
  fees: [{ makerPpm: 0, takerPpm: 0 }],
  state: 'open',
};

export const plainConfig: EngineConfig = parseEngineConfig({
  assets: [
    { id: 'base', unitExponent: 0 },
    { id: 'quote', unitExponent: 0 },
  ],
  markets: [plainMarket],
  ordersMax,
  accountsMax,
  limits: { openOrders: ordersMax, ordersPerSecond: 0 },
  clientIdsKept: ordersMax,
});
