import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  amount,
  amountDigitsMax,
  assetId,
  chainId,
  chainOf,
  compare,
  fromJson,
  isZero,
  multiplyRatioCeil,
  parseUnits,
  subtract,
  sum,
  toJson,
  unitsMax,
  zero,
} from '#core/money';

const ether = assetId('eip155:1/slip44:60');
const bitcoin = assetId('bip122:000000000019d6689c085ae165831e93/slip44:0');
const units = fc.bigInt({ min: 0n, max: unitsMax });
const third = fc.bigInt({ min: 0n, max: unitsMax / 3n });
const invalidAmount: unknown = expect.objectContaining({ code: 'CORE_AMOUNT_INVALID', kind: 'invalid' });

describe('arithmetic', () => {
  test('addition is associative and commutative, zero is neutral', () => {
    fc.assert(
      fc.property(third, third, third, (x, y, z) => {
        const [a, b, c] = [amount(ether, x), amount(ether, y), amount(ether, z)];
        expect(add(add(a, b), c)).toEqual(add(a, add(b, c)));
        expect(add(a, b)).toEqual(add(b, a));
        expect(add(a, zero(ether))).toEqual(a);
        expect(add(a, b).units).toBe(x + y);
      }),
    );
  });

  test('subtraction undoes addition and never goes below zero', () => {
    fc.assert(
      fc.property(third, third, (x, y) => {
        const [a, b] = [amount(ether, x), amount(ether, y)];
        expect(subtract(add(a, b), b)).toEqual(a);
        if (x < y) expect(() => subtract(a, b)).toThrow(invalidAmount);
        else expect(subtract(a, b).units).toBe(x - y);
      }),
    );
  });

  test('a sum is the sum, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 10n ** 30n })), (list) => {
        const amounts = list.map((x) => amount(ether, x));
        const total = list.reduce((a, b) => a + b, 0n);
        expect(sum(ether, amounts).units).toBe(total);
        expect(sum(ether, amounts.toReversed()).units).toBe(total);
      }),
    );
  });

  test('nothing mixes two assets silently', () => {
    const mismatch: unknown = expect.objectContaining({ code: 'CORE_ASSET_MISMATCH', kind: 'invariant' });
    fc.assert(
      fc.property(units, units, (x, y) => {
        const [a, b] = [amount(ether, x), amount(bitcoin, y)];
        for (const mix of [add, subtract, compare]) expect(() => mix(a, b)).toThrow(mismatch);
        expect(() => sum(ether, [a, b])).toThrow();
        expect(() => sum(ether, [b])).toThrow(mismatch);
      }),
    );
  });

  test('comparison orders as the units do', () => {
    fc.assert(
      fc.property(units, units, (x, y) => {
        const order = compare(amount(ether, x), amount(ether, y));
        expect(order).toBe(x < y ? -1 : x > y ? 1 : 0);
      }),
    );
    expect(isZero(zero(ether))).toBe(true);
    expect(isZero(amount(ether, 1n))).toBe(false);
  });

  test('a ratio is rounded up, by less than one unit', () => {
    const small = fc.bigInt({ min: 0n, max: 10n ** 40n });
    const positive = fc.bigInt({ min: 1n, max: 10n ** 12n });
    fc.assert(
      fc.property(small, positive, positive, (x, n, d) => {
        const result = multiplyRatioCeil(amount(ether, x), n, d).units;
        expect(result * d >= x * n && (result - 1n) * d < x * n).toBe(true);
      }),
    );
    expect(() => multiplyRatioCeil(amount(ether, 1n), 1n, 0n)).toThrow(invalidAmount);
    expect(() => multiplyRatioCeil(amount(ether, 1n), -1n, 1n)).toThrow(invalidAmount);
  });
});

describe('bounds', () => {
  test('the largest amount has 78 digits and is above every uint256', () => {
    expect(unitsMax.toString()).toHaveLength(amountDigitsMax);
    expect(unitsMax > 2n ** 256n).toBe(true);
    expect(amount(ether, unitsMax).units).toBe(unitsMax);
  });
  test('one unit over, or under zero, is refused', () => {
    expect(() => amount(ether, unitsMax + 1n)).toThrow(invalidAmount);
    expect(() => amount(ether, -1n)).toThrow(invalidAmount);
    expect(() => add(amount(ether, unitsMax), amount(ether, 1n))).toThrow(invalidAmount);
  });
  test('an amount cannot be changed afterwards', () => {
    expect(Object.isFrozen(amount(ether, 1n))).toBe(true);
  });
});

describe('texts', () => {
  test('parse and format round trip, above 2^53 too', () => {
    fc.assert(
      fc.property(units, (x) => {
        expect(parseUnits(x.toString())).toBe(x);
        const json = toJson(amount(ether, x));
        expect(fromJson(JSON.parse(JSON.stringify(json)) as typeof json)).toEqual(amount(ether, x));
      }),
    );
  });
  test.each([
    '',
    '-1',
    '+1',
    '01',
    '00',
    '1.0',
    '1e3',
    ' 1',
    '1 ',
    '0x1',
    '1_000',
    '1,000',
    '١',
    'NaN',
    `1${'0'.repeat(78)}`,
    '\n1',
    '1\n',
  ])('"%s" is no amount', (text) => {
    expect(() => parseUnits(text)).toThrow(invalidAmount);
  });
  test('any text is either refused or exactly the number it spells', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'0123456789+-. eE') }), (text) => {
        try {
          expect(parseUnits(text).toString()).toBe(text);
        } catch (error) {
          expect(error).toEqual(invalidAmount);
        }
      }),
    );
  });
});

describe('asset and chain ids', () => {
  test.each([
    ['eip155:1/slip44:60', 'eip155:1'],
    ['eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f', 'eip155:1'],
    ['bip122:000000000019d6689c085ae165831e93/slip44:0', 'bip122:000000000019d6689c085ae165831e93'],
    [
      'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp/token:EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v',
      'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp',
    ],
    ['ledger:usd-cents', undefined],
  ])('%s', (text, chain) => {
    expect(assetId(text)).toBe(text);
    expect(chainOf(assetId(text))).toBe(chain);
    if (chain !== undefined) expect(chainId(chain)).toBe(chain);
  });
  test.each([
    'ETH',
    '',
    'eip155:1',
    'eip155:1/',
    'eip155:1/slip44',
    'ledger:',
    'ledger:USD',
    'eip155:1/slip44:60 ',
  ])('"%s" is no asset id', (text) => {
    expect(() => assetId(text)).toThrow(expect.objectContaining({ code: 'CORE_ASSET_INVALID' }));
  });
  test.each(['', 'eip155', 'eip155:', 'EIP155:1', 'eip155:1/slip44:60'])('"%s" is no chain id', (text) => {
    expect(() => chainId(text)).toThrow(expect.objectContaining({ code: 'CORE_ASSET_INVALID' }));
  });
});
