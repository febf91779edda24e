/** SEMANTICS.md: Self-trade prevention. */
import { describe, expect, test } from 'vitest';
import { Desk } from './desk.ts';

/** Asks in the book: of another account, an own one, and another again. */
function askedDesk(): Desk {
  const desk = new Desk();
  desk.place({ account: 2, side: 'sell', price: 100, lots: 2, as: 'first' });
  desk.place({ side: 'sell', price: 100, lots: 3, as: 'own' });
  desk.place({ account: 3, side: 'sell', price: 101, lots: 4, as: 'last' });
  return desk;
}
const buy = { side: 'buy', price: 101, lots: 7, as: 'taker' } as const;

describe('an order that meets one of its own account', () => {
  test('with cancel-taker loses its rest and keeps what is filled', () => {
    const desk = askedDesk();
    expect(desk.place({ ...buy, selfTrade: 'cancel-taker' })).toEqual([
      'accepted taker',
      'trade taker first 2@100 left 5 0',
      'done taker self-trade 5',
    ]);
    // The two lots stay bought, and nothing stays held: 200 base less a fee of 1.
    expect(desk.balance(1, 0)).toEqual({ available: 1_000_000n - 300n + 199n, held: 300n });
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 600n, held: 0n });
    expect(desk.book('sell')).toBe('3@100 4@101');
  });

  test('is cancel-taker where nothing else is said', () => {
    expect(askedDesk().place(buy).at(-1)).toBe('done taker self-trade 5');
  });

  test('with cancel-maker removes the own maker and goes on', () => {
    const desk = askedDesk();
    expect(desk.place({ ...buy, selfTrade: 'cancel-maker' })).toEqual([
      'accepted taker',
      'trade taker first 2@100 left 5 0',
      'done own self-trade 3',
      'trade taker last 4@101 left 1 0',
      'rested taker 1@101 shows 1',
    ]);
    expect(desk.balance(1, 0).held).toBe(0n);
  });

  test('with cancel-both loses both', () => {
    const desk = askedDesk();
    expect(desk.place({ ...buy, selfTrade: 'cancel-both' })).toEqual([
      'accepted taker',
      'trade taker first 2@100 left 5 0',
      'done own self-trade 3',
      'done taker self-trade 5',
    ]);
    expect(desk.book('sell')).toBe('4@101');
  });

  test('with decrement both lose the smaller, without a trade', () => {
    const desk = askedDesk();
    expect(desk.place({ ...buy, selfTrade: 'decrement' })).toEqual([
      'accepted taker',
      'trade taker first 2@100 left 5 0',
      'decremented taker own 3 left 2 0',
      'done own decremented 0',
      'trade taker last 2@101 left 0 2',
    ]);
    expect(desk.balance(1, 0).held).toBe(0n);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('with decrement may end itself; the maker stays where it is', () => {
    const desk = askedDesk();
    expect(desk.place({ ...buy, lots: 4, selfTrade: 'decrement' })).toEqual([
      'accepted taker',
      'trade taker first 2@100 left 2 0',
      'decremented taker own 2 left 0 1',
      'done taker decremented 0',
    ]);
    expect(desk.book('sell')).toBe('1@100 4@101');
    expect(desk.balance(1, 0).held).toBe(100n);
  });

  test('with decrement takes an iceberg slice by slice', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 5, displayLots: 2, as: 'iceberg' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 1, as: 'other' });
    expect(desk.place({ ...buy, lots: 4, selfTrade: 'decrement' })).toEqual([
      'accepted taker',
      'decremented taker iceberg 2 left 2 3',
      'rested iceberg 3@100 shows 2',
      'trade taker other 1@100 left 1 0',
      'decremented taker iceberg 1 left 0 2',
      'done taker decremented 0',
    ]);
    expect(desk.book('sell')).toBe('1@100');
  });

  test('with decrement and a budget loses what the lots would have cost', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 2, as: 'own' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 9, as: 'other' });
    expect(desk.market({ side: 'buy', budget: 1_000, lots: 9, selfTrade: 'decrement', as: 'taker' })).toEqual(
      [
        'accepted taker',
        'decremented taker own 2 left 7 0',
        'done own decremented 0',
        'trade taker other 1@100 left 6 8',
        'done taker budget 6',
      ],
    );
    expect(desk.balance(1, 1)).toEqual({ available: 999_700n, held: 0n });
  });

  test('with decrement is bounded by the budget first', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 9, as: 'own' });
    expect(desk.market({ side: 'buy', budget: 700, lots: 9, selfTrade: 'decrement', as: 'taker' })).toEqual([
      'accepted taker',
      'decremented taker own 2 left 7 7',
      'done taker budget 7',
    ]);
  });

  test('with cancel-maker takes an iceberg out with all that it hides', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 9, displayLots: 2, as: 'own' });
    expect(desk.place({ ...buy, lots: 1, selfTrade: 'cancel-maker' })).toEqual([
      'accepted taker',
      'done own self-trade 9',
      'rested taker 1@101 shows 1',
    ]);
    expect(desk.balance(1, 0)).toEqual({ available: 1_000_000n, held: 0n });
  });

  test('with decrement of as many lots: the maker ends, then the taker', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 3, as: 'own' });
    expect(desk.place({ ...buy, lots: 3, selfTrade: 'decrement' })).toEqual([
      'accepted taker',
      'decremented taker own 3 left 0 0',
      'done own decremented 0',
      'done taker decremented 0',
    ]);
    expect([desk.balance(1, 0), desk.balance(1, 1)]).toEqual([
      { available: 1_000_000n, held: 0n },
      { available: 1_000_000n, held: 0n },
    ]);
  });

  test('with decrement pays no fee, sets no last price, and what it lost counts as not filled', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', type: 'stop-limit', triggerPrice: 100, price: 90, lots: 1 });
    desk.place({ side: 'sell', price: 100, lots: 9, as: 'own' });
    expect(desk.place({ ...buy, lots: 4, selfTrade: 'decrement' }).slice(1)).toEqual([
      'decremented taker own 4 left 0 5',
      'done taker decremented 0',
    ]);
    expect(desk.balance(0, 0).available).toBe(0n);
    expect(desk.fast.engine.market(0)?.lastPrice ?? 0).toBe(0);
    expect(desk.amend('own', { lots: 4 })).toEqual(['amended own 4@100 kept']);
  });

  test.each(['cancel-maker', 'cancel-taker', 'cancel-both', 'decrement'] as const)(
    'with %s: fills before it are kept by both sides to the unit',
    (selfTrade) => {
      const desk = askedDesk();
      desk.place({ ...buy, lots: 5, selfTrade });
      // 600 quote for 200 base; with two modes three lots more at 101 of the last one, or none.
      const lastFilled = selfTrade === 'cancel-maker' ? 3n : 0n;
      const paid = 600n + lastFilled * 303n;
      const held = desk.balance(1, 1).held;
      expect(desk.balance(1, 1).available).toBe(1_000_000n - paid - held);
      expect(desk.balance(2, 1).available).toBe(1_000_000n + 600n - 1n);
      const base = desk.balance(1, 0);
      expect(base.available + base.held).toBe(1_000_000n + 199n + (lastFilled > 0n ? 299n : 0n));
    },
  );

  test('that was amended follows its own mode, after fills too', () => {
    const desk = askedDesk();
    desk.place({ account: 1, side: 'buy', price: 99, lots: 6, selfTrade: 'cancel-maker', as: 'bid' });
    desk.place({ account: 2, side: 'sell', price: 99, lots: 1 });
    expect(desk.amend('bid', { price: 101 })).toEqual([
      'amended bid 5@101 lost',
      'trade bid first 2@100 left 3 0',
      'done own self-trade 3',
      'trade bid last 3@101 left 0 1',
    ]);
  });

  test('a market order that finds nobody but itself was accepted, and ends', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 2, as: 'own' });
    const order = { side: 'buy', budget: 900, lots: 1, as: 'taker' } as const;
    expect(desk.market(order)).toEqual(['accepted taker', 'done taker self-trade 1']);
    expect(desk.market({ ...order, selfTrade: 'cancel-maker' })).toEqual([
      'accepted taker',
      'done own self-trade 2',
      'done taker no-liquidity 1',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n, held: 0n });
  });
});
