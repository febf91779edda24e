/** Channels: what was before, then all that follows, in order, none twice; after a cut, from where it was; after a reset, anew. */
import { afterEach, expect, test } from 'vitest';
import type { StreamTrading } from '../../../api/stream/channels.ts';
import type { AccountSnapshot, BookView, FeedMessage } from '../../../matching/trading/contract.ts';
import { account, closeAll, ethUsd, type Message, order, Recorder, type Served, serve } from './fixture.ts';

afterEach(closeAll);

const bookSpec = { channel: 'book', market: ethUsd } as const;
const seqsOf = (messages: readonly Message[]) => messages.map(({ seq }) => seq);
const isSnapshot = ({ type }: Message): boolean => type === 'snapshot';

/** Sells at so many prices, one order and so one message each. */
async function sell({ trading }: Served, prices: readonly number[]): Promise<number[]> {
  const seqs: number[] = [];
  for (const price of prices) seqs.push((await trading.place(order({ price: price.toString() }))).seq);
  return seqs;
}
/** As whoever reads the documentation would do it. */
function rebuilt(snapshot: BookView, messages: readonly Message[]): { bids: string[][]; asks: string[][] } {
  const sides = { bids: new Map(snapshot.bids), asks: new Map(snapshot.asks) };
  for (const message of messages as unknown as Extract<FeedMessage, { channel: 'book' }>[])
    for (const side of ['bids', 'asks'] as const)
      for (const [price, size] of message[side])
        if (/^0(\.0*)?$/.test(size)) sides[side].delete(price);
        else sides[side].set(price, size);
  const sorted = (side: 'bids' | 'asks', sign: number) =>
    [...sides[side]]
      .sort(([a], [b]) => sign * a.localeCompare(b, 'en', { numeric: true }))
      .map((l) => [...l]);
  return { bids: sorted('bids', -1), asks: sorted('asks', 1) };
}

test('a book is a snapshot and every message after it; what they come to is the book', async () => {
  const served = await serve();
  await sell(served, [110, 111, 112]);
  const client = await Recorder.open(served);
  expect(await client.ask({ op: 'subscribe', ...bookSpec })).toMatchObject({
    type: 'subscribed',
    resync: false,
  });
  const seqs = await sell(served, [113, 109]);
  await served.trading.cancelAll({ accountId: account(1) });
  await served.trading.place(order({ side: 'buy', accountId: account(2), price: '99.5', size: '0.25' }));
  await client.caughtUp();
  expect(client.messages.slice(0, 2).map(({ type }) => type)).toEqual(['subscribed', 'snapshot']);
  const snapshot = client.messages.find(isSnapshot)?.['snapshot'] as BookView;
  const messages = client.feed('book');
  expect(seqsOf(messages).slice(0, 2)).toEqual(seqs);
  expect(messages).toHaveLength(4);
  for (const [at, message] of messages.entries())
    expect(message.prevSeq).toBe(at === 0 ? snapshot.seq : messages[at - 1]?.seq);
  const { bids, asks } = served.trading.book(ethUsd, 1_000);
  expect(rebuilt(snapshot, messages)).toEqual({ bids, asks });
  expect(bids).toEqual([['99.50', '0.2500']]);
});

test('all who hear a channel get the same text, and none of another channel', async () => {
  const served = await serve();
  const [one, two, other] = await Promise.all([1, 2, 3].map(async () => await Recorder.open(served)));
  await one?.ask({ op: 'subscribe', ...bookSpec });
  await two?.ask({ op: 'subscribe', ...bookSpec });
  await other?.ask({ op: 'subscribe', channel: 'book', market: 'USD-ETH' });
  await sell(served, [110, 111]);
  await Promise.all([one?.caughtUp(), two?.caughtUp(), other?.caughtUp()]);
  expect(one?.feed('book')).toHaveLength(2);
  expect(two?.feed('book')).toEqual(one?.feed('book'));
  expect(other?.feed('book')).toEqual([]);
});

test('trades, ticker and candles say what was traded', async () => {
  const served = await serve();
  await sell(served, [100]);
  const client = await Recorder.open(served);
  for (const channel of ['trades', 'ticker'])
    expect(await client.ask({ op: 'subscribe', channel, market: ethUsd })).toMatchObject({
      type: 'subscribed',
    });
  expect(
    await client.ask({ op: 'subscribe', channel: 'candles', market: ethUsd, interval: '5m' }),
  ).toMatchObject({ type: 'subscribed', interval: '5m' });
  await served.trading.place(order({ side: 'buy', accountId: account(2), size: '0.4' }));
  await client.caughtUp();
  expect(client.feed('trades')[0]?.['trades']).toMatchObject([
    { price: '100.00', size: '0.4000', side: 'buy' },
  ]);
  expect(client.feed('ticker')[0]?.['ticker']).toMatchObject({
    lastPrice: '100.00',
    bestAsk: ['100.00', '0.6000'],
  });
  expect(client.messages.filter(isSnapshot).map(({ channel }) => channel)).toEqual(['ticker']);
});

