/** SEMANTICS.md: Order types, Matching, Numbers, Client order ids, told as short stories; the reference says the same in each. */
import { describe, expect, test } from 'vitest';
import { ethUsd, oneMarket } from './configs.ts';
import { Desk } from './desk.ts';

const market = { type: 'market', timeInForce: 'ioc' } as const;
const roomy = { ...oneMarket, markets: [{ ...ethUsd, maxOrderValue: 100_000 }] };

describe('a limit order', () => {
  test('meets the best price first, at a price the one that came first, and pays the price of the maker', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 101, lots: 3, as: 'worse' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 3, as: 'first' });
    desk.place({ account: 3, side: 'sell', price: 100, lots: 3, as: 'second' });
    expect(desk.place({ side: 'buy', price: 101, lots: 8, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker first 3@100 left 5 0',
      'trade taker second 3@100 left 2 0',
      'trade taker worse 2@101 left 0 1',
    ]);
    expect(desk.book('sell')).toBe('1@101');
  });

  test('rests with what is left of it, at its own limit', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', price: 102, lots: 1, as: 'bid' });
    expect(desk.place({ side: 'sell', price: 99, lots: 4, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker bid 1@102 left 3 0',
      'rested taker 3@99 shows 3',
    ]);
    expect(desk.book('sell')).toBe('3@99');
  });

  test('holds price times lots; a better price gives the difference back at once', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 2 });
    desk.place({ side: 'buy', price: 110, lots: 5, as: 'own' });
    const { available, held } = desk.balance(1, 1);
    expect(held).toBe(3n * 110n * 3n);
    expect(available).toBe(1_000_000n - held - 2n * 100n * 3n);
    desk.cancel('own');
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 600n, held: 0n });
  });

  test('IOC takes what is there and ends', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 2, as: 'ask' });
    expect(desk.place({ side: 'buy', price: 100, lots: 5, timeInForce: 'ioc', as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker ask 2@100 left 3 0',
      'done taker immediate 3',
    ]);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('FOK counts what icebergs hide, and only orders within its price', () => {
    const desk = new Desk(roomy);
    desk.place({ account: 2, side: 'sell', price: 100, lots: 6, displayLots: 1, as: 'iceberg' });
    desk.place({ account: 3, side: 'sell', price: 102, lots: 6 });
    const fok = { side: 'buy', timeInForce: 'fok', as: 'taker' } as const;
    expect(desk.place({ ...fok, price: 101, lots: 7 })).toEqual(['rejected not-fillable']);
    expect(desk.place({ ...fok, price: 102, lots: 13 })).toEqual(['rejected not-fillable']);
    expect(desk.place({ ...fok, price: 101, lots: 6 }).at(-1)).toBe('trade taker iceberg 1@100 left 0 0');
  });

  test('FOK with cancel-maker does not count own orders, and removes them on its way', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 5, as: 'own' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 5, as: 'other' });
    const fok = { side: 'buy', price: 100, timeInForce: 'fok', selfTrade: 'cancel-maker' } as const;
    expect(desk.place({ ...fok, lots: 6 })).toEqual(['rejected not-fillable']);
    expect(desk.place({ ...fok, lots: 5, as: 'taker' })).toEqual([
      'accepted taker',
      'done own self-trade 5',
      'trade taker other 5@100 left 0 0',
    ]);
  });

  test.each(['cancel-taker', 'cancel-both', 'decrement'] as const)(
    'FOK with %s is not fillable when an own order is met before it is covered',
    (selfTrade) => {
      const desk = new Desk();
      desk.place({ account: 2, side: 'sell', price: 100, lots: 6, displayLots: 2, as: 'iceberg' });
      desk.place({ side: 'sell', price: 100, lots: 5, as: 'own' });
      const fok = { side: 'buy', price: 100, timeInForce: 'fok', selfTrade } as const;
      // The hidden lots queue behind the own order.
      expect(desk.place({ ...fok, lots: 3 })).toEqual(['rejected not-fillable']);
      expect(desk.place({ ...fok, lots: 2, as: 'taker' })).toHaveLength(3);
    },
  );

  test('post-only rests unless it would meet an order, its own included', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 100, lots: 1 });
    expect(desk.place({ side: 'buy', price: 100, lots: 1, postOnly: true })).toEqual([
      'rejected would-cross',
    ]);
    expect(desk.place({ side: 'buy', price: 99, lots: 1, postOnly: true, as: 'bid' })).toEqual([
      'accepted bid',
      'rested bid 1@99 shows 1',
    ]);
  });
});

