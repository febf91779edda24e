/**
 * PostgreSQL on a durable cluster is stopped `immediate` again and again while client processes book, and some of these are
 * killed too. In the end every batch that was acknowledged is in the books once, and nothing else is.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { uuidOf } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import type { AccountPath } from '#ledger/contract';
import { type RunningCluster, startCluster } from '../../infra/dev/cluster.ts';
import { nodeProcess } from '../../infra/dev/node-process.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor, type ProcessExit, type Supervisor } from '../../infra/dev/processes.ts';
import type { StateFolder } from '../../infra/dev/state.ts';
import { migrate } from '../../infra/migrations.ts';
import { post } from '../ledger/fixture.ts';
import { throwawayState } from './environment.ts';
import {
  type BatchName,
  fundUnits,
  lanesPerClient,
  loadAccounts,
  loadAsset,
  loadBatch,
  loadMirror,
} from './ledger-load.ts';

export interface CrashPlan {
  readonly clients: number;
  /** Of PostgreSQL. */
  readonly stops: number;
  /** Of a client, one at every so many stops; 0: none. */
  readonly clientKilledEvery: number;
  /** How many batches are to be acknowledged between two stops. */
  readonly batchesBetween: number;
}

interface Clients {
  acknowledged(): readonly BatchName[];
  /** How many batches a client was left without an answer to, and sent again. */
  interrupted(): number;
  kill(index: number): Promise<void>;
  /** Lets all of them finish what is on its way. */
  finish(): Promise<readonly ProcessExit[]>;
}

async function startClients(
  supervisor: Supervisor,
  state: StateFolder,
  connectionString: string,
  count: number,
): Promise<Clients> {
  const names = Array.from({ length: count }, (_, index) => `client-${index}`);
  const fileOf = (name: string): string => path.join(state.data, name);
  const logOf = (name: string): string => path.join(state.logs, `${name}.log`);
  const start = async (name: string) =>
    await supervisor.start({
      ...nodeProcess({
        name,
        entry: 'test/support/ledger-client.ts',
        args: [name, connectionString, fileOf(name)],
        logFile: logOf(name),
        ready: () => Promise.resolve(false),
        readyTimeoutMs: 60_000,
      }),
      // Before that it would not finish what it had begun before it was killed.
      ready: (pid) => Promise.resolve(readFileSync(logOf(name), 'utf8').includes(`started ${pid}\n`)),
    });
  const running = await Promise.all(names.map(start));
  const read = (name: string): readonly BatchName[] => {
    let text = '';
    try {
      text = readFileSync(fileOf(name), 'utf8');
    } catch {
      // It has not written anything yet.
    }
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const [lane = -1, serial = -1] = line.split(' ').map((word) => Number.parseInt(word, 10));
        return { client: name, lane, serial };
      });
  };
  return {
    acknowledged: () => names.flatMap(read),
    interrupted: () =>
      names
        .map((name) => new Set(readFileSync(logOf(name), 'utf8').match(/^\d+ \d+(?=: )/gm)).size)
        .reduce((sum, batches) => sum + batches, 0),
    kill: async (index) => {
      const client = running[index % count];
      const name = names[index % count];
      if (client === undefined || name === undefined) throw new RangeError(`no client ${index}`);
      await client.kill('SIGKILL');
      running[index % count] = await start(name);
    },
    finish: async () => await Promise.all(running.map(async (client) => await client.kill('SIGTERM'))),
  };
}

/** Waits for `count` more acknowledgements. A client that gave up ends the wait. */
async function progress(clients: Clients, count: number, failed: () => string | undefined): Promise<void> {
  const wanted = clients.acknowledged().length + count;
  while (clients.acknowledged().length < wanted) {
    expect(failed()).toBeUndefined();
    await delay(10);
  }
}

async function openBooks(pool: Pool): Promise<Ledger> {
  await migrate(pool);
  const ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [loadMirror, ...loadAccounts].map((account) => ({ path: account, asset: loadAsset })),
  );
  const results = await ledger.apply(
    [...loadAccounts, loadAccounts[0]].flatMap((account) =>
      account === undefined ? [] : [post(loadMirror, account, fundUnits)],
    ),
  );
  expect(results.every(({ status }) => status === 'ok')).toBe(true);
  return ledger;
}