test('an account begins with all of it, and hears what happens to it and to nobody else', async () => {
  const served = await serve();
  await sell(served, [100]);
  const client = await Recorder.open(served);
  await client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
  const snapshot = (await client.next(isSnapshot))['snapshot'] as AccountSnapshot;
  expect(snapshot.orders.map(({ price }) => price)).toEqual(['100.00']);
  await served.trading.place(order({ accountId: account(3), price: '300' }));
  await served.trading.place(order({ side: 'buy', accountId: account(2), size: '0.4' }));
  await client.caughtUp();
  const [message, ...others] = client.feed('account');
  expect(others).toEqual([]);
  expect(message?.['changes']).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ kind: 'fill' }),
      expect.objectContaining({ kind: 'balance' }),
    ]),
  );
});

test('who comes back with `after` gets what it missed and goes on, without a snapshot', async () => {
  const served = await serve();
  const first = await Recorder.open(served);
  await first.ask({ op: 'subscribe', ...bookSpec });
  const [had = 0] = await sell(served, [110, 111]);
  await first.caughtUp();
  first.ws.terminate();
  await first.closed;
  const missed = await sell(served, [112, 113]);
  const second = await Recorder.open(served);
  expect(await second.ask({ op: 'subscribe', ...bookSpec, after: had })).toMatchObject({
    seq: had,
    resync: false,
  });
  const later = await sell(served, [114]);
  await second.caughtUp();
  const messages = second.feed('book');
  expect(seqsOf(messages)).toEqual([had + 1, ...missed, ...later]);
  expect(messages[0]?.prevSeq).toBe(had);
  expect(second.messages.some(isSnapshot)).toBe(false);
});

test('`after` the snapshot that was the last thing heard goes on as well', async () => {
  const served = await serve();
  await sell(served, [110]);
  const first = await Recorder.open(served);
  const { seq } = await first.ask({ op: 'subscribe', ...bookSpec });
  first.ws.terminate();
  const missed = await sell(served, [111]);
  const second = await Recorder.open(served);
  expect(await second.ask({ op: 'subscribe', ...bookSpec, after: seq })).toMatchObject({ resync: false });
  await second.caughtUp();
  expect(seqsOf(second.feed('book'))).toEqual(missed);
});

test.each([
  ['ahead of the engine', 1_000_000, {}],
  ['more than is sent at once', 9, { replayBytesMax: 200 }],
])('`after` %s: begin anew', async (_what, after, limits) => {
  const served = await serve({ limits });
  const client = await Recorder.open(served);
  await sell(served, [110, 111, 112]);
  expect(await client.ask({ op: 'subscribe', ...bookSpec, after })).toMatchObject({ resync: true });
  const snapshot = (await client.next(isSnapshot))['snapshot'] as BookView;
  expect(snapshot.asks).toHaveLength(3);
  const seqs = await sell(served, [113]);
  await client.caughtUp();
  expect(seqsOf(client.feed('book'))).toEqual(seqs);
});

test('after a reset of the engine’s picture each client is told, and goes on from a new snapshot', async () => {
  const served = await serve();
  const clients = await Promise.all([1, 2].map(async () => await Recorder.open(served)));
  for (const client of clients) {
    await client.ask({ op: 'subscribe', ...bookSpec });
    await client.ask({ op: 'subscribe', channel: 'trades', market: ethUsd });
    await client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
  }
  await sell(served, [110]);
  served.world.link.reset();
  const seqs = await sell(served, [111, 112]);
  for (const client of clients) {
    await client.next(({ type, channel }) => type === 'resync' && channel === 'account');
    await client.caughtUp();
    const told = client.messages.filter(({ channel }) => channel === 'book').map(({ type }) => type);
    // One message before, one or two after: those in between may be in the snapshot.
    expect(told.slice(0, 5)).toEqual(['subscribed', 'snapshot', undefined, 'resync', 'snapshot']);
    const snapshot = client.messages.filter(isSnapshot).findLast(({ channel }) => channel === 'book');
    const view = snapshot?.['snapshot'] as BookView;
    const after = client.feed('book').slice(1);
    expect(seqsOf(after)).toEqual(seqs.filter((seq) => seq > view.seq));
    expect(rebuilt(view, after).asks).toEqual(served.trading.book(ethUsd, 10).asks);
    expect(
      client.messages.filter(({ type, channel }) => type === 'resync' && channel === 'trades'),
    ).toHaveLength(1);
  }
});

/** Accounts are answered when the test says so. */
function heldAccounts() {
  const waiting: (() => void)[] = [];
  const trading = (real: StreamTrading): StreamTrading => ({
    ...real,
    account: async (id) => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return await real.account(id);
    },
  });
  return { waiting, trading };
}

