/** Every reason for a refusal can be reached, is the one documented for it, and changes nothing. */
import { describe, expect, test } from 'vitest';
import type { CommandBody, PlaceFields } from '../../../matching/commands.ts';
import type { EngineConfig } from '../../../matching/config.ts';
import { type CommandKind, type RejectReason, rejectReasons } from '../../../matching/vocabulary.ts';
import { ethUsd, oneMarket } from './configs.ts';
import { Desk } from './desk.ts';

interface Refusal {
  readonly why: RejectReason;
  readonly command: (desk: Desk) => CommandBody;
  readonly given?: (desk: Desk) => void;
  readonly config?: EngineConfig;
}

const limit = (fields: Partial<PlaceFields> = {}): CommandBody => ({
  kind: 'place',
  account: 1,
  market: 0,
  side: 'buy',
  type: 'limit',
  timeInForce: 'gtc',
  price: 100,
  lots: 5,
  ...fields,
});
const marketOrder = (fields: Partial<PlaceFields> = {}): CommandBody =>
  limit({ side: 'sell', type: 'market', timeInForce: 'ioc', price: 0, ...fields });
const stop = (fields: Partial<PlaceFields> = {}): CommandBody =>
  limit({ type: 'stop-limit', triggerPrice: 105, ...fields });
const state = (now: 'closed' | 'auction' | 'halted') => (desk: Desk) => desk.setMarket(now);
const block = (desk: Desk) => desk.submit({ kind: 'set-account', account: 1, blocked: true, feeTier: 0 });
const asked = (
  why: RejectReason,
  command: CommandBody,
  more: Omit<Refusal, 'why' | 'command'> = {},
): Refusal => ({
  why,
  command: () => command,
  ...more,
});
const trade = (desk: Desk) => {
  desk.place({ account: 2, side: 'sell', price: 100, lots: 1 });
  desk.place({ account: 3, side: 'buy', price: 100, lots: 1 });
};
const crossing = (desk: Desk) => desk.place({ account: 2, side: 'sell', price: 100, lots: 3, as: 'ask' });
const resting =
  (fields: Partial<PlaceFields> = {}) =>
  (desk: Desk) =>
    desk.place({ side: 'buy', price: 100, lots: 5, as: 'own', ...fields });
const amendOwn =
  (change: { price?: number; lots?: number }, account = 1) =>
  (desk: Desk): CommandBody => ({ kind: 'amend', account, orderId: desk.orderId('own'), ...change });
const limited = (limits: EngineConfig['limits']): EngineConfig => ({ ...oneMarket, limits });

const open: readonly Refusal[] = [
  asked('account-exists', { kind: 'open-account', account: 2 }),
  asked('account-exists', { kind: 'open-account', account: 0 }),
  asked('account-exists', { kind: 'open-account', account: 9 }),
  asked('capacity', { kind: 'open-account', account: 4 }, { config: { ...oneMarket, accountsMax: 4 } }),
];
const credit = { kind: 'credit', account: 1, asset: 0, units: 5n, position: 1_000 } as const;
const credits: readonly Refusal[] = [
  asked('unknown-account', { ...credit, account: 0 }),
  asked('unknown-account', { ...credit, account: 4 }),
  asked('unknown-asset', { ...credit, asset: 3 }),
  asked('unknown-asset', { ...credit, asset: -1 }),
  asked('invalid-amount', { ...credit, units: 0n }),
  asked('invalid-amount', { ...credit, units: -1n }),
  asked('invalid-amount', { ...credit, position: Number.NaN }),
  asked('duplicate-transfer', { ...credit, position: 9 }),
  asked('duplicate-transfer', { ...credit, position: 1 }),
  // Three accounts have a million each: together they stay below 2^62.
  asked('overflow', { ...credit, units: 2n ** 62n - 3_000_000n }),
  asked('overflow', { ...credit, units: 2n ** 63n - 1n }),
];
const debit = { kind: 'debit', account: 1, asset: 1, units: 5n } as const;
const debits: readonly Refusal[] = [
  asked('unknown-account', { ...debit, account: 4 }),
  asked('unknown-asset', { ...debit, asset: 3 }),
  asked('invalid-amount', { ...debit, units: 0n }),
  asked('invalid-amount', { ...debit, units: -(2n ** 63n) }),
  asked('duplicate-client-id', { ...debit, clientOrderId: 7n }, { given: resting({ clientOrderId: 7n }) }),
  asked(
    'duplicate-client-id',
    { ...debit, clientOrderId: 2n ** 64n - 1n },
    {
      given: (desk) => desk.submit({ ...debit, clientOrderId: 2n ** 64n - 1n }),
    },
  ),
  asked('account-blocked', debit, { given: block }),
  asked('insufficient-balance', { ...debit, units: 1_000_001n }),
  asked('insufficient-balance', { ...debit, units: 999_999n }, { given: resting() }),
  asked('insufficient-balance', { ...debit, account: 0 }),
];

