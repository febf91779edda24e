/**
 * The engine's process is killed, and PostgreSQL on a durable cluster is stopped `immediate`, in random order under a load of orders,
 * deposits to spot and withdrawals from it. In the end journal, trades and books must say the same, and all that clients were told.
 */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { type Ledger, readEventsOfCodes } from '#ledger';
import { connectLink, type EngineLink } from '#matching/link';
import { type RunningCluster, startCluster } from '../../../infra/dev/cluster.ts';
import { findFreePorts } from '../../../infra/dev/ports.ts';
import { createSupervisor, type Supervisor } from '../../../infra/dev/processes.ts';
import { migrate } from '../../../infra/migrations.ts';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import { configHashOf, nodeFiles, Replica } from '../../../matching/journal/index.ts';
import { textOf } from '../../../matching/process/drill-load.ts';
import { openEngine, reconcile, settledHead, verifySettlement } from '../../../matching/settlement/index.ts';
import { throwawayState } from '../../support/environment.ts';
import { config, seeded } from '../settlement/fixture.ts';
import { CrashLoad } from './crash-load.ts';
import { engineName, healthOf, openCustomers, prepareEngine, type TestEngine, until } from './fixture.ts';

const customers = 12;

export interface CrashPlan {
  readonly seed: number;
  /** SIGKILLs of the engine's process, and `immediate` stops of PostgreSQL. */
  readonly kills: number;
  readonly stops: number;
}
export interface CrashOutcome {
  readonly kills: number;
  readonly stops: number;
  readonly acknowledged: number;
  readonly unanswered: number;
  readonly trades: number;
  readonly deposits: number;
  readonly withdrawals: number;
}

interface Stage {
  readonly supervisor: Supervisor;
  readonly cluster: RunningCluster;
  readonly engine: TestEngine;
  readonly load: CrashLoad;
  readonly random: (below: number) => number;
}

/** As a power cut of the server: no checkpoint, sessions gone. */
async function stopPostgres({ supervisor, cluster }: Stage): Promise<void> {
  const running = supervisor.find('postgres') ?? cluster.postgres.process;
  process.kill(running.pid, 'SIGQUIT');
  await running.exited;
}

type Crash = 'engine' | 'postgres' | 'both';
/** In random order; where both are left, now and then both at once. */
function* crashesOf({ kills, stops }: CrashPlan, random: Stage['random']): Generator<Crash> {
  let [killsLeft, stopsLeft] = [kills, stops];
  while (killsLeft + stopsLeft > 0) {
    const turn = random(killsLeft + stopsLeft);
    const isBoth = killsLeft > 0 && stopsLeft > 0 && random(4) === 0;
    const crash = isBoth ? 'both' : turn < killsLeft ? 'engine' : 'postgres';
    if (crash !== 'postgres') killsLeft--;
    if (crash !== 'engine') stopsLeft--;
    yield crash;
  }
}

async function crash(stage: Stage, what: Crash): Promise<void> {
  const { supervisor, engine, random } = stage;
  if (what !== 'postgres') await supervisor.find(engine.name)?.kill('SIGKILL');
  if (what !== 'engine') {
    await stopPostgres(stage);
    await delay(random(100));
  }
  // The engine may come up before the database does.
  await Promise.all([
    what === 'postgres' ? undefined : engine.start(),
    what === 'engine' ? undefined : delay(random(300)).then(() => supervisor.restart('postgres')),
  ]);
}

/** Everything the journal says, by an engine that saw no snapshot. */
function replayed(folder: string) {
  const events = new Map<number, EngineEvent[]>();
  const replica = new Replica({
    files: nodeFiles,
    folder,
    config,
    configHash: configHashOf(config),
    snapshotsThroughSeq: 0,
    onEvents: (written, count) => {
      for (let at = 0; at < count; at++) {
        const event = readEvent(written, at);
        const before = events.get(event.seq);
        if (before === undefined) events.set(event.seq, [event]);
        else before.push(event);
      }
    },
  });
  const recovered = replica.finish();
  return { events, engine: replica.engine, recovered };
}

async function settledTrades(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<Record<string, string | number | boolean>>(
    `SELECT seq, index, time_ms, market, price, lots, taker_buys, taker, taker_order, taker_fee, maker, maker_order, maker_fee
       FROM matching.trade ORDER BY number`,
  );
  return rows.map((row) => Object.values(row).join(' '));
}
const tradeText = (event: EngineEvent): string[] =>
  event.kind === 'trade'
    ? [
        [
          event.seq,
          event.index,
          event.timeMs,
          event.market,
          event.price,
          event.lots,
          event.side === 'buy',
          event.taker.account,
          event.taker.order,
          event.taker.fee,
          event.maker.account,
          event.maker.order,
          event.maker.fee,
        ].join(' '),
      ]
    : [];