describe('an iceberg', () => {
  test('shows one slice; the next goes to the tail of its level', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 5, displayLots: 2, as: 'iceberg' });
    desk.place({ account: 3, side: 'sell', price: 100, lots: 3, as: 'plain' });
    expect(desk.book('sell')).toBe('5@100/2');
    expect(desk.place({ side: 'buy', price: 100, lots: 7, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker iceberg 2@100 left 5 3',
      'rested iceberg 3@100 shows 2',
      'trade taker plain 3@100 left 2 0',
      'trade taker iceberg 2@100 left 0 1',
      'rested iceberg 1@100 shows 1',
    ]);
    expect(desk.book('sell')).toBe('1@100');
  });

  test('keeps its place while its slice is not empty', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 5, displayLots: 2, as: 'iceberg' });
    desk.place({ account: 3, side: 'sell', price: 100, lots: 3, as: 'plain' });
    desk.place({ side: 'buy', price: 100, lots: 1 });
    expect(desk.place({ side: 'buy', price: 100, lots: 1, as: 'taker' })[1]).toBe(
      'trade taker iceberg 1@100 left 0 3',
    );
  });

  test('takes with all its lots before it rests', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', price: 100, lots: 3, as: 'bid' });
    expect(desk.place({ side: 'sell', price: 100, lots: 9, displayLots: 2, as: 'iceberg' })).toEqual([
      'accepted iceberg',
      'trade iceberg bid 3@100 left 6 0',
      'rested iceberg 6@100 shows 2',
    ]);
  });
});

describe('a market order', () => {
  test('sells until the other side is empty', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', price: 100, lots: 2, as: 'bid' });
    expect(desk.market({ side: 'sell', lots: 5, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker bid 2@100 left 3 0',
      'done taker no-liquidity 3',
    ]);
    expect(desk.balance(1, 0).held).toBe(0n);
  });

  // 4 percent of 100 ticks.
  test('goes as far as the collar around the best price it found', () => {
    const desk = new Desk(roomy);
    for (const [price, name] of [
      [100, 'best'],
      [104, 'last'],
      [105, 'beyond'],
    ] as const)
      desk.place({ account: 2, side: 'sell', price, lots: 1, as: name });
    expect(desk.market({ side: 'buy', budget: 5_000, lots: 3, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker best 1@100 left 2 0',
      'trade taker last 1@104 left 1 0',
      'done taker collar 1',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 612n, held: 0n });
  });

  test('never leaves the band', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', price: 100, lots: 1, as: 'bid' });
    desk.place({ account: 2, side: 'buy', price: 97, lots: 1 });
    desk.submit({ kind: 'set-band', market: 0, low: 98, high: 110 });
    expect(desk.market({ side: 'sell', lots: 2, as: 'taker' }).slice(1)).toEqual([
      'trade taker bid 1@100 left 1 0',
      'done taker collar 1',
    ]);
    expect(desk.market({ side: 'sell', lots: 2, as: 'late' }).slice(1)).toEqual(['done late collar 2']);
  });

  test('buys what its budget pays, whole lots at each price', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 2, as: 'first' });
    desk.place({ account: 2, side: 'sell', price: 101, lots: 9, as: 'second' });
    // 600 for two at 100, 303 for one at 101, 96 are left.
    const lots = ethUsd.maxOrderLots;
    expect(desk.market({ side: 'buy', budget: 999, as: 'taker' })).toEqual([
      'accepted taker',
      `trade taker first 2@100 left ${lots - 2} 0`,
      `trade taker second 1@101 left ${lots - 3} 8`,
      `done taker budget ${lots - 3}`,
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 903n, held: 0n });
  });

  test('with a budget and lots ends without a word when its lots are filled', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 9, as: 'ask' });
    expect(desk.market({ side: 'buy', budget: 999, lots: 2, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker ask 2@100 left 0 7',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 999_400n, held: 0n });
  });
});

