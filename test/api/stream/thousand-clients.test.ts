/**
 * A thousand clients in two processes, over real sockets, on an engine with its journal in a third: all have the engine's book,
 * also those that were cut and came back, and none of them ever missed a message.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { digestOf } from '../../../bench/stream/book-digest.ts';
import { ClientsProcess } from '../../../bench/stream/clients.ts';
import { customer, market, OrderFlow, openGateway, startEngine } from '../../../bench/stream/exchange.ts';
import { tradingLimits } from '../../../matching/trading/contract.ts';

const clientsPerProcess = 500;
const processes = 2;
/** Every fifth is cut, twice. */
const cutEvery = 5;
const cuts = 2;
const cutClients = (processes * clientsPerProcess) / cutEvery;
const rounds = 45;
const ordersAtOnce = 4;
/** Rounds apart, so that those who were cut miss some and hear some. */
const roundMs = 40;

const folder = path.join(inject('runFolder'), 'stream');
const toStop: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const stop of toStop.reverse()) await stop();
  rmSync(folder, { recursive: true, force: true });
});

const lastOrder = {
  accountId: customer(1),
  market,
  side: 'buy',
  type: 'limit',
  price: '11.11',
  size: '0.5000',
} as const;

test('1,000 clients have the book of the engine, without a gap, also after they were cut', async () => {
  const groups = Array.from({ length: processes }, () => new ClientsProcess());
  for (const group of groups) toStop.push(async () => await group.stop());
  const engine = await startEngine(folder);
  toStop.push(engine.stop);
  const gateway = await openGateway(engine);
  toStop.push(gateway.close);
  const flow = new OrderFlow(gateway.trading, 7);
  for (let at = 0; at < 50; at++) await flow.step();
  let messages = 0;
  const counting = gateway.trading.feed.subscribe(`book/${market}`, {
    onMessage: () => {
      messages++;
    },
    onReset: () => undefined,
  });
  expect(counting).not.toBe(false);

  const { baseUrl, tokens } = gateway;
  const open = { baseUrl, tokens, market, count: clientsPerProcess };
  await Promise.all(groups.map(async (group) => await group.open(open)));
  expect(gateway.stream.clients).toBe(processes * clientsPerProcess);

  const before = messages;
  for (let round = 1; round <= rounds; round++) {
    await Promise.all(Array.from({ length: ordersAtOnce }, async () => await flow.step(20)));
    if (round % (rounds / 3) === 0 && round < rounds) for (const group of groups) group.cut(cutEvery);
    await new Promise((resolve) => setTimeout(resolve, roundMs));
  }
  // One more that nobody can have before it has all others.
  const { seq } = await gateway.trading.place(lastOrder);
  const reports = await Promise.all(groups.map(async (group) => await group.report(seq)));
  const sum = (of: 'connections' | 'snapshots' | 'breaks' | 'resyncs'): number =>
    reports.reduce((total, report) => total + report[of], 0);

  const { bids, asks } = gateway.trading.book(market, tradingLimits.bookLevels);
  expect(asks.length).toBeGreaterThan(3);
  const [expected = ''] = Object.keys(reports[0]?.digests ?? {});
  expect(expected).toBe(`${seq} ${digestOf(bids, asks)}`);
  for (const { digests } of reports) expect(digests).toEqual({ [expected]: clientsPerProcess });
  expect(sum('breaks')).toBe(0);
  // Who was cut went on from where it was: no second snapshot, and every message after all.
  expect(sum('connections')).toBe(processes * clientsPerProcess + cuts * cutClients);
  expect([sum('snapshots'), sum('resyncs')]).toEqual([processes * clientsPerProcess, 0]);
  const after = messages - before;
  expect(after).toBeGreaterThan(rounds / 2);
  for (const { fewest, messages: heard } of reports) {
    expect(fewest).toBe(after);
    expect(heard).toBe(after * clientsPerProcess);
  }
}, 120_000);

/** While there is no engine, or none that can say what became of it. */
const isOutage = (error: unknown): boolean =>
  isStrongroomError(error) && ['TRADING_UNAVAILABLE', 'TRADING_OUTCOME_UNKNOWN'].includes(error.code);

test('the engine is killed and comes back: the clients stay, and have its book', async () => {
  const clients = 50;
  const group = new ClientsProcess();
  toStop.push(async () => await group.stop());
  const engine = await startEngine(path.join(folder, 'crash'));
  toStop.push(engine.stop);
  const gateway = await openGateway(engine);
  toStop.push(gateway.close);
  const { baseUrl, tokens } = gateway;
  await group.open({ baseUrl, tokens, market, count: clients });

  const over = new AbortController();
  const flow = new OrderFlow(gateway.trading, 11);
  const flowing = (async () => {
    while (!over.signal.aborted) {
      await flow.step(20).catch(async (error: unknown) => {
        if (!isOutage(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      });
    }
  })();
  for (let crash = 0; crash < 2; crash++) {
    const before = gateway.link.view().seq;
    await expect.poll(() => gateway.link.view().seq, { timeout: 20_000 }).toBeGreaterThan(before + 50);
    const isBack = engine.crash();
    // What the flow had sent may have been taken and answered later, so that it met no outage: this one does.
    await expect.poll(() => gateway.link.state().connected, { timeout: 20_000, interval: 5 }).toBe(false);
    await expect(gateway.trading.place(lastOrder)).rejects.toSatisfy(isOutage);
    expect(gateway.trading.engineStatus()).toMatchObject({ engine: 'away' });
    await isBack;
    await expect.poll(() => gateway.link.state().connected, { timeout: 20_000 }).toBe(true);
  }
  over.abort();
  await flowing;

  const { seq } = await gateway.trading.place(lastOrder);
  const report = await group.report(seq);
  const { bids, asks } = gateway.trading.book(market, tradingLimits.bookLevels);
  expect(report.digests).toEqual({ [`${seq} ${digestOf(bids, asks)}`]: clients });
  expect([report.breaks, report.connections]).toEqual([0, clients]);
}, 120_000);
