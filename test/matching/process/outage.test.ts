import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { openPool, type Pool } from '#infra/db';
import { connectLink, type EngineLink } from '#matching/link';
import { type RunningCluster, startCluster } from '../../../infra/dev/cluster.ts';
import { findFreePorts } from '../../../infra/dev/ports.ts';
import { createSupervisor, type Supervisor } from '../../../infra/dev/processes.ts';
import { migrate } from '../../../infra/migrations.ts';
import { openEngine, verifySettlement } from '../../../matching/settlement/index.ts';
import { throwawayState } from '../../support/environment.ts';
import { config } from '../settlement/fixture.ts';
import { engineName, healthOf, openCustomers, prepareEngine, type TestEngine, until } from './fixture.ts';

const lagEventsMax = 8;
const timeoutMs = 120_000;
const state = throwawayState();
let supervisor: Supervisor;
let cluster: RunningCluster;
let pool: Pool;
let engine: TestEngine;
let link: EngineLink;

beforeAll(async () => {
  supervisor = createSupervisor();
  cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: false });
  pool = openPool({ connectionString: cluster.urlOf(), applicationName: 'test-engine-outage' });
  await migrate(pool);
  await openCustomers(pool, 2);
  engine = await prepareEngine(
    {
      supervisor,
      folder: path.join(state.data, 'engine'),
      databaseUrl: cluster.urlOf(),
      settlement: { lagEventsMax },
    },
    'engine',
  );
  await engine.start();
  link = connectLink({ url: `ws://127.0.0.1:${engine.linkPort}`, token: engine.token, config });
  await link.ready();
  await until(
    () => Promise.resolve(link.view().balance(2, 2).available),
    (gold) => gold > 0n,
  );
}, timeoutMs);
afterAll(async () => {
  await link.close();
  await pool.end();
  await supervisor.stopAll();
  rmSync(path.dirname(state.data), { recursive: true, force: true });
});

const place = async (account: number, side: 'buy' | 'sell') =>
  await link.submit({
    kind: 'place',
    account,
    market: 0,
    side,
    type: 'limit',
    timeInForce: 'gtc',
    price: 100,
    lots: 1,
  });
const codeOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'taken',
    (error: unknown) => (isStrongroomError(error) ? error.code : String(error)),
  );
/** Trades one lot after the other until no order is taken any more; how many were traded. */
async function tradeUntilRefused(): Promise<number> {
  for (let trades = 0; ; trades++)
    for (const [account, side] of [
      [1, 'sell'],
      [2, 'buy'],
    ] as const) {
      const code = await codeOf(place(account, side));
      if (code === 'taken') continue;
      expect(code).toBe('MATCHING_SETTLEMENT_LAGS');
      return trades;
    }
}
const settledAll = async (): Promise<void> => {
  await until(
    async () => await healthOf(engine),
    ({ ok, parts }) => ok && parts.settlement?.waitingEvents === 0,
  );
};

test(
  'without PostgreSQL trading goes on to the bound, cancels beyond it, and all goes on by itself',
  async () => {
    const resting = await place(1, 'sell');
    await settledAll();
    await link.submit({ kind: 'cancel', account: 1, orderId: resting[0]?.seq ?? 0 });
    const open = await link.submit({
      kind: 'place',
      account: 1,
      market: 0,
      side: 'sell',
      type: 'limit',
      timeInForce: 'gtc',
      price: 900,
      lots: 1,
    });
    await (supervisor.find('postgres') ?? cluster.postgres.process).stop();
    const trades = await tradeUntilRefused();
    expect(trades).toBeGreaterThan(lagEventsMax);
    const away = await until(
      async () => await healthOf(engine),
      ({ parts }) => parts.feed?.ok === false,
    );
    expect(away).toMatchObject({ ok: false, parts: { journal: { ok: true }, settlement: { ok: false } } });
    const cancelled = await link.submit({ kind: 'cancel', account: 1, orderId: open[0]?.seq ?? 0 });
    expect(cancelled).toMatchObject([{ kind: 'done' }]);

    await supervisor.restart('postgres');
    await settledAll();
    expect(await codeOf(place(1, 'sell'))).toBe('taken');
    const settled = await openEngine(pool, engineName, config);
    expect(await verifySettlement(pool, settled)).toEqual([]);
    const { rows } = await pool.query<{ trades: string }>('SELECT trades FROM matching.head');
    expect(rows[0]?.trades).toBe(String(trades));
  },
  timeoutMs,
);

test(
  'started without PostgreSQL it serves what cannot trade, and settles what it has when the database is there',
  async () => {
    const open = await place(1, 'sell');
    expect(open[0]?.kind).toBe('accepted');
    await (supervisor.find('postgres') ?? cluster.postgres.process).stop();
    expect(await codeOf(place(2, 'buy'))).toBe('taken');
    await supervisor.find(engine.name)?.kill('SIGKILL');
    await engine.start(({ parts }) => parts.journal.ok);
    await until(
      () => Promise.resolve(link.state()),
      ({ connected, epoch }) => connected && epoch === 2,
    );
    expect(link.view().openOrders).toBeGreaterThan(0);
    expect(await codeOf(link.submit({ kind: 'cancel-all', account: 1 }))).toBe('taken');
    expect(await codeOf(place(2, 'buy'))).toBe('MATCHING_SETTLEMENT_LAGS');
    expect((await healthOf(engine)).ok).toBe(false);

    await supervisor.restart('postgres');
    await settledAll();
    expect(await codeOf(place(2, 'buy'))).toBe('taken');
    const { seq } = link.view();
    const running = supervisor.find(engine.name);
    await running?.stop();
    expect(await running?.exited).toMatchObject({ code: 0 });
    const { rows } = await pool.query<{ seq: string }>('SELECT seq FROM matching.head');
    expect(rows[0]?.seq).toBe(String(seq));
    expect(await verifySettlement(pool, await openEngine(pool, engineName, config))).toEqual([]);
  },
  timeoutMs,
);
