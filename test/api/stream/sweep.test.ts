/** One order that meets thousands is a message of more than may wait: nobody who reads is cut for it. */
import { afterEach, expect, test } from 'vitest';
import { account, closeAll, ethUsd, order, Recorder, serve } from './fixture.ts';

afterEach(async () => {
  await closeAll();
});

test('one order that meets thousands cuts nobody who reads', { timeout: 60_000 }, async () => {
  const served = await serve();
  const makers = 8_000;
  for (let at = 0; at < makers; at += 50)
    await served.trading.placeAll(Array.from({ length: 50 }, () => order({ size: '0.01' })));
  const clients = [await Recorder.open(served), await Recorder.open(served)];
  for (const client of clients)
    for (const channel of ['trades', 'book', 'ticker'])
      await client.ask({ op: 'subscribe', channel, market: ethUsd });
  const [taker] = clients;
  await taker?.ask({ op: 'subscribe', channel: 'account', accountId: account(2) });
  const cut = Promise.race(clients.map(async ({ closed }) => await closed));
  const answer = await Promise.race([
    cut,
    taker?.ask({
      op: 'place',
      order: order({ accountId: account(2), side: 'buy', size: `${makers / 100}` }),
    }),
  ]);
  expect(answer).toMatchObject({ type: 'answer', ok: { status: 'filled' } });
  for (const client of clients) {
    await client.caughtUp();
    expect(client.feed('trades')).toHaveLength(1);
    expect(client.feed('book')).toHaveLength(1);
  }
  expect(served.notices.filter(({ kind }) => kind === 'slow-consumer')).toEqual([]);
});
