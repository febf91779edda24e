/** SEMANTICS.md: Uncross, Market states. */
import { describe, expect, test } from 'vitest';
import type { CommandBody } from '../../../matching/commands.ts';
import { ladderTicksMax } from '../../../matching/config.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import type { Side } from '../../../matching/vocabulary.ts';
import { documentEngine } from './both.ts';
import { ethUsd, oneMarket } from './configs.ts';
import { Desk } from './desk.ts';

type Order = readonly [account: number, side: Side, lots: number, price: number];
const roomy = { ...oneMarket, markets: [{ ...ethUsd, maxOrderValue: 100_000 }] };

/** Orders 'a', 'b', 'c' ... in an auction. */
function auction(orders: readonly Order[], { lastPrice = 0 } = {}): Desk {
  const desk = new Desk(roomy, { accounts: 4 });
  if (lastPrice > 0) {
    desk.place({ account: 3, side: 'sell', price: lastPrice, lots: 1 });
    desk.place({ account: 4, side: 'buy', price: lastPrice, lots: 1 });
  }
  desk.setMarket('auction');
  for (const [at, [account, side, lots, price]] of orders.entries())
    expect(desk.place({ account, side, lots, price, as: 'abcdefgh'[at] ?? '' })).toHaveLength(2);
  return desk;
}
const opened = (orders: readonly Order[], options?: { lastPrice: number }): string[] =>
  auction(orders, options).setMarket('open');

describe('the uniform price', () => {
  test('is the one at which most is traded', () => {
    expect(
      opened([
        [1, 'buy', 5, 102],
        [1, 'buy', 5, 100],
        [2, 'sell', 8, 99],
        [2, 'sell', 9, 101],
      ]),
    ).toEqual(['trade a c 5@100 left 0 3', 'trade b c 3@100 left 2 0', 'open']);
  });

  test('among these leaves the least on either side', () => {
    // At 100 and 101 eight are traded; at 100 two sells are left, at 101 four.
    expect(
      opened([
        [1, 'buy', 8, 101],
        [2, 'sell', 10, 100],
        [2, 'sell', 2, 101],
      ])[0],
    ).toBe('trade a b 8@100 left 0 2');
  });

  test('is the highest where more is bought than sold', () => {
    expect(
      opened([
        [1, 'buy', 9, 104],
        [2, 'sell', 4, 98],
      ])[0],
    ).toBe('trade a b 4@104 left 5 0');
  });

  test('is the lowest where more is sold than bought', () => {
    expect(
      opened([
        [1, 'buy', 4, 104],
        [2, 'sell', 9, 98],
      ])[0],
    ).toBe('trade a b 4@98 left 0 5');
  });

  test.each([
    [97, 98],
    [101, 101],
    [107, 104],
  ])('is else the nearest to the last price: %i gives %i', (lastPrice, price) => {
    expect(
      opened(
        [
          [1, 'buy', 4, 104],
          [2, 'sell', 4, 98],
        ],
        { lastPrice },
      )[0],
    ).toBe(`trade a b 4@${price} left 0 0`);
  });

  test('is without a last price the nearest to the middle of the band', () => {
    const desk = auction([
      [1, 'buy', 4, 104],
      [2, 'sell', 4, 98],
    ]);
    desk.submit({ kind: 'set-band', market: 0, low: 97, high: 110 });
    // 103.5, rounded down.
    expect(desk.setMarket('open')[0]).toBe('trade a b 4@103 left 0 0');
  });

  test.each([
    [95, 99],
    [105, 100],
  ])(
    'is the nearest to the last price too where the surplus changes side: %i gives %i',
    (lastPrice, price) => {
      // Five are traded at 99 and at 100; two buys too many at 99, two sells too many at 100.
      const bids: readonly Order[] = [
        [1, 'buy', 5, 100],
        [1, 'buy', 2, 99],
      ];
      const asks: readonly Order[] = [
        [2, 'sell', 5, 99],
        [2, 'sell', 2, 100],
      ];
      expect(opened([...bids, ...asks], { lastPrice })[0]).toBe(`trade a c 5@${price} left 0 0`);
    },
  );

  test('counts what is hidden, and takes an iceberg whole in its place', () => {
    const desk = new Desk(roomy);
    desk.setMarket('auction');
    desk.place({ account: 2, side: 'sell', price: 100, lots: 9, displayLots: 2, as: 'iceberg' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 3, as: 'behind' });
    desk.place({ side: 'buy', price: 100, lots: 8, as: 'bid' });
    expect(desk.setMarket('open')).toEqual(['trade bid iceberg 8@100 left 0 1', 'open']);
    expect(desk.book('sell')).toBe('4@100/2');
  });

  test('is exact where sums of lots leave the integers of a double', () => {
    const maxOrderLots = Math.floor(Number.MAX_SAFE_INTEGER / 3);
    const market = {
      ...ethUsd,
      lotUnits: 1,
      tickUnits: 1,
      minPrice: 1,
      maxPrice: 3,
      maxOrderLots,
      maxOrderValue: Number.MAX_SAFE_INTEGER,
    };
    const desk = new Desk({ ...oneMarket, markets: [market] }, { units: 2n ** 58n });
    desk.setMarket('auction');
    for (const name of ['a', 'b', 'c', 'd'])
      desk.place({ side: 'buy', price: 2, lots: maxOrderLots - 1, as: name });
    for (const name of ['e', 'f', 'g', 'h'])
      desk.place({ account: 2, side: 'sell', price: 1, lots: maxOrderLots - 1, as: name });
    // As many as are bought, and one more: sold at the lowest price.
    desk.place({ account: 2, side: 'sell', price: 1, lots: 1, as: 'i' });
    expect(desk.setMarket('open')[0]).toBe(`trade a e ${maxOrderLots - 1}@1 left 0 0`);
    expect(desk.book('sell')).toBe('1@1');
  });
});