const places: readonly Refusal[] = [
  asked('unknown-account', limit({ account: 0 })),
  asked('unknown-account', limit({ account: 4 })),
  asked('unknown-account', limit({ account: -1 })),
  asked('unknown-market', limit({ market: 1 })),
  asked('unknown-market', limit({ market: -1 })),
  asked('invalid-order', limit({ price: 0 })),
  asked('invalid-order', limit({ triggerPrice: 105 })),
  asked('invalid-order', limit({ timeInForce: 'ioc', postOnly: true })),
  asked('invalid-order', limit({ timeInForce: 'fok', displayLots: 1 })),
  asked('invalid-order', marketOrder({ price: 100 })),
  asked('invalid-order', marketOrder({ timeInForce: 'gtc' })),
  asked('invalid-order', marketOrder({ timeInForce: 'fok' })),
  asked('invalid-order', marketOrder({ budget: 10 })),
  asked('invalid-order', marketOrder({ side: 'buy', lots: 5 })),
  asked('invalid-order', marketOrder({ side: 'buy', budget: -1 })),
  asked('invalid-order', marketOrder({ side: 'buy', budget: 0.5 })),
  asked('invalid-order', marketOrder({ postOnly: true })),
  asked('invalid-order', stop({ timeInForce: 'ioc' })),
  asked('invalid-order', stop({ displayLots: 2 })),
  asked('invalid-order', stop({ postOnly: true })),
  asked('invalid-order', stop({ triggerPrice: 0 })),
  asked('invalid-order', stop({ type: 'stop', price: 0, timeInForce: 'gtc', budget: 50 })),
  asked('invalid-order', stop({ type: 'stop', timeInForce: 'ioc', budget: 50 })),
  asked('rate-limit', limit(), {
    config: limited({ openOrders: 9, ordersPerSecond: 1 }),
    given: resting(),
  }),
  asked('account-blocked', limit(), { given: block }),
  asked('market-closed', limit(), { given: state('closed') }),
  asked('market-closed', stop(), { given: state('halted') }),
  asked('not-in-auction', marketOrder(), { given: state('auction') }),
  asked('not-in-auction', limit({ timeInForce: 'ioc' }), { given: state('auction') }),
  asked('not-in-auction', limit({ timeInForce: 'fok' }), { given: state('auction') }),
  asked('not-in-auction', limit({ postOnly: true }), { given: state('auction') }),
  asked('duplicate-client-id', limit({ clientOrderId: 7n }), { given: resting({ clientOrderId: 7n }) }),
  asked('invalid-lots', limit({ lots: 0 })),
  asked('invalid-lots', limit({ lots: 41 })),
  asked('invalid-lots', limit({ lots: 1.5 })),
  asked('invalid-lots', limit({ lots: Number.NaN })),
  asked('invalid-lots', limit({ displayLots: 5 })),
  asked('invalid-lots', limit({ displayLots: -1 })),
  asked('invalid-lots', limit({ displayLots: 1.5 })),
  asked('invalid-lots', marketOrder({ side: 'buy', budget: 10, lots: 41 })),
  asked('invalid-lots', limit({ lots: 101, displayLots: 1 }), {
    config: { ...oneMarket, markets: [{ ...ethUsd, maxOrderLots: 1_000, maxOrderValue: 1_000_000 }] },
  }),
  asked('invalid-price', limit({ price: 89 })),
  asked('invalid-price', limit({ price: 111 })),
  asked('invalid-price', limit({ price: -1 })),
  asked('outside-band', limit({ price: 106 }), {
    given: (desk) => desk.submit({ kind: 'set-band', market: 0, low: 95, high: 105 }),
  }),
  asked('invalid-trigger', stop({ triggerPrice: 111 })),
  asked('invalid-trigger', stop({ triggerPrice: -3 })),
  asked('would-trigger', stop({ triggerPrice: 100 }), { given: trade }),
  asked('would-trigger', stop({ side: 'sell', triggerPrice: 100 }), { given: trade }),
  asked('value-limit', limit({ price: 110, lots: 30 })),
  asked('value-limit', marketOrder({ side: 'buy', lots: 1, budget: 9_001 }), { given: crossing }),
  asked('open-order-limit', limit(), {
    config: limited({ openOrders: 1, ordersPerSecond: 0 }),
    given: resting(),
  }),
  asked('open-order-limit', stop(), {
    config: limited({ openOrders: 1, ordersPerSecond: 0 }),
    given: resting(),
  }),
  asked('capacity', limit(), { config: { ...oneMarket, ordersMax: 1 }, given: crossing }),
  asked('capacity', marketOrder(), { config: { ...oneMarket, ordersMax: 1 }, given: crossing }),
  asked('no-liquidity', marketOrder()),
  asked('no-liquidity', marketOrder({ side: 'buy', budget: 900, lots: 0 }), { given: resting() }),
  asked('insufficient-balance', limit({ side: 'sell', lots: 11 }), {
    given: (desk) => desk.submit({ kind: 'debit', account: 1, asset: 0, units: 998_901n }),
  }),
  asked('not-fillable', limit({ timeInForce: 'fok', lots: 4 }), { given: crossing }),
  asked('not-fillable', limit({ timeInForce: 'fok', price: 99, lots: 1 }), { given: crossing }),
  asked('would-cross', limit({ postOnly: true }), { given: crossing }),
];

