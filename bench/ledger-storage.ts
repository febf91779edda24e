/**
 * `npx tsx bench/ledger-storage.ts`: the figures behind choices of storage. How full pages of balances may be; what many
 * partitions cost; how long writers wait while one is added. CPU and WAL per transfer hardly depend on what else the machine
 * does; rates do.
 */
import { randomInt } from 'node:crypto';
import { derivedId } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createLedger, ensurePartitions, type Ledger } from '#ledger';
import { chainHot, suspense, type TransferCommand } from '#ledger/contract';
import { migrate } from '../infra/migrations.ts';
import { asset, moveOf, openDatabase, pathsOf } from './ledger/database.ts';
import { readFigures } from './ledger-soak-figures.ts';
import { benchArguments, machineConditions, quantile } from './report.ts';

const source = suspense(derivedId('wal', 'bench'));
const hot = chainHot(derivedId('wal', 'bench'));
const batchCommands = 1_000;
const fundUnits = 10n ** 9n;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function withLedger(
  accounts: number,
  prepare: string,
  work: (pool: Pool, ledger: Ledger, paths: ReturnType<typeof pathsOf>) => Promise<void>,
): Promise<void> {
  const database = await openDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'bench-storage' });
  try {
    await migrate(pool);
    await pool.query(prepare);
    const ledger = createLedger({ pool });
    const paths = pathsOf(accounts);
    const portion = 5_000;
    const all = [source, hot, ...paths];
    for (let at = 0; at < all.length; at += portion)
      await ledger.openAccounts(
        pool,
        all.slice(at, at + portion).map((path) => ({ path, asset })),
      );
    for (let at = 0; at < paths.length; at += portion)
      await ledger.apply(paths.slice(at, at + portion).map((path) => moveOf(source, path, fundUnits)));
    await pool.query('VACUUM ANALYZE');
    await work(pool, ledger, paths);
  } finally {
    await pool.end();
    await database.close();
  }
}

function randomBatch(paths: ReturnType<typeof pathsOf>): TransferCommand[] {
  return Array.from({ length: batchCommands }, () => {
    const debit = randomInt(paths.length - 1);
    return moveOf(paths[debit] ?? source, paths[debit + 1] ?? source, 1n);
  });
}

/** @returns the time of each batch */
async function writeBatches(
  ledger: Ledger,
  paths: ReturnType<typeof pathsOf>,
  until: () => boolean,
): Promise<number[]> {
  const latenciesMs: number[] = [];
  while (!until()) {
    const commands = randomBatch(paths);
    const start = performance.now();
    const failed = (await ledger.apply(commands)).find(({ status }) => status !== 'ok');
    if (failed !== undefined) throw new Error(`transfer ${failed.id} was ${failed.status}`);
    latenciesMs.push(performance.now() - start);
  }
  return latenciesMs;
}

/** Batches over all accounts, without a vacuum that could help a full page. */
async function fillfactors(batches: number, accounts: number): Promise<void> {
  print(
    '\nfillfactor of ledger.balance | HOT % | heap MiB before, after | index MiB | WAL B/transfer | backend CPU us/transfer',
  );
  for (const fillfactor of [50, 60, 70, 80, 90, 100])
    await withLedger(
      accounts,
      `ALTER TABLE ledger.balance SET (fillfactor = ${fillfactor}, autovacuum_enabled = false)`,
      async (pool, ledger, paths) => {
        // The rows of balances are rewritten with room between them: funding has filled some of it.
        await pool.query('VACUUM FULL ledger.balance');
        await pool
          .query("SELECT pg_stat_reset_single_table_counters('ledger.balance'::regclass)")
          .catch(() => undefined);
        await pool.query('CHECKPOINT').catch(() => undefined);
        const before = await readFigures(pool);
        let left = batches;
        await writeBatches(ledger, paths, () => left-- === 0);
        // Statistics of a session arrive within a second.
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        const after = await readFigures(pool);
        const [was, is] = [before.tables['balance'], after.tables['balance']];
        if (was === undefined || is === undefined) throw new RangeError('no figures of ledger.balance');
        const per = (figure: 'walBytes' | 'backendCpuMs'): number =>
          (after[figure] - before[figure]) / (batches * batchCommands);
        print(
          [
            String(fillfactor).padStart(28),
            is.hotPercent.toFixed(1),
            `${was.heapMiB.toFixed(1)}, ${is.heapMiB.toFixed(1)}`,
            is.indexMiB.toFixed(1),
            per('walBytes').toFixed(0),
            (per('backendCpuMs') * 1000).toFixed(1),
          ].join(' | '),
        );
      },
    );
}

