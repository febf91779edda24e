/** Who may connect and do what, and what becomes of those who misbehave: each is told why, and none of the others feels it. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { closeCodes, inboundBytesMax, streamPath } from '../../../api/stream/limits.ts';
import {
  account,
  auditorToken,
  closeAll,
  ethUsd,
  order,
  Recorder,
  type Served,
  serve,
  signedHeadersOf,
} from './fixture.ts';

afterEach(closeAll);

interface Refusal {
  readonly status: number;
  readonly type: string;
  readonly code: string;
}
async function refusal(
  { port }: Served,
  headers: Record<string, string>,
  path = streamPath,
): Promise<Refusal> {
  const asked = httpRequest({
    port,
    host: '127.0.0.1',
    path,
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      ...headers,
    },
  });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
  const { code } = JSON.parse(Buffer.concat(parts).toString()) as { code: string };
  return { status: answer.statusCode ?? 0, type: answer.headers['content-type'] ?? '', code };
}
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('the upgrade', () => {
  test('a stranger gets the problem that a route would give, and no socket', async () => {
    const served = await serve();
    for (const headers of [{}, bearer('x'.repeat(43))])
      expect(await refusal(served, headers)).toEqual({
        status: 401,
        type: 'application/problem+json',
        code: 'API_UNAUTHENTICATED',
      });
    expect(served.stream.clients).toBe(0);
  });

  test('a signature is good once, and a revoked key is not', async () => {
    const served = await serve();
    const holder = served.register([account(1)]);
    const headers = signedHeadersOf(holder);
    await Recorder.open(served, headers);
    expect(await refusal(served, headers)).toMatchObject({ status: 401, code: 'API_SIGNATURE_REPLAYED' });
    served.revoke(holder);
    expect(await refusal(served, signedHeadersOf(holder))).toMatchObject({ code: 'API_SIGNATURE_INVALID' });
  });

  test('another path, and what is no handshake, is a problem too', async () => {
    const served = await serve();
    const asService = bearer('t'.repeat(43));
    expect(await refusal(served, asService, '/v1/other')).toMatchObject({
      status: 404,
      code: 'API_NOT_FOUND',
    });
    for (const wrong of [{ 'sec-websocket-version': '7' }, { upgrade: 'h2c' }])
      expect(await refusal(served, { ...asService, ...wrong })).toMatchObject({
        status: 400,
        code: 'API_STREAM_UPGRADE_INVALID',
      });
  });

  test('connections have a limit, in all and for each caller', async () => {
    const served = await serve({ limits: { clients: 3, clientsPerCaller: 2 } });
    const service = bearer('t'.repeat(43));
    const first = await Recorder.open(served, service);
    await Recorder.open(served, service);
    expect(await refusal(served, service)).toMatchObject({ status: 429, code: 'API_STREAM_LIMIT' });
    await Recorder.open(served, bearer(auditorToken));
    expect(await refusal(served, bearer(auditorToken))).toMatchObject({
      status: 429,
      code: 'API_STREAM_LIMIT',
    });
    first.ws.close();
    await first.closed;
    await expect.poll(() => served.stream.clients).toBe(2);
    await Recorder.open(served, service);
  });
});

describe('messages', () => {
  test.each([
    ['not JSON', '{', null, 'not JSON'],
    ['no object', '[1]', null, 'op is one of'],
    ['no op', '{"id":"a"}', 'a', 'op is one of'],
    ['an inherited word', '{"id":"a","op":"constructor"}', 'a', 'op is one of'],
    ['no id', '{"op":"ping"}', null, 'id'],
    ['an unknown channel', { op: 'subscribe', id: 'a', channel: 'news', market: ethUsd }, 'a', 'channel'],
    ['a field too many', { op: 'ping', id: 'a', more: 1 }, 'a', 'more'],
    [
      'candles without interval',
      { op: 'subscribe', id: 'a', channel: 'candles', market: ethUsd },
      'a',
      'interval',
    ],
    ['a number as price', { op: 'place', id: 'a', order: { ...order(), price: 100 } }, 'a', 'order.price'],
    ['after below 0', { op: 'subscribe', id: 'a', channel: 'book', market: ethUsd, after: -1 }, 'a', 'after'],
  ])('%s: a problem that says what is wrong', async (_what, message, id, part) => {
    const client = await Recorder.open(await serve());
    client.say(message);
    const { problem, ...answer } = await client.next(({ type }) => type === 'problem');
    expect(answer).toEqual({ type: 'problem', id });
    expect(problem).toMatchObject({ code: 'API_STREAM_MESSAGE_INVALID', status: 400 });
    expect(problem?.detail).toContain(part);
    await client.caughtUp();
  });

  test('too many that are not understood close the connection', async () => {
    const client = await Recorder.open(await serve({ limits: { invalidPerMinute: 3 } }));
    for (let at = 0; at < 5; at++) client.say('{');
    expect((await client.closed).code).toBe(closeCodes.invalidMessages);
    expect(client.messages).toHaveLength(4);
  });

  test('above the rate of the key each is refused unread; twice above, the connection is closed', async () => {
    let nowMs = 0;
    const served = await serve({ elapsedMs: () => nowMs });
    // A token of 100 a second, on all its connections together; the next second counts anew.
    const other = await Recorder.open(served, bearer(auditorToken));
    const client = await Recorder.open(served, bearer(auditorToken));
    for (let at = 0; at < 100; at++) other.say({ op: 'ping', id: at.toString() });
    await other.next(({ id }) => id === '99');
    expect((await client.ask({ op: 'ping' })).problem?.code).toBe('API_RATE_LIMITED');
    nowMs = 1_000;
    expect((await client.ask({ op: 'ping' })).type).toBe('pong');
    nowMs = 2_000;
    client.messages.length = 0;
    for (let at = 1; at <= 201; at++) client.say({ op: 'ping', id: at.toString() });
    expect((await client.closed).code).toBe(closeCodes.tooManyMessages);
    const pongs = client.messages.filter(({ type }) => type === 'pong');
    const refused = client.messages.filter(({ problem }) => problem?.code === 'API_RATE_LIMITED');
    expect([pongs.length, refused.length]).toEqual([100, 100]);
    expect(refused[0]?.id).toBe('101');
  });

  test('a binary message, and one too large, end the connection with the code of RFC 6455', async () => {
    const served = await serve();
    const [binary, large] = [await Recorder.open(served), await Recorder.open(served)];
    binary.ws.send(Buffer.from('{"op":"ping","id":"1"}'));
    expect((await binary.closed).code).toBe(1003);
    large.say(JSON.stringify({ op: 'ping', id: '1', pad: 'x'.repeat(inboundBytesMax) }));
    expect((await large.closed).code).toBe(1009);
  });

  test('channels and requests of one connection have a limit', async () => {
    const served = await serve({
      limits: { subscriptionsPerClient: 1, inFlightPerClient: 1 },
      trading: (real) => ({ ...real, place: async () => await new Promise(() => undefined) }),
    });
    const client = await Recorder.open(served);
    await client.ask({ op: 'subscribe', channel: 'book', market: ethUsd });
    const channel = await client.ask({ op: 'subscribe', channel: 'trades', market: ethUsd });
    expect(channel.problem).toMatchObject({
      code: 'API_STREAM_LIMIT',
      details: { limit: 'subscriptionsPerClient' },
    });
    client.say({ op: 'place', id: 'slow', order: order() });
    const request = await client.ask({ op: 'cancel-all', accountId: account(1) });
    expect(request.problem).toMatchObject({
      code: 'API_STREAM_LIMIT',
      details: { limit: 'inFlightPerClient' },
    });
  });
});

describe('permissions', () => {
  test('the account of another is neither heard nor traded for', async () => {
    const served = await serve();
    const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
    const asks = [
      { op: 'subscribe', channel: 'account', accountId: account(2) },
      { op: 'place', order: order({ accountId: account(2) }) },
      { op: 'cancel-all', accountId: account(2) },
    ];
    for (const ask of asks)
      expect((await client.ask(ask)).problem).toMatchObject({ code: 'API_ACCOUNT_FORBIDDEN', status: 403 });
    expect((await served.trading.account(account(2))).orders).toEqual([]);
  });

  test('without the permission to trade a key hears, and places nothing', async () => {
    const served = await serve();
    const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)], ['read'])));
    expect((await client.ask({ op: 'place', order: order() })).problem?.code).toBe('API_FORBIDDEN');
    expect(await client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) })).toMatchObject({
      type: 'subscribed',
    });
    const trader = await Recorder.open(served, signedHeadersOf(served.register([account(1)], ['trade'])));
    const heard = await trader.ask({ op: 'subscribe', channel: 'book', market: ethUsd });
    expect(heard.problem?.code).toBe('API_FORBIDDEN');
  });

  test('a revoked key places nothing from then on, and its streams are closed', async () => {
    const served = await serve({ limits: { recheckMs: 300 } });
    const holder = served.register([account(1)]);
    const client = await Recorder.open(served, signedHeadersOf(holder));
    const other = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
    expect(await client.ask({ op: 'place', order: order() })).toMatchObject({ type: 'answer' });
    served.revoke(holder);
    expect((await client.ask({ op: 'place', order: order() })).problem?.code).toBe('API_SIGNATURE_INVALID');
    expect((await client.closed).code).toBe(closeCodes.credentialsEnded);
    await other.caughtUp();
  });
});

describe('a key of which nobody says whether it is in force', () => {
  test.each([
    ['fails', async () => await Promise.reject(new Error('the database is away'))],
    ['hangs', async () => await new Promise<void>(() => undefined)],
  ])('keeps its streams for a minute while the database %s, and no longer; tokens stay', async (_, away) => {
    let nowMs = 0;
    let isAway = false;
    const served = await serve({
      elapsedMs: () => nowMs,
      limits: { recheckMs: 20 },
      beforeKey: async () => {
        if (isAway) await away();
      },
    });
    const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
    const service = await Recorder.open(served);
    await client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
    isAway = true;
    const looks = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, 100));
    await looks();
    nowMs = 59_000;
    await looks();
    await client.caughtUp();
    nowMs = 61_000;
    expect((await client.closed).code).toBe(closeCodes.credentialsUnknown);
    await service.caughtUp();
  });

  test('goes on when it is said in time', async () => {
    let nowMs = 0;
    let isAway = true;
    const served = await serve({
      elapsedMs: () => nowMs,
      limits: { recheckMs: 20 },
      beforeKey: async () => {
        if (isAway && nowMs > 0) throw new Error('the database is away');
        await Promise.resolve();
      },
    });
    const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
    const looks = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, 100));
    nowMs = 50_000;
    await looks();
    isAway = false;
    await looks();
    isAway = true;
    nowMs = 100_000;
    await looks();
    await client.caughtUp();
  });
});

describe('orders', () => {
  test('placed, amended, cancelled: each answered with its outcome; a refusal says why', async () => {
    const served = await serve();
    const client = await Recorder.open(served, signedHeadersOf(served.register([account(1)])));
    // A key of one account need not say it.
    const { accountId, ...short } = order({ clientOrderId: '77' });
    const placed = await client.ask({ op: 'place', order: short });
    expect(placed).toMatchObject({ type: 'answer', ok: { status: 'open', clientOrderId: '77' } });
    expect(await client.ask({ op: 'amend', clientOrderId: '77', size: '0.5' })).toMatchObject({
      ok: { remaining: '0.5000' },
    });
    const again = await client.ask({ op: 'place', order: short });
    expect(again.problem).toMatchObject({
      code: 'TRADING_ORDER_REJECTED',
      details: { reason: 'duplicate-client-id' },
    });
    const offTick = await client.ask({ op: 'place', order: { ...short, price: '100.001' } });
    expect(offTick.problem?.code).toBe('TRADING_PRICE_OFF_TICK');
    expect(await client.ask({ op: 'cancel', accountId, clientOrderId: '77' })).toMatchObject({
      ok: { status: 'done', doneReason: 'cancelled' },
    });
    expect((await client.ask({ op: 'cancel', clientOrderId: '77' })).problem?.code).toBe(
      'TRADING_ORDER_UNKNOWN',
    );
    await client.ask({ op: 'place', order: { ...order() } });
    expect(await client.ask({ op: 'cancel-all', market: ethUsd })).toMatchObject({ ok: { cancelled: 1 } });
  });
});

/** Two messages of some 10 kB: orders at 500 prices, and none of them. */
function manyPrices({ world }: Served): void {
  world.run(
    Array.from({ length: 500 }, (_, at) => ({
      kind: 'place',
      account: 1,
      market: 0,
      side: 'sell',
      type: 'limit',
      timeInForce: 'gtc',
      price: 20_000 + at,
      lots: 1,
    })),
  );
  world.run([{ kind: 'cancel-all', account: 1 }]);
}

