/** Batches over the stream: as over REST, with its limits, permissions and answers. */
import { afterEach, expect, test } from 'vitest';
import { createTradingClient } from '../../../api/client/index.ts';
import { tradingLimits } from '../../../matching/trading/contract.ts';
import {
  account,
  auditorToken,
  closeAll,
  order,
  Recorder,
  serve,
  signedHeadersOf,
  token,
} from './fixture.ts';

afterEach(closeAll);

interface Result {
  readonly ok?: { readonly orderId: string; readonly seq: number };
  readonly problem?: { readonly code: string };
}
const resultsOf = (answer: object): readonly Result[] =>
  (answer as { readonly ok: { readonly results: readonly Result[] } }).ok.results;

test('orders are placed and cancelled together, each with its own answer, in order', async () => {
  const served = await serve();
  const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
  // A key of one account need not say it.
  const { accountId: _one, ...short } = order({ clientOrderId: '7' });
  const placed = await client.ask({
    op: 'place-batch',
    orders: [short, { ...short, price: '100.001' }, short, { ...short, clientOrderId: '8', price: '101' }],
  });
  expect(placed).toMatchObject({
    type: 'answer',
    ok: {
      results: [
        { ok: { status: 'open', clientOrderId: '7' } },
        { problem: { code: 'TRADING_PRICE_OFF_TICK', status: 400 } },
        { problem: { code: 'TRADING_ORDER_REJECTED', details: { reason: 'duplicate-client-id' } } },
        { ok: { status: 'open', clientOrderId: '8' } },
      ],
    },
  });
  const [first] = resultsOf(placed);
  const cancelled = await client.ask({
    op: 'cancel-batch',
    orders: [
      { orderId: first?.ok?.orderId },
      { clientOrderId: '7' },
      { clientOrderId: '8' },
      { orderId: '1', clientOrderId: '8' },
    ],
  });
  expect(cancelled).toMatchObject({
    ok: {
      results: [
        { ok: { orderId: first?.ok?.orderId, status: 'done', doneReason: 'cancelled', remaining: '1.0000' } },
        { problem: { code: 'TRADING_ORDER_UNKNOWN', status: 404 } },
        { ok: { clientOrderId: '8', doneReason: 'cancelled' } },
        { problem: { code: 'TRADING_ORDER_NAME_INVALID', status: 400 } },
      ],
    },
  });
  // One after the other, nothing between them.
  const seqs = resultsOf(cancelled).flatMap(({ ok }) => ok?.seq ?? []);
  expect(seqs[1]).toBe((seqs[0] ?? 0) + 2);
  expect((await served.trading.account(account(1))).orders).toEqual([]);
});

test('a batch is for accounts of the caller, or refused whole; and needs the permission', async () => {
  const served = await serve();
  const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
  const both = [order(), order({ accountId: account(2) })];
  const names = [
    { accountId: account(1), orderId: '1' },
    { accountId: account(2), orderId: '2' },
  ];
  for (const ask of [
    { op: 'place-batch', orders: both },
    { op: 'cancel-batch', orders: names },
  ])
    expect((await client.ask(ask)).problem?.code).toBe('API_ACCOUNT_FORBIDDEN');
  expect((await served.trading.account(account(1))).orders).toEqual([]);
  const reader = await Recorder.open(served, { authorization: `Bearer ${auditorToken}` });
  expect((await reader.ask({ op: 'place-batch', orders: both })).problem?.code).toBe('API_FORBIDDEN');
  expect((await reader.ask({ op: 'cancel-batch', orders: names })).problem?.code).toBe('API_FORBIDDEN');
});

test('a revoked key places and cancels none of a batch', async () => {
  const served = await serve();
  const holder = served.register([account(1)]);
  const client = await Recorder.open(served, signedHeadersOf(holder));
  served.revoke(holder);
  for (const op of ['place-batch', 'cancel-batch'])
    expect(
      (await client.ask({ op, orders: op === 'place-batch' ? [order()] : [{ orderId: '1' }] })).problem?.code,
    ).toBe('API_SIGNATURE_INVALID');
  expect((await served.trading.account(account(1))).orders).toEqual([]);
});

test('as large as over REST, and no larger; it counts as one message, and waits as many orders', async () => {
  const served = await serve({
    elapsedMs: () => 0,
    trading: (real) => ({ ...real, cancelEach: async () => await new Promise(() => undefined) }),
  });
  const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
  const most = Array.from({ length: tradingLimits.batchOrders }, (_, at) =>
    order({ clientOrderId: `${10n ** 19n + BigInt(at)}`, price: '250.00', displaySize: '0.5000' }),
  );
  const full = await client.ask({ op: 'place-batch', orders: most });
  expect(resultsOf(full).filter(({ ok }) => ok !== undefined)).toHaveLength(50);
  for (const orders of [[], [...most, order()]])
    expect((await client.ask({ op: 'place-batch', orders })).problem).toMatchObject({
      code: 'API_STREAM_MESSAGE_INVALID',
      status: 400,
    });
  // 3 of the 100 a second; two that never end: 50 and 14 orders wait, which is all that may.
  const names = most.map(({ clientOrderId }) => ({ clientOrderId }));
  client.say({ op: 'cancel-batch', id: 'slow', orders: names });
  const above = await client.ask({ op: 'cancel-batch', orders: names.slice(0, 15) });
  expect(above.problem).toMatchObject({
    code: 'API_STREAM_LIMIT',
    details: { limit: 'inFlightPerClient', max: 64 },
  });
  client.say({ op: 'cancel-batch', id: 'slow too', orders: names.slice(0, 14) });
  expect((await client.ask({ op: 'place', order: order() })).problem?.code).toBe('API_STREAM_LIMIT');
  for (let at = 0; at < 93; at++) client.say({ op: 'ping', id: `p${at}` });
  expect((await client.next(({ id }) => id === 'p92')).type).toBe('pong');
  expect((await client.ask({ op: 'ping' })).problem?.code).toBe('API_RATE_LIMITED');
});

test('the client gives outcomes and errors in their places, and sends no more than may wait', async () => {
  const served = await serve();
  const stream = createTradingClient({ baseUrl: served.baseUrl, token }).stream();
  try {
    await expect.poll(() => stream.isOpen).toBe(true);
    const placed = await stream.placeAll([order({ clientOrderId: '1' }), order({ price: '100.001' })]);
    expect(placed).toMatchObject([{ status: 'open' }, { code: 'TRADING_PRICE_OFF_TICK', kind: 'invalid' }]);
    const name = { accountId: account(1), clientOrderId: '1' };
    expect(await stream.cancelEach([name, name])).toMatchObject([
      { doneReason: 'cancelled' },
      { code: 'TRADING_ORDER_UNKNOWN', kind: 'not_found' },
    ]);
    const many = Array.from({ length: 50 }, () => order());
    const first = stream.placeAll(many);
    await expect(stream.placeAll(many.slice(0, 7))).rejects.toMatchObject({ code: 'API_CLIENT_NOT_SENT' });
    expect(await first).toHaveLength(50);
    expect(await stream.placeAll(many.slice(0, 7))).toHaveLength(7);
  } finally {
    await stream.close();
  }
});