test('a cross over the widest ladder there is costs no more than its orders', () => {
  const market = { ...ethUsd, minPrice: 1, maxPrice: ladderTicksMax, maxOrderValue: Number.MAX_SAFE_INTEGER };
  const { submit } = documentEngine(createEngine({ ...oneMarket, markets: [market] }));
  const place = { kind: 'place', market: 0, type: 'limit', timeInForce: 'gtc' } as const;
  const commands: CommandBody[] = [
    { kind: 'open-account', account: 1 },
    { kind: 'open-account', account: 2 },
    { kind: 'credit', account: 1, asset: 1, units: 2n ** 60n, position: 1 },
    { kind: 'credit', account: 2, asset: 0, units: 2n ** 60n, position: 2 },
  ];
  // Each opening would look at a million prices if it looked at each.
  for (let opening = 0; opening < 200; opening++)
    commands.push(
      { kind: 'set-market', market: 0, state: 'auction' },
      { ...place, account: 1, side: 'buy', price: ladderTicksMax, lots: 3 },
      { ...place, account: 2, side: 'sell', price: 1, lots: 3 },
      { kind: 'set-market', market: 0, state: 'open' },
    );
  const events = commands.flatMap((body, at) => submit({ ...body, seq: at + 1, timeMs: 0 }));
  const prices = events.flatMap((event) => (event.kind === 'trade' ? [event.price] : []));
  // The middle of the ladder, and then the last price.
  expect(prices).toEqual(Array.from({ length: 200 }, () => ladderTicksMax / 2));
});