const amends: readonly Refusal[] = [
  asked('unknown-account', { kind: 'amend', account: 0, orderId: 1, lots: 2 }),
  asked('unknown-order', { kind: 'amend', account: 1, orderId: 999, lots: 2 }),
  asked('unknown-order', { kind: 'amend', account: 1, lots: 2 }),
  asked('unknown-order', { kind: 'amend', account: 1, orderId: Number.NaN, lots: 2 }),
  asked('unknown-order', { kind: 'amend', account: 1, orderId: 0.5, lots: 2 }),
  asked('unknown-order', { kind: 'amend', account: 1, clientOrderId: 5n, lots: 2 }),
  { why: 'unknown-order', given: resting(), command: amendOwn({ lots: 2 }, 2) },
  {
    why: 'rate-limit',
    config: limited({ openOrders: 9, ordersPerSecond: 1 }),
    given: resting(),
    command: amendOwn({ lots: 2 }),
  },
  {
    why: 'account-blocked',
    given: (desk) => [resting()(desk), block(desk)],
    command: amendOwn({ lots: 2 }),
  },
  { why: 'invalid-order', given: resting(), command: amendOwn({}) },
  { why: 'invalid-order', given: resting(), command: amendOwn({ price: 100, lots: 5 }) },
  {
    why: 'invalid-order',
    given: resting({ type: 'stop', timeInForce: 'ioc', price: 0, lots: 0, budget: 500, triggerPrice: 105 }),
    command: amendOwn({ lots: 2 }),
  },
  {
    why: 'invalid-order',
    given: resting({ type: 'stop-limit', triggerPrice: 105 }),
    command: amendOwn({ price: 101 }),
  },
  {
    why: 'market-closed',
    given: (desk) => [resting()(desk), desk.setMarket('halted')],
    command: amendOwn({ lots: 2 }),
  },
  { why: 'invalid-lots', given: resting(), command: amendOwn({ lots: 41 }) },
  { why: 'invalid-lots', given: resting(), command: amendOwn({ lots: -1 }) },
  { why: 'invalid-lots', given: resting(), command: amendOwn({ lots: 2.5 }) },
  {
    why: 'already-filled',
    given: (desk) => [crossing(desk), resting()(desk)],
    command: amendOwn({ lots: 3 }),
  },
  { why: 'invalid-price', given: resting(), command: amendOwn({ price: 111 }) },
  { why: 'invalid-price', given: resting(), command: amendOwn({ price: -1 }) },
  {
    why: 'outside-band',
    given: (desk) => [resting()(desk), desk.submit({ kind: 'set-band', market: 0, low: 100, high: 100 })],
    command: amendOwn({ price: 99 }),
  },
  { why: 'value-limit', given: resting(), command: amendOwn({ lots: 31 }) },
  {
    why: 'would-cross',
    given: (desk) => [resting({ price: 99, postOnly: true })(desk), crossing(desk)],
    command: amendOwn({ price: 100 }),
  },
  {
    why: 'insufficient-balance',
    given: (desk) => [resting()(desk), desk.submit({ ...debit, units: 998_500n })],
    command: amendOwn({ lots: 6 }),
  },
];

