/** Configurations for the engine's tests: small on purpose, so that few orders already meet every limit. */
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';

const free = { makerPpm: 0, takerPpm: 0 };
const usual = { makerPpm: 1_000, takerPpm: 2_500 };
const dear = { makerPpm: 70_001, takerPpm: 99_999 };

type Market = EngineConfig['markets'][number];

export const ethUsd: Market = {
  id: 'ETH-USD',
  base: 0,
  quote: 1,
  lotUnits: 100,
  tickUnits: 3,
  minPrice: 90,
  maxPrice: 110,
  minOrderLots: 1,
  maxOrderLots: 40,
  maxOrderValue: 9_000,
  collarPpm: 40_000,
  fees: [usual, free, dear],
  state: 'open',
};

const engineOf = (changes: Partial<EngineConfig>): EngineConfig =>
  parseEngineConfig({
    assets: [
      { id: 'eth', unitExponent: 9 },
      { id: 'usd', unitExponent: 0 },
      { id: 'btc', unitExponent: 0 },
    ],
    markets: [ethUsd],
    ordersMax: 40,
    accountsMax: 8,
    limits: { openOrders: 20, ordersPerSecond: 0 },
    clientIdsKept: 6,
    ...changes,
  });

/** One market, everything within reach of everything. */
export const oneMarket = engineOf({});

/** A rate, a small pool, few open orders, few ticks. */
export const tight = engineOf({
  markets: [{ ...ethUsd, minPrice: 1, maxPrice: 5, minOrderLots: 2, maxOrderLots: 9, maxOrderValue: 100 }],
  ordersMax: 9,
  accountsMax: 5,
  limits: { openOrders: 4, ordersPerSecond: 7 },
  clientIdsKept: 2,
});

/** Markets that share assets, in every first state; a wide ladder with gaps. */
export const threeMarkets = engineOf({
  markets: [
    ethUsd,
    {
      ...ethUsd,
      id: 'BTC-USD',
      base: 2,
      minPrice: 1,
      maxPrice: 5_000,
      tickUnits: 1,
      lotUnits: 1,
      maxOrderValue: 100_000,
      collarPpm: 300_000,
      state: 'auction',
    },
    { ...ethUsd, id: 'ETH-BTC', base: 0, quote: 2, tickUnits: 1, collarPpm: 0, state: 'closed' },
  ],
  ordersMax: 60,
});

/** Units, lots and values as large as a configuration may have them: nothing may be rounded. */
export const huge = engineOf({
  markets: [
    {
      ...ethUsd,
      lotUnits: 1,
      tickUnits: 1,
      minPrice: 1,
      maxPrice: 3,
      maxOrderLots: Math.floor(Number.MAX_SAFE_INTEGER / 3),
      maxOrderValue: Number.MAX_SAFE_INTEGER,
      collarPpm: 1_000_000,
    },
    {
      ...ethUsd,
      id: 'BTC-USD',
      base: 2,
      lotUnits: 3_000_000_000_001,
      tickUnits: 20_000_003,
      minPrice: 149_990,
      maxPrice: 150_010,
      maxOrderLots: 3_001,
      maxOrderValue: Number.MAX_SAFE_INTEGER,
      collarPpm: 30,
    },
    {
      ...ethUsd,
      id: 'ETH-BTC',
      base: 0,
      quote: 2,
      lotUnits: 1,
      tickUnits: 1,
      minPrice: 2 ** 31 - 20,
      maxPrice: 2 ** 31 - 1,
      maxOrderLots: 2 ** 22,
      maxOrderValue: Number.MAX_SAFE_INTEGER,
      collarPpm: 1,
    },
  ],
});
