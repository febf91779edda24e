/**
 * PostgreSQL on a durable cluster is stopped `immediate`, and engine and settler are killed, again and again while they settle.
 * In the end the books are what the engine has, to the last base unit, and nothing is in them twice.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import { startCluster } from '../../infra/dev/cluster.ts';
import { nodeProcess } from '../../infra/dev/node-process.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor, type Supervisor } from '../../infra/dev/processes.ts';
import { migrate } from '../../infra/migrations.ts';
import { commandBytes, commandSlots, writeCommand } from '../../matching/commands.ts';
import { reconcile, startSettler, verifySettlement } from '../../matching/settlement/index.ts';
import { type Exchange, openExchange, randomCommand, seeded } from '../matching/settlement/fixture.ts';
import { throwawayState } from './environment.ts';

const customers = 12;

export interface SettlementCrashPlan {
  readonly seed: number;
  readonly commands: number;
  readonly tradesMax: number;
  /** Of PostgreSQL, and kills of engine and settler, in turn. */
  readonly crashes: number;
}

/** Starts the process under its name, in place of one that is gone. */
async function startClient(supervisor: Supervisor, args: readonly string[], logFile: string) {
  return await supervisor.start({
    ...nodeProcess({
      name: 'settler',
      entry: 'test/support/settlement-client.ts',
      args: [...args],
      logFile,
      ready: () => Promise.resolve(false),
      readyTimeoutMs: 60_000,
    }),
    ready: (pid) => Promise.resolve(readFileSync(logFile, 'utf8').includes(`started ${pid}\n`)),
  });
}

function writeJournal(file: string, { sequencer }: Exchange): void {
  const bytes = new ArrayBuffer(sequencer.journal.length * commandBytes);
  const slots = commandSlots(bytes);
  for (const [at, command] of sequencer.journal.entries()) writeCommand(slots, at, command);
  writeFileSync(file, new Uint8Array(bytes));
}

const portionsOf = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ portion: string }>('SELECT portion FROM matching.head');
  return Number.parseInt(rows[0]?.portion ?? '0', 10);
};
/** Waits for some portions more; false when all is settled. */
async function progress(pool: Pool, portions: number, isSettled: () => boolean): Promise<boolean> {
  const wanted = (await portionsOf(pool)) + portions;
  while (!isSettled()) {
    if ((await portionsOf(pool)) >= wanted) return true;
    await delay(5);
  }
  return false;
}

async function expectExact(pool: Pool, { engine, ledger, sequencer }: Exchange): Promise<bigint> {
  const { differences, compared } = await reconcile(
    { pool, engine, ledger, readEventsOfCodes },
    sequencer.engine,
  );
  expect(differences).toEqual([]);
  expect(compared).toBeGreaterThanOrEqual(customers * 3);
  expect(await verifySettlement(pool, engine)).toEqual([]);
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  const { head } = await startSettler({ pool, ledger, engine, onRefused: () => Promise.resolve() });
  expect(head.seq).toBe(sequencer.journal.length);
  const { rows } = await pool.query<{ events: string }>(
    'SELECT count(DISTINCT (seq, index)) AS events FROM matching.trade',
  );
  expect(BigInt(rows[0]?.events ?? 0)).toBe(head.trades);
  return head.trades;
}

export async function crashSettlement(
  plan: SettlementCrashPlan,
): Promise<{ crashes: number; trades: bigint }> {
  const state = throwawayState();
  const supervisor = createSupervisor();
  const random = seeded(plan.seed);
  try {
    const cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: true });
    const pool = openPool({ connectionString: cluster.urlOf(), applicationName: 'test-settlement-crash' });
    await migrate(pool);
    const exchange = await openExchange(pool, 'main', customers);
    for (let n = 0; n < plan.commands; n++) exchange.sequencer.run(randomCommand(random, customers, n));
    const [file, logFile] = [path.join(state.data, 'commands'), path.join(state.logs, 'settler.log')];
    writeJournal(file, exchange);
    const start = async () =>
      await startClient(supervisor, [cluster.urlOf(), file, String(plan.tradesMax)], logFile);
    const isSettled = (): boolean => readFileSync(logFile, 'utf8').includes('settled\n');
    let client = await start();
    let crashes = 0;
    for (; crashes < plan.crashes && (await progress(pool, 1 + random(3), isSettled)); crashes++) {
      await delay(random(15));
      if (crashes % 2 === 0) {
        await client.kill('SIGKILL');
        client = await start();
      } else {
        const running = supervisor.find('postgres') ?? cluster.postgres.process;
        process.kill(running.pid, 'SIGQUIT');
        await running.exited;
        await supervisor.restart('postgres');
      }
    }
    expect(await client.exited).toMatchObject({ code: 0 });
    const trades = await expectExact(pool, exchange);
    await pool.end();
    return { crashes, trades };
  } finally {
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  }
}
