/** SEMANTICS.md: Numbers. What an engine may be made for, and the first thing that is beyond it. */
import { expect, test } from 'vitest';
import { type EngineConfig, ladderTicksMax, parseEngineConfig } from '../../../matching/config.ts';
import { ethUsd, oneMarket } from './configs.ts';

const max = Number.MAX_SAFE_INTEGER;
type Market = EngineConfig['markets'][number];
const withMarket = (changes: Partial<Market>): unknown => ({
  ...oneMarket,
  markets: [{ ...ethUsd, lotUnits: 1, tickUnits: 1, minPrice: 1, maxPrice: 1, ...changes }],
});

// 2^53 - 1 = 6,361 * 69,431 * 20,394,401.
test.each<[string, Partial<Market>]>([
  ['value', { maxPrice: 6_361, tickUnits: 69_431, maxOrderLots: 20_394_401 }],
  ['lots', { lotUnits: 6_361 * 69_431, maxOrderLots: 20_394_401 }],
  ['ladder', { minPrice: 5, maxPrice: 4 + ladderTicksMax }],
  ['fees', { fees: [{ makerPpm: 0, takerPpm: 100_000 }] }],
  ['lots of an order', { minOrderLots: 40 }],
])('the largest %s', (_, changes) => {
  expect(() => parseEngineConfig(withMarket(changes))).not.toThrow();
});

test.each<[string, Partial<Market>]>([
  [
    'ETH-USD: an order of maxOrderLots at maxPrice is worth more',
    { maxPrice: 6_361, tickUnits: 69_431, maxOrderLots: 20_394_402 },
  ],
  // A product that a double rounds down to 2^53 - 1 would pass.
  [
    'ETH-USD: an order of maxOrderLots at maxPrice is worth more',
    { maxPrice: 2, tickUnits: 2, maxOrderLots: max },
  ],
  ['ETH-USD: maxOrderLots are more', { lotUnits: 2, maxOrderLots: 2 ** 52 }],
  ['ETH-USD: minPrice to maxPrice is a ladder of', { minPrice: 5, maxPrice: 5 + ladderTicksMax }],
  ['ETH-USD: minPrice to maxPrice is a ladder of', { minPrice: 2, maxPrice: 1 }],
  ['ETH-USD: minOrderLots is above', { minOrderLots: 41 }],
  ['ETH-USD: base and quote are two', { quote: 0 }],
  ['ETH-USD: base and quote are two', { base: 3 }],
  ['markets[0].maxPrice', { maxPrice: 2 ** 31 }],
  ['markets[0].minPrice', { minPrice: 0 }],
  ['markets[0].fees[0].takerPpm', { fees: [{ makerPpm: 0, takerPpm: 100_001 }] }],
  ['markets[0].collarPpm', { collarPpm: 1_000_001 }],
  ['markets[0].lotUnits', { lotUnits: 0.5 }],
])('%s is refused', (message, changes) => {
  expect(() => parseEngineConfig(withMarket(changes))).toThrow(
    expect.objectContaining({
      code: 'MATCHING_CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    }),
  );
});

test('ids are of one thing each, and all markets have the same tiers', () => {
  const second = { ...ethUsd, base: 2, id: 'BTC-USD' };
  const refused = (changes: object): unknown => {
    try {
      return parseEngineConfig({ ...oneMarket, ...changes });
    } catch (error) {
      return error instanceof Error ? error.message : error;
    }
  };
  expect(refused({ markets: [ethUsd, { ...second, id: 'ETH-USD' }] })).toMatch(
    'two markets have the same id',
  );
  expect(refused({ assets: [...oneMarket.assets, { id: 'eth', unitExponent: 0 }] })).toMatch('two assets');
  expect(refused({ markets: [ethUsd, { ...second, fees: ethUsd.fees.slice(1) }] })).toMatch('the same tiers');
  expect(refused({ markets: [ethUsd, second] })).toMatchObject({ markets: [ethUsd, second] });
});