describe('a market order, at the edges', () => {
  const asks = (desk: Desk, ...prices: number[]): void => {
    for (const price of prices) desk.place({ account: 2, side: 'sell', price, lots: 1, as: `at ${price}` });
  };

  test.each([
    // 4 percent of 99 ticks is 3.96: rounded down.
    ['buy', [99, 102, 103], 102],
    ['sell', [99, 96, 95], 96],
  ] as const)('a %s goes from %j to %i: the collar is rounded down', (side, prices, last) => {
    const desk = new Desk(roomy);
    for (const price of prices)
      desk.place({ account: 2, side: side === 'buy' ? 'sell' : 'buy', price, lots: 1, as: `at ${price}` });
    const quantity = side === 'buy' ? { budget: 9_000, lots: 3 } : { lots: 3 };
    expect(desk.market({ side, ...quantity, as: 'taker' })).toEqual([
      'accepted taker',
      'trade taker at 99 1@99 left 2 0',
      `trade taker at ${last} 1@${last} left 1 0`,
      'done taker collar 1',
    ]);
  });

  test('that buys never leaves the band', () => {
    const desk = new Desk();
    asks(desk, 100, 102);
    desk.submit({ kind: 'set-band', market: 0, low: 90, high: 101 });
    const order = { side: 'buy', budget: 900, lots: 2 } as const;
    expect(desk.market({ ...order, as: 'taker' }).slice(1)).toEqual([
      'trade taker at 100 1@100 left 1 0',
      'done taker collar 1',
    ]);
    expect(desk.market({ ...order, as: 'late' }).slice(1)).toEqual(['done late collar 2']);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('that sells takes a bid above the band', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'buy', price: 105, lots: 1, as: 'bid' });
    desk.submit({ kind: 'set-band', market: 0, low: 90, high: 100 });
    expect(desk.market({ side: 'sell', lots: 1, as: 'taker' })[1]).toBe('trade taker bid 1@105 left 0 0');
  });

  test('with a budget and no lots says the most there may be, and holds its budget alone', () => {
    const desk = new Desk(oneMarket, { units: 700n });
    asks(desk, 100);
    const [accepted] = desk.submit(desk.commandOf({ ...market, side: 'buy', price: 0, budget: 700 }));
    expect(accepted).toMatchObject({ kind: 'accepted', lots: ethUsd.maxOrderLots, budget: 700, price: 0 });
    expect(desk.balance(1, 1)).toEqual({ available: 400n, held: 0n });
    asks(desk, 100);
    expect(desk.market({ side: 'buy', budget: 401 })).toEqual(['rejected insufficient-balance']);
    expect(desk.market({ side: 'sell', lots: 8 })).toEqual(['rejected no-liquidity']);
    desk.place({ account: 3, side: 'buy', price: 90, lots: 1 });
    expect(desk.market({ side: 'sell', lots: 8 })).toEqual(['rejected insufficient-balance']);
  });

  test.each([
    // 300, 303, 306 for one lot each.
    [299, ['done taker budget 40']],
    [300, ['trade taker at 100 1@100 left 39 0', 'done taker budget 39']],
    [602, ['trade taker at 100 1@100 left 39 0', 'done taker budget 39']],
    [
      603,
      ['trade taker at 100 1@100 left 39 0', 'trade taker at 101 1@101 left 38 0', 'done taker budget 38'],
    ],
    [
      909,
      [
        'trade taker at 100 1@100 left 39 0',
        'trade taker at 101 1@101 left 38 0',
        'trade taker at 102 1@102 left 37 0',
        // Nobody is left, and nothing of the budget.
        'done taker no-liquidity 37',
      ],
    ],
  ])('a budget of %i buys to the unit what it pays', (budget, events) => {
    const desk = new Desk();
    asks(desk, 100, 101, 102);
    expect(desk.market({ side: 'buy', budget, as: 'taker' }).slice(1)).toEqual(events);
    const spent = BigInt([0, 300, 603, 909][events.length - 1] ?? 0);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - spent, held: 0n });
  });

  test('that sells has no value to limit: it has lots and no price', () => {
    const desk = new Desk({ ...oneMarket, markets: [{ ...ethUsd, maxOrderValue: 300 }] });
    for (let at = 0; at < 2; at++) desk.place({ account: 2, side: 'buy', price: 100, lots: 1, as: `${at}` });
    expect(desk.place({ side: 'sell', price: 100, lots: 2 })).toEqual(['rejected value-limit']);
    expect(desk.market({ side: 'sell', lots: 40, as: 'taker' }).at(-1)).toBe('done taker no-liquidity 38');
  });

  test('ends for the collar before the budget, where neither goes further', () => {
    const desk = new Desk();
    asks(desk, 100, 110);
    expect(desk.market({ side: 'buy', budget: 301, as: 'taker' }).at(-1)).toBe('done taker collar 39');
  });
});

