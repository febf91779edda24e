import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { openCases } from '#infra/cases';
import { openPool, type Pool } from '#infra/db';
import { createLogger } from '#infra/log';
import { findFreePorts } from '../../../infra/dev/ports.ts';
import { migrate } from '../../../infra/migrations.ts';
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';
import { type Books, openBooks } from '../../../matching/process/books.ts';
import { openSequencer, type Sequencer } from '../../../matching/sequencer/index.ts';
import { openEngine } from '../../../matching/settlement/index.ts';
import { databaseForThisFile } from '../../support/database.ts';
import { config } from '../settlement/fixture.ts';
import { engineName, openCustomers, until } from './fixture.ts';

const databaseUrl = await databaseForThisFile();
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Opened {
  readonly pool: Pool;
  readonly sequencer: Sequencer;
  readonly books: Books;
}
interface More {
  readonly name?: string;
  readonly engineConfig?: EngineConfig;
  /** Where the books find PostgreSQL. */
  readonly url?: string;
}
/** @param passesOn whether the books get the next event */
async function open(passesOn: () => boolean, more: More = {}): Promise<Opened> {
  const { name = engineName, engineConfig = config, url = databaseUrl } = more;
  const folder = mkdtempSync(path.join(tmpdir(), 'books-'));
  closing.push(async () => rmSync(folder, { recursive: true, force: true }));
  const pool = openPool({ connectionString: url, applicationName: 'test-books' });
  closing.push(async () => await pool.end());
  const clock = { nowMs: () => Date.now() };
  const sequencer = await openSequencer({ folder, config: engineConfig, clock });
  closing.push(async () => await sequencer.close());
  const books = openBooks({
    pool,
    databaseUrl: url,
    sequencer: {
      submit: async (command) => await sequencer.submit(command),
      subscribe: (listener) =>
        sequencer.subscribe((events, from, count) => {
          for (let at = from; at < from + count; at++) if (passesOn()) listener(events, at, 1);
        }),
      neededFrom: (seq) => sequencer.neededFrom(seq),
      recovered: sequencer.recovered,
      get publishedSeq() {
        return sequencer.publishedSeq;
      },
    },
    folder,
    config: engineConfig,
    engineName: name,
    settlement: { reconcileEveryMs: 60_000 },
    clock,
    log: createLogger('test', { level: 'silent' }),
  });
  closing.push(async () => await books.close(1_000));
  await books.begun;
  return { pool, sequencer, books };
}

test('an event that is missing stops the settlement and new orders, and is a case', async () => {
  let passesOn = true;
  const { pool, sequencer, books } = await open(() => passesOn);
  await openCustomers(pool, 2);
  await until(
    async () => await sequencer.balance(1, 2),
    ({ available }) => available > 0n,
  );
  await until(
    () => Promise.resolve(books.parts().settlement),
    ({ waitingEvents }) => waitingEvents === 0,
  );
  expect(books.lags()).toBe(false);
  // Also commands that move no value are followed, so that readers know how far the books are.
  const [closed] = await sequencer.submit({ kind: 'set-market', market: 0, state: 'closed' });
  await until(
    async () => {
      const read = 'SELECT seq::int, index FROM matching.head';
      return (await pool.query<{ seq: number; index: number }>(read)).rows[0];
    },
    (head) => head?.seq === closed?.seq && head?.index === 2 ** 31 - 1,
  );
  const debit = { kind: 'debit', account: 1, asset: 0, units: 1n } as const;
  passesOn = false;
  await sequencer.submit(debit);
  passesOn = true;
  const [debited] = await sequencer.submit(debit);
  // The engine goes on; the books know that they do not have everything.
  expect(debited?.kind).toBe('debited');
  expect(books.lags()).toBe(true);
  expect(books.parts().settlement).toMatchObject({
    ok: false,
    problem: expect.stringContaining(`of command ${debited?.seq ?? 0}`) as unknown,
  });
  const [opened] = await until(
    async () => await openCases(pool),
    (cases) => cases.length > 0,
  );
  expect(opened).toMatchObject({ kind: 'settlement-refused', subject: `engine:${engineName}` });
  await until(
    () => Promise.resolve(books.parts().feed.problem),
    (problem) => problem === 'stopped',
  );
});

