/** What a page of fills or trades costs by how many partitions the trades are in. */
import { openPool, type Pool } from '#infra/db';
import { migrate } from '../../infra/migrations.ts';
import { parseEngineConfig } from '../../matching/config.ts';
import { fillsOf, openEngine, type SettledEngine, tradesOf } from '../../matching/settlement/index.ts';
import { openDatabase } from '../ledger/database.ts';
import { cpuMsOf } from '../ledger-soak-figures.ts';
import { type BenchRow, benchRow } from '../report.ts';

const partitionCounts = [4, 20, 100];
/** Few for a real partition: what costs is that they are there. */
const rowsPerPartition = 10_000;
const markets = 20;
const accounts = 1_000;
/** In every second trade. */
const busy = 1;
/** In every 50,000th. */
const rare = accounts + 1;
const limit = 100;
/** So many that the ticks of 10 ms in which processor time is counted do not show. */
const calls = 200;

const config = parseEngineConfig({
  assets: ['a', 'b'].map((name) => ({ id: `ledger:${name}`, unitExponent: 0 })),
  markets: Array.from({ length: markets }, (_, at) => ({
    id: `M${at}-B`,
    base: 0,
    quote: 1,
    lotUnits: 1,
    tickUnits: 1,
    minPrice: 1,
    maxPrice: 1_000,
    minOrderLots: 1,
    maxOrderLots: 1_000,
    maxOrderValue: 1_000_000,
    collarPpm: 1_000_000,
    fees: [{ makerPpm: 0, takerPpm: 0 }],
    state: 'open',
  })),
  ordersMax: 1_000,
  accountsMax: 2 * accounts,
  limits: { openOrders: 100, ordersPerSecond: 0 },
  clientIdsKept: 1,
});

/** Rows as the settler would have written them, without its hashes: nothing here is verified. */
async function fill(pool: Pool, { no }: SettledEngine, partitions: number): Promise<void> {
  const trades = partitions * rowsPerPartition;
  await pool.query('SELECT count(*) FROM matching.add_trade_partitions($1, $2)', [no, trades]);
  await pool.query(
    `INSERT INTO matching.trade (number, seq, time_ms, price, taker, maker, index, lots, taker_order, maker_order, taker_fee,
                                 maker_fee, engine, market, taker_buys, auction)
       SELECT n, n, n, 1 + n % 900, CASE WHEN n % 2 = 0 THEN ${busy} ELSE 2 + hashint8(n)::bigint % 400 + 400 END,
              CASE WHEN n % 50000 = 49999 THEN ${rare} ELSE ${accounts} - (hashint8(n + 7)::bigint % 90 + 90) END, 0, 1, n, n, 0, 0, $1,
              (hashint8(n + 3)::bigint % ${markets} + ${markets}) % ${markets}, true, false
         FROM generate_series(coalesce((SELECT max(number) FROM matching.trade), 0) + 1, $2::bigint) AS n`,
    [no, trades],
  );
  await pool.query(
    `INSERT INTO matching.portion
       SELECT $1, p, 1 + (p - 1) * 1000, p * 1000, p * 1000, 2147483647, 0, h.hash, h.hash, h.hash
         FROM matching.head AS h,
              generate_series(coalesce((SELECT max(no) FROM matching.portion), 0) + 1, $2::bigint / 1000) AS p WHERE h.engine = $1`,
    [no, trades],
  );
  await pool.query('UPDATE matching.head SET trades = $2, seq = $2 WHERE engine = $1', [no, trades]);
  await pool.query('VACUUM ANALYZE matching.trade');
}

export interface PageCost {
  readonly row: BenchRow;
  /** Of the backend, for one page: unlike the latency it hardly depends on what else the machine does. */
  readonly cpuMs: number;
}

async function measureAt(pool: Pool, engine: SettledEngine, partitions: number): Promise<PageCost[]> {
  await fill(pool, engine, partitions);
  const { rows: backends } = await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const cpuMs = (): number => backends.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0);
  const before = { seq: Math.floor((partitions * rowsPerPartition) / 2), index: 0 };
  const pages: readonly [string, () => Promise<readonly unknown[]>][] = [
    ['fills, busy, one market', () => fillsOf(pool, engine, busy, { limit, market: 3 })],
    ['fills, busy, all markets', () => fillsOf(pool, engine, busy, { limit })],
    ['fills, busy, all markets, from the middle', () => fillsOf(pool, engine, busy, { limit, before })],
    ['fills, rare, all markets', () => fillsOf(pool, engine, rare, { limit })],
    ['trades of a market', () => tradesOf(pool, engine, 3, { limit })],
    ['trades of a market, from the middle', () => tradesOf(pool, engine, 3, { limit, before })],
  ];
  const costs: PageCost[] = [];
  for (const [name, ask] of pages) {
    await ask();
    const cpuBefore = cpuMs();
    const latenciesMs: number[] = [];
    const start = performance.now();
    for (let call = 0; call < calls; call++) {
      const begun = performance.now();
      await ask();
      latenciesMs.push(performance.now() - begun);
    }
    const elapsedMs = performance.now() - start;
    const row = benchRow(name, `${partitions} partitions`, { operations: calls, elapsedMs, latenciesMs });
    costs.push({ row, cpuMs: (cpuMs() - cpuBefore) / calls });
  }
  return costs;
}

/** On a database of its own. */
export async function measurePages(): Promise<PageCost[]> {
  const database = await openDatabase();
  const pool = openPool({
    connectionString: database.url,
    applicationName: 'bench-pages',
    connectionsMax: 1,
  });
  try {
    await migrate(pool);
    await pool.query(`CREATE OR REPLACE FUNCTION matching.trade_partition_rows() RETURNS bigint LANGUAGE sql IMMUTABLE
                        RETURN ${rowsPerPartition}`);
    const engine = await openEngine(pool, 'pages', config);
    const costs: PageCost[] = [];
    for (const partitions of partitionCounts) costs.push(...(await measureAt(pool, engine, partitions)));
    return costs;
  } finally {
    await pool.end();
    await database.close();
  }
}