async function medianMs(times: number, work: (at: number) => Promise<unknown>): Promise<string> {
  const samples: number[] = [];
  for (let at = 0; at < times; at++) {
    const start = performance.now();
    await work(at);
    samples.push(performance.now() - start);
  }
  return quantile(samples, 0.5).toFixed(2);
}

async function partitionCounts(counts: readonly number[]): Promise<void> {
  print('\npartitions | ms: a hold | its release | transfers by reference | proof of 3 batches');
  await withLedger(100, '', async (pool, ledger, paths) => {
    const payer = paths[0] ?? source;
    const command = (id: number): TransferCommand =>
      ({ ...moveOf(payer, hot, 1n), id: derivedId('tr', `hold ${id}`), kind: 'pending' }) as TransferCommand;
    await ledger.apply([moveOf(hot, source, fundUnits)]);
    let made = 0;
    for (const count of counts) {
      for (;;) {
        const { rows } = await pool.query<{ n: number }>(
          'SELECT count(*)::int AS n FROM ledger.transfer_partition',
        );
        const missing = count - (rows[0]?.n ?? 0);
        if (missing <= 0) break;
        await pool.query('SELECT ledger.add_partition() FROM generate_series(1, $1::int)', [
          Math.min(missing, 50),
        ]);
      }
      const first = made;
      made += 40;
      const hold = await medianMs(40, (at) => ledger.apply([command(first + at)]));
      const release = await medianMs(40, (at) => {
        const pendingId = derivedId('tr', `hold ${first + at}`);
        const id = derivedId('tr', `release ${first + at}`);
        return ledger.apply([
          { id, kind: 'void-pending', pendingId, code: 'withdrawal-released', reference: id },
        ]);
      });
      const reference = await medianMs(20, () => ledger.transfersByReference('nothing'));
      const proof = await medianMs(20, () => ledger.verify(pool, { from: 1n, to: 3n }));
      print([String(count).padStart(10), hold, release, reference, proof].join(' | '));
    }
  });
}

/** What writers notice while the journal gets a partition, alone and while somebody reads all of it. */
async function blocking(forMs: number): Promise<void> {
  print('\nadding a partition | reader of the whole journal | took ms | longest batch meanwhile, median, ms');
  await withLedger(10_000, '', async (pool, ledger, paths) => {
    let ahead = 4;
    const ways: readonly [string, () => Promise<unknown>][] = [
      ['none', () => Promise.resolve()],
      [
        'ensure_partitions',
        () => {
          ahead += 8;
          return ensurePartitions(pool, ahead);
        },
      ],
      [
        'CREATE TABLE ... PARTITION OF',
        () =>
          pool.query(
            'CREATE TABLE ledger.transfer_x PARTITION OF ledger.transfer FOR VALUES FROM (9000000000) TO (9000000001)',
          ),
      ],
    ];
    for (const isRead of [false, true])
      for (const [name, add] of ways) {
        const reader = await pool.connect();
        await reader.query(isRead ? 'BEGIN; SELECT count(*) FROM ledger.transfer' : 'BEGIN');
        const release = setTimeout(() => void reader.query('ROLLBACK'), forMs * 0.75);
        const end = performance.now() + forMs;
        const writing = writeBatches(ledger, paths, () => performance.now() > end);
        await new Promise((resolve) => setTimeout(resolve, forMs / 4));
        const start = performance.now();
        await add();
        const took = performance.now() - start;
        const latencies = await writing;
        clearTimeout(release);
        await reader.query('ROLLBACK');
        reader.release();
        await pool.query('DROP TABLE IF EXISTS ledger.transfer_x');
        print(
          [
            name,
            isRead ? 'yes' : 'no',
            took.toFixed(0),
            Math.max(...latencies).toFixed(0),
            quantile(latencies, 0.5).toFixed(0),
          ].join(' | '),
        );
      }
  });
}

const { quick, mode } = benchArguments(['partitions', 'attach', 'fillfactor']);
const isAsked = (part: typeof mode): boolean => mode === undefined || mode === part;
print(JSON.stringify(machineConditions()));
if (isAsked('partitions')) await partitionCounts(quick ? [4, 20] : [4, 20, 100, 500, 1_000]);
if (isAsked('attach')) await blocking(quick ? 1_000 : 4_000);
if (isAsked('fillfactor')) await fillfactors(quick ? 10 : 300, quick ? 5_000 : 100_000);
