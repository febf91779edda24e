/**
 * The engine's process is killed and started again under a stream, over the link and with a real PostgreSQL: clients are told, miss
 * nothing, and what they show is the engine's book again. An engine of another name is not traded with, and trading recovers.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLogger } from '#infra/log';
import type { Ledger } from '#ledger';
import { createTradingClient } from '../../../api/client/index.ts';
import type { LocalBook } from '../../../api/client/local-book.ts';
import { type ReachedEngine, reachEngine } from '../../../api/engine.ts';
import { attachStream, type Stream } from '../../../api/stream/index.ts';
import { createSupervisor, type Supervisor } from '../../../infra/dev/processes.ts';
import type { FeedMessage, NewOrder } from '../../../matching/trading/contract.ts';
import { serve } from '../../matching/link/fixture.ts';
import { Relay } from '../../matching/link/relay.ts';
import {
  engineName,
  openCustomers,
  prepareEngine,
  type TestEngine,
  until,
} from '../../matching/process/fixture.ts';
import { coin, config, customer, usd } from '../../matching/settlement/fixture.ts';
import { databaseForThisFile } from '../../support/database.ts';
import type { Holder } from '../signing.ts';
import { type Gateway, openGateway } from '../trading-gateway.ts';

const folder = path.join(inject('runFolder'), 'engine-away');
const alice = customer(1);
const market = 'ETH-USD';
const log = createLogger('test', { level: 'silent' });
const decimals = new Map<string, number>([
  [coin, 18],
  [usd, 8],
  ['ledger:gold', 0],
]);
let pool: Pool;
let ledger: Ledger;
let supervisor: Supervisor;
let engine: TestEngine;
let reached: ReachedEngine;
let gateway: Gateway;
let stream: Stream;
let key: Holder;

const reach = (linkPort: number, nowMs = () => Date.now()): ReachedEngine =>
  reachEngine(
    {
      url: `ws://127.0.0.1:${linkPort}`,
      tokenFile: path.join(folder, 'link.token'),
      configFile: path.join(folder, 'engine-config.json'),
      name: engineName,
    },
    { pool, ledger, clock: { nowMs }, decimals, log },
  );
beforeAll(async () => {
  const databaseUrl = await databaseForThisFile();
  pool = openPool({ connectionString: databaseUrl, applicationName: 'test-engine-away' });
  ledger = await openCustomers(pool, 1);
  supervisor = createSupervisor();
  engine = await prepareEngine({ supervisor, folder, databaseUrl }, 'engine');
  reached = reach(engine.linkPort);
  gateway = await openGateway({ databaseUrl, trading: reached.trading, probes: { engine: reached.probe } });
  stream = attachStream(gateway.app.server, { trading: reached.trading, auth: gateway.auth });
  key = await gateway.holder({ accounts: [alice] });
});
afterAll(async () => {
  await stream.close();
  await gateway.close();
  await reached.close();
  await supervisor.stopAll();
  await pool.end();
  rmSync(folder, { recursive: true, force: true });
});

const order = (price: string): NewOrder => ({
  accountId: alice,
  market,
  side: 'sell',
  type: 'limit',
  price,
  size: '0.001',
});
const sides = ({ bids, asks }: Pick<LocalBook, 'bids' | 'asks'>) => ({ bids, asks });

test('away and live again: told to all, no gap in the sequence, and the book is the engine’s', async () => {
  const client = createTradingClient({ baseUrl: `http://127.0.0.1:${gateway.port}`, key });
  const told: string[] = [];
  const live = client.stream({ onEngine: ({ engine: state }) => told.push(state) });
  const messages: FeedMessage[] = [];
  const resyncs: string[] = [];
  let book: LocalBook | undefined;
  try {
    // Before it was ever there.
    await until(
      async () => await Promise.resolve(live.engine),
      (status) => status !== undefined,
    );
    expect(live.engine).toMatchObject({ engine: 'away', seq: null });
    let running = await engine.start();
    await until(
      async () => await Promise.resolve(live.engine?.engine),
      (state) => state === 'live',
    );
    await until(
      async () => await client.account(alice),
      ({ balances }) => balances.some(({ asset }) => asset === coin),
    );
    await live.book(market, { onBook: (next) => (book = next), onResync: (why) => resyncs.push(why) });
    await live.subscribe(
      { channel: 'account', accountId: alice },
      { onMessage: (message) => messages.push(message), onResync: (why) => resyncs.push(why) },
    );
    const before = await live.place(order('300'));
    expect(await client.book(market)).toMatchObject({ engine: 'live', asks: [['300', '0.001000']] });

    process.kill(running.pid, 'SIGKILL');
    await running.exited;
    await until(
      async () => await Promise.resolve(live.engine),
      (status) => status?.engine === 'away',
    );
    const away = await client.book(market);
    expect(away).toMatchObject({ engine: 'away', asks: [['300', '0.001000']] });
    expect(away.seq).toBe(live.engine?.seq);
    expect(away.seq).toBeGreaterThanOrEqual(before.seq);
    expect(await client.ticker(market)).toMatchObject({ engine: 'away' });
    expect((await client.markets()).map(({ engine: state }) => state)).toContain('away');
    await expect(live.place(order('303'))).rejects.toMatchObject({ code: 'TRADING_UNAVAILABLE' });
    const late = client.stream();
    await until(
      async () => await Promise.resolve(late.engine),
      (status) => status !== undefined,
    );
    expect(late.engine).toMatchObject({ engine: 'away', seq: away.seq });
    await late.close();

    running = await engine.start();
    await until(
      async () => await Promise.resolve(live.engine?.engine),
      (state) => state === 'live',
    );
    const after = await live.place(order('306'));
    await live.ping();
    expect(told).toEqual(['away', 'live', 'away', 'live']);
    expect(resyncs).toEqual([]);
    const chain = messages.map(({ seq, prevSeq }) => [seq, prevSeq] as const);
    for (const [at, [, prevSeq]] of chain.entries()) if (at > 0) expect(prevSeq).toBe(chain[at - 1]?.[0]);
    expect(chain.at(-1)?.[0]).toBe(after.seq);
    const shown = await client.book(market);
    expect(shown).toMatchObject({
      engine: 'live',
      asks: [
        ['300', '0.001000'],
        ['306', '0.001000'],
      ],
    });
    expect(book === undefined ? undefined : sides(book)).toEqual(sides(shown));
  } finally {
    await live.close();
  }
});

test('an engine of another name is refused, with its name, and traded with is the right one once it answers', async () => {
  const other = await serve({ config, server: { engineName: 'backup', token: engine.token } });
  await other.sequencer.submit({ kind: 'open-account', account: 1 });
  const relay = await Relay.to(other.server.port);
  const mine = reach(relay.port);
  const probed = async (): Promise<string> => await mine.probe().then(() => 'ok', String);
  try {
    await until(probed, (text) => text.includes('refuses the link: it is engine backup, not main'));
    expect(mine.trading.engineStatus()).toMatchObject({ engine: 'away', seq: null });
    await expect(mine.trading.place(order('309'))).rejects.toMatchObject({ code: 'TRADING_UNAVAILABLE' });
    relay.lead(engine.linkPort);
    await until(probed, (text) => text === 'ok');
    const { seq } = await mine.trading.place(order('309'));
    expect(mine.trading.engineStatus()).toMatchObject({ engine: 'live' });
    await until(
      async () => await Promise.resolve(reached.trading.book(market, 10)),
      (book) => book.seq >= seq,
    );
    expect(mine.trading.book(market, 10).asks).toEqual(reached.trading.book(market, 10).asks);
  } finally {
    await mine.close();
  }
});

test('a defect that stops what follows the engine is not hidden: health says that a restart ends it', async () => {
  const relay = await Relay.to(engine.linkPort);
  let isBroken = false;
  const mine = reach(relay.port, () => {
    if (isBroken) throw new Error('broken clock');
    return Date.now();
  });
  const probed = async (): Promise<string> => await mine.probe().then(() => 'ok', String);
  const told: string[] = [];
  try {
    mine.trading.onEngineStatus(() => {
      throw new Error('a listener of its own harms nobody');
    });
    mine.trading.onEngineStatus(({ engine: state }) => told.push(state));
    await until(probed, (text) => text === 'ok');
    await until(
      async () => await Promise.resolve(told),
      (states) => states.includes('live'),
    );
    isBroken = true;
    relay.cut();
    await until(probed, (text) => text.includes('restart the api: broken clock'));
  } finally {
    isBroken = false;
    await mine.close();
  }
});
