/** Decimal numbers of people to ticks, lots and units, exactly both ways. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assetId } from '#core/money';
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';
import { createScales, type MarketScale } from '../../../matching/trading/scale.ts';

const eth = assetId('eip155:31337/slip44:60');
const usd = assetId('ledger:usd');

interface Steps {
  readonly lotUnits: number;
  readonly tickUnits: number;
  readonly baseExponent?: number;
  readonly quoteExponent?: number;
}
function configOf({ lotUnits, tickUnits, baseExponent = 9, quoteExponent = 0 }: Steps): EngineConfig {
  return parseEngineConfig({
    assets: [
      { id: eth, unitExponent: baseExponent },
      { id: usd, unitExponent: quoteExponent },
    ],
    markets: [
      {
        id: 'ETH-USD',
        base: 0,
        quote: 1,
        lotUnits,
        tickUnits,
        minPrice: 1,
        maxPrice: 1_000,
        minOrderLots: 1,
        maxOrderLots: 1_000,
        maxOrderValue: 2 ** 50,
        collarPpm: 50_000,
        fees: [{ makerPpm: 0, takerPpm: 0 }],
        state: 'open',
      },
    ],
    ordersMax: 10,
    accountsMax: 10,
    limits: { openOrders: 10, ordersPerSecond: 0 },
    clientIdsKept: 10,
  });
}
const scaleOf = (steps: Steps, decimals = { eth: 18, usd: 6 }): MarketScale =>
  createScales(configOf(steps), (asset) => (asset === eth ? decimals.eth : decimals.usd)).market('ETH-USD');
/** Lots of 0.0001 ETH, ticks of 0.01 USD per ETH: one lot at one tick is 0.000001 USD. */
const plain = scaleOf({ lotUnits: 100_000, tickUnits: 1 });
const code = (expected: string, details: object = {}): unknown =>
  expect.objectContaining({ code: expected, details: expect.objectContaining(details) as unknown });

describe('written numbers have the places of their step', () => {
  test('price, size, value and amounts', () => {
    expect(plain.price(200_050)).toBe('2000.50');
    expect(plain.size(100)).toBe('0.0100');
    expect(plain.size(0)).toBe('0.0000');
    expect(plain.value(200_050 * 100)).toBe('20.005000');
    expect(plain.baseAmount(1)).toBe('0.000000001');
    expect(plain.quoteAmount(1n)).toBe('0.000001');
  });
  test.each([
    [{ lotUnits: 1_000_000_000, tickUnits: 250_000 }, '0.25', '1'],
    [{ lotUnits: 5_000_000_000, tickUnits: 1 }, '0.0000002', '5'],
    [{ lotUnits: 1_000_000_000, tickUnits: 50_000_000 }, '50', '1'],
    // A unit of the engine that is more than a coin.
    [{ lotUnits: 1, tickUnits: 3, baseExponent: 20, quoteExponent: 7 }, '0.3', '100'],
  ])('%o: a tick is %s, a lot %s', (steps, tick, lot) => {
    const scale = scaleOf(steps);
    expect([scale.price(1), scale.size(1)]).toEqual([tick, lot]);
    expect([scale.ticks(tick), scale.lots(lot)]).toEqual([1, 1]);
  });
  test('sums of more than 2^53 stay exact', () => {
    expect(plain.size(2n ** 60n + 1n)).toBe('115292150460684.6977');
  });
});

test('a market whose tick is no decimal number is refused at the start', () => {
  expect(() => scaleOf({ lotUnits: 3_000, tickUnits: 1 })).toThrow(code('MATCHING_CONFIG_INVALID'));
  expect(() => scaleOf({ lotUnits: 3_000, tickUnits: 6 })).not.toThrow();
});
test.each([-1, 1.5, 79, Number.NaN])('decimals of %s are refused', (usdDecimals) => {
  expect(() => scaleOf({ lotUnits: 1, tickUnits: 1 }, { eth: 18, usd: usdDecimals })).toThrow(
    code('MATCHING_CONFIG_INVALID', { asset: usd }),
  );
});
test('an unknown market has its code', () => {
  const scales = createScales(configOf({ lotUnits: 1, tickUnits: 1 }), () => 18);
  expect(() => scales.market('BTC-USD')).toThrow(code('TRADING_MARKET_UNKNOWN', { market: 'BTC-USD' }));
  expect(scales.assets.map(({ id }) => id)).toEqual([eth, usd]);
  expect(scales.amount(0, 1n)).toBe(scales.assets[0]?.amount(1));
  expect(() => scales.amount(2, 1n)).toThrow(RangeError);
});