const others: readonly Refusal[] = [
  asked('unknown-account', { kind: 'cancel', account: 0, orderId: 1 }),
  asked('unknown-order', { kind: 'cancel', account: 1, orderId: 1 }),
  asked('unknown-order', { kind: 'cancel', account: 1, orderId: -(2 ** 40) }),
  asked('unknown-order', { kind: 'cancel', account: 1 }),
  {
    why: 'unknown-order',
    given: resting(),
    command: (desk) => ({ kind: 'cancel', account: 2, orderId: desk.orderId('own') }),
  },
  asked('unknown-account', { kind: 'cancel-all', account: 0 }),
  asked('unknown-market', { kind: 'cancel-all', account: 1, market: 1 }),
  asked('unknown-market', { kind: 'cancel-all', account: 1, market: -2 }),
  asked('unknown-account', { kind: 'set-account', account: 0, blocked: true, feeTier: 0 }),
  asked('unknown-tier', { kind: 'set-account', account: 1, blocked: false, feeTier: 3 }),
  asked('unknown-tier', { kind: 'set-account', account: 1, blocked: false, feeTier: -1 }),
  asked('unknown-market', { kind: 'set-market', market: 1, state: 'open' }),
  asked('wrong-state', { kind: 'set-market', market: 0, state: 'open' }),
  asked('unknown-market', { kind: 'set-band', market: -1, low: 95, high: 99 }),
  asked('invalid-price', { kind: 'set-band', market: 0, low: 89, high: 99 }),
  asked('invalid-price', { kind: 'set-band', market: 0, low: 99, high: 111 }),
  asked('invalid-price', { kind: 'set-band', market: 0, low: 100, high: 99 }),
];

const all: readonly Refusal[] = [...open, ...credits, ...debits, ...places, ...amends, ...others];

/** The market a refusal names: as given, the order's for amend, -1 for what has none. */
function marketNamed(why: RejectReason, command: CommandBody): number {
  switch (command.kind) {
    case 'place':
    case 'set-market':
    case 'set-band':
      return command.market;
    case 'cancel-all':
      return command.market ?? -1;
    case 'amend':
      return why === 'unknown-account' || why === 'unknown-order' ? -1 : 0;
    case 'open-account':
    case 'credit':
    case 'debit':
    case 'cancel':
    case 'set-account':
      return -1;
  }
}

describe('a refused command', () => {
  const cases = all.map((refusal, at) => ({ ...refusal, at }));
  test.each(cases)('$at: $why', ({ why, config, given, command }) => {
    const desk = new Desk(config);
    given?.(desk);
    const body = command(desk);
    const held = desk.state();
    const events = desk.submit(body);
    const account = 'account' in body ? body.account : -1;
    expect(events).toEqual([
      expect.objectContaining({
        kind: 'rejected',
        index: 0,
        reason: why,
        account,
        market: marketNamed(why, body),
      }),
    ]);
    expect(desk.state()).toEqual(held);
  });

  test('every reason there is has a case here', () => {
    expect([...new Set(all.map(({ why }) => why))].sort()).toEqual([...rejectReasons].sort());
  });

  test('every kind of command can be refused', () => {
    const kinds = new Set(
      all.map(({ command, config, given }) => {
        const desk = new Desk(config);
        given?.(desk);
        return command(desk).kind;
      }),
    );
    const expected: CommandKind[] = [
      'amend',
      'cancel',
      'cancel-all',
      'credit',
      'debit',
      'open-account',
      'place',
      'set-account',
      'set-band',
      'set-market',
    ];
    expect([...kinds].sort()).toEqual(expected);
  });
});

