/**
 * `bench:ledger -- --soak`: how the ledger behaves as it grows. Two writers send batches without a pause until the journal has
 * 20 million transfers; what the load consists of stands in {@link batchOf}. Reported per window of the growth: throughput,
 * latency of a batch, sizes, WAL, and what vacuum did; at the end, how long the proof of everything takes.
 */
import { randomBytes, randomInt } from 'node:crypto';
import os from 'node:os';
import { derivedId, type Id, newId } from '#core/ids';
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, houseIncome, suspense, type TransferCommand } from '#ledger/contract';
import { migrate } from '../infra/migrations.ts';
import { ensurePartitions } from '../ledger/operations.ts';
import { asset, freshId, openDatabase, pathsOf } from './ledger/database.ts';
import { growthText, readFigures, type Window } from './ledger-soak-figures.ts';
import { benchRow, machineConditions, publishReport, ratio } from './report.ts';

/** What ethers have: realistic lengths of numbers. */
const ether = 10n ** 18n;
const fundUnits = 1_000_000n * ether;
const batchCommands = 1_000;
const writers = 2;
/** Batches of posts only at each mark, for what the other kinds cost. */
const probeBatches = 50;

export interface SoakOptions {
  readonly quick: boolean;
  readonly jsonFile: string | undefined;
}
interface Scale {
  readonly accounts: number;
  readonly transfers: number;
  readonly windowTransfers: number;
  /** Where a figure is reported in the table; windows begin there. */
  readonly marks: readonly number[];
}
const million = 1_000_000;
const scales: Readonly<Record<'full' | 'quick', Scale>> = {
  full: {
    accounts: 100_000,
    transfers: 20.5 * million,
    windowTransfers: million / 2,
    marks: [0, 5, 10, 15, 20].map((millions) => millions * million),
  },
  quick: { accounts: 5_000, transfers: 120_000, windowTransfers: 40_000, marks: [0, 80_000] },
};

type Hold = { readonly id: Id<'tr'>; readonly units: bigint };
const hot = chainHot(derivedId('wal', 'bench'));
const source = suspense(derivedId('wal', 'bench'));
const clock = { nowMs: () => Date.now() };
const random = { bytes: (length: number) => randomBytes(length) };

/** Finney to ether, like payments and trades. */
const randomUnits = (): bigint => BigInt(randomInt(1, 1_000)) * 10n ** 15n + BigInt(randomInt(2 ** 40));

/** Ids as they come: half made by a caller now, half derived from what happened outside, so that they land anywhere. */
function identity(): { readonly id: Id<'tr'>; readonly reference: string } {
  if (randomInt(2) === 0) return { id: freshId(), reference: newId('wd', clock, random) };
  const event = randomBytes(16).toString('hex');
  return { id: derivedId('tr', event), reference: derivedId('dep', event) };
}

/**
 * Of 100: 80 trades between any two customers, 10 fees into one account, 5 holds, 5 resolutions of holds made before (of
 * these 8 in 10 posted in full, one in part, one voided).
 */
function batchOf(paths: ReturnType<typeof pathsOf>, held: Hold[], isPostsOnly: boolean): TransferCommand[] {
  const made: Hold[] = [];
  const someone = () => paths[randomInt(paths.length)] ?? source;
  const commands = Array.from({ length: batchCommands }, (_, at): TransferCommand => {
    const names = identity();
    const share = isPostsOnly ? at % 90 : at % 100;
    const units = randomUnits();
    const hold = share >= 95 ? held.pop() : undefined;
    if (hold !== undefined) {
      const resolution = { ...names, pendingId: hold.id };
      return randomInt(10) === 0
        ? { ...resolution, kind: 'void-pending', code: 'withdrawal-released' }
        : {
            ...resolution,
            kind: 'post-pending',
            amount: amount(asset, randomInt(9) === 0 ? hold.units - 1n : hold.units),
            code: 'withdrawal-paid',
          };
    }
    if (share >= 90) {
      made.push({ id: names.id, units });
      return {
        ...names,
        kind: 'pending',
        debit: someone(),
        credit: hot,
        amount: amount(asset, units),
        code: 'withdrawal-hold',
      };
    }
    const debit = someone();
    const other = share < 80 ? someone() : houseIncome;
    const credit = other === debit ? houseIncome : other;
    const code = credit === houseIncome ? 'trade-fee' : 'trade';
    return { ...names, kind: 'post', debit, credit, amount: amount(asset, units), code };
  });
  // Resolved by a later batch of the same writer, when these are committed; about as many as are made.
  held.unshift(...made);
  return commands;
}

async function prepare(pool: Pool, ledger: Ledger, paths: ReturnType<typeof pathsOf>): Promise<void> {
  const accounts = [source, hot, houseIncome, ...paths];
  const portion = 5_000;
  for (let at = 0; at < accounts.length; at += portion)
    await ledger.openAccounts(
      pool,
      accounts.slice(at, at + portion).map((path) => ({ path, asset })),
    );
  const fund = (
    debit: typeof hot | typeof source,
    credit: (typeof accounts)[number],
    units: bigint,
  ): TransferCommand => ({
    ...identity(),
    kind: 'post',
    debit,
    credit,
    amount: amount(asset, units),
    code: 'opening',
  });
  await ledger.apply([fund(hot, source, fundUnits * fundUnits)]);
  for (let at = 0; at < paths.length; at += portion)
    await ledger.apply(paths.slice(at, at + portion).map((path) => fund(source, path, fundUnits)));
  await pool.query('VACUUM ANALYZE');
}