/** What the accounts must have: all acknowledged batches, summed up without the database. */
function expectedSums(batches: readonly BatchName[]): ReadonlyMap<AccountPath, bigint[]> {
  const sums = new Map<AccountPath, bigint[]>(
    [loadMirror, ...loadAccounts].map((account) => [account, [0n, 0n, 0n, 0n]]),
  );
  const add = (account: AccountPath, column: number, units: bigint): void => {
    const sum = sums.get(account);
    if (sum?.[column] === undefined) throw new RangeError(`no account ${account}`);
    sum[column] += units;
  };
  const [first = loadMirror] = loadAccounts;
  for (const account of [...loadAccounts, first]) {
    add(loadMirror, 1, fundUnits);
    add(account, 3, fundUnits);
  }
  for (const batch of batches) {
    const commands = loadBatch(batch);
    for (const command of commands) {
      if (command.kind === 'post') {
        add(command.debit, 1, command.amount.units);
        add(command.credit, 3, command.amount.units);
      } else if (command.kind === 'pending') {
        const end = commands.find((other) => 'pendingId' in other && other.pendingId === command.id);
        const [pending, posted] =
          end === undefined
            ? [command.amount.units, 0n]
            : [0n, end.kind === 'post-pending' ? end.amount.units : 0n];
        add(command.debit, 0, pending);
        add(command.credit, 2, pending);
        add(command.debit, 1, posted);
        add(command.credit, 3, posted);
      }
    }
  }
  return sums;
}

async function expectTrueBooks(pool: Pool, ledger: Ledger, batches: readonly BatchName[]): Promise<void> {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  // Each id is in the journal once, and no other id but those of the opening.
  const sent = batches.flatMap((batch) => loadBatch(batch).map(({ id }) => uuidOf(id)));
  const { rows } = await pool.query<{ id: string; seq: string }>(
    "SELECT id, seq FROM ledger.transfer WHERE reference <> 'test' ORDER BY id",
  );
  expect(rows.map(({ id }) => id)).toEqual(sent.sort());
  expect(new Set(rows.map(({ seq }) => seq)).size).toBe(rows.length);
  const sums = expectedSums(batches);
  for (const account of await ledger.balances({}))
    expect([
      account.path,
      [account.debitsPending, account.debitsPosted, account.creditsPending, account.creditsPosted],
    ]).toEqual([account.path, sums.get(account.path)]);
  const { rows: gaps } = await pool.query('SELECT FROM ledger.transfer HAVING max(seq) <> count(*)');
  expect(gaps).toEqual([]);
}

async function stopImmediately(supervisor: Supervisor, { postgres }: RunningCluster): Promise<void> {
  const running = supervisor.find('postgres') ?? postgres.process;
  // SIGQUIT is the immediate shutdown: no checkpoint, no farewell; the next start recovers from the write-ahead log.
  process.kill(running.pid, 'SIGQUIT');
  await running.exited;
  await supervisor.restart('postgres');
}

export async function crashLedger(plan: CrashPlan): Promise<{ readonly batches: number }> {
  const state = throwawayState();
  const supervisor = createSupervisor();
  let failure: string | undefined;
  supervisor.onUnexpectedExit(({ spec }, exit) => {
    if (spec.name !== 'postgres')
      failure ??= `${spec.name} ended: ${JSON.stringify(exit)}, see ${spec.logFile}`;
  });
  try {
    const cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: true });
    const pool = openPool({ connectionString: cluster.urlOf(), applicationName: 'test-crash' });
    const ledger = await openBooks(pool);
    expect((await pool.query('SHOW fsync')).rows).toEqual([{ fsync: 'on' }]);
    expect((await pool.query('SHOW synchronous_commit')).rows).toEqual([{ synchronous_commit: 'on' }]);
    const clients = await startClients(supervisor, state, cluster.urlOf(), plan.clients);
    for (let stop = 1; stop <= plan.stops; stop++) {
      await progress(clients, plan.batchesBetween, () => failure);
      if (plan.clientKilledEvery > 0 && stop % plan.clientKilledEvery === 0) await clients.kill(stop);
      await stopImmediately(supervisor, cluster);
    }
    await progress(clients, plan.batchesBetween, () => failure);
    const exits = await clients.finish();
    expect(exits.map(({ code }) => code)).toEqual(exits.map(() => 0));
    const batches = clients.acknowledged();
    expect(new Set(batches.map(({ client, lane }) => `${client} ${lane}`)).size).toBe(
      plan.clients * lanesPerClient,
    );
    await expectTrueBooks(pool, ledger, batches);
    // Each stop was one, and met work: without that the test would prove nothing.
    const log = readFileSync(cluster.postgres.process.spec.logFile, 'utf8');
    expect(log.match(/received immediate shutdown request/g)).toHaveLength(plan.stops);
    expect(clients.interrupted()).toBeGreaterThanOrEqual(plan.stops);
    await pool.end();
    return { batches: batches.length };
  } finally {
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  }
}
