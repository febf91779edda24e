/** Numbers of the engine to amounts of the ledger, and what trades come to. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { amount, assetId } from '#core/money';
import { engineAmount, engineAssets, ledgerAmount } from '../../../matching/settlement/index.ts';
import { Netting } from '../../../matching/settlement/netting.ts';
import type { SettledTrade } from '../../../matching/settlement/settlement-events.ts';
import { coin, coinUnit, config, gold, usd } from './fixture.ts';

const assets = engineAssets(config);

describe('amounts', () => {
  test('a unit of the engine is 10^unitExponent base units, both ways', () => {
    expect(ledgerAmount(assets, 0, 7n)).toEqual(amount(coin, 7n * coinUnit));
    expect(ledgerAmount(assets, 1, 7n)).toEqual(amount(usd, 700n));
    expect(engineAmount(assets, amount(coin, 7n * coinUnit))).toEqual({ asset: 0, units: 7n });
    expect(engineAmount(assets, amount(gold, 7n))).toEqual({ asset: 2, units: 7n });
  });
  test.each([
    ['a remainder', amount(coin, coinUnit + 1n)],
    ['nothing', amount(coin, 0n)],
    ['more than an engine holds', amount(gold, 2n ** 62n)],
    ['an asset it does not have', amount(assetId('ledger:other'), 100n)],
  ])('%s is not tradable', (_, moved) => {
    expect(() => engineAmount(assets, moved)).toThrow(
      expect.objectContaining({ code: 'MATCHING_AMOUNT_NOT_TRADABLE' }),
    );
  });
});

const trades = fc.array(
  fc.record({
    market: fc.nat(1),
    price: fc.integer({ min: 1, max: 1_000 }),
    lots: fc.integer({ min: 1, max: 100_000 }),
    takerBuys: fc.boolean(),
    taker: fc.integer({ min: 1, max: 4 }),
    gap: fc.integer({ min: 1, max: 3 }),
    fees: fc.tuple(fc.nat(1_000), fc.nat(1_000)),
  }),
  { maxLength: 60 },
);

test('nets are the sum of what each trade gives and takes, and come to nothing in all', () => {
  fc.assert(
    fc.property(trades, (drawn) => {
      const netting = new Netting(config.markets);
      const plain = new Map<string, bigint>();
      const give = (account: number, asset: number, units: number): void => {
        const key = `${account}/${asset}`;
        plain.set(key, (plain.get(key) ?? 0n) + BigInt(units));
      };
      for (const [at, { gap, fees, ...trade }] of drawn.entries()) {
        const maker = ((trade.taker - 1 + gap) % 4) + 1;
        const [takerFee, makerFee] = fees;
        const settled: SettledTrade = {
          ...trade,
          kind: 'trade',
          timeMs: 0,
          seq: at + 1,
          index: 0,
          auction: false,
          maker,
          takerOrder: 1,
          makerOrder: 2,
          takerFee,
          makerFee,
        };
        netting.add(settled);
        const { base = 0, quote = 0, lotUnits = 0, tickUnits = 0 } = config.markets[trade.market] ?? {};
        const [goods, value] = [trade.lots * lotUnits, trade.lots * trade.price * tickUnits];
        const [takerGets, makerGets] = trade.takerBuys ? [base, quote] : [quote, base];
        give(trade.taker, takerGets, (trade.takerBuys ? goods : value) - takerFee);
        give(trade.taker, makerGets, -(trade.takerBuys ? value : goods));
        give(maker, makerGets, (trade.takerBuys ? value : goods) - makerFee);
        give(maker, takerGets, -(trade.takerBuys ? goods : value));
        give(0, takerGets, takerFee);
        give(0, makerGets, makerFee);
      }
      const nets = netting.nets();
      expect(new Map(nets.map(({ account, asset, units }) => [`${account}/${asset}`, units]))).toEqual(
        new Map([...plain].filter(([, units]) => units !== 0n)),
      );
      for (const asset of [0, 1, 2])
        expect(nets.filter((net) => net.asset === asset).reduce((sum, { units }) => sum + units, 0n)).toBe(
          0n,
        );
      expect(nets.length).toBeLessThanOrEqual(netting.size);
    }),
  );
});
