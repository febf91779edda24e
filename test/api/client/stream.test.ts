/** The client against a real stream: it comes back by itself, goes on where it was, and never passes over what is missing. */
import { afterEach, expect, test } from 'vitest';
import { createTradingClient } from '../../../api/client/index.ts';
import type { LocalBook } from '../../../api/client/local-book.ts';
import type { StreamClient, StreamOptions } from '../../../api/client/stream.ts';
import type { StreamTrading } from '../../../api/stream/channels.ts';
import type { FeedListener, FeedMessage, TradeView } from '../../../matching/trading/contract.ts';
import {
  account,
  closeAll,
  ethUsd,
  order,
  type Served,
  type ServeOptions,
  serve,
  token,
} from '../stream/fixture.ts';

const streams: StreamClient[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) await stream.close();
  await closeAll();
});
async function connect(served: Served, options: StreamOptions = {}): Promise<StreamClient> {
  const stream = createTradingClient({ baseUrl: served.baseUrl, token }).stream(options);
  streams.push(stream);
  await expect.poll(() => stream.isOpen).toBe(true);
  return stream;
}
const sell = async ({ trading }: Served, price: string) => await trading.place(order({ price }));
const bookOf = ({ trading }: Served) => {
  const { bids, asks, seq } = trading.book(ethUsd, 1_000);
  return { bids, asks, seq };
};
const shown = ({ bids, asks, seq }: LocalBook) => ({ bids, asks, seq });

test('a book is kept up to date, over cuts without a snapshot in between', async () => {
  const served = await serve();
  await sell(served, '110');
  let opens = 0;
  const stream = await connect(served, { onOpen: () => opens++ });
  const books = new Set<LocalBook>();
  const resyncs: string[] = [];
  let book: LocalBook | undefined;
  await stream.book(ethUsd, {
    onBook: (next) => {
      books.add(next);
      book = next;
    },
    onResync: (reason) => resyncs.push(reason),
  });
  for (const price of ['111', '109', '112']) {
    await sell(served, price);
    stream.cut();
    // While it is away.
    await served.trading.cancelAll({ accountId: account(1) });
    await sell(served, price);
    await expect.poll(() => book?.seq).toBe(served.world.link.view().seq);
    expect(book === undefined ? undefined : shown(book)).toEqual(bookOf(served));
  }
  expect([books.size, resyncs, opens]).toEqual([1, [], 4]);
});

test('away for longer than the server sends at once: told, and begun anew', async () => {
  const served = await serve({ limits: { replayBytesMax: 10 } });
  const stream = await connect(served);
  const told: string[] = [];
  await stream.subscribe(
    { channel: 'account', accountId: account(1) },
    {
      onSnapshot: ({ orders }) => told.push(`snapshot of ${orders.length}`),
      onResync: (reason) => told.push(reason),
    },
  );
  stream.cut();
  await sell(served, '110');
  await expect.poll(() => told).toEqual(['snapshot of 0', 'too-far', 'snapshot of 1']);
});

test('a reset of the server’s picture is told too', async () => {
  const served = await serve();
  const stream = await connect(served);
  const told: string[] = [];
  const trades: TradeView[] = [];
  await stream.subscribe(
    { channel: 'trades', market: ethUsd },
    { onMessage: (message) => trades.push(...message.trades), onResync: (reason) => told.push(reason) },
  );
  served.world.link.reset();
  await expect.poll(() => told).toEqual(['reset']);
  await sell(served, '110');
  await served.trading.place(order({ side: 'buy', accountId: account(2), price: '110' }));
  await expect.poll(() => trades.map(({ price }) => price)).toEqual(['110.00']);
});

/** A feed that loses a message, as none should. */
function losing(lost: (message: FeedMessage) => boolean): ServeOptions {
  const trading = (real: StreamTrading): StreamTrading => ({
    ...real,
    feed: {
      newestSeq: (key) => real.feed.newestSeq(key),
      subscribe: (key, listener, after) => {
        const filtered: FeedListener = {
          ...listener,
          onMessage: (message, text) => {
            if (!lost(message)) listener.onMessage(message, text);
          },
        };
        return real.feed.subscribe(key, filtered, after);
      },
    },
  });
  return { trading };
}

