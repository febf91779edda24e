/** SEMANTICS.md: Amend, Cancel, and what limits an account. */
import { describe, expect, test } from 'vitest';
import { ethUsd, oneMarket } from './configs.ts';
import { Desk } from './desk.ts';

/** Two bids at a price, the own one first. */
function queued(fields: { displayLots?: number } = {}): Desk {
  const desk = new Desk();
  desk.place({ side: 'buy', price: 100, lots: 6, as: 'own', ...fields });
  desk.place({ account: 2, side: 'buy', price: 100, lots: 6, as: 'other' });
  return desk;
}
const firstMet = (desk: Desk) =>
  desk.place({ account: 3, side: 'sell', price: 100, lots: 1, as: 'taker' })[1];

describe('an amended order', () => {
  test('keeps its place with fewer lots at the same price', () => {
    const desk = queued();
    expect(desk.amend('own', { lots: 4 })).toEqual(['amended own 4@100 kept']);
    expect(desk.balance(1, 1).held).toBe(1_200n);
    expect(firstMet(desk)).toBe('trade taker own 1@100 left 0 3');
  });

  test('loses its place with more lots', () => {
    const desk = queued();
    expect(desk.amend('own', { lots: 8 })).toEqual(['amended own 8@100 lost', 'rested own 8@100 shows 8']);
    expect(desk.balance(1, 1).held).toBe(2_400n);
    expect(firstMet(desk)).toBe('trade taker other 1@100 left 0 5');
  });

  test('loses its place with another price, and takes what it then meets', () => {
    const desk = queued();
    desk.place({ account: 3, side: 'sell', price: 102, lots: 2, as: 'ask' });
    expect(desk.amend('own', { price: 103 })).toEqual([
      'amended own 6@103 lost',
      'trade own ask 2@102 left 4 0',
      'rested own 4@103 shows 4',
    ]);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n - 612n - 1_236n, held: 1_236n });
  });

  test('counts what is filled in its new total', () => {
    const desk = queued();
    desk.place({ account: 3, side: 'sell', price: 100, lots: 2 });
    expect(desk.amend('own', { lots: 2 })).toEqual(['rejected already-filled']);
    expect(desk.amend('own', { lots: 3 })).toEqual(['amended own 1@100 kept']);
    expect(desk.amend('own', { lots: 9 })).toEqual(['amended own 7@100 lost', 'rested own 7@100 shows 7']);
  });

  test('follows its self-trade mode like a new one', () => {
    const desk = queued();
    desk.place({ side: 'sell', price: 105, lots: 2, as: 'ask' });
    expect(desk.amend('own', { price: 105 })).toEqual(['amended own 6@105 lost', 'done own self-trade 6']);
    expect(desk.balance(1, 1).held).toBe(0n);
  });

  test('that is an iceberg shrinks in what is hidden first', () => {
    const desk = queued({ displayLots: 2 });
    expect(desk.amend('own', { lots: 3 })).toEqual(['amended own 3@100 kept']);
    expect(desk.book('buy')).toBe('8@100/2');
    expect(desk.amend('own', { lots: 1 })).toEqual(['amended own 1@100 kept']);
    expect(desk.book('buy')).toBe('7@100/2');
  });

  test('that is an iceberg shows a new slice where it loses its place', () => {
    const desk = queued({ displayLots: 2 });
    desk.place({ account: 3, side: 'sell', price: 100, lots: 1 });
    expect(desk.amend('own', { price: 101 })).toEqual(['amended own 5@101 lost', 'rested own 5@101 shows 2']);
  });

  test('only moves in an auction', () => {
    const desk = queued();
    desk.place({ account: 3, side: 'sell', price: 102, lots: 2, as: 'ask' });
    desk.setMarket('auction');
    expect(desk.amend('own', { price: 105 })).toEqual(['amended own 6@105 lost', 'rested own 6@105 shows 6']);
    expect(desk.setMarket('open')).toEqual(['trade own ask 2@105 left 4 0', 'open']);
  });

  test('that waits for its trigger stays in its place', () => {
    const desk = new Desk();
    desk.place({ side: 'sell', type: 'stop', timeInForce: 'ioc', triggerPrice: 95, lots: 2, as: 'stop' });
    expect(desk.amend('stop', { lots: 5 })).toEqual(['amended stop 5@0 kept']);
    expect(desk.balance(1, 0).held).toBe(500n);
    expect(desk.amend('stop', { lots: 1 })).toEqual(['amended stop 1@0 kept']);
    expect(desk.balance(1, 0).held).toBe(100n);
  });
});

