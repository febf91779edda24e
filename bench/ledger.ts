/**
 * Ledger transfers per second: `ledger.apply_batch` and the group-committing writer, beside the usual way of one transaction
 * per transfer with row locks and one stored function per transfer. All on the same PostgreSQL, in the same run, with
 * synchronous commits; ours with the hash chain on. `--soak` instead fills the journal with 20 million transfers.
 */
import { openPool } from '#infra/db';
import { createLedger } from '#ledger';
import { migrate } from '../infra/migrations.ts';
import { fund, openDatabase, pathsOf, type Samples, type Workload } from './ledger/database.ts';
import { type Subject, subjectsOf } from './ledger/subjects.ts';
import { writerRows } from './ledger/writers.ts';
import { soak } from './ledger-soak.ts';
import {
  type BenchRow,
  benchArguments,
  benchRow,
  machineConditions,
  publishReport,
  ratio,
} from './report.ts';

/** The round whose rate is the middle one. */
function median(rounds: readonly Samples[]): Samples {
  const sorted = [...rounds].sort((a, b) => a.operations / a.elapsedMs - b.operations / b.elapsedMs);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new RangeError('no rounds');
  return middle;
}

/** Rounds of all subjects in turn, so that what else the machine does meets each of them. */
async function runRounds(subjects: readonly Subject[], rounds: number, roundMs: number): Promise<BenchRow[]> {
  const samples = new Map<Subject, Samples[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round < rounds; round++)
    for (const subject of subjects) samples.get(subject)?.push(await subject.run(roundMs));
  return subjects.map((subject) =>
    benchRow(subject.name, `${subject.workload}, ${subject.detail}`, median(samples.get(subject) ?? [])),
  );
}

async function main(): Promise<void> {
  const { quick, jsonFile, mode } = benchArguments(['soak']);
  if (mode === 'soak') {
    await soak({ quick, jsonFile });
    return;
  }
  const [accounts, rounds, roundMs] = quick ? [10_000, 1, 1_200] : [100_000, 3, 5_000];
  const database = await openDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'bench-ledger' });
  try {
    await migrate(pool);
    const paths = pathsOf(accounts);
    await fund(pool, paths);
    const rows = await runRounds(subjectsOf(pool, paths), rounds, roundMs);
    const writers = await writerRows(database.url, accounts, roundMs);
    const best = (name: string, workload: Workload): number =>
      Math.max(
        ...rows
          .filter((row) => row.subject === name && row.workload.startsWith(workload))
          .map(({ opsPerSecond }) => opsPerSecond),
      );
    const { ok } = await createLedger({ pool }).verify();
    const { rows: settings } = await pool.query<{ name: string; value: string }>(
      'SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name',
      [['server_version', 'synchronous_commit', 'fsync', 'shared_buffers', 'max_wal_size']],
    );
    publishReport(
      {
        bench: 'ledger',
        conditions: {
          ...machineConditions(),
          ...Object.fromEntries(settings.map(({ name, value }) => [name, value])),
          accounts,
          rounds,
          roundMs,
          latency: 'per transaction or batch; adaptive: per transfer, from submitting it to its commit',
          hashChain: true,
          notMeasured: 'a network between client and server, replication',
          booksVerifiedAfterwards: ok,
        },
        rows: [...rows, ...writers],
        ratios: {
          random: ratio(best('strongroom', 'random'), best('naive', 'random')),
          hot: ratio(best('strongroom', 'hot'), best('naive', 'hot')),
          randomOverFunction: ratio(best('strongroom', 'random'), best('function', 'random')),
          hotOverFunction: ratio(best('strongroom', 'hot'), best('function', 'hot')),
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