interface Lane {
  readonly ledger: Ledger;
  readonly held: Hold[];
}

/** All lanes at once, until they have written so many batches together. */
async function write(
  lanes: readonly Lane[],
  paths: ReturnType<typeof pathsOf>,
  batches: number,
  isPostsOnly = false,
): Promise<{ operations: number; elapsedMs: number; latenciesMs: number[] }> {
  const latenciesMs: number[] = [];
  let left = batches;
  const start = performance.now();
  await Promise.all(
    lanes.map(async ({ ledger, held }) => {
      while (left-- > 0) {
        const commands = batchOf(paths, held, isPostsOnly);
        const begun = performance.now();
        const results = await ledger.apply(commands);
        latenciesMs.push(performance.now() - begun);
        const failed = results.find(({ status }) => status !== 'ok');
        if (failed !== undefined) throw new Error(`transfer ${failed.id} was ${failed.status}`);
      }
    }),
  );
  return { operations: batches * batchCommands, elapsedMs: performance.now() - start, latenciesMs };
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const start = performance.now();
  return { value: await work(), seconds: Math.round((performance.now() - start) / 100) / 10 };
}

async function grow(pool: Pool, lanes: readonly Lane[], scale: Scale): Promise<Window[]> {
  const paths = pathsOf(scale.accounts);
  const windows: Window[] = [];
  for (let rows = 0; rows < scale.transfers; rows += scale.windowTransfers) {
    await ensurePartitions(pool);
    const isMark = scale.marks.includes(rows);
    const posts = isMark ? await write(lanes, paths, probeBatches, true) : undefined;
    const load = os.loadavg()[0] ?? 0;
    const begun = await readFigures(pool);
    const mixed = await write(lanes, paths, scale.windowTransfers / batchCommands);
    const after = await readFigures(pool);
    const perTransfer = (figure: 'walBytes' | 'backendCpuMs'): number =>
      (after[figure] - begun[figure]) / scale.windowTransfers;
    const window: Window = {
      rows,
      isMark,
      load: Math.round(load * 10) / 10,
      mixed: benchRow('strongroom', `mixed, from ${rows / million} million`, mixed),
      ...(posts === undefined
        ? {}
        : { posts: benchRow('strongroom', `posts only, at ${rows / million} million`, posts) }),
      figures: after,
      walBytesPerTransfer: Math.round(perTransfer('walBytes')),
      cpuMicrosPerTransfer: Math.round(perTransfer('backendCpuMs') * 10_000) / 10,
    };
    windows.push(window);
    process.stderr.write(`${growthText([window])}\n`);
  }
  return windows;
}

/** @throws Error when a transfer is refused or the books are not true afterwards */
export async function soak({ quick, jsonFile }: SoakOptions): Promise<void> {
  const scale = scales[quick ? 'quick' : 'full'];
  const database = await openDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'bench-soak' });
  try {
    await migrate(pool);
    const lanes = Array.from({ length: writers }, (): Lane => ({ ledger: createLedger({ pool }), held: [] }));
    const ledger = createLedger({ pool });
    await prepare(pool, ledger, pathsOf(scale.accounts));
    const windows = await grow(pool, lanes, scale);
    const totals = await timed(() => ledger.verifyTotals());
    const { figures } = windows.at(-1) ?? { figures: await readFigures(pool) };
    const newest = {
      from: BigInt(figures.batches - Math.floor(figures.batches / 20)),
      to: BigInt(figures.batches),
    };
    const range = await timed(() => ledger.verify(pool, newest));
    const all = await timed(() => ledger.verify());
    const [first, last] = [windows[0], windows.at(-1)];
    const report = {
      bench: 'ledger-soak',
      conditions: {
        ...machineConditions(),
        ...figures.settings,
        accounts: scale.accounts,
        transfers: figures.transfers,
        load: `${writers} writers, batches of ${batchCommands}: 80 % trades, 10 % fees into one account, 5 % holds, 5 % resolutions`,
        latency: 'per batch, from handing it over to its commit',
        verifyTotalsSeconds: totals.seconds,
        verifyNewestTwentiethSeconds: range.seconds,
        verifyAllSeconds: all.seconds,
        booksVerifiedAfterwards: all.value.ok && range.value.ok && totals.value.ok,
      },
      rows: windows
        .filter(({ isMark }) => isMark)
        .flatMap(({ mixed, posts }) => [mixed, ...(posts === undefined ? [] : [posts])]),
      ratios: { lastToFirst: ratio(last?.mixed.opsPerSecond ?? 0, first?.mixed.opsPerSecond ?? 1) },
      growth: windows,
    };
    process.stdout.write(`${growthText(windows)}\n`);
    publishReport(report, jsonFile);
    if (!all.value.ok)
      throw new Error(`the books are not true: ${JSON.stringify(all.value.problems.slice(0, 5))}`);
  } finally {
    await pool.end();
    await database.close();
  }
}