test('what happens while the snapshot of an account is made comes after it, once', async () => {
  const { waiting, trading } = heldAccounts();
  const served = await serve({ trading });
  const client = await Recorder.open(served);
  // It is followed from now on.
  served.trading.feed.subscribe(`account/${account(1)}`, {
    onMessage: () => undefined,
    onReset: () => undefined,
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const asked = client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
  await expect.poll(() => waiting.length).toBe(1);
  const before = await sell(served, [110]);
  waiting[0]?.();
  // In the time between the answer and its use.
  const between = await sell(served, [111]);
  await asked;
  const after = await sell(served, [112]);
  await client.caughtUp();
  const { orders, seq } = (await client.next(isSnapshot))['snapshot'] as AccountSnapshot;
  expect(seq).toBeGreaterThanOrEqual(before[0] ?? 0);
  const heard = client.feed('account');
  expect(seqsOf(heard)).toEqual([...before, ...between, ...after].filter((each) => each > seq));
  expect(orders.length + heard.length).toBe(3);
});

test('a reset while the snapshot of an account is made: one beginning, of the new state', async () => {
  const { waiting, trading } = heldAccounts();
  const served = await serve({ trading });
  const client = await Recorder.open(served);
  const asked = client.ask({ op: 'subscribe', channel: 'account', accountId: account(1) });
  await expect.poll(() => waiting.length).toBe(1);
  served.world.link.reset();
  await expect.poll(() => waiting.length).toBe(2);
  for (const answer of waiting) answer();
  expect(await asked).toMatchObject({ type: 'subscribed' });
  await client.caughtUp();
  expect(client.messages.filter(isSnapshot)).toHaveLength(1);
  expect(client.messages.filter(({ type }) => type === 'resync')).toEqual([]);
});

test('a channel whose new beginning cannot be had ends with the reason, and can be asked for again', async () => {
  let isDown = false;
  const served = await serve({
    trading: (real) => ({
      ...real,
      book: (...asked) => {
        if (isDown) throw new Error('hunter2');
        return real.book(...asked);
      },
    }),
  });
  const client = await Recorder.open(served);
  await client.ask({ op: 'subscribe', ...bookSpec });
  isDown = true;
  served.world.link.reset();
  const ended = await client.next(({ type }) => type === 'ended');
  expect(ended).toMatchObject({ ...bookSpec, problem: { code: 'API_INTERNAL' } });
  expect(JSON.stringify(ended)).not.toContain('hunter2');
  expect(served.notices).toContainEqual(expect.objectContaining({ kind: 'failed' }));
  expect((await client.ask({ op: 'subscribe', ...bookSpec })).problem?.code).toBe('API_INTERNAL');
  isDown = false;
  expect(await client.ask({ op: 'subscribe', ...bookSpec })).toMatchObject({ type: 'subscribed' });
  const seqs = await sell(served, [110]);
  await client.caughtUp();
  expect(seqsOf(client.feed('book'))).toEqual(seqs);
});

test('asked for again a channel begins anew; after `unsubscribe` nothing comes', async () => {
  const served = await serve();
  const client = await Recorder.open(served);
  await client.ask({ op: 'subscribe', ...bookSpec });
  await client.ask({ op: 'subscribe', ...bookSpec });
  const seqs = await sell(served, [110]);
  await client.caughtUp();
  expect(seqsOf(client.feed('book'))).toEqual(seqs);
  expect(client.messages.filter(isSnapshot)).toHaveLength(2);
  expect(await client.ask({ op: 'unsubscribe', ...bookSpec })).toMatchObject({
    type: 'unsubscribed',
    ...bookSpec,
  });
  await sell(served, [111]);
  await client.caughtUp();
  expect(client.feed('book')).toHaveLength(1);
});

test('an unknown market is refused with its code', async () => {
  const client = await Recorder.open(await serve());
  const answer = await client.ask({ op: 'subscribe', channel: 'book', market: 'DOGE-USD' });
  expect(answer).toMatchObject({ type: 'problem', problem: { code: 'TRADING_MARKET_UNKNOWN', status: 404 } });
});

test('one that is left before it has begun is answered all the same', async () => {
  const { waiting, trading } = heldAccounts();
  const served = await serve({ trading });
  const client = await Recorder.open(served);
  const spec = { channel: 'account', accountId: account(1) } as const;
  client.say({ op: 'subscribe', id: 'first', ...spec });
  client.say({ op: 'subscribe', id: 'second', ...spec });
  await expect.poll(() => waiting.length).toBe(2);
  for (const go of waiting.splice(0)) go();
  expect(await client.next(({ id }) => id === 'first')).toMatchObject({
    type: 'problem',
    problem: { code: 'API_STREAM_SUPERSEDED', retryable: false },
  });
  expect(await client.next(({ id }) => id === 'second')).toMatchObject({ type: 'subscribed' });
  client.say({ op: 'subscribe', id: 'third', ...spec });
  await expect.poll(() => waiting.length).toBe(1);
  expect(await client.ask({ op: 'unsubscribe', ...spec })).toMatchObject({ type: 'unsubscribed' });
  for (const go of waiting.splice(0)) go();
  expect(await client.next(({ id }) => id === 'third')).toMatchObject({ type: 'problem' });
  await client.caughtUp();
  expect(client.messages.filter(isSnapshot)).toHaveLength(1);
});