describe('an amended order, at the edges', () => {
  test('pays the rate of takers for what it takes', () => {
    const desk = queued();
    desk.place({ account: 3, side: 'sell', price: 102, lots: 2 });
    desk.amend('own', { price: 102 });
    // 200 base at 2,500 ppm is 0.5.
    expect(desk.balance(1, 0).available).toBe(1_000_200n - 1n);
    // 612 quote at 1,000 ppm.
    expect(desk.balance(3, 1).available).toBe(1_000_612n - 1n);
  });

  test('that is filled whole has no more events', () => {
    const desk = queued();
    desk.place({ account: 3, side: 'sell', price: 102, lots: 9, as: 'ask' });
    expect(desk.amend('own', { price: 102 })).toEqual([
      'amended own 6@102 lost',
      'trade own ask 6@102 left 0 3',
    ]);
    expect(desk.amend('own', { lots: 7 })).toEqual(['rejected unknown-order']);
  });

  test('keeps its place with fewer lots only: the same price said again changes nothing of that', () => {
    const desk = queued();
    expect(desk.amend('own', { price: 100, lots: 5 })).toEqual(['amended own 5@100 kept']);
    expect(desk.amend('own', { price: 99, lots: 4 })).toEqual([
      'amended own 4@99 lost',
      'rested own 4@99 shows 4',
    ]);
  });

  test('that is an iceberg may show all it has, or come to more slices than there may be', () => {
    const config = { ...oneMarket, markets: [{ ...ethUsd, maxOrderLots: 1_000, maxOrderValue: 1_000_000 }] };
    const desk = new Desk(config);
    desk.place({ side: 'buy', price: 100, lots: 100, displayLots: 1, as: 'own' });
    expect(desk.amend('own', { lots: 101 })).toEqual(['rejected invalid-lots']);
    expect(desk.amend('own', { lots: 1 })).toEqual(['amended own 1@100 kept']);
    expect(desk.amend('own', { lots: 2 })).toEqual(['amended own 2@100 lost', 'rested own 2@100 shows 1']);
  });

  test('outside a band that came later may change its lots, and trades at its price', () => {
    const desk = queued();
    desk.submit({ kind: 'set-band', market: 0, low: 90, high: 99 });
    expect(desk.book('buy')).toBe('12@100/2');
    expect(desk.amend('own', { lots: 7 })).toEqual(['amended own 7@100 lost', 'rested own 7@100 shows 7']);
    expect(desk.amend('own', { lots: 5 })).toEqual(['amended own 5@100 kept']);
    expect(desk.place({ account: 3, side: 'sell', price: 99, lots: 7, as: 'taker' }).slice(1)).toEqual([
      'trade taker other 6@100 left 1 0',
      'trade taker own 1@100 left 0 4',
    ]);
  });

  test('is found by its order id where both ids are given', () => {
    const desk = new Desk();
    desk.place({ side: 'buy', price: 100, lots: 5, as: 'own' });
    desk.place({ side: 'buy', price: 100, lots: 5, clientOrderId: 8n, as: 'named' });
    const both = { account: 1, orderId: desk.orderId('own'), clientOrderId: 8n };
    expect(desk.told(desk.submit({ kind: 'amend', ...both, lots: 4 }))).toEqual(['amended own 4@100 kept']);
    expect(desk.told(desk.submit({ kind: 'cancel', ...both }))).toEqual(['done own cancelled 4']);
    expect(desk.told(desk.submit({ kind: 'cancel', ...both }))).toEqual(['rejected unknown-order']);
  });

  test('of a waiting stop-limit needs the balance, also in an auction', () => {
    const desk = new Desk(oneMarket, { units: 1_000n });
    const stop = { type: 'stop-limit', triggerPrice: 105 } as const;
    desk.place({ ...stop, side: 'buy', price: 100, lots: 2, as: 'stop' });
    desk.setMarket('auction');
    expect(desk.amend('stop', { lots: 4 })).toEqual(['rejected insufficient-balance']);
    expect(desk.amend('stop', { lots: 3 })).toEqual(['amended stop 3@100 kept']);
    expect(desk.balance(1, 1)).toEqual({ available: 100n, held: 900n });
  });
});

describe('the kill switch of an account', () => {
  test('is a block and a cancel of all: nothing of it is open, nothing new comes, and it can be undone', () => {
    const desk = queued();
    desk.place({ side: 'sell', type: 'stop', timeInForce: 'ioc', triggerPrice: 95, lots: 2, as: 'stop' });
    desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
    expect(desk.told(desk.submit({ kind: 'cancel-all', account: 1 }))).toEqual([
      'done own cancelled 6',
      'done stop cancelled 2',
      'cancelled-all 2',
    ]);
    expect([desk.balance(1, 0), desk.balance(1, 1)]).toEqual([
      { available: 1_000_000n, held: 0n },
      { available: 1_000_000n, held: 0n },
    ]);
    expect(desk.place({ side: 'buy', price: 100, lots: 1 })).toEqual(['rejected account-blocked']);
    // Those of others stay.
    expect(desk.book('buy')).toBe('6@100');
    desk.submit({ kind: 'set-account', account: 1, blocked: false, feeTier: 0 });
    expect(desk.place({ side: 'buy', price: 100, lots: 1, as: 'again' })).toHaveLength(2);
  });
});

