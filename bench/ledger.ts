/**
 * Ledger transfers per second: `ledger.apply_batch` through the facade, beside the usual way of one transaction per
 * transfer with row locks. Both on the same PostgreSQL, in the same run, with synchronous commits.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { derivedId, newId } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { Clock, Random } from '#core/ports';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  type AccountPath,
  customerMain,
  houseIncome,
  suspense,
  type TransferCommand,
} from '#ledger/contract';
import { startCluster } from '../infra/dev/cluster.ts';
import { findFreePorts } from '../infra/dev/ports.ts';
import { createSupervisor } from '../infra/dev/processes.ts';
import { openState } from '../infra/dev/state.ts';
import { migrate } from '../infra/migrations.ts';
import {
  type BenchRow,
  benchArguments,
  benchRow,
  machineConditions,
  publishReport,
  ratio,
} from './report.ts';

const asset = assetId('ledger:bench');
const naiveConnections = 8;
/** One command takes a round trip each, so few connections would measure latency; a large batch fills a core alone. */
const writersOfBatch = new Map([
  [1, 8],
  [10, 8],
  [100, 2],
  [1000, 2],
]);
const fundBatch = 2_000;
/** More than any run can spend from one account. */
const fundUnits = 1_000_000_000n;

type Workload = 'random' | 'hot';
interface Samples {
  readonly operations: number;
  readonly elapsedMs: number;
  readonly latenciesMs: readonly number[];
}
interface Database {
  readonly url: string;
  readonly close: () => Promise<void>;
}

const clock: Clock = { nowMs: () => Date.now() };
const random: Random = { bytes: (length) => randomBytes(length) };

