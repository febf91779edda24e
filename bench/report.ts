/**
 * What every bench shares: its arguments (`--quick`, `--json FILE`), the machine it ran on, latency figures and one output
 * shape, so that a script can compare runs.
 */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';

export interface BenchRow {
  /** What was measured: `strongroom`, `naive`, `raw module`. */
  readonly subject: string;
  readonly workload: string;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}
/** Of a subject that is too fast for milliseconds. */
export interface LatencyRow {
  readonly subject: string;
  readonly workload: string;
  /** `closed`; `open` and its rate; `acknowledged`: until it was durable and published. */
  readonly loop: string;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}
export interface BenchReport {
  readonly bench: string;
  /** Machine and settings; figures without these mean nothing. */
  readonly conditions: Readonly<Record<string, string | number | boolean>>;
  readonly rows: readonly BenchRow[];
  readonly latencies?: readonly LatencyRow[];
  readonly ratios: Readonly<Record<string, number>>;
}
export interface BenchArguments {
  /** A run of under 45 s, with fewer samples. */
  readonly quick: boolean;
  readonly jsonFile: string | undefined;
}

/** @param modes other things than usual that this bench can do, each with a flag of its own. @throws TypeError for an unknown argument */
export function benchArguments<const Mode extends string = never>(
  modes: readonly Mode[] = [],
  argv: readonly string[] = process.argv.slice(2),
): BenchArguments & { readonly mode: Mode | undefined } {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      ...Object.fromEntries(modes.map((mode) => [mode, { type: 'boolean' as const }])),
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
    allowPositionals: false,
  });
  const given = new Map<string, unknown>(Object.entries(values));
  return { quick: values.quick, jsonFile: values.json, mode: modes.find((mode) => given.get(mode) === true) };
}

/** The machine and runtime, to be spread into `conditions`. */
export function machineConditions(): Record<string, string | number | boolean> {
  const gibibytes = os.totalmem() / 2 ** 30;
  return {
    cpu: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    memoryGiB: Math.round(gibibytes),
    loadAverage1m: Math.round((os.loadavg()[0] ?? 0) * 100) / 100,
    system: `${os.platform()} ${os.arch()}`,
    node: process.version,
    date: new Date().toISOString(),
  };
}

/** The q-th quantile (0..1) by nearest rank; 0 for no samples. */
export function quantile(samples: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? 0;
}

const rounded = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits;

/** One row from the latencies of its calls and the operations they did in `elapsedMs`. */
export function benchRow(
  subject: string,
  workload: string,
  measured: {
    readonly operations: number;
    readonly elapsedMs: number;
    readonly latenciesMs: readonly number[];
  },
): BenchRow {
  return {
    subject,
    workload,
    opsPerSecond: rounded((measured.operations * 1000) / measured.elapsedMs, 1),
    p50Ms: rounded(quantile(measured.latenciesMs, 0.5), 2),
    p99Ms: rounded(quantile(measured.latenciesMs, 0.99), 2),
  };
}

export const ratio = (numerator: number, denominator: number): number => rounded(numerator / denominator, 2);

/** Words to the left, figures to the right. */
function tableLines(table: readonly (readonly string[])[], words: number): string[] {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((line) => line[column]?.length ?? 0)),
  );
  return table.map((line) =>
    line
      .map((cell, column) =>
        column < words ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}

/** What takes less than 0.1 ms has no digits left otherwise. */
const milliseconds = (value: number): string =>
  value > 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(2);

function latencyLines(latencies: readonly LatencyRow[]): string[] {
  const header = ['subject', 'workload', 'loop', 'p50 us', 'p99 us', 'p99.9 us', 'max us'];
  const cells = latencies.map(({ subject, workload, loop, p50Us, p99Us, p999Us, maxUs }) => [
    subject,
    workload,
    loop,
    ...[p50Us, p99Us, p999Us, maxUs].map((micros) => micros.toFixed(2)),
  ]);
  return ['', ...tableLines([header, ...cells], 3)];
}

/** Prints conditions, rows and ratios as aligned text, and writes the JSON file when one was asked for. */
export function publishReport(report: BenchReport, jsonFile: string | undefined): void {
  const header = ['subject', 'workload', 'ops/s', 'p50 ms', 'p99 ms'];
  const cells = report.rows.map((row) => [
    row.subject,
    row.workload,
    row.opsPerSecond.toFixed(1),
    milliseconds(row.p50Ms),
    milliseconds(row.p99Ms),
  ]);
  const lines = [
    `bench ${report.bench}`,
    ...Object.entries(report.conditions).map(([k, v]) => `  ${k}: ${String(v)}`),
    '',
    ...tableLines([header, ...cells], 2),
    ...(report.latencies === undefined ? [] : latencyLines(report.latencies)),
    '',
    ...Object.entries(report.ratios).map(([name, value]) => `ratio ${name}: ${value.toFixed(2)}`),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(report, null, 2)}\n`);
}