describe('cancel', () => {
  test('gives the hold back, in every state of the market and of the account', () => {
    const desk = queued();
    desk.place({ side: 'buy', price: 99, lots: 6, as: 'second' });
    desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
    desk.setMarket('halted');
    expect(desk.cancel('own')).toEqual(['done own cancelled 6']);
    desk.setMarket('closed');
    expect(desk.cancel('second')).toEqual(['done second cancelled 6']);
    expect(desk.balance(1, 1)).toEqual({ available: 1_000_000n, held: 0n });
  });

  test('of all goes by order id, over the book and the stops', () => {
    const desk = queued();
    desk.place({ side: 'sell', type: 'stop', timeInForce: 'ioc', triggerPrice: 95, lots: 2, as: 'stop' });
    desk.place({ side: 'sell', price: 110, lots: 2, as: 'ask' });
    desk.amend('own', { price: 101 });
    expect(desk.told(desk.submit({ kind: 'cancel-all', account: 1, market: 0 }))).toEqual([
      'done own cancelled 6',
      'done stop cancelled 2',
      'done ask cancelled 2',
      'cancelled-all 3',
    ]);
    expect(desk.told(desk.submit({ kind: 'cancel-all', account: 1 }))).toEqual(['cancelled-all 0']);
  });
});

describe('the rate of an account', () => {
  test('counts place and amend in windows of one second, refused ones too', () => {
    const desk = new Desk({ ...oneMarket, limits: { openOrders: 9, ordersPerSecond: 3 } });
    const order = { side: 'buy', price: 100, lots: 2 } as const;
    desk.place({ ...order, as: 'own' });
    expect(desk.place({ ...order, price: 111 })).toEqual(['rejected invalid-price']);
    expect(desk.amend('own', { lots: 1 })).toEqual(['amended own 1@100 kept']);
    expect(desk.place(order)).toEqual(['rejected rate-limit']);
    expect(desk.amend('own', { lots: 2 })).toEqual(['rejected rate-limit']);
    expect(desk.cancel('own')).toEqual(['done own cancelled 1']);
    expect(desk.place({ ...order, account: 2, as: 'other' })[0]).toBe('accepted other');
    desk.timeMs += 999;
    expect(desk.place(order)).toEqual(['rejected rate-limit']);
    desk.timeMs += 1;
    expect(desk.place({ ...order, as: 'next' })[0]).toBe('accepted next');
  });

  test('counts what is malformed or names nothing', () => {
    const desk = new Desk({ ...oneMarket, limits: { openOrders: 9, ordersPerSecond: 3 } });
    const order = { side: 'buy', price: 100, lots: 2 } as const;
    expect(desk.place({ ...order, price: 0 })).toEqual(['rejected invalid-order']);
    expect(desk.place({ ...order, market: 9 })).toEqual(['rejected unknown-market']);
    expect(desk.reasonOf({ kind: 'amend', account: 1, orderId: 999, lots: 1 })).toBe('unknown-order');
    expect(desk.place(order)).toEqual(['rejected rate-limit']);
  });

  test('follows a clock that never goes back', () => {
    const desk = new Desk({ ...oneMarket, limits: { openOrders: 9, ordersPerSecond: 1 } });
    const order = { side: 'buy', price: 100, lots: 2 } as const;
    desk.place(order);
    desk.timeMs += 1_500;
    desk.place({ ...order, account: 2 });
    desk.timeMs -= 1_400;
    expect(desk.place({ ...order, as: 'late' })[0]).toBe('accepted late');
  });
});

describe('the limit of open orders', () => {
  test('counts what rests and waits, and lets pass what does not stay', () => {
    const desk = new Desk({ ...oneMarket, limits: { openOrders: 2, ordersPerSecond: 0 } });
    desk.place({ side: 'buy', price: 100, lots: 2 });
    desk.place({ side: 'sell', type: 'stop', timeInForce: 'ioc', triggerPrice: 95, lots: 2, as: 'stop' });
    expect(desk.place({ side: 'buy', price: 99, lots: 2 })).toEqual(['rejected open-order-limit']);
    desk.place({ account: 2, side: 'sell', price: 101, lots: 1 });
    expect(desk.place({ side: 'buy', price: 101, lots: 1, timeInForce: 'ioc', as: 'ioc' })[0]).toBe(
      'accepted ioc',
    );
    desk.cancel('stop');
    expect(desk.place({ side: 'buy', price: 99, lots: 2, as: 'fits' })[0]).toBe('accepted fits');
  });
});