describe('the uncross', () => {
  test('gives a buyer back what it held above the price; both pay the rate of makers', () => {
    const desk = auction([
      [1, 'buy', 9, 104],
      [2, 'sell', 4, 98],
      [2, 'sell', 5, 98],
    ]);
    desk.setMarket('open');
    // At 100, the middle of the band: 1,200 and 1,500 quote, 400 and 500 base, each at 1,000 ppm and rounded up.
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 2_700n, held: 0n });
    expect(desk.balance(1, 0).available).toBe(1_000_000n + 900n - 2n);
    expect(desk.balance(2, 1).available).toBe(1_000_000n + 2_700n - 4n);
  });

  test('never trades two orders of an account: the newer one ends, and it goes on', () => {
    expect(
      opened([
        [1, 'buy', 5, 102],
        [1, 'sell', 3, 99],
        [2, 'sell', 5, 100],
      ]),
    ).toEqual(['done b self-trade 3', 'trade a c 5@100 left 0 0', 'open']);
  });

  test('leaves no bid at or above an ask, also where a self-trade took the orders of the price away', () => {
    const desk = auction(
      [
        [1, 'sell', 5, 95],
        [2, 'buy', 5, 96],
        [1, 'buy', 5, 100],
      ],
      { lastPrice: 100 },
    );
    expect(desk.setMarket('open')).toEqual(['done c self-trade 5', 'trade b a 5@96 left 0 0', 'open']);
    expect([desk.book('buy'), desk.book('sell')]).toEqual(['', '']);
  });

  test('comes with closing too, and after a halt, but not with the halt', () => {
    const desk = auction([
      [1, 'buy', 5, 100],
      [2, 'sell', 5, 100],
    ]);
    expect(desk.setMarket('halted')).toEqual(['halted']);
    expect(desk.book('buy')).toBe('5@100');
    expect(desk.setMarket('closed')).toEqual(['trade a b 5@100 left 0 0', 'closed']);
  });

  test('sets the last price, and orders of the book stay through all states', () => {
    const desk = auction([
      [1, 'buy', 5, 100],
      [2, 'sell', 2, 100],
    ]);
    for (const state of ['closed', 'halted', 'auction', 'open'] as const) desk.setMarket(state);
    expect(desk.book('buy')).toBe('3@100');
    const stop = { side: 'buy', type: 'stop-limit', price: 100, triggerPrice: 100, lots: 1 } as const;
    expect(desk.place({ ...stop, account: 3 })).toEqual(['rejected would-trigger']);
  });

  test('chooses volume before all else, also far from the last price', () => {
    // At 98 seven are traded and five buys too many; at 103 five, and nothing is left.
    expect(
      opened(
        [
          [1, 'buy', 5, 103],
          [1, 'buy', 7, 98],
          [2, 'sell', 5, 97],
          [3, 'sell', 2, 98],
        ],
        { lastPrice: 103 },
      ),
    ).toEqual(['trade a c 5@98 left 0 0', 'trade b d 2@98 left 5 0', 'open']);
  });

  test('goes by price and then by arrival on both sides, at one price for all', () => {
    expect(
      opened([
        [1, 'buy', 2, 100],
        [1, 'buy', 2, 102],
        [1, 'buy', 2, 102],
        [2, 'sell', 1, 99],
        [3, 'sell', 2, 98],
        [2, 'sell', 2, 99],
      ]),
    ).toEqual([
      'trade b e 2@100 left 0 0',
      'trade c d 1@100 left 1 0',
      'trade c f 1@100 left 0 1',
      'trade a f 1@100 left 1 0',
      'open',
    ]);
  });

  test('looks at no self-trade mode: the newer order ends with all its lots, whatever lost its place since', () => {
    const desk = new Desk(roomy);
    desk.setMarket('auction');
    const modes = { decrement: 'decrement', maker: 'cancel-maker' } as const;
    desk.place({ side: 'sell', price: 100, lots: 5, selfTrade: modes.decrement, as: 'older' });
    desk.place({ side: 'buy', price: 100, lots: 9, displayLots: 2, selfTrade: modes.maker, as: 'newer' });
    desk.amend('older', { lots: 6 });
    expect(desk.setMarket('open')).toEqual(['done newer self-trade 9', 'open']);
    expect(desk.book('sell')).toBe('6@100');
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n, held: 0n });
  });

  test('does nothing where the best bid is below the best ask, and leaves the last price', () => {
    expect(
      opened([
        [1, 'buy', 5, 99],
        [2, 'sell', 5, 100],
      ]),
    ).toEqual(['open']);
  });

  test('rounds the fee of each of its trades up', () => {
    const desk = auction([
      [1, 'buy', 3, 100],
      [2, 'sell', 1, 100],
      [3, 'sell', 1, 100],
      [4, 'sell', 1, 100],
    ]);
    desk.setMarket('open');
    // Three times 100 base at 1,000 ppm: 0.1, rounded up each time. Three times 300 quote: 0.3.
    expect(desk.balance(1, 0).available).toBe(1_000_300n - 3n);
    expect([desk.balance(0, 0).available, desk.balance(0, 1).available]).toEqual([3n, 3n]);
  });

  test('may be at a price outside a band that came later', () => {
    const desk = auction([
      [1, 'buy', 5, 106],
      [2, 'sell', 5, 105],
    ]);
    desk.submit({ kind: 'set-band', market: 0, low: 95, high: 102 });
    // The nearest to the middle of the band that both sides have said.
    expect(desk.setMarket('open')).toEqual(['trade a b 5@105 left 0 0', 'open']);
  });
});

describe('a market that is halted in its auction', () => {
  test('takes no order and no amend, but cancels; then the auction goes on', () => {
    const desk = auction([
      [1, 'buy', 5, 101],
      [2, 'sell', 5, 100],
      [3, 'sell', 5, 100],
    ]);
    expect(desk.setMarket('halted')).toEqual(['halted']);
    expect(desk.place({ side: 'buy', price: 100, lots: 1 })).toEqual(['rejected market-closed']);
    expect(desk.amend('a', { lots: 4 })).toEqual(['rejected market-closed']);
    expect(desk.cancel('b', 2)).toEqual(['done b cancelled 5']);
    expect([desk.book('buy'), desk.book('sell')]).toEqual(['5@101', '5@100']);
    expect(desk.setMarket('auction')).toEqual(['auction']);
    expect(desk.amend('a', { lots: 4 })).toEqual(['amended a 4@101 kept']);
    expect(desk.place({ account: 4, side: 'sell', price: 99, lots: 1, as: 'd' })).toHaveLength(2);
    // Four are traded at 100 and at 101, and at both two sells are left: the lower of them.
    expect(desk.setMarket('open')).toEqual(['trade a d 1@100 left 3 0', 'trade a c 3@100 left 0 2', 'open']);
  });

  test('is opened with its uncross, as if it had not been halted', () => {
    const desk = auction([
      [1, 'buy', 5, 100],
      [2, 'sell', 5, 100],
    ]);
    desk.setMarket('halted');
    expect(desk.setMarket('open')).toEqual(['trade a b 5@100 left 0 0', 'open']);
  });

  test('a post-only order may be moved across in an auction, and trades in it', () => {
    const desk = new Desk(roomy);
    desk.place({ side: 'buy', price: 99, lots: 2, postOnly: true, as: 'bid' });
    desk.place({ account: 2, side: 'sell', price: 101, lots: 2, as: 'ask' });
    desk.setMarket('auction');
    expect(desk.amend('bid', { price: 101 })).toEqual(['amended bid 2@101 lost', 'rested bid 2@101 shows 2']);
    expect(desk.setMarket('open')).toEqual(['trade bid ask 2@101 left 0 0', 'open']);
  });
});
