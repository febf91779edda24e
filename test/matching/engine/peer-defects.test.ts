/** Defects measured in other engines (docs name them): each stays dead here. */
import { describe, expect, test } from 'vitest';
import { createEngine, restoreEngine } from '../../../matching/engine/index.ts';
import { sides } from '../../../matching/vocabulary.ts';
import { documentEngine } from './both.ts';
import { oneMarket, threeMarkets } from './configs.ts';
import { Desk } from './desk.ts';
import { Stream } from './streams.ts';

test('a fill before self-trade prevention at the same price stays a fill, for both sides', () => {
  const desk = new Desk();
  desk.place({ account: 2, side: 'sell', price: 100, lots: 5, as: 'maker' });
  desk.place({ side: 'sell', price: 100, lots: 5, as: 'own' });
  expect(desk.place({ side: 'buy', price: 100, lots: 10, as: 'taker' })).toEqual([
    'accepted taker',
    'trade taker maker 5@100 left 5 0',
    'done taker self-trade 5',
  ]);
  // 500 base less a fee of 2 (1.25 rounded up) for 1,500 quote; the own ask still holds 500.
  expect(desk.balance(1, 0)).toEqual({ available: 999_998n, held: 500n });
  expect(desk.balance(1, 1)).toEqual({ available: 998_500n, held: 0n });
  expect(desk.balance(2, 1).available).toBe(1_001_498n);
});

test('0.1 and 0.2 against 0.3 leaves nothing: no float dust', () => {
  // A lot is a tenth.
  const desk = new Desk();
  desk.place({ account: 2, side: 'sell', price: 100, lots: 1 });
  desk.place({ account: 2, side: 'sell', price: 100, lots: 2 });
  desk.place({ side: 'buy', price: 100, lots: 3, as: 'taker' });
  expect([desk.book('buy'), desk.book('sell'), desk.fast.engine.openOrders]).toEqual(['', '', 0]);
  expect([desk.balance(1, 1).held, desk.balance(2, 0).held]).toEqual([0n, 0n]);
});

test('a partial fill and a cancel leave no volume behind', () => {
  const desk = new Desk();
  desk.place({ account: 2, side: 'sell', price: 100, lots: 5, displayLots: 3, as: 'ask' });
  desk.place({ side: 'buy', price: 100, lots: 4 });
  expect(desk.book('sell')).toBe('1@100');
  desk.cancel('ask', 2);
  expect(desk.book('sell')).toBe('');
});

describe('replay', () => {
  test.each([oneMarket, threeMarkets])('reproduces hash and snapshot', (config) => {
    const first = documentEngine(createEngine(config));
    const stream = new Stream(config, 5);
    const commands = Array.from({ length: 2_000 }, () => {
      const command = stream.next();
      stream.see(first.submit(command));
      return command;
    });
    const second = documentEngine(createEngine(config));
    for (const command of commands) second.submit(command);
    expect(second.engine.stateHash()).toBe(first.engine.stateHash());
    expect(second.engine.snapshot()).toEqual(first.engine.snapshot());
    const restored = restoreEngine(config, first.engine.snapshot());
    for (const market of config.markets.keys())
      for (const side of sides)
        expect(restored.levels(market, side, 99)).toEqual(first.engine.levels(market, side, 99));
  });
});
