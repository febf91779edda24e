/** SEMANTICS.md: Accounts and balances, and the commands about them. */
import { describe, expect, test } from 'vitest';
import { oneMarket, threeMarkets } from './configs.ts';
import { Desk } from './desk.ts';

const order = { side: 'buy', price: 100, lots: 2 } as const;

describe('a transfer', () => {
  test('of a position comes once, also when a later one came between', () => {
    const desk = new Desk();
    const credit = { kind: 'credit', account: 1, asset: 0, units: 5n, position: 100 } as const;
    expect(desk.told(desk.submit(credit))).toEqual(['credited']);
    expect(desk.reasonOf(credit)).toBe('duplicate-transfer');
    expect(desk.told(desk.submit({ ...credit, account: 2, position: 101 }))).toEqual(['credited']);
    expect(desk.reasonOf(credit)).toBe('duplicate-transfer');
    expect(desk.balance(1, 0).available).toBe(1_000_005n);
  });

  test('that is refused does not use up its position', () => {
    const desk = new Desk();
    const credit = { kind: 'credit', account: 1, asset: 0, units: 5n, position: 100 } as const;
    expect(desk.reasonOf({ ...credit, units: 2n ** 62n })).toBe('overflow');
    expect(desk.told(desk.submit(credit))).toEqual(['credited']);
  });

  test('fills an asset to one unit below 2^62 and no further, over all accounts', () => {
    const desk = new Desk(oneMarket, { accounts: 2, units: 1n });
    expect(desk.told(desk.credit(1, 0, 2n ** 62n - 3n))).toEqual(['credited']);
    expect(desk.told(desk.credit(2, 0, 1n))).toEqual(['rejected overflow']);
    expect(desk.told(desk.submit({ kind: 'debit', account: 2, asset: 0, units: 1n }))).toEqual(['debited']);
    expect(desk.told(desk.credit(1, 0, 1n))).toEqual(['credited']);
    expect(desk.balance(1, 0).available).toBe(2n ** 62n - 1n);
  });

  test('takes out what is available to the last unit, and nothing that is held', () => {
    const desk = new Desk();
    desk.place(order);
    const debit = { kind: 'debit', account: 1, asset: 1 } as const;
    expect(desk.reasonOf({ ...debit, units: 999_401n })).toBe('insufficient-balance');
    expect(desk.told(desk.submit({ ...debit, units: 999_400n }))).toEqual(['debited']);
    expect(desk.balance(1, 1)).toEqual({ available: 0n, held: 600n });
  });
});

describe('a blocked account', () => {
  test('has its orders in the book still, and trades with them', () => {
    const desk = new Desk();
    desk.place({ ...order, as: 'own' });
    desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
    expect(desk.place({ account: 2, side: 'sell', price: 100, lots: 1, as: 'ask' })[1]).toBe(
      'trade ask own 1@100 left 0 1',
    );
    expect(desk.place(order)).toEqual(['rejected account-blocked']);
  });

  test('can be given more, and be unblocked', () => {
    const desk = new Desk();
    desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
    expect(desk.told(desk.credit(1, 0, 5n))).toEqual(['credited']);
    desk.submit({ kind: 'set-account', account: 1, blocked: false, feeTier: 0 });
    expect(desk.place({ ...order, as: 'own' })[0]).toBe('accepted own');
  });
});

describe('several markets', () => {
  test('share the balances of an account, and nothing else', () => {
    const desk = new Desk(threeMarkets, { units: 1_000n });
    desk.setMarket('open', 1);
    desk.place({ ...order, market: 0, lots: 3, as: 'eth' });
    expect(desk.place({ ...order, market: 1, price: 101, lots: 1 })).toEqual([
      'rejected insufficient-balance',
    ]);
    expect(desk.place({ ...order, market: 1, price: 100, lots: 1, as: 'btc' })[0]).toBe('accepted btc');
    expect([desk.book('buy', 0), desk.book('buy', 1)]).toEqual(['3@100', '1@100']);
    expect(desk.told(desk.submit({ kind: 'cancel-all', account: 1, market: 1 }))).toEqual([
      'done btc cancelled 1',
      'cancelled-all 1',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 100n, held: 900n });
  });

  test('use what a trade in one of them has brought at once in another', () => {
    const desk = new Desk(threeMarkets, { units: 1_000n });
    desk.setMarket('open', 2);
    desk.place({ account: 2, side: 'buy', price: 100, lots: 2, market: 2 });
    // 200 eth for 200 btc.
    expect(desk.place({ side: 'sell', price: 100, lots: 2, market: 2, as: 'sold' })[1]).toMatch(
      /^trade sold/,
    );
    expect(desk.balance(1, 2)).toEqual({ available: 1_199n, held: 0n });
    expect(desk.told(desk.submit({ kind: 'debit', account: 1, asset: 2, units: 1_199n }))).toEqual([
      'debited',
    ]);
  });
});
