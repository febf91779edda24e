import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { bump, type FeeMarket, quote, tipFloorPerGas, transferGas } from '../../chains/ethereum/fees.ts';

const gwei = 10n ** 9n;
const market: fc.Arbitrary<FeeMarket> = fc.record({
  baseFeePerGas: fc.bigInt(0n, 5000n * gwei),
  tipPerGas: fc.bigInt(0n, 100n * gwei),
});
const cap = fc.bigInt(0n, 10n ** 18n);

function orAboveCap<T>(work: () => T): T | 'above cap' {
  try {
    return work();
  } catch (error) {
    if (isStrongroomError(error) && error.code === 'CHAINS_FEE_ABOVE_CAP') return 'above cap';
    throw error;
  }
}
// biome-ignore lint/complexity/useMathMinMax: Math.max takes no bigint
const tipOf = (now: FeeMarket): bigint => (now.tipPerGas > tipFloorPerGas ? now.tipPerGas : tipFloorPerGas);

describe('quote', () => {
  it('never costs more than the cap, always pays the next block, and never has tip 0', () => {
    fc.assert(
      fc.property(market, cap, (now, capUnits) => {
        const lowest = transferGas * (now.baseFeePerGas + tipOf(now));
        const fee = orAboveCap(() => quote(now, capUnits));
        if (fee === 'above cap') {
          expect(lowest).toBeGreaterThan(capUnits);
          return;
        }
        expect(fee.maxCostUnits).toBe(fee.gasLimit * fee.maxFeePerGas);
        expect(fee.maxCostUnits).toBeLessThanOrEqual(capUnits);
        expect(fee.maxFeePerGas).toBeGreaterThanOrEqual(now.baseFeePerGas + tipOf(now));
        expect(fee.maxFeePerGas).toBeLessThanOrEqual(2n * now.baseFeePerGas + tipOf(now));
        expect(fee.maxPriorityFeePerGas).toBeGreaterThan(0n);
        expect(fee.maxPriorityFeePerGas).toBeLessThanOrEqual(fee.maxFeePerGas);
      }),
      { numRuns: 500 },
    );
  });

  it('has headroom of twice the base fee when the cap allows', () => {
    const fee = quote({ baseFeePerGas: 30n * gwei, tipPerGas: 2n * gwei }, 10n ** 18n);
    expect(fee).toEqual({
      gasLimit: 21_000n,
      maxFeePerGas: 62n * gwei,
      maxPriorityFeePerGas: 2n * gwei,
      maxCostUnits: 21_000n * 62n * gwei,
    });
  });

  it('takes a cap of exactly the lowest workable fee, and refuses one wei less', () => {
    const now = { baseFeePerGas: 30n * gwei, tipPerGas: 2n * gwei };
    const lowest = transferGas * 32n * gwei;
    expect(quote(now, lowest).maxCostUnits).toBe(lowest);
    expect(() => quote(now, lowest - 1n)).toThrow(/cap is/);
  });
});

describe('bump', () => {
  it('raises both fees by at least 12.5 % and to the market, and never above the cap', () => {
    fc.assert(
      fc.property(market, market, cap, cap, (before, now, firstCap, capUnits) => {
        const previous = orAboveCap(() => quote(before, firstCap));
        fc.pre(previous !== 'above cap');
        const fee = orAboveCap(() => bump(previous, now, capUnits));
        if (fee === 'above cap') {
          const leastTip = (previous.maxPriorityFeePerGas * 1125n + 999n) / 1000n;
          const tip = leastTip > tipOf(now) ? leastTip : tipOf(now);
          const leastMax = (previous.maxFeePerGas * 1125n + 999n) / 1000n;
          const lowest = leastMax > now.baseFeePerGas + tip ? leastMax : now.baseFeePerGas + tip;
          expect(lowest * previous.gasLimit).toBeGreaterThan(capUnits);
          return;
        }
        expect(fee.maxFeePerGas * 1000n).toBeGreaterThanOrEqual(previous.maxFeePerGas * 1125n);
        expect(fee.maxPriorityFeePerGas * 1000n).toBeGreaterThanOrEqual(
          previous.maxPriorityFeePerGas * 1125n,
        );
        expect(fee.maxFeePerGas).toBeGreaterThanOrEqual(now.baseFeePerGas + tipOf(now));
        expect(fee.maxPriorityFeePerGas).toBeGreaterThanOrEqual(tipOf(now));
        expect(fee.maxPriorityFeePerGas).toBeLessThanOrEqual(fee.maxFeePerGas);
        expect(fee.maxCostUnits).toBe(fee.gasLimit * fee.maxFeePerGas);
        expect(fee.maxCostUnits).toBeLessThanOrEqual(capUnits);
      }),
      { numRuns: 500 },
    );
  });
});
