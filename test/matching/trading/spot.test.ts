/** Between main and spot, as a customer asks for it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { derivedId, uuidOf } from '#core/ids';
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import {
  accountClosed,
  accountReopened,
  customerMain,
  houseSuspense,
  openingBalance,
} from '#ledger/contract';
import type { SpotTransfer } from '../../../matching/trading/contract.ts';
import { createMarkets } from '../../../matching/trading/markets.ts';
import { createOrders } from '../../../matching/trading/orders.ts';
import { clientIdOf } from '../../../matching/trading/spot-rows.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { coin, customer, gold, usd } from '../settlement/fixture.ts';
import { alice, bob, deskConfig, order, otherAsset, stranger } from './desk.ts';
import { oneLook, openSpotDesk, type SpotDesk, transfer } from './spot-desk.ts';

let pool: Pool;
let desk: SpotDesk;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-spot-moves' });
  // Room for three customers and one more.
  desk = await openSpotDesk(pool, 'main', deskConfig({ accountsMax: 5 }));
});
afterEach(async () => {
  await desk.expectEqual();
});
afterAll(async () => {
  await desk.settler.stop();
  await pool.end();
});
const code = (expected: string, details: object = {}): unknown =>
  expect.objectContaining({ code: expected, details: expect.objectContaining(details) as unknown });
const engineUsd = (account: number) => desk.exchange.sequencer.engine.balance(account, 1).available;
const rows = async (): Promise<number> =>
  (await pool.query('SELECT FROM matching.spot_transfer')).rowCount ?? 0;

describe('to spot', () => {
  test('once, however often it is asked for', async () => {
    const turning = desk.keepTurning();
    const before = await desk.balancesOf(alice);
    const inEngine = engineUsd(1);
    const asked = transfer();
    const spot = desk.operations();
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'done' });
    const again = [spot, spot, desk.operations(), desk.operations()];
    expect(await Promise.all(again.map(async (each) => await each.moveSpot(asked)))).toEqual(
      again.map(() => ({ ...asked, state: 'done' })),
    );
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'done' });
    await turning.stop();
    expect(await desk.balancesOf(alice)).toEqual([before[0] - 1_000_000n, before[1] + 1_000_000n]);
    expect(engineUsd(1) - inEngine).toBe(1_000_000n);
  });

  test('is pending until the engine has it', async () => {
    const spot = desk.operations({ looksMs: oneLook });
    const asked = transfer();
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'pending' });
    await desk.turn();
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'done' });
  });

  test('without the money nothing is written, and the same id may be used later', async () => {
    const poor = customer(7);
    const spot = desk.operations({ looksMs: oneLook });
    const asked = transfer({ accountId: poor });
    const count = await rows();
    await expect(spot.moveSpot(asked)).rejects.toThrow(code('LEDGER_INSUFFICIENT_FUNDS'));
    await expect(spot.spotTransfer(asked.id)).rejects.toThrow(code('TRADING_TRANSFER_UNKNOWN'));
    expect(await rows()).toBe(count);
    const { ledger } = desk.exchange;
    await ledger.openAccounts(pool, [{ path: customerMain(poor), asset: usd }]);
    await ledger.apply(
      openingBalance({
        reference: 'poor',
        account: customerMain(poor),
        against: houseSuspense,
        amount: amount(usd, 1_000_000n),
      }),
    );
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    await desk.turn();
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'done' });
    expect(await desk.balancesOf(poor)).toEqual([0n, 1_000_000n]);
  });

  test('what the engine cannot take is returned', async () => {
    const fifth = customer(8);
    const { ledger } = desk.exchange;
    await ledger.openAccounts(pool, [{ path: customerMain(fifth), asset: usd }]);
    await ledger.apply(
      openingBalance({
        reference: 'fifth',
        account: customerMain(fifth),
        against: houseSuspense,
        amount: amount(usd, 5_000_000n),
      }),
    );
    const spot = desk.operations({ looksMs: oneLook });
    const asked = transfer({ accountId: fifth });
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    await desk.turn();
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'returned' });
    expect(await desk.operations().moveSpot(asked)).toEqual({ ...asked, state: 'returned' });
    expect(await desk.balancesOf(fifth)).toEqual([5_000_000n, 0n]);
  });

  test.each([
    ['another asset', { asset: otherAsset }, 'MATCHING_AMOUNT_NOT_TRADABLE'],
    ['less than a unit of the engine', { asset: coin, units: '1000000001' }, 'MATCHING_AMOUNT_NOT_TRADABLE'],
    ['nothing', { units: '0' }, 'MATCHING_AMOUNT_NOT_TRADABLE'],
    ['a number with a sign', { units: '-1' }, 'CORE_AMOUNT_INVALID'],
    ['a number that is not canonical', { units: '0100' }, 'CORE_AMOUNT_INVALID'],
    ['an id of something else', { id: 'spt_7' }, 'CORE_ID_INVALID'],
  ] as const)('%s is refused before anything is written', async (_, changes, expected) => {
    const count = await rows();
    for (const direction of ['to-spot', 'to-main'] as const)
      await expect(desk.operations().moveSpot(transfer({ ...changes, direction }))).rejects.toThrow(
        code(expected),
      );
    expect(await rows()).toBe(count);
  });
});

describe('to main', () => {
  const toMain = (changes: Partial<SpotTransfer> = {}) => transfer({ direction: 'to-main', ...changes });

  test('once, however often it is asked for', async () => {
    const turning = desk.keepTurning();
    const before = await desk.balancesOf(bob);
    const inEngine = engineUsd(2);
    const asked = toMain({ accountId: bob });
    const spot = desk.operations();
    const all = [spot, spot, desk.operations(), desk.operations()];
    expect(await Promise.all(all.map(async (each) => await each.moveSpot(asked)))).toEqual(
      all.map(() => ({ ...asked, state: 'done' })),
    );
    expect(await desk.operations().spotTransfer(asked.id)).toEqual({ ...asked, state: 'done' });
    await turning.stop();
    expect(await desk.balancesOf(bob)).toEqual([before[0] + 1_000_000n, before[1] - 1_000_000n]);
    expect(inEngine - engineUsd(2)).toBe(1_000_000n);
  });

  test('is pending until it is booked', async () => {
    const spot = desk.operations({ looksMs: oneLook });
    await desk.settler.drain();
    const asked = toMain();
    // The settler has not had a turn yet.
    expect(await spot.moveSpot(asked)).toMatchObject({ state: 'pending' });
    await desk.turn();
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'done' });
  });

  test('of what is not there, or held by an order, is refused, and stays so', async () => {
    const orders = createOrders(desk);
    const spot = desk.operations({ looksMs: oneLook });
    const { available } = desk.exchange.sequencer.engine.balance(1, 0);
    await orders.place(order({ size: '0.01', price: '4000' }));
    const all = toMain({ asset: coin, units: (available * 10n ** 9n).toString() });
    const before = await desk.balancesOf(alice, coin);
    const refusal = 'insufficient-balance';
    expect(await spot.moveSpot(all)).toEqual({ ...all, state: 'refused', refusal });
    await orders.cancelAll({ accountId: alice });
    expect(await spot.moveSpot(all)).toEqual({ ...all, state: 'refused', refusal });
    expect(await desk.operations().spotTransfer(all.id)).toEqual({ ...all, state: 'refused', refusal });
    await desk.turn();
    expect(await desk.balancesOf(alice, coin)).toEqual(before);
  });

  test('of a blocked account, and of one that was never in the engine, is refused', async () => {
    const markets = createMarkets(desk);
    const spot = desk.operations({ looksMs: oneLook });
    await markets.setAccount(alice, { blocked: true, feeTier: 0 });
    const [blocked, unknown] = [toMain(), toMain({ accountId: stranger })];
    expect(await spot.moveSpot(blocked)).toEqual({
      ...blocked,
      state: 'refused',
      refusal: 'account-blocked',
    });
    await markets.setAccount(alice, { blocked: false, feeTier: 0 });
    expect(await spot.moveSpot(unknown)).toEqual({
      ...unknown,
      state: 'refused',
      refusal: 'insufficient-balance',
    });
    expect(await spot.spotTransfer(unknown.id)).toEqual({
      ...unknown,
      state: 'refused',
      refusal: 'insufficient-balance',
    });
  });

  test('to a main account that is closed writes nothing: the settler would have nowhere to book it', async () => {
    const { ledger } = desk.exchange;
    const poor = customer(7);
    await ledger.openAccounts(pool, [{ path: customerMain(poor), asset: usd }]);
    const [closed] = await ledger.apply([
      {
        kind: 'close-account',
        id: derivedId('tr', 'close'),
        code: 'account-status',
        reference: 'close',
        account: customerMain(poor),
        asset: usd,
      },
    ]);
    expect(closed?.status).toBe('ok');
    const sent = desk.link.sent.length;
    const asked = toMain({ accountId: poor, units: '1' });
    await expect(desk.operations().moveSpot(asked)).rejects.toThrow(code('LEDGER_ACCOUNT_CLOSED'));
    await expect(desk.operations().spotTransfer(asked.id)).rejects.toThrow(code('TRADING_TRANSFER_UNKNOWN'));
    expect(desk.link.sent.length).toBe(sent);
  });

  test('to a main account that was closed since is not debited before it is open again', async () => {
    const { ledger } = desk.exchange;
    const spot = desk.operations({ looksMs: oneLook });
    const [units] = await desk.balancesOf(bob, gold);
    await spot.moveSpot(transfer({ accountId: bob, asset: gold, units: units.toString() }));
    await desk.turn();
    const asked = toMain({ accountId: bob, asset: gold, units: '5' });
    desk.link.fault = 'down';
    expect(await spot.moveSpot(asked)).toMatchObject({ state: 'pending' });
    const status = { account: customerMain(bob), asset: gold };
    expect(await ledger.apply(accountClosed({ reference: 'close/bob', ...status }))).toMatchObject([
      { status: 'ok' },
    ]);
    const sent = desk.link.sent.length;
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    desk.nowMs += 10_000;
    await spot.resume();
    expect(desk.link.sent.length).toBe(sent);
    await ledger.apply(accountReopened({ reference: 'reopen/bob', ...status }));
    await spot.moveSpot(asked);
    await desk.turn();
    expect(await spot.spotTransfer(asked.id)).toEqual({ ...asked, state: 'done' });
    expect(await desk.balancesOf(bob, gold)).toEqual([5n, 2n * units - 5n]);
  });

  test('whose client id the customer had for an order is refused once all is booked', async () => {
    const orders = createOrders(desk);
    const spot = desk.operations({ looksMs: oneLook });
    const asked = toMain();
    await orders.place(order({ clientOrderId: clientIdOf(asked.id).toString() }));
    await orders.cancelAll({ accountId: alice });
    expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'pending' });
    const before = await desk.balancesOf(alice);
    // The refusal of this attempt is newer than all that is booked by now; it counts once the settler has come by it.
    const asking = desk.operations({ looksMs: Array.from({ length: 100 }, () => 20) }).moveSpot(asked);
    const settling = setInterval(() => void desk.settle(), 10);
    expect(await asking).toEqual({
      ...asked,
      state: 'refused',
      refusal: 'duplicate-client-id',
    });
    clearInterval(settling);
    expect(await desk.balancesOf(alice)).toEqual(before);
  });
});

test('the same id with other content is a conflict, and changes nothing', async () => {
  const spot = desk.operations({ looksMs: oneLook });
  const asked = transfer({ units: '77' });
  await spot.moveSpot(asked);
  await desk.turn();
  const before = [await desk.balancesOf(alice), await desk.balancesOf(bob)];
  for (const changes of [
    { units: '78' },
    { accountId: bob },
    { asset: coin, units: '77000000000' },
    { direction: 'to-main' },
  ] as const)
    await expect(spot.moveSpot({ ...asked, ...changes })).rejects.toThrow(code('TRADING_TRANSFER_CONFLICT'));
  expect([await desk.balancesOf(alice), await desk.balancesOf(bob)]).toEqual(before);
  expect(await spot.moveSpot(asked)).toEqual({ ...asked, state: 'done' });
});

test('a row is kept: what was asked for does not change, what has ended stays so', async () => {
  for (const change of [
    'UPDATE matching.spot_transfer SET units = units + 1',
    `UPDATE matching.spot_transfer SET state = 'pending' WHERE state = 'done'`,
    `UPDATE matching.spot_transfer SET state = 'refused', refusal = 'capacity' WHERE state = 'done' AND NOT to_spot`,
    `UPDATE matching.spot_transfer SET state = 'done', refusal = NULL WHERE state = 'refused'`,
    `UPDATE matching.spot_transfer SET debit_by = debit_by - 1 WHERE debit_by > 1`,
    'DELETE FROM matching.spot_transfer',
    'TRUNCATE matching.spot_transfer',
  ])
    await expect(pool.query(change)).rejects.toMatchObject({ code: 'MT001' });
  const { id } = transfer({ direction: 'to-main' });
  desk.link.fault = 'lost-before';
  await desk.operations({ looksMs: oneLook }).moveSpot(transfer({ id, direction: 'to-main' }));
  await expect(
    pool.query(`UPDATE matching.spot_transfer SET state = 'refused', refusal = 'capacity' WHERE id = $1`, [
      uuidOf(id),
    ]),
  ).rejects.toMatchObject({ code: '23514' });
});
