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
});