describe('an order that finds nobody', () => {
  test('ends when it is IOC, and is refused when it is FOK', () => {
    const desk = new Desk();
    const order = { side: 'buy', price: 100, lots: 2 } as const;
    expect(desk.place({ ...order, timeInForce: 'ioc', as: 'ioc' })).toEqual([
      'accepted ioc',
      'done ioc immediate 2',
    ]);
    expect(desk.place({ ...order, timeInForce: 'fok' })).toEqual(['rejected not-fillable']);
  });
});

describe('FOK beside own orders', () => {
  test.each(['cancel-taker', 'cancel-both', 'decrement', 'cancel-maker'] as const)(
    'with %s is filled when its own order comes only after it is covered',
    (selfTrade) => {
      const desk = new Desk();
      desk.place({ account: 2, side: 'sell', price: 100, lots: 3, as: 'first' });
      desk.place({ account: 3, side: 'sell', price: 101, lots: 2, as: 'second' });
      desk.place({ side: 'sell', price: 101, lots: 5, as: 'own' });
      const fok = { side: 'buy', price: 101, timeInForce: 'fok', selfTrade } as const;
      expect(desk.place({ ...fok, lots: 6 })).toEqual(['rejected not-fillable']);
      expect(desk.place({ ...fok, lots: 5, as: 'taker' })).toEqual([
        'accepted taker',
        'trade taker first 3@100 left 2 0',
        'trade taker second 2@101 left 0 0',
      ]);
      expect(desk.book('sell')).toBe('5@101');
    },
  );

  test('with cancel-maker reaches over an own iceberg at a better price', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', price: 99, lots: 9, displayLots: 3, as: 'own' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 4, displayLots: 1, as: 'other' });
    const fok = { side: 'buy', price: 100, timeInForce: 'fok', selfTrade: 'cancel-maker' } as const;
    expect(desk.place({ ...fok, lots: 5 })).toEqual(['rejected not-fillable']);
    expect(desk.book('sell')).toBe('3@99 1@100');
    expect(desk.place({ ...fok, lots: 2, as: 'taker' })).toEqual([
      'accepted taker',
      'done own self-trade 9',
      'trade taker other 1@100 left 1 3',
      'rested other 3@100 shows 1',
      'trade taker other 1@100 left 0 2',
      'rested other 2@100 shows 1',
    ]);
  });
});

