/** What one connection can cost: of memory, of work, and of its caller's rate; and that who does no harm is not taken for who does. */
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { StreamTrading } from '../../../api/stream/channels.ts';
import { closeCodes } from '../../../api/stream/limits.ts';
import type { AccountSnapshot, FeedListener } from '../../../matching/trading/contract.ts';
import { account, auditorToken, closeAll, ethUsd, order, Recorder, type Served, serve } from './fixture.ts';

afterEach(closeAll);

const bookSpec = { channel: 'book', market: ethUsd } as const;
const asAuditor = { authorization: `Bearer ${auditorToken}` };
const seqsOf = (client: Recorder, channel: string) => client.feed(channel).map(({ seq }) => seq ?? 0);
async function sell({ trading }: Served, count: number): Promise<void> {
  for (let at = 0; at < count; at++) await trading.place(order({ price: (110 + at).toString() }));
}

describe('frames that are no messages', () => {
  test('who sends pings and does not read the answers is cut', async () => {
    let nowMs = 0;
    // Each in a second of its own, so that it is not their pace.
    const served = await serve({ elapsedMs: () => (nowMs += 1_000) });
    const client = await Recorder.open(served);
    client.ws.pause();
    // What the kernel takes of the answers comes first: some megabytes, of 127 bytes each.
    for (let at = 0; at < 300 && served.stream.clients > 0; at++) {
      for (let ping = 0; ping < 1_000; ping++) client.ws.ping('x'.repeat(125));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await expect.poll(() => served.stream.clients, { timeout: 10_000 }).toBe(0);
  }, 60_000);

  test.each(['ping', 'pong'] as const)('%s that nobody asked for counts as a message', async (frame) => {
    const served = await serve({ elapsedMs: () => 0 });
    const client = await Recorder.open(served, asAuditor);
    const send = async (count: number): Promise<void> => {
      for (let at = 0; at < count; at++) {
        client.ws[frame]();
        if (frame === 'ping') await Promise.race([once(client.ws, 'pong'), client.closed]);
      }
    };
    await send(100);
    expect((await client.ask({ op: 'ping' })).problem?.code).toBe('API_RATE_LIMITED');
    await send(100);
    expect((await client.closed).code).toBe(closeCodes.tooManyMessages);
  });

  test('the answer to a ping of the server counts for nothing', async () => {
    let nowMs = 0;
    const served = await serve({ elapsedMs: () => nowMs, limits: { heartbeatMs: 100 } });
    const client = await Recorder.open(served, asAuditor);
    let pings = 0;
    client.ws.on('ping', () => pings++);
    await expect.poll(() => pings, { timeout: 10_000 }).toBeGreaterThan(3);
    for (let at = 0; at < 100; at++) client.say({ op: 'ping', id: at.toString() });
    expect((await client.next(({ id }) => id === '99')).type).toBe('pong');
    nowMs = 1_000;
    await client.caughtUp();
  });
});

test('who comes back within the second has no new rate', async () => {
  let nowMs = 0;
  const served = await serve({ elapsedMs: () => nowMs });
  const first = await Recorder.open(served, asAuditor);
  for (let at = 0; at < 100; at++) first.say({ op: 'ping', id: at.toString() });
  await first.next(({ id }) => id === '99');
  first.ws.close();
  await expect.poll(() => served.stream.clients).toBe(0);
  const second = await Recorder.open(served, asAuditor);
  expect((await second.ask({ op: 'ping' })).problem?.code).toBe('API_RATE_LIMITED');
  nowMs = 1_000;
  expect((await second.ask({ op: 'ping' })).type).toBe('pong');
});

/** Snapshots of accounts are made at once, and given when the test says so. */
function heldAccounts() {
  const waiting: (() => void)[] = [];
  const snapshots: AccountSnapshot[] = [];
  const trading = (real: StreamTrading): StreamTrading => ({
    ...real,
    account: async (id) => {
      const snapshot = await real.account(id);
      snapshots.push(snapshot);
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
      return snapshot;
    },
  });
  return { waiting, snapshots, trading };
}

describe('snapshots of accounts', () => {
  test('what came while one was made is no sign of a slow reader, however much it is', async () => {
    const { waiting, snapshots, trading } = heldAccounts();
    const served = await serve({ trading, limits: { bufferedBytesMax: 2_000 } });
    const client = await Recorder.open(served);
    client.say({ op: 'subscribe', id: 'a', channel: 'account', accountId: account(1) });
    await expect.poll(() => waiting.length).toBe(1);
    await sell(served, 40);
    waiting[0]?.();
    await client.next(({ type }) => type === 'snapshot');
    await client.caughtUp();
    expect(snapshots[0]?.orders).toEqual([]);
    expect(client.feed('account')).toHaveLength(40);
    expect(served.notices.map(({ kind }) => kind)).not.toContain('slow-consumer');
  });

  test('many that are made at once are not all kept for one who has not taken the first', async () => {
    const { waiting, trading } = heldAccounts();
    const served = await serve({ trading, limits: { askedBytesMax: 20_000 } });
    await sell(served, 100);
    const client = await Recorder.open(served);
    for (const number of [1, 2, 3])
      client.say({ op: 'subscribe', id: `${number}`, channel: 'account', accountId: account(number) });
    await expect.poll(() => waiting.length).toBe(3);
    for (const answer of waiting.splice(0)) answer();
    expect(await client.next(({ id }) => id === '1')).toMatchObject({ type: 'subscribed' });
    for (const id of ['2', '3'])
      expect((await client.next((answer) => answer.id === id)).problem).toMatchObject({
        code: 'API_STREAM_LIMIT',
        details: { limit: 'askedBytesMax' },
      });
    const again = client.ask({ op: 'subscribe', channel: 'account', accountId: account(2) });
    await expect.poll(() => waiting.length).toBe(1);
    waiting[0]?.();
    expect(await again).toMatchObject({ type: 'subscribed' });
  });

  test('of all connections together they are bounded too', async () => {
    const served = await serve({ limits: { askedBytesInAll: 30_000, bufferedBytesMax: 100_000_000 } });
    await sell(served, 200);
    const [deaf, other] = [await Recorder.open(served), await Recorder.open(served)];
    deaf.ws.pause();
    // What the kernel takes comes first. Snapshots of 60 kB.
    let refused: string | undefined;
    for (let at = 0; at < 2_000 && refused === undefined; at++) {
      deaf.say({ op: 'subscribe', id: `${at}`, channel: 'account', accountId: account(1) });
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (at % 20 !== 0) continue;
      const { problem } = await other.ask({ op: 'subscribe', channel: 'account', accountId: account(2) });
      refused = problem?.details['limit'] as string | undefined;
    }
    expect(refused).toBe('askedBytesInAll');
    // What all share is none of it.
    expect(await other.ask({ op: 'subscribe', ...bookSpec })).toMatchObject({ type: 'subscribed' });
    deaf.ws.terminate();
    await expect
      .poll(
        async () => (await other.ask({ op: 'subscribe', channel: 'account', accountId: account(2) })).type,
      )
      .toBe('subscribed');
  }, 60_000);
});

describe('coming back', () => {
  test('messages beyond what is sent at once are not read', async () => {
    let read = 0;
    const counted = (listener: FeedListener): FeedListener => ({
      ...listener,
      onMessage: (message, text) => {
        read++;
        listener.onMessage(message, text);
      },
      onText: (seq, text) => {
        read++;
        listener.onText?.(seq, text);
      },
    });
    const served = await serve({
      limits: { replayBytesMax: 300 },
      trading: (real) => ({
        ...real,
        feed: {
          newestSeq: (key) => real.feed.newestSeq(key),
          subscribe: (key, listener, after) =>
            real.feed.subscribe(key, after === undefined ? listener : counted(listener), after),
        },
      }),
    });
    await sell(served, 1);
    const after = served.world.link.view().seq;
    await sell(served, 50);
    const client = await Recorder.open(served);
    expect(await client.ask({ op: 'subscribe', ...bookSpec, after })).toMatchObject({ resync: true });
    expect(read).toBeLessThan(5);
  });

  test('at the edges of what is kept: the oldest, the newest, and one beyond each', async () => {
    const served = await serve({ limits: { replayBytesMax: 16 * 2 ** 20, bufferedBytesMax: 2 ** 24 } });
    const { world } = served;
    const first = world.link.view().seq;
    // One message each; the ring keeps the newest 4,096.
    for (let at = 0; at < 2_100; at++) {
      world.run([
        {
          kind: 'place',
          account: 1,
          market: 0,
          side: 'sell',
          type: 'limit',
          timeInForce: 'gtc',
          price: 20_000,
          lots: 1,
        },
      ]);
      world.run([{ kind: 'cancel-all', account: 1 }]);
    }
    const newest = world.link.view().seq;
    expect(newest).toBe(first + 4_200);
    const oldest = newest - 4_096;
    const resumed = async (after: number) => {
      const client = await Recorder.open(served);
      const { resync } = await client.ask({ op: 'subscribe', ...bookSpec, after });
      await client.caughtUp();
      return { client, resync, seqs: seqsOf(client, 'book') };
    };
    const whole = await resumed(oldest);
    expect(whole.resync).toBe(false);
    expect(whole.seqs).toHaveLength(4_096);
    expect([whole.seqs[0], whole.seqs.at(-1)]).toEqual([oldest + 1, newest]);
    expect(await resumed(oldest - 1)).toMatchObject({ resync: true, seqs: [] });
    expect(await resumed(newest - 1)).toMatchObject({ resync: false, seqs: [newest] });
    const next = await resumed(newest);
    expect(next).toMatchObject({ resync: false, seqs: [] });
    const beyond = await resumed(newest + 1);
    expect(beyond).toMatchObject({ resync: true, seqs: [] });
    const { seq } = await served.trading.place(order());
    for (const { client } of [whole, next, beyond]) {
      await client.caughtUp();
      expect(seqsOf(client, 'book').at(-1)).toBe(seq);
      expect(client.feed('book').at(-1)?.prevSeq).toBe(newest);
    }
  }, 60_000);
});