describe('a command with many faults', () => {
  test('of a new order is refused for the first of the documented list', () => {
    const desk = new Desk(
      { ...oneMarket, ordersMax: 2, limits: { openOrders: 1, ordersPerSecond: 1 } },
      { units: 2_000n },
    );
    desk.place({ side: 'sell', price: 100, lots: 1, clientOrderId: 5n });
    desk.place({ account: 2, side: 'buy', price: 100, lots: 1 });
    desk.place({ account: 3, side: 'sell', price: 99, lots: 1 });
    desk.timeMs += 1_000;
    desk.place({ side: 'sell', price: 99, lots: 1, as: 'own' });
    desk.submit({ kind: 'set-band', market: 0, low: 95, high: 105 });
    block(desk);
    desk.setMarket('halted');
    let order: PlaceFields = {
      account: 77,
      market: 7,
      side: 'buy',
      type: 'stop-limit',
      timeInForce: 'fok',
      price: 4,
      triggerPrice: 300,
      lots: 99,
      clientOrderId: 5n,
    };
    /** In a window of its own, or in that of the command before. */
    const refusal = (change: Partial<PlaceFields> = {}, elapsedMs = 1_000): RejectReason | undefined => {
      desk.timeMs += elapsedMs;
      order = { ...order, ...change };
      return desk.reasonOf({ kind: 'place', ...order });
    };
    expect(refusal()).toBe('unknown-account');
    expect(refusal({ account: 1 })).toBe('unknown-market');
    expect(refusal({ market: 0 })).toBe('invalid-order');
    expect(refusal({ timeInForce: 'gtc' }, 0)).toBe('rate-limit');
    expect(refusal()).toBe('account-blocked');
    desk.submit({ kind: 'set-account', account: 1, blocked: false, feeTier: 0 });
    expect(refusal()).toBe('market-closed');
    desk.setMarket('open');
    expect(refusal()).toBe('duplicate-client-id');
    expect(refusal({ clientOrderId: 6n })).toBe('invalid-lots');
    expect(refusal({ lots: 40 })).toBe('invalid-price');
    expect(refusal({ price: 110 })).toBe('outside-band');
    expect(refusal({ price: 105 })).toBe('invalid-trigger');
    expect(refusal({ triggerPrice: 90 })).toBe('would-trigger');
    expect(refusal({ triggerPrice: 101 })).toBe('value-limit');
    expect(refusal({ lots: 20 })).toBe('open-order-limit');
    desk.cancel('own');
    desk.place({ account: 2, side: 'sell', price: 102, lots: 1 });
    expect(refusal()).toBe('capacity');
    desk.submit({ kind: 'cancel-all', account: 3 });
    expect(refusal()).toBe('insufficient-balance');
  });

  test('of a market order: no room, then nobody, then no balance', () => {
    const desk = new Desk({ ...oneMarket, ordersMax: 1 }, { units: 50n });
    desk.credit(2, 1, 1_000n);
    desk.place({ account: 2, side: 'buy', price: 100, lots: 1, as: 'bid' });
    const budget = { side: 'buy', budget: 900, lots: 0 } as const;
    expect(desk.reasonOf(marketOrder(budget))).toBe('capacity');
    desk.cancel('bid', 2);
    expect(desk.reasonOf(marketOrder(budget))).toBe('no-liquidity');
    const roomy = new Desk(oneMarket, { units: 50n });
    roomy.credit(2, 0, 1_000n);
    roomy.place({ account: 2, side: 'sell', price: 100, lots: 1 });
    expect(roomy.reasonOf(marketOrder(budget))).toBe('insufficient-balance');
  });

  test('of a limit order: the state before the client order id, the balance before what it would meet', () => {
    const desk = new Desk(oneMarket, { units: 299n });
    desk.credit(2, 0, 1_000n);
    desk.place({ account: 2, side: 'sell', price: 100, lots: 1 });
    expect(desk.reasonOf(limit({ lots: 5, timeInForce: 'fok' }))).toBe('insufficient-balance');
    expect(desk.reasonOf(limit({ lots: 5, postOnly: true }))).toBe('insufficient-balance');
    desk.credit(1, 1, 9_000n);
    expect(desk.reasonOf(limit({ lots: 5, timeInForce: 'fok' }))).toBe('not-fillable');
    expect(desk.reasonOf(limit({ lots: 5, postOnly: true }))).toBe('would-cross');
    desk.place({ side: 'buy', price: 95, lots: 1, clientOrderId: 5n });
    desk.setMarket('auction');
    expect(desk.reasonOf(limit({ timeInForce: 'ioc', clientOrderId: 5n }))).toBe('not-in-auction');
    expect(desk.reasonOf(limit({ clientOrderId: 5n, lots: 41 }))).toBe('duplicate-client-id');
  });

  test('of an amend is refused for the first of the documented list', () => {
    const desk = new Desk({ ...oneMarket, limits: { openOrders: 9, ordersPerSecond: 2 } }, { units: 2_000n });
    desk.place({ side: 'buy', price: 100, lots: 4, postOnly: true, as: 'own' });
    desk.place({ account: 2, side: 'sell', price: 100, lots: 3 });
    desk.place({ account: 2, side: 'sell', price: 105, lots: 1 });
    desk.submit({ kind: 'set-band', market: 0, low: 95, high: 106 });
    block(desk);
    desk.setMarket('halted');
    let change = { account: 0, orderId: 99, price: 100, lots: 4 };
    const refusal = (more: Partial<typeof change> = {}, elapsedMs = 1_000): RejectReason | undefined => {
      desk.timeMs += elapsedMs;
      change = { ...change, ...more };
      return desk.reasonOf({ kind: 'amend', ...change });
    };
    expect(refusal()).toBe('unknown-account');
    expect(refusal({ account: 1 })).toBe('unknown-order');
    expect(refusal({ orderId: desk.orderId('own') }, 0)).toBe('account-blocked');
    expect(refusal({}, 0)).toBe('rate-limit');
    expect(refusal()).toBe('account-blocked');
    desk.submit({ kind: 'set-account', account: 1, blocked: false, feeTier: 0 });
    expect(refusal()).toBe('invalid-order');
    expect(refusal({ price: 200, lots: 41 })).toBe('market-closed');
    desk.setMarket('open');
    expect(refusal()).toBe('invalid-lots');
    expect(refusal({ lots: 3 })).toBe('already-filled');
    expect(refusal({ lots: 40 })).toBe('invalid-price');
    expect(refusal({ price: 110 })).toBe('outside-band');
    expect(refusal({ price: 106 })).toBe('value-limit');
    expect(refusal({ lots: 20 })).toBe('would-cross');
    expect(refusal({ price: 104 })).toBe('insufficient-balance');
    expect(refusal({ lots: 6 })).toBeUndefined();
  });

  test.each<[RejectReason, CommandBody]>([
    ['unknown-account', { kind: 'credit', account: 9, asset: 9, units: -1n, position: -1 }],
    ['unknown-asset', { kind: 'credit', account: 1, asset: 9, units: -1n, position: -1 }],
    ['invalid-amount', { kind: 'credit', account: 1, asset: 0, units: -1n, position: -1 }],
    ['duplicate-transfer', { kind: 'credit', account: 1, asset: 0, units: 2n ** 62n, position: 1 }],
    ['unknown-account', { kind: 'debit', account: 9, asset: 9, units: 0n, clientOrderId: 5n }],
    ['unknown-asset', { kind: 'debit', account: 1, asset: 9, units: 0n, clientOrderId: 5n }],
    ['invalid-amount', { kind: 'debit', account: 1, asset: 0, units: 0n, clientOrderId: 5n }],
    ['duplicate-client-id', { kind: 'debit', account: 1, asset: 0, units: 2n ** 62n, clientOrderId: 5n }],
    ['account-blocked', { kind: 'debit', account: 1, asset: 0, units: 2n ** 62n, clientOrderId: 6n }],
    ['account-exists', { kind: 'open-account', account: 9 }],
    ['unknown-account', { kind: 'cancel', account: 9, orderId: 99 }],
    ['unknown-account', { kind: 'cancel-all', account: 9, market: 9 }],
    ['unknown-account', { kind: 'set-account', account: 9, blocked: false, feeTier: 9 }],
    ['unknown-market', { kind: 'set-band', market: 9, low: 9, high: 1 }],
  ])('%s comes first', (why, command) => {
    const desk = new Desk({ ...oneMarket, accountsMax: 4 });
    desk.place({ side: 'buy', price: 100, lots: 1, clientOrderId: 5n });
    block(desk);
    expect(desk.reasonOf(command)).toBe(why);
  });
});