describe('numbers that are read', () => {
  test('may have fewer places, or more zeros', () => {
    expect(plain.ticks('2000')).toBe(200_000);
    expect(plain.ticks('2000.5')).toBe(200_050);
    expect(plain.ticks('2000.500000000000000000')).toBe(200_050);
    expect(plain.lots('0.01')).toBe(100);
    expect(plain.quoteUnits('1.5')).toBe(1_500_000);
  });
  test.each([
    '',
    '0',
    '0.00',
    '-1',
    '+1',
    '1e3',
    '1.',
    '.5',
    '01',
    '1,5',
    '1.5.0',
    ' 1',
    '1 ',
    '1\n',
    '0x10',
    'NaN',
    'Infinity',
    '１',
    `1.${'0'.repeat(200)}`,
  ])('%j is no number', (text) => {
    for (const read of [plain.ticks, plain.lots, plain.quoteUnits])
      expect(() => read(text)).toThrow(code('TRADING_NUMBER_INVALID'));
  });
  test('off the step it is refused', () => {
    expect(() => plain.ticks('2000.501')).toThrow(code('TRADING_PRICE_OFF_TICK', { tickSize: '0.01' }));
    expect(() => plain.lots('0.00001')).toThrow(code('TRADING_SIZE_OFF_LOT', { lotSize: '0.0001' }));
    expect(() => plain.quoteUnits('0.0000001')).toThrow(code('TRADING_NUMBER_INVALID', { unit: '0.000001' }));
  });
  test('what no command can carry is refused with its reason, and never wraps', () => {
    expect(plain.ticks('21474836.47')).toBe(2 ** 31 - 1);
    const tooDear = code('TRADING_ORDER_REJECTED', { reason: 'invalid-price', market: 'ETH-USD' });
    expect(() => plain.ticks('21474836.48')).toThrow(tooDear);
    expect(() => plain.ticks('42949672.97')).toThrow(tooDear);
    expect(() => plain.ticks('42949672.97', 'triggerPrice')).toThrow(
      code('TRADING_ORDER_REJECTED', { reason: 'invalid-trigger' }),
    );
    expect(plain.lots('900719925474.0991')).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => plain.lots('900719925474.0992')).toThrow(
      code('TRADING_ORDER_REJECTED', { reason: 'invalid-lots' }),
    );
    expect(() => plain.quoteUnits('9007199254.740992')).toThrow(
      code('TRADING_ORDER_REJECTED', { reason: 'value-limit' }),
    );
  });
});

/** Steps of any size that make a decimal tick: lots of 2^a * 5^b units. */
const anyScale = fc
  .record({
    twos: fc.nat(12),
    fives: fc.nat(6),
    tickUnits: fc.integer({ min: 1, max: 1_000 }),
    baseExponent: fc.nat(12),
    quoteExponent: fc.nat(6),
  })
  .map(({ twos, fives, ...steps }) => scaleOf({ ...steps, lotUnits: 2 ** twos * 5 ** fives }));
const anyTicks = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const anyLots = fc.maxSafeNat().filter((lots) => lots > 0);

const digits = (text: string) => {
  const [whole = '', part = ''] = text.split('.');
  return { number: BigInt(whole + part), places: part.length };
};
const isEqual = (left: string, right: string): boolean => {
  const [a, b] = [digits(left), digits(right)];
  return a.number * 10n ** BigInt(b.places) === b.number * 10n ** BigInt(a.places);
};
/** Undefined when it was refused with one of our errors. */
const writtenAgain = (read: () => string): string | undefined => {
  try {
    return read();
  } catch (error) {
    expect(error).toMatchObject({ name: 'StrongroomError' });
    return undefined;
  }
};

describe('for any market', () => {
  test('what is written is read as the same number', () => {
    fc.assert(
      fc.property(anyScale, anyTicks, anyLots, (scale, ticks, lots) => {
        expect(scale.ticks(scale.price(ticks))).toBe(ticks);
        expect(scale.lots(scale.size(lots))).toBe(lots);
        expect(scale.quoteUnits(scale.value(lots))).toBe(lots);
      }),
    );
  });
  test('what is read is written as the same number, or refused: nothing is rounded', () => {
    const anyText = fc
      .tuple(fc.bigInt({ min: 0n, max: 10n ** 9n }), fc.stringMatching(/^[0-9]{1,12}$/))
      .map(([whole, part]) => `${whole}.${part}`);
    fc.assert(
      fc.property(anyScale, anyText, (scale, text) => {
        for (const [read, write] of [
          [scale.ticks, scale.price],
          [scale.lots, scale.size],
          [scale.quoteUnits, scale.value],
        ] as const) {
          const written = writtenAgain(() => write(read(text)));
          if (written !== undefined) expect(isEqual(written, text)).toBe(true);
        }
      }),
    );
  });
  test('price times size is value, to the last unit', () => {
    fc.assert(
      fc.property(
        anyScale,
        fc.integer({ min: 1, max: 10_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        (scale, ticks, lots) => {
          const price = digits(scale.price(ticks));
          const size = digits(scale.size(lots));
          const value = digits(scale.value(BigInt(ticks) * BigInt(lots) * BigInt(scale.config.tickUnits)));
          const left = price.number * size.number * 10n ** BigInt(value.places);
          expect(left).toBe(value.number * 10n ** BigInt(price.places + size.places));
        },
      ),
    );
  });
});