test('a missing message is noticed at the next one, and the book is right again', async () => {
  let losses = 0;
  const served = await serve(losing((message) => message.channel === 'book' && ++losses === 2));
  const stream = await connect(served);
  const resyncs: string[] = [];
  let book: LocalBook | undefined;
  await stream.book(ethUsd, {
    onBook: (next) => {
      book = next;
    },
    onResync: (reason) => resyncs.push(reason),
  });
  for (const price of ['110', '111', '112']) await sell(served, price);
  await expect.poll(() => book?.seq).toBe(served.world.link.view().seq);
  expect(book === undefined ? undefined : shown(book)).toEqual(bookOf(served));
  expect(resyncs).toEqual(['gap']);
});

test('orders over the stream: outcomes, refusals under their own codes', async () => {
  const served = await serve();
  const stream = await connect(served);
  const { orderId } = await stream.place(order());
  expect(await stream.amend({ accountId: account(1), orderId }, { size: '0.5' })).toMatchObject({
    remaining: '0.5000',
  });
  expect(await stream.cancel({ accountId: account(1), orderId })).toMatchObject({ doneReason: 'cancelled' });
  await expect(stream.cancel({ accountId: account(1), orderId })).rejects.toMatchObject({
    code: 'TRADING_ORDER_UNKNOWN',
    kind: 'not_found',
  });
  await stream.place(order());
  expect(await stream.cancelAll({ accountId: account(1) })).toEqual({ cancelled: 1 });
});

test('an order without an answer is not known, and one that was not sent is named so', async () => {
  const served = await serve({
    trading: (real) => ({ ...real, place: async () => await new Promise(() => undefined) }),
  });
  const stream = await connect(served);
  const lost = stream.place(order());
  await stream.ping();
  stream.cut();
  await expect(lost).rejects.toMatchObject({ code: 'API_CLIENT_NO_ANSWER' });
  await expect(stream.place(order())).rejects.toMatchObject({ code: 'API_CLIENT_NOT_SENT' });
});

test('what the server refuses for good is not tried again', async () => {
  const served = await serve();
  const losses: string[] = [];
  const stream = createTradingClient({ baseUrl: served.baseUrl, token: 'x'.repeat(43) }).stream({
    onLost: ({ code }, isFinal) => losses.push(`${code} ${isFinal ? 'for good' : ''}`),
  });
  streams.push(stream);
  const heard = stream.book(ethUsd, { onBook: () => undefined });
  await expect(heard).rejects.toMatchObject({ code: 'API_UNAUTHENTICATED' });
  expect(losses).toEqual(['API_UNAUTHENTICATED for good']);
  await expect(stream.ping()).rejects.toMatchObject({ code: 'API_CLIENT_CLOSED' });
  await expect((await connect(served)).book('DOGE-USD', { onBook: () => undefined })).rejects.toMatchObject({
    code: 'TRADING_MARKET_UNKNOWN',
  });
});

test('a signed stream ends for good when its key is revoked', async () => {
  const served = await serve({ limits: { recheckMs: 50 } });
  const holder = served.register([account(1)]);
  const ends: boolean[] = [];
  const stream = createTradingClient({ baseUrl: served.baseUrl, key: holder }).stream({
    onLost: (_why, isFinal) => ends.push(isFinal),
  });
  streams.push(stream);
  const ended: string[] = [];
  await stream.subscribe(
    { channel: 'account', accountId: account(1) },
    { onEnded: ({ code }) => ended.push(code) },
  );
  served.revoke(holder);
  await expect.poll(() => ends).toEqual([true]);
  expect(ended).toHaveLength(1);
});

test('after `end` nothing comes; after `close` the connection is gone', async () => {
  const served = await serve();
  const stream = await connect(served);
  let messages = 0;
  const subscription = await stream.subscribe(
    { channel: 'book', market: ethUsd },
    { onMessage: () => messages++ },
  );
  await sell(served, '110');
  await stream.ping();
  subscription.end();
  await sell(served, '111');
  await stream.ping();
  expect(messages).toBe(1);
  await stream.close();
  await expect.poll(() => served.stream.clients).toBe(0);
});
