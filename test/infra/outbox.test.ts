import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { enqueue, type OutboxMessage, relay } from '#infra/outbox';
import { databaseForThisFile } from '../support/database.ts';

let pool: Pool;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test' });
});
afterAll(async () => {
  await pool.end();
});
beforeEach(async () => {
  await pool.query('TRUNCATE infra.outbox');
});

async function put(topic: string, ...keys: string[]): Promise<void> {
  await inTransaction(pool, async (tx) => {
    for (const key of keys) await enqueue(tx, { topic, key, payload: { n: key, nested: [1, null] } });
  });
}
const recorder = () => {
  const seen: OutboxMessage[] = [];
  const keys = (): string[] => seen.map((message) => `${message.topic}/${message.key}`);
  return { handler: (message: OutboxMessage) => Promise.resolve(void seen.push(message)), seen, keys };
};

test('delivers once in order, the payload as it was', async () => {
  await put('deposits', 'a', 'b');
  await put('withdrawals', 'c');
  const { handler, keys, seen } = recorder();
  expect(await relay(pool, handler, { batchMax: 10 })).toBe(3);
  expect(keys()).toEqual(['deposits/a', 'deposits/b', 'withdrawals/c']);
  expect(seen[0]?.payload).toEqual({ n: 'a', nested: [1, null] });
  expect(await relay(pool, handler, { batchMax: 10 })).toBe(0);
});

test('what its transaction did not commit is never delivered', async () => {
  const abandoned = inTransaction(pool, async (tx) => {
    await enqueue(tx, { topic: 't', key: 'never', payload: null });
    throw new Error('changed my mind');
  });
  await expect(abandoned).rejects.toThrow('changed my mind');
  expect(await relay(pool, recorder().handler, { batchMax: 10 })).toBe(0);
});

test('a handler that fails stops its topic only, and is asked again from that message', async () => {
  await put('bad', '1', '2', '3');
  await put('good', '4');
  const first = recorder();
  const failing = relay(
    pool,
    async (message) => {
      if (message.key === '2') throw new Error('receiver is down');
      await first.handler(message);
    },
    { batchMax: 10 },
  );
  await expect(failing).rejects.toMatchObject({
    code: 'INFRA_OUTBOX_DELIVERY_FAILED',
    retryable: true,
    details: { topic: 'bad', delivered: 2 },
  });
  expect(first.keys()).toEqual(['bad/1', 'good/4']);
  const second = recorder();
  await relay(pool, second.handler, { batchMax: 10 });
  expect(second.keys()).toEqual(['bad/2', 'bad/3']);
});

test('a relay that dies after handling and before its commit delivers again', async () => {
  await put('t', '1', '2');
  const first = recorder();
  const dying = relay(
    pool,
    async (message) => {
      await first.handler(message);
      // The backend of the transaction ends, as if the process had died.
      if (message.key === '2')
        await pool.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND state = 'idle in transaction'`,
        );
    },
    { batchMax: 10 },
  );
  await expect(dying).rejects.toThrow();
  const second = recorder();
  await relay(pool, second.handler, { batchMax: 10 });
  expect(first.keys()).toEqual(['t/1', 't/2']);
  expect(second.keys()).toEqual(['t/1', 't/2']);
});

test('relays running at once deliver every message once and keep the order', async () => {
  const keys = Array.from({ length: 60 }, (_, at) => String(at));
  await put('t', ...keys);
  const { handler, seen } = recorder();
  const drain = async (): Promise<void> => {
    for (let idle = 0; idle < 5; ) {
      const delivered = await relay(pool, handler, { batchMax: 7 });
      idle = delivered === 0 ? idle + 1 : 0;
    }
  };
  await Promise.all([drain(), drain(), drain()]);
  await relay(pool, handler, { batchMax: 60 });
  expect(seen.map((message) => message.key)).toEqual(keys);
});
