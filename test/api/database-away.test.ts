/** PostgreSQL is stopped under a gateway that goes on: a server of this file's own. Each route says so, and then works again. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { derivedId } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createTrading, type Trading } from '#matching/trading';
import { createOperations } from '#workflows';
import { type RunningCluster, startCluster } from '../../infra/dev/cluster.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor } from '../../infra/dev/processes.ts';
import { migrate } from '../../infra/migrations.ts';
import { usd } from '../matching/settlement/fixture.ts';
import { alice, type Desk, decimalsOf, openDesk, order } from '../matching/trading/desk.ts';
import { throwawayState } from '../support/environment.ts';
import type { Answer, Holder } from './signing.ts';
import { type Gateway, openGateway, type Role } from './trading-gateway.ts';

type Operations = Parameters<typeof createOperations>[0];

const state = throwawayState();
const supervisor = createSupervisor();
const clock = { nowMs: () => Date.now() };
let cluster: RunningCluster;
let pool: Pool;
let desk: Desk;
let trading: Trading;
let gateway: Gateway;
let holder: Holder;
beforeAll(async () => {
  cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: false });
  pool = openPool({ connectionString: cluster.urlOf(), applicationName: 'test-away' });
  await migrate(pool);
  desk = await openDesk(pool, 'away');
  const { ledger } = desk.exchange;
  trading = createTrading({ pool, ledger, link: desk.link, clock, decimalsOf });
  await trading.ready();
  gateway = await openGateway({
    databaseUrl: cluster.urlOf(),
    trading,
    // What reads and writes the books needs no more.
    operations: createOperations({
      ...{ pool, ledger, clock, chains: { list: [] }, wallets: [], ledgerAssets: [usd], chainSettings: [] },
    } as unknown as Operations),
  });
  holder = await gateway.holder({ accounts: [alice] });
}, 120_000);
afterAll(async () => {
  await gateway.close();
  await trading.close();
  await desk.settler.stop();
  await pool.end();
  await supervisor.stopAll();
  rmSync(path.dirname(state.data), { recursive: true, force: true });
});

const account = derivedId('acc', 'new while away');
const uuid = alice.slice('acc_'.length);
const routes: readonly (readonly [role: Role, method: string, url: string, body?: object])[] = [
  ['trading', 'GET', '/v1/markets/ETH-USD/trades?before=9-9'],
  ['trading', 'GET', '/v1/markets/ETH-USD/candles?interval=1m&toMs=86400000'],
  ['trading', 'GET', `/v1/fills?accountId=${alice}`],
  [
    'trading',
    'PUT',
    `/v1/spot-transfers/spt_${uuid}`,
    { accountId: alice, asset: usd, units: '5', direction: 'to-main' },
  ],
  ['trading', 'GET', `/v1/spot-transfers/spt_${uuid}`],
  ['trading', 'GET', '/v1/api-keys'],
  ['trading', 'DELETE', `/v1/api-keys/key_${uuid}`],
  ['trading', 'PUT', `/v1/accounts/${account}`],
  ['trading', 'GET', `/v1/accounts/${alice}/balances`],
  ['trading', 'GET', `/v1/accounts/${alice}/deposits`],
  ['trading', 'GET', '/v1/withdrawals'],
  ['trading', 'GET', `/v1/withdrawals/wd_${uuid}`],
  ['trading', 'POST', `/v1/withdrawals/wd_${uuid}/cancel`],
  ['auditor', 'GET', `/v1/withdrawals/wd_${uuid}/certificate`],
  ['treasury', 'GET', '/v1/cases'],
  ['treasury', 'GET', `/v1/cases/case_${uuid}`],
  ['treasury', 'GET', '/v1/adjustments'],
  ['treasury', 'GET', `/v1/adjustments/sha256:${'0'.repeat(64)}`],
];
async function askAll(): Promise<ReadonlyMap<string, Answer>> {
  const answers = new Map<string, Answer>();
  for (const [role, method, url, body] of routes)
    answers.set(
      `${method} ${url}`,
      await gateway.as(role, { method, url, ...(body === undefined ? {} : { body }) }),
    );
  return answers;
}
const statuses = (answers: ReadonlyMap<string, Answer>) =>
  [...answers].map(([route, { status, json }]) => [route, status, status < 400 ? '' : json['code']]);

afterEach(async () => {
  if (isStopped) await supervisor.restart('postgres');
  isStopped = false;
});
let isStopped = false;
async function stopPostgres(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  const running = supervisor.find('postgres') ?? cluster.postgres.process;
  process.kill(running.pid, signal);
  isStopped = true;
  await running.exited;
}

async function startPostgres(): Promise<void> {
  await supervisor.restart('postgres');
  isStopped = false;
}

// SIGINT: a fast shutdown, which says goodbye; SIGQUIT: an immediate one.
test.each(['SIGINT', 'SIGQUIT'] as const)(
  'while PostgreSQL is away after %s every route is 503 with what to do; then all answer as before',
  { timeout: 120_000 },
  async (signal) => {
    const before = statuses(await askAll());
    expect(before.filter(([, status]) => status === 500)).toEqual([]);
    expect(before.filter(([, status]) => status === 200).length).toBeGreaterThan(8);
    await stopPostgres(signal);
    // Idle connections learn of it at once, or by the first question.
    for (let round = 0; round < 2; round++)
      for (const [route, answer] of await askAll()) {
        expect([route, answer.status, answer.json['code']]).toEqual([
          route,
          503,
          expect.stringMatching(/_UNAVAILABLE$/),
        ]);
        expect(answer.json).toMatchObject({ retryable: true, status: 503 });
        expect(answer.json['whatToDo']).toEqual(expect.any(String));
        expect(answer.headers['retry-after']).toBe('5');
        expect(answer.headers['content-type']).toContain('application/problem+json');
      }
    // A key is remembered for a second; then it is not known whether it is in force.
    await expect
      .poll(async () => await gateway.by(holder, { method: 'GET', url: '/v1/assets' }), { timeout: 10_000 })
      .toMatchObject({
        status: 503,
        json: { code: 'API_KEYS_UNAVAILABLE' },
        headers: { 'retry-after': '5' },
      });
    // What needs no database goes on.
    expect(await gateway.as('trading', { method: 'GET', url: '/v1/markets' })).toMatchObject({ status: 200 });
    await startPostgres();
    await expect.poll(async () => statuses(await askAll()), { timeout: 60_000 }).toEqual(before);
  },
);

test('questions that are on their way when it stops are 503 too', { timeout: 120_000 }, async () => {
  const locker = await pool.connect();
  locker.on('error', () => undefined);
  await locker.query('BEGIN');
  await locker.query('LOCK TABLE api.api_key, matching.spot_transfer IN ACCESS EXCLUSIVE MODE');
  const waiting = Promise.all([
    gateway.as('trading', { method: 'GET', url: '/v1/api-keys' }),
    gateway.as('trading', { method: 'GET', url: `/v1/spot-transfers/spt_${uuid}` }),
  ]);
  await expect
    .poll(
      async () => (await pool.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rowCount,
    )
    .toBe(2);
  await stopPostgres('SIGINT');
  locker.release(true);
  for (const { status, json, headers } of await waiting) {
    expect([status, json['code']]).toEqual([503, 'API_DATABASE_UNAVAILABLE']);
    expect(headers['retry-after']).toBe('5');
  }
  await startPostgres();
  await expect
    .poll(async () => (await gateway.as('trading', { method: 'GET', url: '/v1/api-keys' })).status)
    .toBe(200);
});

test('an order is taken while PostgreSQL is away: its account is known', { timeout: 120_000 }, async () => {
  await stopPostgres('SIGINT');
  const placed = await gateway.as('trading', { method: 'POST', url: '/v1/orders', body: order() });
  expect(placed).toMatchObject({ status: 200, json: { status: 'open' } });
});
