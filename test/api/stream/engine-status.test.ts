/** A stream whose engine is away says so: to everybody, to who comes meanwhile, and when it is over only after what was missed. */
import { afterEach, expect, test } from 'vitest';
import { createTradingClient } from '../../../api/client/index.ts';
import type { StreamClient } from '../../../api/client/stream.ts';
import type { EngineStatus } from '../../../matching/trading/contract.ts';
import { account, closeAll, ethUsd, order, Recorder, type Served, serve, token } from './fixture.ts';

const clients: StreamClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await closeAll();
});

const wordOf = ({ type, channel }: { readonly type?: string; readonly channel?: string }): string =>
  type ?? channel ?? '';
/** All that came, in the order it came in. */
function transcript(client: Recorder): string[] {
  const words: string[] = [];
  client.ws.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Record<string, string>;
    words.push(message['type'] === 'status' ? (message['engine'] ?? '') : wordOf(message));
  });
  return words;
}
const lose = ({ world }: Served): void => world.link.connect(false);
const find = ({ world }: Served): void => world.link.connect(true);

test('every connection begins with it, and hears each change', async () => {
  const served = await serve();
  const [one, two] = [await Recorder.open(served), await Recorder.open(served)];
  await one.caughtUp();
  const { seq } = served.world.link.view();
  expect(one.statuses).toHaveLength(1);
  expect(one.statuses[0]).toMatchObject({ type: 'status', engine: 'live', seq });
  lose(served);
  const late = await Recorder.open(served);
  for (const client of [one, two, late]) {
    await client.caughtUp();
    expect(client.statuses.at(-1)).toMatchObject({ engine: 'away', seq });
  }
  expect(late.statuses).toHaveLength(1);
  find(served);
  for (const client of [one, two, late]) {
    await client.caughtUp();
    expect(client.statuses.at(-1)).toMatchObject({ engine: 'live', seq });
  }
  expect(one.statuses.map(({ engine }) => engine)).toEqual(['live', 'away', 'live']);
});

test('`live` comes after what was missed, or after the new beginning of what could not go on', async () => {
  const served = await serve();
  const client = await Recorder.open(served);
  await client.ask({ op: 'subscribe', channel: 'book', market: ethUsd });
  const words = transcript(client);
  lose(served);
  await served.trading.place(order());
  find(served);
  await client.caughtUp();
  expect(words).toEqual(['away', 'book', 'live', 'pong']);
  lose(served);
  served.world.link.reset();
  find(served);
  await client.caughtUp();
  expect(words.slice(4)).toEqual(['away', 'resync', 'snapshot', 'live', 'pong']);
});

test('the client shows it, and does not know it while it has no connection itself', async () => {
  const served = await serve();
  const told: string[] = [];
  const stream = createTradingClient({ baseUrl: served.baseUrl, token }).stream({
    onEngine: ({ engine }: EngineStatus) => told.push(engine),
    onLost: () => told.push(`lost, ${String(stream.engine)}`),
  });
  clients.push(stream);
  await expect.poll(() => stream.engine?.engine).toBe('live');
  lose(served);
  await expect.poll(() => stream.engine?.engine).toBe('away');
  expect(stream.engine).toMatchObject({ seq: served.world.link.view().seq });
  stream.cut();
  await expect.poll(() => told).toEqual(['live', 'away', 'lost, undefined', 'away']);
  find(served);
  await expect.poll(() => stream.engine?.engine).toBe('live');
});

test('a stream that is closed hears nothing of the engine any more', async () => {
  const served = await serve();
  await served.stream.close();
  lose(served);
  find(served);
  await served.trading.account(account(1));
  expect(served.stream.clients).toBe(0);
});
