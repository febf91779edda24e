/** What PostgreSQL says of itself during a soak. */
import { readFileSync } from 'node:fs';
import type { Pool } from '#infra/db';
import type { BenchRow } from './report.ts';

/** Of one table, its partitions together. */
interface TableFigures {
  readonly heapMiB: number;
  readonly indexMiB: number;
  readonly deadRows: number;
  /** Of all updates, in percent: the new version stayed on its page and no index was touched. */
  readonly hotPercent: number;
  readonly autovacuums: number;
  readonly frozenPercent: number;
}
export interface Figures {
  readonly walBytes: number;
  /** What the backends of this database have used; 0 for a server on another machine. */
  readonly backendCpuMs: number;
  readonly batches: number;
  readonly transfers: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly tables: Readonly<Record<string, TableFigures>>;
}
export interface Window {
  /** Transfers in the journal when it began. */
  readonly rows: number;
  readonly isMark: boolean;
  readonly load: number;
  readonly mixed: BenchRow;
  readonly posts?: BenchRow;
  /** When it ended. */
  readonly figures: Figures;
  readonly walBytesPerTransfer: number;
  /** Of the server's backends: unlike the rate it hardly depends on what else the machine does. */
  readonly cpuMicrosPerTransfer: number;
}

const tablesSql = `
  SELECT CASE WHEN c.relispartition THEN 'transfer' ELSE c.relname END AS name,
         sum(pg_table_size(c.oid))::float8 / 1048576 AS "heapMiB", sum(pg_indexes_size(c.oid))::float8 / 1048576 AS "indexMiB",
         sum(s.n_dead_tup)::float8 AS "deadRows",
         coalesce(100.0 * sum(s.n_tup_hot_upd) / nullif(sum(s.n_tup_upd), 0), 0)::float8 AS "hotPercent",
         sum(s.autovacuum_count)::float8 AS autovacuums,
         coalesce(100.0 * sum(c.relallfrozen) / nullif(sum(c.relpages), 0), 0)::float8 AS "frozenPercent"
    FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid
   WHERE c.relnamespace = 'ledger'::regnamespace
     AND (c.relispartition OR c.relname IN ('transfer_id', 'balance', 'pending', 'head', 'batch'))
   GROUP BY 1 ORDER BY 1`;

const settingNames = [
  'server_version',
  'synchronous_commit',
  'fsync',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
];

/** proc(5): user and system time, in ticks of 10 ms; 0 for a process that is no backend of PostgreSQL on this machine. */
export function cpuMsOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    if (!stat.includes('(postgres)')) return 0;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number.parseInt(fields[11] ?? '0', 10) + Number.parseInt(fields[12] ?? '0', 10)) * 10;
  } catch {
    return 0;
  }
}

export async function readFigures(pool: Pool): Promise<Figures> {
  const { rows: heads } = await pool.query<{ wal: string; batches: string; transfers: string }>(
    "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal, batch_no AS batches, last_seq AS transfers FROM ledger.head",
  );
  const { rows: tables } = await pool.query<TableFigures & { readonly name: string }>(tablesSql);
  const { rows: backends } = await pool.query<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database()',
  );
  const { rows: settings } = await pool.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name',
    [settingNames],
  );
  const [head] = heads;
  if (head === undefined) throw new RangeError('the ledger has no head');
  return {
    walBytes: Number.parseInt(head.wal, 10),
    backendCpuMs: backends.reduce((sum, { pid }) => sum + cpuMsOf(pid), 0),
    batches: Number.parseInt(head.batches, 10),
    transfers: Number.parseInt(head.transfers, 10),
    settings: Object.fromEntries(settings.map(({ name, value }) => [name, value])),
    tables: Object.fromEntries(tables.map(({ name, ...figures }) => [name, figures])),
  };
}

const million = 1_000_000;

/** One line per window. */
export function growthText(windows: readonly Window[]): string {
  return windows
    .map(({ rows, mixed, posts, figures, walBytesPerTransfer, cpuMicrosPerTransfer, load }) => {
      const { tables } = figures;
      const size = (name: string): string => {
        const table = tables[name];
        return table === undefined ? '-' : `${Math.round(table.heapMiB)}+${Math.round(table.indexMiB)}`;
      };
      const percent = (name: string, of: 'hotPercent' | 'frozenPercent'): string =>
        `${(tables[name]?.[of] ?? 0).toFixed(1)} %`;
      return [
        `${(rows / million).toFixed(2).padStart(6)} M`,
        `${mixed.opsPerSecond.toFixed(0).padStart(6)}/s p50 ${mixed.p50Ms.toFixed(0)} p99 ${mixed.p99Ms.toFixed(0)} ms`,
        `posts ${posts === undefined ? '-' : posts.opsPerSecond.toFixed(0)}`,
        `MiB transfer ${size('transfer')} id ${size('transfer_id')} balance ${size('balance')} pending ${size('pending')} head ${size('head')}`,
        `WAL ${walBytesPerTransfer} B CPU ${cpuMicrosPerTransfer} us`,
        `HOT balance ${percent('balance', 'hotPercent')} pending ${percent('pending', 'hotPercent')} head ${percent('head', 'hotPercent')}`,
        `dead balance ${tables['balance']?.deadRows ?? 0} pending ${tables['pending']?.deadRows ?? 0}`,
        `frozen transfer ${percent('transfer', 'frozenPercent')} id ${percent('transfer_id', 'frozenPercent')}`,
        `load ${load}`,
      ].join(' | ');
    })
    .join('\n');
}