/** A database of its own, dropped afterwards: the journal is append-only, and a bench has no place in a real one. */
async function createDatabase(serverUrl: string, url: URL): Promise<Database> {
  const name = `strongroom_bench_${process.pid}`;
  const run = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await run(`CREATE DATABASE ${name} OWNER ${url.username}`);
  url.pathname = `/${name}`;
  return { url: url.href, close: async () => await run(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** DATABASE_URL's server, else one of our own for this run. */
async function openDatabase(): Promise<Database> {
  const outside = process.env['DATABASE_URL'];
  if (outside !== undefined && outside !== '') return await createDatabase(outside, new URL(outside));
  const supervisor = createSupervisor();
  const state = openState(`tests-${process.pid}`);
  const stop = async (): Promise<void> => {
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  };
  try {
    const cluster = await startCluster(supervisor, state, { port: await findFreePorts(), durable: true });
    const database = await createDatabase(cluster.postgres.adminUrl(), new URL(cluster.urlOf()));
    return { url: database.url, close: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const pathOf = (index: number): AccountPath => customerMain(derivedId('acc', `bench ${index}`));

async function fund(pool: Pool, ledger: Ledger, paths: readonly AccountPath[]): Promise<void> {
  const source = suspense(derivedId('wal', 'bench'));
  await ledger.openAccounts(
    pool,
    [source, houseIncome, ...paths].map((path) => ({ path, asset })),
  );
  for (let start = 0; start < paths.length; start += fundBatch)
    await ledger.apply(paths.slice(start, start + fundBatch).map((path) => moveOf(source, path, fundUnits)));
  await pool.query(`CREATE SCHEMA naive;
    CREATE TABLE naive.account (id bigint PRIMARY KEY, balance numeric(78, 0) NOT NULL CHECK (balance >= 0)) WITH (fillfactor = 50);
    CREATE TABLE naive.transfer (
      seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL UNIQUE, debit bigint NOT NULL,
      credit bigint NOT NULL, amount numeric(78, 0) NOT NULL CHECK (amount > 0))`);
  await pool.query(`INSERT INTO naive.account SELECT i, ${fundUnits} FROM generate_series(0, $1::int) AS i`, [
    paths.length,
  ]);
  await pool.query('VACUUM ANALYZE');
}

function moveOf(debit: AccountPath, credit: AccountPath, units: bigint): TransferCommand {
  const id = newId('tr', clock, random);
  return { id, kind: 'post', debit, credit, amount: amount(asset, units), code: 'inflow', reference: id };
}

/** Two different accounts of `count`; the hot one is number `count`, paid by all others. */
function pair(count: number, workload: Workload): [number, number] {
  const debit = randomInt(count);
  return [debit, workload === 'hot' ? count : (debit + 1 + randomInt(count - 1)) % count];
}

async function measure(
  workers: number,
  forMs: number,
  operationsPerCall: number,
  call: () => Promise<void>,
): Promise<Samples> {
  const latenciesMs: number[] = [];
  const start = performance.now();
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (performance.now() - start < forMs) {
        const begun = performance.now();
        await call();
        latenciesMs.push(performance.now() - begun);
      }
    }),
  );
  return {
    operations: latenciesMs.length * operationsPerCall,
    elapsedMs: performance.now() - start,
    latenciesMs,
  };
}

/** Six round trips: begin, lock in order, two updates, insert, commit. */
async function naiveTransfer(pool: Pool, count: number, workload: Workload): Promise<void> {
  const [debit, credit] = pair(count, workload);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query({
      name: 'naive-lock',
      text: 'SELECT id, balance FROM naive.account WHERE id IN ($1, $2) ORDER BY id FOR UPDATE',
      values: [debit, credit],
    });
    await client.query({
      name: 'naive-debit',
      text: 'UPDATE naive.account SET balance = balance - 1 WHERE id = $1',
      values: [debit],
    });
    await client.query({
      name: 'naive-credit',
      text: 'UPDATE naive.account SET balance = balance + 1 WHERE id = $1',
      values: [credit],
    });
    await client.query({
      name: 'naive-insert',
      text: 'INSERT INTO naive.transfer (id, debit, credit, amount) VALUES ($1, $2, $3, 1)',
      values: [newId('tr', clock, random).slice(3), debit, credit],
    });
    await client.query('COMMIT');
  } finally {
    client.release();
  }
}

async function applyBatch(
  ledger: Ledger,
  paths: readonly AccountPath[],
  size: number,
  workload: Workload,
): Promise<void> {
  const commands = Array.from({ length: size }, () => {
    const [debit, credit] = pair(paths.length, workload);
    return moveOf(paths[debit] ?? houseIncome, paths[credit] ?? houseIncome, 1n);
  });
  const results = await ledger.apply(commands);
  const failed = results.find(({ status }) => status !== 'ok');
  if (failed !== undefined)
    throw new Error(`transfer ${failed.id} was ${failed.status} ${failed.account ?? ''}`);
}

/** The round whose rate is the middle one. */
function median(rounds: readonly Samples[]): Samples {
  const sorted = [...rounds].sort((a, b) => a.operations / a.elapsedMs - b.operations / b.elapsedMs);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new RangeError('no rounds');
  return middle;
}

interface Subject {
  readonly name: string;
  readonly workload: Workload;
  readonly detail: string;
  readonly run: (forMs: number) => Promise<Samples>;
}

function subjectsOf(pool: Pool, ledger: Ledger, paths: readonly AccountPath[]): Subject[] {
  return (['random', 'hot'] as const).flatMap((workload) => [
    {
      name: 'naive',
      workload,
      detail: `1 per transaction, ${naiveConnections} connections`,
      run: (forMs: number) =>
        measure(naiveConnections, forMs, 1, async () => await naiveTransfer(pool, paths.length, workload)),
    },
    ...[...writersOfBatch].map(([size, writers]) => ({
      name: 'strongroom',
      workload,
      detail: `batch ${size}, ${writers} connections`,
      run: (forMs: number) =>
        measure(writers, forMs, size, async () => await applyBatch(ledger, paths, size, workload)),
    })),
  ]);
}

async function main(): Promise<void> {
  const { quick, jsonFile } = benchArguments();
  const [accounts, rounds, roundMs] = quick ? [5_000, 1, 2_000] : [100_000, 3, 5_000];
  const database = await openDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'bench-ledger' });
  try {
    await migrate(pool);
    const ledger = createLedger({ pool });
    const paths = Array.from({ length: accounts }, (_, index) => pathOf(index));
    await fund(pool, ledger, paths);
    const subjects = subjectsOf(pool, ledger, paths);
    const samples = new Map<Subject, Samples[]>(subjects.map((subject) => [subject, []]));
    for (let round = 0; round < rounds; round++)
      for (const subject of subjects) samples.get(subject)?.push(await subject.run(roundMs));
    const rows: BenchRow[] = subjects.map((subject) =>
      benchRow(subject.name, `${subject.workload}, ${subject.detail}`, median(samples.get(subject) ?? [])),
    );
    const best = (name: string, workload: Workload): number =>
      Math.max(
        ...rows
          .filter((row) => row.subject === name && row.workload.startsWith(workload))
          .map(({ opsPerSecond }) => opsPerSecond),
      );
    const { ok } = await ledger.verify();
    const { rows: settings } = await pool.query<{ version: string; synchronous: string; fsync: string }>(
      "SELECT current_setting('server_version') AS version, current_setting('synchronous_commit') AS synchronous, current_setting('fsync') AS fsync",
    );
    publishReport(
      {
        bench: 'ledger',
        conditions: {
          ...machineConditions(),
          postgres: settings[0]?.version ?? 'unknown',
          synchronousCommit: settings[0]?.synchronous ?? 'unknown',
          fsync: settings[0]?.fsync ?? 'unknown',
          accounts,
          rounds,
          roundMs,
          latency: 'per transaction or batch, not per transfer',
          hashChain: true,
          booksVerifiedAfterwards: ok,
        },
        rows,
        ratios: {
          random: ratio(best('strongroom', 'random'), best('naive', 'random')),
          hot: ratio(best('strongroom', 'hot'), best('naive', 'hot')),
        },
      },
      jsonFile,
    );
    if (!ok) process.exitCode = 1;
  } finally {
    await pool.end();
    await database.close();
  }
}

await main();