async function expectExact(pool: Pool, ledger: Ledger, stage: Stage): Promise<number> {
  const { load, engine } = stage;
  const { events, engine: replica, recovered } = replayed(engine.journalFolder);
  // What clients were told is what happened.
  expect(new Set(load.acknowledged.map(({ seq }) => seq)).size).toBe(load.acknowledged.length);
  expect(load.acknowledged.filter(({ seq, events: told }) => textOf(events.get(seq) ?? []) !== told)).toEqual(
    [],
  );
  // What happened is booked, once, to its end.
  const settled = await openEngine(pool, engineName, config);
  expect((await settledHead(pool, settled)).seq).toBe(recovered.nextSeq - 1);
  const all = [...events.values()].flat();
  const trades = all.flatMap(tradeText);
  expect(await settledTrades(pool)).toEqual(trades);
  expect(await verifySettlement(pool, settled)).toEqual([]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  const { differences, compared } = await reconcile(
    { pool, engine: settled, ledger, readEventsOfCodes },
    replica,
  );
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThanOrEqual(customers * config.assets.length);
  // Each deposit reached the engine once, each withdrawal the ledger once.
  const positions = all.flatMap((event) => (event.kind === 'credited' ? [event.position] : []));
  const { rows: ins } = await pool.query<{ seq: string }>(
    `SELECT seq FROM ledger.transfer WHERE code = 'spot-in' ORDER BY seq`,
  );
  expect(positions).toEqual(ins.map(({ seq }) => Number.parseInt(seq, 10)));
  const { rows: outs } = await pool.query<{ count: string }>(
    `SELECT count(*) FROM ledger.transfer WHERE code = 'spot-out'`,
  );
  expect(outs[0]?.count).toBe(String(all.filter(({ kind }) => kind === 'debited').length));
  expect(load.deposits).toBe(ins.length - customers * config.assets.length);
  return trades.length;
}

async function runCrashes(stage: Stage, plan: CrashPlan): Promise<void> {
  const { load, random } = stage;
  for (const what of crashesOf(plan, random)) {
    await load.progress(1 + random(120));
    await delay(random(30));
    await crash(stage, what);
  }
  await load.progress(100);
}

async function stageOf(supervisor: Supervisor, plan: CrashPlan, state: ReturnType<typeof throwawayState>) {
  const cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: true });
  const pool = openPool({ connectionString: cluster.urlOf(), applicationName: 'test-engine-crash' });
  await migrate(pool);
  const ledger = await openCustomers(pool, customers);
  const engine = await prepareEngine(
    {
      supervisor,
      folder: path.join(state.data, 'engine'),
      databaseUrl: cluster.urlOf(),
      settlement: { tradesMax: 20, reconcileEveryMs: 300 },
      // Many segments and snapshots; all are kept, for the proof replays from the start.
      limits: { segmentBytes: 1 << 16, snapshotEvery: 500, hashEvery: 64, segmentsKept: 1_000_000 },
    },
    'engine',
  );
  await engine.start();
  const link: EngineLink = connectLink({
    url: `ws://127.0.0.1:${engine.linkPort}`,
    token: engine.token,
    config,
  });
  await link.ready();
  const random = seeded(plan.seed);
  const load = new CrashLoad({ link, ledger, customers, random });
  return { stage: { supervisor, cluster, engine, load, random }, pool, ledger, link };
}

export async function crashEngine(plan: CrashPlan): Promise<CrashOutcome> {
  const state = throwawayState();
  const supervisor = createSupervisor();
  try {
    const { stage, pool, ledger, link } = await stageOf(supervisor, plan, state);
    const { load, engine } = stage;
    try {
      await load.start();
      await runCrashes(stage, plan);
      await load.stop();
      const running = supervisor.find(engine.name);
      await load.untilFed(pool);
      const newest = (await healthOf(engine)).parts.journal.seq ?? 0;
      const { seq, hash } = await until(
        () => Promise.resolve({ seq: link.view().seq, hash: link.view().stateHash() }),
        (view) => view.seq >= newest,
      );
      await running?.stop();
      expect(await running?.exited).toMatchObject({ code: 0 });
      const trades = await expectExact(pool, ledger, stage);
      const { recovered } = replayed(engine.journalFolder);
      expect({ seq, hash }).toEqual({ seq: recovered.nextSeq - 1, hash: recovered.stateHash });
      const { acknowledged, unanswered, deposits, withdrawals } = load;
      const { kills, stops } = plan;
      return { kills, stops, acknowledged: acknowledged.length, unanswered, trades, deposits, withdrawals };
    } finally {
      await link.close();
      await pool.end();
    }
  } finally {
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  }
}
