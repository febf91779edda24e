/** What stops a settler, what it waits for, and how it cuts. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AssetId, amount, assetId } from '#core/money';
import { openCases } from '#infra/cases';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import {
  type AccountPath,
  accountClosed,
  accountReopened,
  customerMain,
  customerSpot,
  houseClearing,
  houseIncome,
  houseSuspense,
  openingBalance,
  spotIn,
  spotOut,
} from '#ledger/contract';
import { parseEngineConfig } from '../../../matching/config.ts';
import { EventQueue } from '../../../matching/settlement/event-queue.ts';
import {
  caseOfRefusal,
  createEngineAccounts,
  openEngine,
  reconcile,
  type Settler,
  settlementCaseKind,
  startSettler,
  verifySettlement,
} from '../../../matching/settlement/index.ts';
import { itemsPerStep } from '../../../matching/settlement/steps.ts';
import { databaseForThisFile } from '../../support/database.ts';
import {
  config,
  customer,
  type Exchange,
  gold,
  openExchange,
  startUnits,
  TestSequencer,
  usd,
} from './fixture.ts';

const clock = { nowMs: () => Date.now() };
let pool: Pool;
let exchange: Exchange;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-settler' });
  exchange = await openExchange(pool, 'main', 4);
});
afterAll(async () => {
  await pool.end();
});

const order = { kind: 'place', market: 0, type: 'limit', timeInForce: 'gtc', price: 100 } as const;
const sell = (account: number, lots: number) =>
  exchange.sequencer.run({ ...order, account, side: 'sell', lots });
const buy = (account: number, lots: number) =>
  exchange.sequencer.run({ ...order, account, side: 'buy', lots });

async function settleAll(options: Parameters<Exchange['settler']>[0] = {}) {
  const settler = await exchange.settler(options);
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
  return settler;
}

test('one command with more trades than a portion takes is cut within, and goes on there after a crash', async () => {
  for (let n = 0; n < 25; n++) sell(1 + (n % 2), 1);
  buy(3, 25);
  const { seq } = exchange.sequencer.engine;
  let stopped: Promise<void> | undefined;
  const first: Settler = await exchange.settler({
    tradesMax: 10,
    onBooked: ({ portion }) => {
      if (portion === 2n) stopped = first.stop();
    },
  });
  for (const { slots, count } of exchange.sequencer.lots) first.offer(slots, 0, count);
  await expect(first.drain()).rejects.toMatchObject({ code: 'MATCHING_SETTLEMENT_STOPPED' });
  await stopped;
  const second = await exchange.settler({ tradesMax: 10 });
  // `accepted` and 20 trades.
  expect(second.head).toMatchObject({ seq, index: 20, trades: 20n });
  // From the next command on would leave out the rest of this one.
  buy(3, 1);
  const [lot] = exchange.sequencer.lots.slice(-1);
  if (lot === undefined) throw new Error('no event');
  expect(() => {
    second.offer(lot.slots, 0, lot.count);
  }).toThrow(expect.objectContaining({ code: 'MATCHING_SETTLEMENT_GAP' }));
  const settler = await settleAll({ tradesMax: 10 });
  expect(settler.head.trades).toBe(25n);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('events that are missing are refused, and nothing of them is booked', async () => {
  const before = (await settleAll()).head;
  sell(1, 1);
  buy(2, 1);
  const settler = await exchange.settler();
  const [lot] = exchange.sequencer.lots.slice(-1);
  if (lot === undefined) throw new Error('no event');
  expect(() => {
    settler.offer(lot.slots, 0, lot.count);
  }).toThrow(
    expect.objectContaining({
      code: 'MATCHING_SETTLEMENT_GAP',
      details: expect.objectContaining({ lastSeq: before.seq }) as object,
    }),
  );
  await settler.drain(exchange.sequencer.engine.seq);
  expect(settler.head).toEqual(before);
  await settleAll();
});

test('behind by more than the bound, new orders are refused until half of it is booked; nothing is dropped', async () => {
  for (let n = 0; n < 60; n++) {
    sell(1, 1);
    buy(2, 1);
  }
  const seen: boolean[] = [];
  const settler = await exchange.settler({
    tradesMax: 10,
    lagMax: 40,
    onBooked: () => seen.push(settler.lagExceeded()),
  });
  expect(settler.lagExceeded()).toBe(false);
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  expect(settler.lagExceeded()).toBe(true);
  await settler.drain(exchange.sequencer.engine.seq);
  // 61 waited: above 40, then above 20, then not.
  expect(seen.slice(0, 3)).toEqual([true, true, true]);
  expect(seen.at(-1)).toBe(false);
  expect(settler.waiting).toBe(0);
  const { differences } = await reconcile(
    { pool, engine: exchange.engine, ledger: exchange.ledger, readEventsOfCodes },
    exchange.sequencer.engine,
  );
  expect(differences).toEqual([]);
});

test('the head follows also where nothing is traded', async () => {
  exchange.sequencer.run({ kind: 'cancel', account: 1, orderId: 1 });
  const settler = await settleAll();
  expect(settler.head.seq).toBe(exchange.sequencer.engine.seq);
  const { portion } = settler.head;
  // And not again when there is nothing new.
  expect((await settleAll()).head.portion).toBe(portion);
});

test('what is offered at any moment of the last portion is booked without anything after it', async () => {
  await settleAll();
  for (let turns = 0; turns < 8; turns++) {
    sell(1, 1);
    buy(2, 1);
    sell(1, 1);
    buy(2, 1);
    const [firstSell, firstBuy, ...later] = exchange.sequencer.lots.slice(-4);
    if (firstSell === undefined || firstBuy === undefined) throw new Error('no events');
    let offered: Promise<void> | undefined;
    const offerLater = async (): Promise<void> => {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      for (const { slots, count } of later) settler.offer(slots, 0, count);
    };
    const settler = await exchange.settler({
      onBooked: () => {
        offered ??= offerLater();
      },
    });
    for (const { slots, count } of [firstSell, firstBuy]) settler.offer(slots, 0, count);
    await expect.poll(() => settler.waiting === 0 && offered !== undefined, { timeout: 5_000 }).toBe(true);
    await settler.drain(exchange.sequencer.engine.seq);
    await settler.stop();
  }
});

test('without a trade the head follows well before the engine has forgotten a client id', async () => {
  const quietConfig = { ...config, clientIdsKept: 400 };
  const sequencer = new TestSequencer(quietConfig);
  const settler = await startSettler({
    pool,
    ledger: exchange.ledger,
    engine: await openEngine(pool, 'quiet', quietConfig),
    onRefused: () => Promise.resolve(),
  });
  for (let n = 1; n <= 100; n++) {
    expect(settler.head.seq).toBe(0);
    sequencer.run({ kind: 'cancel', account: 1, orderId: 1 });
    const [lot] = sequencer.lots.slice(-1);
    if (lot === undefined) throw new Error('no event');
    settler.offer(lot.slots, 0, lot.count);
    await new Promise(setImmediate);
  }
  await expect.poll(() => settler.head.seq, { timeout: 5_000 }).toBe(100);
  await settler.stop();
});

test('a database that lost portions stops the settler, which has let go of their events', async () => {
  const settler = await settleAll();
  sell(1, 1);
  buy(2, 1);
  // As after a failover to a server that had not got the last portion.
  const { rows } = await pool.query<{ portion: string; seq: string }>(
    'SELECT portion, seq FROM matching.head WHERE engine = $1',
    [exchange.engine.no],
  );
  await pool.query('UPDATE matching.head SET portion = portion - 1, seq = seq - 1 WHERE engine = $1', [
    exchange.engine.no,
  ]);
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await expect(settler.drain()).rejects.toMatchObject({
    code: 'MATCHING_SETTLEMENT_GAP',
    details: { lastSeq: settler.head.seq - 1, settledSeq: settler.head.seq },
  });
  await pool.query('UPDATE matching.head SET portion = $2, seq = $3 WHERE engine = $1', [
    exchange.engine.no,
    rows[0]?.portion,
    rows[0]?.seq,
  ]);
  await settleAll();
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('a server that took over may lack accounts that were opened last: they are opened again', async () => {
  const { ledger } = exchange;
  sell(1, 1);
  buy(2, 1);
  const opened: string[][] = [];
  let failures = 1;
  const settler = await exchange.settler({
    ledger: {
      prepare: ledger.prepare,
      openAccounts: async (queryable, accounts) => {
        opened.push(accounts.map(({ path, asset }) => `${path} ${asset}`));
        await ledger.openAccounts(queryable, accounts);
      },
      applyPrepared: async (batch, tx) => {
        if (failures-- > 0) throw Object.assign(new Error('away'), { severity: 'FATAL', code: '57P01' });
        return await ledger.applyPrepared(batch, tx);
      },
    },
  });
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
  expect(opened).toHaveLength(2);
  expect(opened[1]).toEqual(opened[0]);
  expect(new Set(opened[0]).size).toBe(opened[0]?.length);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('who is told of what is booked is told too when the answer to the commit was lost', async () => {
  const { ledger } = exchange;
  const { head } = await settleAll();
  sell(1, 1);
  buy(2, 1);
  // The last statement of the portion ends the transaction itself; what the settler hears is an error.
  const told: unknown[] = [];
  let failures = 1;
  const settler = await exchange.settler({
    onBooked: (booked) => told.push(booked),
    ledger: {
      prepare: ledger.prepare,
      openAccounts: ledger.openAccounts,
      applyPrepared: async (batch, tx) => {
        const results = await ledger.applyPrepared(batch, tx);
        if (failures-- <= 0) return results;
        await tx.query('COMMIT');
        throw Object.assign(new Error('lost'), { severity: 'FATAL', code: '57P01' });
      },
    },
  });
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  await settler.drain(exchange.sequencer.engine.seq);
  expect(told[0]).toEqual({ portion: head.portion + 1n, trades: 1, transfers: 0 });
  expect(settler.head.trades).toBe(head.trades + 1n);
  expect(settler.waiting).toBe(0);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('answers that are lost while the next portion is prepared, and another settler beside it: each trade is booked once, in order', async () => {
  const { ledger } = exchange;
  const { head } = await settleAll();
  const trades = 60;
  for (let n = 0; n < trades; n++) {
    sell(1 + (n % 2), 1 + (n % 5));
    buy(3, 1 + (n % 5));
  }
  let batches = 0;
  const away = () => Object.assign(new Error('away'), { severity: 'FATAL', code: '57P01' });
  let toldOfSix: () => void = () => undefined;
  const sixBatches = new Promise<void>((resolve) => {
    toldOfSix = resolve;
  });
  // Of every six batches one fails before it was done, one after it was committed.
  const faulty: Parameters<Exchange['settler']>[0] = {
    tradesMax: 4,
    ledger: {
      prepare: ledger.prepare,
      openAccounts: ledger.openAccounts,
      applyPrepared: async (batch, tx) => {
        const at = ++batches % 6;
        if (batches === 6) toldOfSix();
        if (at === 2) throw away();
        const results = await ledger.applyPrepared(batch, tx);
        if (at !== 5) return results;
        await tx.query('COMMIT');
        throw away();
      },
    },
  };
  const portions: bigint[] = [];
  const settler = await exchange.settler({ ...faulty, onBooked: ({ portion }) => portions.push(portion) });
  const other = await exchange.settler({ tradesMax: 3 });
  for (const { slots, count } of exchange.sequencer.lots) settler.offer(slots, 0, count);
  const { seq } = exchange.sequencer.engine;
  const drained = settler.drain(seq);
  // Both kinds of failure were met; what is left, both go for.
  await sixBatches;
  for (const { slots, count } of exchange.sequencer.lots) other.offer(slots, 0, count);
  await Promise.all([drained, other.drain(seq)]);
  expect(settler.head).toEqual(other.head);
  expect(settler.head.seq).toBe(seq);
  expect(settler.head.trades).toBeGreaterThanOrEqual(head.trades + BigInt(trades));
  expect(portions).toEqual([...portions].sort((a, b) => (a < b ? -1 : 1)));
  expect(new Set(portions).size).toBe(portions.length);
  expect([settler.waiting, other.waiting]).toEqual([0, 0]);
  const books = { pool, engine: exchange.engine, ledger, readEventsOfCodes };
  expect((await reconcile(books, exchange.sequencer.engine)).differences).toEqual([]);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('a portion of any length is made in steps, and is the same as made at once', async () => {
  const { head } = await settleAll();
  for (let n = 0; n < 2 * itemsPerStep + 5; n++) {
    sell(1 + (n % 2), 1);
    buy(3, 1);
  }
  const queue = new EventQueue(head);
  for (const { slots, count } of exchange.sequencer.lots) queue.offer(slots, 0, count);
  const limits = { tradesMax: 10 * itemsPerStep, transfersMax: 1_000 };
  const work = queue.portionAfter(head, config.markets, limits, false);
  let steps = 1;
  let step = work.next();
  for (; step.done !== true; step = work.next()) steps++;
  expect(steps).toBe(3);
  expect(step.value?.trades).toHaveLength(2 * itemsPerStep + 5);
  // What it hashes in steps, the database hashes at once.
  const settler = await settleAll();
  expect(settler.head.portion).toBe(head.portion + 1n);
  expect(await verifySettlement(pool, exchange.engine)).toEqual([]);
});

test('a name stands for one set of assets and markets', async () => {
  expect(await openEngine(pool, 'main', config)).toEqual(exchange.engine);
  const other = parseEngineConfig({
    ...config,
    assets: config.assets.map((asset) => ({ ...asset, unitExponent: 3 })),
  });
  await expect(openEngine(pool, 'main', other)).rejects.toMatchObject({ code: 'MATCHING_ENGINE_DIFFERS' });
  const { markets } = config;
  const moved = parseEngineConfig({
    ...config,
    markets: markets.map((market) => ({ ...market, lotUnits: 7 })),
  });
  await expect(openEngine(pool, 'main', moved)).rejects.toMatchObject({ code: 'MATCHING_ENGINE_DIFFERS' });
  expect((await openEngine(pool, 'other', other)).no).not.toBe(exchange.engine.no);
});

test('what the ledger does not have stops the settler with a case; no portion is passed over', async () => {
  const { sequencer, engine, ledger } = exchange;
  const { head } = await settleAll();
  // Somebody books past the engine, which then lets the customer take it to main once more.
  const all = amount(gold, startUnits.get(gold) ?? 0n);
  await ledger.apply(spotOut({ reference: 'past-the-engine', accountId: customer(4), amount: all }));
  sequencer.run({ kind: 'debit', account: 4, asset: 2, units: all.units });
  sell(1, 1);
  buy(2, 1);
  const settler = await exchange.settler({ tradesMax: 1, onRefused: caseOfRefusal(pool, clock) });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await expect(settler.drain()).rejects.toMatchObject({
    code: 'MATCHING_SETTLEMENT_REFUSED',
    kind: 'invariant',
    cause: { code: 'LEDGER_INSUFFICIENT_FUNDS' },
  });
  expect(settler.head).toEqual(head);
  const [lot] = sequencer.lots.slice(-1);
  if (lot === undefined) throw new Error('no event');
  expect(() => {
    settler.offer(lot.slots, 0, lot.count);
  }).toThrow(expect.objectContaining({ code: 'MATCHING_SETTLEMENT_REFUSED' }));
  const cases = await openCases(pool);
  expect(cases).toMatchObject([{ kind: settlementCaseKind, subject: 'engine:main' }]);
  // Started again, it comes to the same portion; the case is the same.
  const again = await exchange.settler({ onRefused: caseOfRefusal(pool, clock) });
  for (const { slots, count } of sequencer.lots) again.offer(slots, 0, count);
  await expect(again.drain()).rejects.toMatchObject({ code: 'MATCHING_SETTLEMENT_REFUSED' });
  expect(await openCases(pool)).toHaveLength(1);
  expect((await exchange.settler()).head).toEqual(head);
  expect(await verifySettlement(pool, engine)).toEqual([]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});

test('nobody can close an account that trades are booked on', async () => {
  const { ledger } = exchange;
  const other = assetId('ledger:other');
  const paths = [customerSpot(customer(9)), houseClearing, houseIncome];
  await ledger.openAccounts(pool, [
    ...paths.flatMap((path) => [usd, other].map((asset) => ({ path, asset }))),
    { path: customerMain(customer(9)), asset: usd },
  ]);
  const close = async (account: AccountPath, asset: AssetId) =>
    (await ledger.apply(accountClosed({ reference: `close/${account}`, account, asset })))[0]?.status;
  // Also of a customer that the engine does not know yet: they may trade this asset next.
  for (const path of [customerSpot(customer(9)), houseClearing])
    await expect(close(path, usd), path).rejects.toMatchObject({ code: 'MT007' });
  for (const path of paths) expect(await close(path, other)).toBe('ok');
  // Where nothing is booked by the settler alone, the ledger decides.
  expect(await close(customerMain(customer(9)), usd)).toBe('ok');
  const { rows } = await pool.query<{ path: string; asset: string }>(
    'SELECT path, asset FROM ledger.account_balance WHERE closed ORDER BY asset, path',
  );
  expect(rows.filter(({ asset }) => asset === usd)).toEqual([
    { path: customerMain(customer(9)), asset: usd },
  ]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});

test('nor a main account while money of it is on its way into the engine', async () => {
  const { ledger, feed, engine } = exchange;
  await feed.step();
  const accountId = customer(8);
  const account = customerMain(accountId);
  const moved = amount(usd, 700n);
  await ledger.openAccounts(
    pool,
    [account, customerSpot(accountId)].map((path) => ({ path, asset: usd })),
  );
  const fund = openingBalance({ reference: 'fund/8', account, against: houseSuspense, amount: moved });
  await ledger.apply([...fund, ...spotIn({ reference: 'in/8', accountId, amount: moved })]);
  const closing = (reference: string) => accountClosed({ reference, account, asset: usd });
  await expect(ledger.apply(closing('too-soon'))).rejects.toMatchObject({ code: 'MT008' });
  await feed.step();
  expect(await ledger.apply(closing('in-time'))).toMatchObject([{ status: 'ok' }]);
  await ledger.apply(accountReopened({ reference: 'again', account, asset: usd }));
  // What is below the engine's unit goes back to it.
  const small = amount(usd, 7n);
  await ledger.apply(openingBalance({ reference: 'fund/7', account, against: houseSuspense, amount: small }));
  await ledger.apply(spotIn({ reference: 'in/7', accountId, amount: small }));
  await expect(ledger.apply(closing('too-soon-again'))).rejects.toMatchObject({ code: 'MT008' });
  await feed.step();
  expect((await ledger.balances({ paths: [account] }))[0]?.balance).toBe(7n);
  // In one batch with what empties it.
  await ledger.apply(openingBalance({ reference: 'fund/9', account, against: houseSuspense, amount: moved }));
  await feed.step();
  const all = amount(usd, 707n);
  await expect(
    ledger.apply([...spotIn({ reference: 'in/9', accountId, amount: all }), ...closing('at-once')]),
  ).rejects.toMatchObject({ code: 'MT008' });
  expect(await ledger.transfersByReference('in/9')).toEqual([]);
  expect(await verifySettlement(pool, engine)).toEqual([]);
});

test('an account that no number was given to stops it', async () => {
  const stranger = await openEngine(pool, 'stranger', config);
  const sequencer = new TestSequencer(config);
  sequencer.run({ kind: 'open-account', account: 1 });
  sequencer.run({ kind: 'credit', account: 1, asset: 0, units: 5n, position: 1 });
  const settler = await exchange.settler({ engine: stranger });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await expect(settler.drain()).rejects.toMatchObject({ cause: { code: 'MATCHING_ACCOUNT_UNKNOWN' } });
});

test.each([
  ['a transfer that is none', 2 ** 50, 5n],
  ['the transfer of another', 2, 5n],
])('an engine that was credited %s is not settled', async (name, position, units) => {
  const made = await openEngine(pool, `false-${position}`, config);
  const sequencer = new TestSequencer(config);
  await createEngineAccounts({ pool, engine: made, submit: sequencer.submit }).numberOf(customer(3));
  sequencer.run({ kind: 'credit', account: 1, asset: 0, units, position });
  const settler = await exchange.settler({ engine: made });
  for (const { slots, count } of sequencer.lots) settler.offer(slots, 0, count);
  await expect(settler.drain(), name).rejects.toMatchObject({
    code: 'MATCHING_SETTLEMENT_REFUSED',
    cause: { code: 'MT005' },
  });
  expect(settler.head.portion).toBe(0n);
});
