/** The committed description is of what really goes over the socket: every message of a session is one of it, and of no other form. */
import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { account, closeAll, ethUsd, type Message, order, Recorder, type Served, serve } from './fixture.ts';

afterEach(closeAll);

interface Described {
  readonly name: string;
  readonly payload: Parameters<typeof z.fromJSONSchema>[0];
}
interface Operation {
  readonly action: 'send' | 'receive';
  readonly messages: readonly { readonly $ref: string }[];
  readonly reply?: { readonly messages: readonly { readonly $ref: string }[] };
}
interface AsyncApi {
  readonly asyncapi: string;
  readonly channels: Readonly<Record<string, { readonly address: string }>>;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly components: { readonly messages: Readonly<Record<string, Described>> };
}
const document = JSON.parse(readFileSync('api/asyncapi.json', 'utf8')) as AsyncApi;
const described = document.components.messages;
const schemas = new Map(
  Object.entries(described).map(([name, { payload }]) => [name, z.fromJSONSchema(payload)]),
);

function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) =>
    name === '$ref' && typeof part === 'string' ? [part] : refsIn(part),
  );
}
function resolved(ref: string): unknown {
  let found: unknown = document;
  for (const name of ref.replace('#/', '').split('/'))
    found = (found as Record<string, unknown> | undefined)?.[name];
  return found;
}

describe('the document', () => {
  test('has a channel at the path of the stream, and every reference in it leads somewhere', () => {
    expect(document.asyncapi).toBe('3.0.0');
    expect(document.channels['stream']?.address).toBe('/v1/stream');
    const refs = refsIn(document);
    expect(refs.length).toBeGreaterThan(40);
    expect(refs.filter((ref) => resolved(ref) === undefined)).toEqual([]);
  });

  test('each message is sent or received by an operation', () => {
    const used = Object.values(document.operations).flatMap(({ messages, reply }) =>
      [...messages, ...(reply?.messages ?? [])].map(({ $ref }) => $ref.split('/').at(-1)),
    );
    expect([...new Set(used)].sort()).toEqual(Object.keys(described).sort());
  });
});

/** Which of the described messages it says it is. */
const nameOf = ({ type, op, channel }: Message): string => (type ?? op ?? channel ?? 'none') as string;

/** A session that makes the server say everything it can. */
async function session(served: Served): Promise<{ asked: Message[]; heard: Message[] }> {
  const client = await Recorder.open(served);
  const asked: Message[] = [];
  const ask = async (message: Record<string, unknown>): Promise<void> => {
    const { id } = await client.ask(message);
    asked.push({ id, ...message } as Message);
  };
  for (const channel of ['book', 'trades', 'ticker']) await ask({ op: 'subscribe', channel, market: ethUsd });
  await ask({ op: 'subscribe', channel: 'candles', market: ethUsd, interval: '1m' });
  await ask({ op: 'subscribe', channel: 'account', accountId: account(1), after: 10 ** 6 });
  await ask({ op: 'place', order: order({ clientOrderId: '5', selfTrade: 'cancel-both' }) });
  await ask({ op: 'place', order: order({ type: 'stop', triggerPrice: '50', size: '1' }) });
  await ask({ op: 'place', order: order({ side: 'buy', accountId: account(2), size: '0.5' }) });
  await ask({ op: 'amend', accountId: account(1), clientOrderId: '5', price: '101', size: '0.9' });
  await ask({ op: 'cancel', accountId: account(1), clientOrderId: '5' });
  await ask({ op: 'cancel', accountId: account(1), clientOrderId: '6' });
  await ask({ op: 'place-batch', orders: [order({ clientOrderId: '8' }), order({ clientOrderId: '8' })] });
  await ask({ op: 'cancel-batch', orders: [{ accountId: account(1), clientOrderId: '8' }] });
  await ask({ op: 'cancel-all', accountId: account(1), market: ethUsd });
  await ask({ op: 'unsubscribe', channel: 'trades', market: ethUsd });
  await ask({ op: 'ping' });
  client.say({ op: 'nonsense' });
  served.world.link.reset();
  await client.next(({ type }) => type === 'ended');
  await client.caughtUp();
  return { asked, heard: [...client.messages, ...client.statuses] };
}

test('a session that says everything says nothing else', async () => {
  let asks = 0;
  const served = await serve({
    trading: (real) => ({
      ...real,
      // After the reset there is no ticker to begin with.
      ticker: (market) => {
        asks++;
        if (asks > 1) throw new Error('the second time');
        return real.ticker(market);
      },
    }),
  });
  const { asked, heard } = await session(served);
  const wrong = [...asked, ...heard].flatMap((message) => {
    const parsed = schemas.get(nameOf(message))?.safeParse(message);
    return parsed?.success === true ? [] : [{ message, error: parsed?.error.message ?? 'not described' }];
  });
  expect(wrong).toEqual([]);
  // Nothing is described that was not seen.
  const seen = new Set([...asked, ...heard].map(nameOf));
  expect(Object.keys(described).filter((name) => !seen.has(name))).toEqual([]);
});

test('the description refuses what is another form', () => {
  const book = { channel: 'book', market: ethUsd, seq: 2, prevSeq: 1, timeMs: 1, bids: [], asks: [] };
  expect(schemas.get('book')?.safeParse(book).success).toBe(true);
  for (const other of [
    { ...book, more: 1 },
    { ...book, seq: '2' },
    { ...book, bids: [['1']] },
  ])
    expect(schemas.get('book')?.safeParse(other).success).toBe(false);
  const subscribe = { op: 'subscribe', id: '1', channel: 'candles', market: ethUsd, interval: '1m' };
  expect(schemas.get('subscribe')?.safeParse(subscribe).success).toBe(true);
  expect(schemas.get('subscribe')?.safeParse({ ...subscribe, interval: '2m' }).success).toBe(false);
});