describe('the band', () => {
  test('lets prices at its edges pass, and is the ladder at first', () => {
    const desk = new Desk();
    const order = { side: 'buy', lots: 1 } as const;
    expect(desk.place({ ...order, price: 90, as: 'lowest' })).toHaveLength(2);
    expect(desk.place({ ...order, price: 110, as: 'highest' })).toHaveLength(2);
    desk.submit({ kind: 'set-band', market: 0, low: 95, high: 105 });
    const reasons = [94, 95, 105, 106].map((price) => desk.reasonOf(desk.commandOf({ ...order, price })));
    expect(reasons).toEqual(['outside-band', undefined, undefined, 'outside-band']);
    // What was there before stays there.
    expect(desk.book('buy')).toBe('1@110 1@105 1@95 1@90');
  });

  test('may be one price', () => {
    const desk = new Desk();
    desk.submit({ kind: 'set-band', market: 0, low: 100, high: 100 });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 1, as: 'ask' });
    expect(desk.market({ side: 'buy', budget: 900, lots: 1, as: 'taker' })[1]).toBe(
      'trade taker ask 1@100 left 0 0',
    );
  });
});

describe('fees', () => {
  test('are taken from what is received, rounded against the one who pays, and go to the house', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 101, lots: 3 });
    const [, trade] = desk.submit(desk.commandOf({ side: 'buy', price: 101, lots: 3 }));
    // 300 base at 2,500 ppm is 0.75; 909 quote at 1,000 ppm is 0.909.
    expect(trade).toMatchObject({ taker: { fee: 1 }, maker: { fee: 1 } });
    expect(desk.balance(1, 0).available).toBe(1_000_299n);
    expect(desk.balance(2, 1).available).toBe(1_000_908n);
    expect([desk.balance(0, 0).available, desk.balance(0, 1).available]).toEqual([1n, 1n]);
    expect(desk.told(desk.submit({ kind: 'debit', account: 0, asset: 1, units: 1n }))).toEqual(['debited']);
  });

  test('follow the tier of each account, free ones too', () => {
    const desk = new Desk();
    desk.submit({ kind: 'set-account', account: 1, blocked: false, feeTier: 1 });
    desk.submit({ kind: 'set-account', account: 2, blocked: false, feeTier: 2 });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 5 });
    const [, trade] = desk.submit(desk.commandOf({ side: 'buy', price: 100, lots: 5 }));
    // 1,500 at 70,001 ppm is 105.0015.
    expect(trade).toMatchObject({ taker: { fee: 0 }, maker: { fee: 106 } });
  });
});

describe('dust', () => {
  /** One lot is one unit of base, and costs one unit of quote at a tick. */
  const small = {
    ...oneMarket,
    markets: [{ ...ethUsd, lotUnits: 1, tickUnits: 1, fees: [{ makerPpm: 1, takerPpm: 100_000 }] }],
  };

  test('goes to the house: the fee of each trade is at least one unit, and never more than what is received', () => {
    const desk = new Desk(small);
    for (let at = 0; at < 3; at++) desk.place({ account: 2, side: 'sell', price: 100, lots: 1 });
    desk.place({ side: 'buy', price: 100, lots: 3 });
    // One lot each time, and all of it is the fee; 100 quote at 1 ppm is one unit.
    expect(desk.balance(1, 0)).toEqual({ available: 1_000_000n, held: 0n });
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 300n, held: 0n });
    expect(desk.balance(2, 1).available).toBe(1_000_000n + 300n - 3n);
    expect([desk.balance(0, 0).available, desk.balance(0, 1).available]).toEqual([3n, 3n]);
  });

  test('is less in one trade than in many, and all is conserved', () => {
    const desk = new Desk(small);
    desk.place({ account: 2, side: 'sell', price: 101, lots: 11 });
    desk.place({ side: 'buy', price: 101, lots: 11 });
    // 1.1 rounded up; 1,111 at 1 ppm.
    expect([desk.balance(0, 0).available, desk.balance(0, 1).available]).toEqual([2n, 1n]);
    const sums = [0, 1].map((asset) =>
      [0, 1, 2, 3].reduce((sum, account) => {
        const { available, held } = desk.balance(account, asset);
        return sum + available + held;
      }, 0n),
    );
    expect(sums).toEqual([3_000_000n, 3_000_000n]);
  });
});