test('an event in the middle of the last command that is missing is not passed over at the end', async () => {
  let skip = 0;
  const { pool, sequencer, books } = await open(() => --skip !== 0, { name: 'hole' });
  await until(
    async () => await sequencer.balance(2, 2),
    ({ available }) => available > 0n,
  );
  await until(
    () => Promise.resolve(books.parts().settlement),
    ({ waitingEvents }) => waitingEvents === 0,
  );
  const order = { kind: 'place', market: 0, type: 'limit', timeInForce: 'gtc', price: 100, lots: 1 } as const;
  for (let sells = 0; sells < 2; sells++) await sequencer.submit({ ...order, account: 1, side: 'sell' });
  skip = 2;
  const events = await sequencer.submit({ ...order, account: 2, side: 'buy', lots: 2 });
  expect(events.map(({ kind }) => kind)).toEqual(['accepted', 'trade', 'trade']);
  expect(books.lags()).toBe(true);
  await books.close(10_000);
  const { rows } = await pool.query<{ seq: number; index: number }>(
    `SELECT h.seq::int, h.index FROM matching.head AS h JOIN matching.engine AS e ON e.no = h.engine WHERE e.name = 'hole'`,
  );
  expect(rows).toEqual([{ seq: events[0]?.seq, index: 0 }]);
});

/** PostgreSQL behind a door that is closed at first. */
async function door(): Promise<{ readonly url: string; open: () => Promise<void>; bytes: () => number }> {
  const real = new URL(databaseUrl);
  const url = new URL(databaseUrl);
  const port = await findFreePorts();
  url.port = String(port);
  let bytes = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const there = connect({ port: Number.parseInt(real.port, 10), host: real.hostname });
    for (const socket of [client, there]) {
      sockets.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          client.destroy();
          there.destroy();
        });
    }
    client.on('data', (data) => {
      bytes += data.length;
    });
    client.pipe(there).pipe(client);
  });
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: url.href,
    open: async () => {
      await once(server.listen(port, real.hostname), 'listening');
    },
    bytes: () => bytes,
  };
}

test('a mistake that shows only when PostgreSQL comes late is final: health and a case say what to do, cancels go on', async () => {
  const registry = openPool({ connectionString: databaseUrl, applicationName: 'test-books' });
  closing.push(async () => await registry.end());
  await migrate(registry);
  await openEngine(registry, 'renamed', config);
  const { url, open: openDoor, bytes } = await door();
  const others = parseEngineConfig({ ...config, markets: config.markets.slice(0, 1) });
  const { sequencer, books } = await open(() => true, { name: 'renamed', engineConfig: others, url });
  expect(books.parts().settlement).toMatchObject({ ok: false, problem: expect.any(String) as unknown });
  expect(books.parts().settlement.stopped).toBeUndefined();
  await openDoor();
  const [found] = await until(
    async () => (await openCases(registry)).filter(({ subject }) => subject === 'engine:renamed'),
    (cases) => cases.length > 0,
  );
  const whatToDo = expect.stringContaining('a name of its own') as unknown;
  const problem = 'renamed was settled with other assets or markets';
  expect(found).toMatchObject({
    kind: 'settlement-refused',
    details: { code: 'MATCHING_ENGINE_DIFFERS', problem, whatToDo },
  });
  expect(books.parts()).toMatchObject({
    settlement: { ok: false, problem, stopped: { code: 'MATCHING_ENGINE_DIFFERS', whatToDo } },
    feed: { ok: false, problem: 'stopped' },
  });
  expect(books.lags()).toBe(true);
  await sequencer.submit({ kind: 'open-account', account: 1 });
  const [cancelled] = await sequencer.submit({ kind: 'cancel-all', account: 1 });
  expect(cancelled?.kind).toBe('cancelled-all');
  // Three times as long as between two attempts.
  const asked = bytes();
  await delay(1_500);
  expect(bytes()).toBe(asked);
});