describe('the end of a connection', () => {
  test('one who does not read is closed with 4008; the others have everything, in order', async () => {
    const served = await serve({ limits: { bufferedBytesMax: 100_000, closeGraceMs: 60_000 } });
    const good = await Recorder.open(served);
    const slow = await Recorder.open(served);
    for (const client of [good, slow]) await client.ask({ op: 'subscribe', channel: 'book', market: ethUsd });
    // Of each order of the account some 300 bytes more.
    await slow.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
    await slow.caughtUp();
    slow.ws.pause();
    const isNoticed = (): boolean => served.notices.some(({ kind }) => kind === 'slow-consumer');
    let portions = 0;
    // What the kernel takes for it comes first: some megabytes.
    for (; !isNoticed(); portions += 2) {
      manyPrices(served);
      await good.caughtUp();
    }
    await good.caughtUp();
    const messages = good.feed('book');
    expect(messages).toHaveLength(portions);
    expect(messages.slice(1).every((message, at) => message.prevSeq === messages[at]?.seq)).toBe(true);
    slow.ws.resume();
    expect(await slow.closed).toEqual({ code: closeCodes.slowConsumer, reason: 'slow consumer' });
    // What it has got is without a gap too.
    const had = slow.feed('book');
    expect(had.length).toBeLessThan(messages.length);
    expect(had).toEqual(messages.slice(0, had.length));
  }, 60_000);

  test('one who does not answer the close is cut', async () => {
    const served = await serve({ limits: { bufferedBytesMax: 0, closeGraceMs: 100 } });
    const deaf = await Recorder.open(served);
    await deaf.ask({ op: 'subscribe', channel: 'book', market: ethUsd });
    deaf.ws.pause();
    // More than the kernel takes, so that the close itself waits behind it.
    while (!served.notices.some(({ kind }) => kind === 'slow-consumer')) {
      manyPrices(served);
      await new Promise(setImmediate);
    }
    await expect.poll(() => served.stream.clients, { timeout: 10_000 }).toBe(0);
  }, 60_000);

  test('a snapshot, however large, is no sign of a slow reader', async () => {
    const served = await serve({ limits: { bufferedBytesMax: 1_000 } });
    for (let at = 0; at < 300; at++) await served.trading.place(order({ price: (110 + at).toString() }));
    const client = await Recorder.open(served);
    client.say({ op: 'subscribe', id: '1', channel: 'book', market: ethUsd });
    client.say({ op: 'subscribe', id: '2', channel: 'account', accountId: account(1) });
    await client.next(({ type, channel }) => type === 'snapshot' && channel === 'account');
    await served.trading.place(order({ price: '109' }));
    await client.caughtUp();
    expect(client.feed('book')).toHaveLength(1);
  });

  test('one who does not take its snapshots cannot ask for more and more of them', async () => {
    const served = await serve({ limits: { askedBytesMax: 20_000 } });
    for (let at = 0; at < 500; at++) await served.trading.place(order({ price: (110 + at).toString() }));
    const client = await Recorder.open(served);
    client.ws.pause();
    // Each of 10 kB; the kernel takes some megabytes of them.
    const asks = 2_000;
    for (let at = 0; at < asks; at++)
      client.say({ op: 'subscribe', id: at.toString(), channel: 'book', market: ethUsd });
    client.ws.resume();
    await client.next(({ id }) => id === (asks - 1).toString());
    const refused = client.messages.filter(({ problem }) => problem?.details['limit'] === 'askedBytesMax');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]?.problem).toMatchObject({ code: 'API_STREAM_LIMIT', retryable: true });
    // Now that it reads, it may.
    await client.caughtUp();
    expect(await client.ask({ op: 'subscribe', channel: 'book', market: ethUsd })).toMatchObject({
      type: 'subscribed',
    });
  });

  test('one who gives no sign of life is cut; one who does stays', async () => {
    const served = await serve({ limits: { heartbeatMs: 1_000 } });
    const alive = await Recorder.open(served);
    const socket = connect(served.port, '127.0.0.1');
    const key = Buffer.from('a dead client 16').toString('base64');
    socket.write(
      `GET ${streamPath} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
        `sec-websocket-key: ${key}\r\nauthorization: Bearer ${'t'.repeat(43)}\r\n\r\n`,
    );
    await once(socket, 'data');
    socket.resume();
    expect(served.stream.clients).toBe(2);
    await once(socket, 'close');
    await expect.poll(() => served.stream.clients).toBe(1);
    await alive.caughtUp();
  });

  test('a server that ends says so, and takes nobody new', async () => {
    const served = await serve();
    const client = await Recorder.open(served);
    const closed = served.stream.close();
    expect(await client.closed).toEqual({ code: 1001, reason: 'the server ends' });
    await closed;
    expect(served.stream.clients).toBe(0);
    const late = new WebSocket(`ws://127.0.0.1:${served.port}${streamPath}`);
    const [error] = (await once(late, 'error')) as [Error];
    expect(error.message).toMatch(/404|503/);
  });
});
