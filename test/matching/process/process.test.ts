import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { amount } from '#core/money';
import { openCases } from '#infra/cases';
import { openPool, type Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import { customerMain, customerSpot, houseSuspense, openingBalance, spotOut } from '#ledger/contract';
import { connectLink, type EngineLink } from '#matching/link';
import { createSupervisor, type Supervisor } from '../../../infra/dev/processes.ts';
import { checkoutRoot } from '../../../infra/dev/state.ts';
import { exitForPerson } from '../../../matching/process/exit-codes.ts';
import { verifySettlement } from '../../../matching/settlement/index.ts';
import { openEngine } from '../../../matching/settlement/store.ts';
import { databaseForThisFile, superuserOf } from '../../support/database.ts';
import { coin, coinUnit, config, customer } from '../settlement/fixture.ts';
import {
  type EngineSetup,
  engineName,
  healthOf,
  openCustomers,
  prepareEngine,
  type TestEngine,
  until,
} from './fixture.ts';

const customers = 3;
const folder = path.join(inject('runFolder'), 'engine-process');
let databaseUrl: string;
let pool: Pool;
let ledger: Ledger;
let supervisor: Supervisor;
const links: EngineLink[] = [];

/** The engine's processes have the role of docs/operations/settlement.md, and no right beyond. */
async function engineRoleOf(ownerUrl: string): Promise<string> {
  const role = `test_engine_${randomBytes(6).toString('hex')}`;
  const document = readFileSync(path.join(checkoutRoot, 'docs/operations/settlement.md'), 'utf8');
  const grants = (document.split('## Roles\n')[1] ?? '')
    .split('\n')
    .filter((line) => /^(GRANT|SELECT) .*strongroom_engine/.test(line));
  expect(grants.length).toBeGreaterThan(3);
  const admin = await superuserOf(ownerUrl);
  await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  await pool.query(grants.join('\n').replaceAll('strongroom_engine', role));
  const url = new URL(ownerUrl);
  url.username = role;
  url.password = 'x';
  return url.href;
}

beforeAll(async () => {
  const ownerUrl = await databaseForThisFile();
  pool = openPool({ connectionString: ownerUrl, applicationName: 'test-engine-process' });
  databaseUrl = await engineRoleOf(ownerUrl);
  ledger = await openCustomers(pool, customers);
  supervisor = createSupervisor();
});
afterEach(async () => {
  for (const link of links.splice(0)) await link.close();
});
afterAll(async () => {
  await supervisor.stopAll();
  await pool.end();

  rmSync(folder, { recursive: true, force: true });
});

const setupOf = (more: Partial<EngineSetup> = {}): EngineSetup => ({
  supervisor,
  folder,
  databaseUrl,
  ...more,
});
async function linkTo(...engines: readonly TestEngine[]): Promise<EngineLink> {
  const [{ token } = { token: '' }] = engines;
  const link = connectLink({
    url: engines.map(({ linkPort }) => `ws://127.0.0.1:${linkPort}`),
    token,
    config,
  });
  links.push(link);
  await link.ready();
  return link;
}
const place = (account: number, side: 'buy' | 'sell', lots: number) =>
  ({
    kind: 'place',
    account,
    market: 0,
    side,
    type: 'limit',
    timeInForce: 'gtc',
    price: 100,
    lots,
  }) as const;

async function takeOver({ takeOverUrl }: TestEngine, token: string): Promise<Response> {
  return await fetch(takeOverUrl, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
}
const settledAll = async (engine: TestEngine, seq: number) =>
  await until(
    async () => await healthOf(engine),
    ({ parts }) => (parts.settlement?.settledSeq ?? 0) >= seq && parts.settlement?.waitingEvents === 0,
  );

// One history, told in order: each test goes on where the one before has left the engine.
describe('the engine process', () => {
  let primary: TestEngine;
  let standby: TestEngine;
  let movedByHand = 0n;

  test('deposits to spot reach the engine, trades and withdrawals the ledger', async () => {
    primary = await prepareEngine(setupOf(), 'engine-1');
    await primary.start();
    const link = await linkTo(primary);
    await until(
      () => Promise.resolve(link.view().balance(customers, 2).available),
      (gold) => gold > 0n,
    );
    expect(link.view().balance(1, 0).available * coinUnit).toBe(10n ** 9n * coinUnit);
    await link.submit(place(1, 'sell', 10));
    const traded = await link.submit(place(2, 'buy', 4));
    expect(traded.map(({ kind }) => kind)).toContain('trade');
    const [debited] = await link.submit({ kind: 'debit', account: 2, asset: 0, units: 500n });
    expect(debited?.kind).toBe('debited');
    const health = await settledAll(primary, debited?.seq ?? Number.MAX_SAFE_INTEGER);
    expect(health).toMatchObject({ ok: true, role: 'primary', parts: { feed: { ok: true } } });
    const main = await ledger.balances({ pathPrefix: customerMain(customer(2)) });
    expect(main.find(({ asset }) => asset === coin)?.balance).toBe((10n ** 9n + 500n) * coinUnit);
    const engine = await openEngine(pool, engineName, config);
    expect(await verifySettlement(pool, engine)).toEqual([]);
  });

  test('balances are compared at the settled event, while it works', async () => {
    const { parts } = await until(
      async () => await healthOf(primary),
      (health) => (health.parts.reconciliation?.seq ?? 0) >= (health.parts.settlement?.settledSeq ?? 0),
    );
    expect(parts.reconciliation).toMatchObject({ ok: true, differences: 0 });
    expect(parts.reconciliation?.compared).toBeGreaterThanOrEqual(customers * 3);
  });

  test('a standby follows, says so, and takes over only from someone with the token', async () => {
    standby = await prepareEngine(setupOf(), 'engine-2', 'standby');
    await standby.start();
    const following = await healthOf(standby);
    expect(following).toMatchObject({ ok: true, role: 'standby' });
    expect((await takeOver(standby, 'x'.repeat(43))).status).toBe(401);
    expect((await takeOver(primary, primary.token)).status).toBe(409);
    expect(await healthOf(primary)).toMatchObject({ ok: true, role: 'primary' });
  });

  test.each(['standby', 'primary'] as const)(
    'a %s that could not listen does not begin: it fences nobody',
    async (mode) => {
      const crowded = await prepareEngine(setupOf(), `engine-4-${mode}`, mode);
      const squatter = createServer().listen(crowded.linkPort, '127.0.0.1');
      await once(squatter, 'listening');
      await expect(crowded.start()).rejects.toMatchObject({ code: 'INFRA_PROCESS_NOT_READY' });
      expect(readFileSync(crowded.logFile, 'utf8')).toContain('EADDRINUSE');
      squatter.close();
      expect(await healthOf(primary)).toMatchObject({
        ok: true,
        role: 'primary',
        parts: { journal: { ok: true, epoch: 1 } },
      });
    },
  );

  test('told to take over it serves the same clients, and the old primary ends', async () => {
    const link = await linkTo(primary, standby);
    const { seq } = link.view();
    const old = supervisor.find('engine-1');
    const answer = await takeOver(standby, standby.token);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ epoch: 2, seq, behind: 0, linkPort: standby.linkPort });
    expect(await old?.exited).toMatchObject({ code: exitForPerson });
    expect(readFileSync(primary.logFile, 'utf8')).toContain('"code":"MATCHING_FENCED"');
    await until(
      () => Promise.resolve(link.state()),
      ({ connected, epoch, settlementLags }) => connected && epoch === 2 && !settlementLags,
    );
    const traded = await link.submit(place(3, 'buy', 6));
    expect(traded.map(({ kind }) => kind)).toContain('trade');
    await settledAll(standby, traded[0]?.seq ?? Number.MAX_SAFE_INTEGER);
    expect((await takeOver(standby, standby.token)).status).toBe(409);
  });

  test('an orderly end books what it has, and the next start goes on there', async () => {
    const link = await linkTo(standby);
    await link.submit(place(1, 'sell', 3));
    const traded = await link.submit(place(2, 'buy', 3));
    const running = supervisor.find('engine-2');
    await running?.stop();
    expect(await running?.exited).toMatchObject({ code: 0 });
    const { rows } = await pool.query<{ seq: string }>('SELECT seq FROM matching.head');
    expect(Number.parseInt(rows[0]?.seq ?? '', 10)).toBe(traded[0]?.seq);
    await primary.start();
    const again = await linkTo(primary);
    expect(again.view().seq).toBeGreaterThanOrEqual(traded[0]?.seq ?? Number.MAX_SAFE_INTEGER);
    expect((await healthOf(primary)).parts.journal.epoch).toBe(3);
  });

  test('a journal that is not the one that was settled is refused before anybody can trade', async () => {
    const other = await prepareEngine(setupOf({ folder: path.join(folder, 'other') }), 'engine-3');
    await expect(other.start()).rejects.toMatchObject({ code: 'INFRA_PROCESS_NOT_READY' });
    expect(readFileSync(other.logFile, 'utf8')).toContain('engine stopped: MATCHING_JOURNAL_GAP');
  });

  test('what the books do not have is a difference, then a refused portion: cases, no orders, but cancels', async () => {
    const link = await linkTo(primary);
    const [resting] = await link.submit(place(1, 'sell', 5));
    // Somebody empties the spot account past the engine, which still holds the coins for the order.
    const [spot] = await ledger.balances({ pathPrefix: customerSpot(customer(1)) });
    movedByHand = spot?.balance ?? 0n;
    const byHand = spotOut({
      reference: 'by-hand',
      accountId: customer(1),
      amount: amount(coin, movedByHand),
    });
    expect(spot?.asset).toBe(coin);
    expect(await ledger.apply(byHand)).toMatchObject([{ status: 'ok' }]);
    const kinds = async (): Promise<string[]> => (await openCases(pool)).map(({ kind }) => kind).sort();
    await until(kinds, (open) => open.length > 0);
    expect((await healthOf(primary)).parts.reconciliation).toMatchObject({ ok: false, differences: 1 });

    const [first] = await link.submit(place(2, 'buy', 2));
    expect(first?.kind).toBe('accepted');
    const { ok, parts } = await until(
      async () => await healthOf(primary),
      (health) => !health.ok,
    );
    expect({ ok, problem: parts.settlement?.problem }).toMatchObject({
      ok: false,
      problem: expect.stringContaining('cannot be booked') as unknown,
    });
    expect(await until(kinds, (open) => open.length === 2)).toEqual(['engine-differs', 'settlement-refused']);
    await until(
      () => Promise.resolve(link.state().settlementLags),
      (lags) => lags,
    );
    await expect(link.submit(place(2, 'buy', 1))).rejects.toMatchObject({ code: 'MATCHING_SETTLEMENT_LAGS' });
    const cancelled = await link.submit({ kind: 'cancel', account: 1, orderId: resting?.seq ?? 0 });
    expect(cancelled).toMatchObject([{ kind: 'done', reason: 'cancelled' }]);
  });

  test('repaired, the next start goes on with the same portion', async () => {
    const { rows: before } = await pool.query<{ portion: string }>('SELECT portion FROM matching.head');
    await supervisor.find('engine-1')?.stop();
    const repair = openingBalance({
      reference: 'repair',
      account: customerSpot(customer(1)),
      against: houseSuspense,
      amount: amount(coin, movedByHand),
    });
    expect(await ledger.apply(repair)).toMatchObject([{ status: 'ok' }]);
    await primary.start();
    const { parts } = await settledAll(primary, (await healthOf(primary)).parts.journal.seq ?? 0);
    expect(parts.settlement).toMatchObject({ ok: true });
    const { rows: after } = await pool.query<{ portion: string }>('SELECT portion FROM matching.head');
    expect(after).not.toEqual(before);
  });
});