describe('a trade', () => {
  test('has the time of its command, which never goes back', () => {
    const desk = new Desk();
    desk.place({ account: 2, side: 'sell', price: 100, lots: 2 });
    desk.timeMs += 50;
    const { timeMs } = desk;
    const first = desk.submit(desk.commandOf({ side: 'buy', price: 100, lots: 1 }));
    desk.timeMs -= 1_000;
    const second = desk.submit(desk.commandOf({ side: 'buy', price: 100, lots: 1 }));
    expect([first[1], second[1]]).toMatchObject([{ timeMs }, { timeMs }]);
  });
});

describe('a client order id', () => {
  test('of a debit is taken, and never an open order; that of a refused order is free', () => {
    const desk = new Desk();
    const debit = { kind: 'debit', account: 1, asset: 0, units: 5n, clientOrderId: 3n } as const;
    expect(desk.told(desk.submit(debit))).toEqual(['debited']);
    expect(desk.reasonOf(debit)).toBe('duplicate-client-id');
    expect(desk.reasonOf(desk.commandOf({ side: 'buy', price: 100, lots: 1, clientOrderId: 3n }))).toBe(
      'duplicate-client-id',
    );
    expect(desk.reasonOf({ kind: 'cancel', account: 1, clientOrderId: 3n })).toBe('unknown-order');
    const order = desk.commandOf({ side: 'buy', price: 100, lots: 1, clientOrderId: 4n, postOnly: true });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 1, as: 'ask' });
    expect(desk.reasonOf(order)).toBe('would-cross');
    desk.cancel('ask', 2);
    expect(desk.reasonOf(order)).toBeUndefined();
  });

  test('finds the open order, of its own account only', () => {
    const desk = new Desk();
    desk.place({ side: 'buy', price: 100, lots: 5, clientOrderId: 2n ** 64n - 1n, as: 'own' });
    desk.place({ account: 2, side: 'buy', price: 100, lots: 5, clientOrderId: 2n ** 64n - 1n, as: 'other' });
    const named = { clientOrderId: 2n ** 64n - 1n };
    expect(desk.told(desk.submit({ kind: 'amend', account: 1, lots: 4, ...named }))).toEqual([
      'amended own 4@100 kept',
    ]);
    expect(desk.told(desk.submit({ kind: 'cancel', account: 2, ...named }))).toEqual([
      'done other cancelled 5',
    ]);
    expect(desk.told(desk.submit({ kind: 'cancel', account: 2, ...named }))).toEqual([
      'rejected unknown-order',
    ]);
  });

  test('stays taken while its order is open, and then among the newest that were accepted', () => {
    const desk = new Desk({ ...oneMarket, clientIdsKept: 2 });
    const order = { side: 'buy', price: 95, lots: 1 } as const;
    const isTaken = (clientOrderId: bigint) => {
      const reason = desk.reasonOf(desk.commandOf({ ...order, clientOrderId, price: 111 }));
      return reason === 'duplicate-client-id';
    };
    desk.place({ ...order, clientOrderId: 1n, as: 'one' });
    desk.place({ ...order, clientOrderId: 2n, as: 'two' });
    desk.place({ ...order, clientOrderId: 3n, as: 'three' });
    // The first is old but open.
    expect([1n, 2n, 3n, 4n].map(isTaken)).toEqual([true, true, true, false]);
    desk.cancel('one');
    desk.cancel('three');
    expect([1n, 2n, 3n].map(isTaken)).toEqual([false, true, true]);
    desk.place({ ...order, clientOrderId: 1n });
    expect([1n, 2n, 3n].map(isTaken)).toEqual([true, true, true]);
  });
});
