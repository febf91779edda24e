/**
 * The matching engine with balances, fees and events, beside `nodejs-order-book`, a book alone: the same seeded commands in the
 * same run, and the same book and traded volume at the end, which is asserted. Rates, closed-loop and open-loop latency, heap.
 */
import { inlineWholeCommands } from '../matching/sequencer/index.ts';
import { assertSameOutcome, outcomeOf } from './matching/agreement.ts';
import { type Outcome, peer, portion, strongroom } from './matching/books.ts';
import { durable } from './matching/durable.ts';
import { accounts, type Flow, makeFlow, type mixes } from './matching/flow.ts';
import {
  closedLoop,
  type HeapGrowth,
  heapGrowth,
  type Latency,
  openLoop,
  type Rate,
  rates,
} from './matching/measure.ts';
import {
  type BenchRow,
  benchArguments,
  type LatencyRow,
  machineConditions,
  publishReport,
  quantile,
  ratio,
} from './report.ts';

interface Size {
  readonly name: string;
  readonly mix: keyof typeof mixes;
  readonly resting: number;
  /** Timed commands. The peer walks all orders of a level for each that leaves, so it gets fewer where levels are long. */
  readonly count: number;
  readonly peerCount: number;
}
const sizesOf = (quick: boolean): readonly Size[] => {
  const count = quick ? 500_000 : 1_000_000;
  const few = quick ? 10 : 1;
  return [
    { name: 'resting1k', mix: 'mixed', resting: 1_000, count, peerCount: 1_000_000 / few },
    { name: 'resting10k', mix: 'mixed', resting: 10_000, count, peerCount: 300_000 / few },
    { name: 'resting100k', mix: 'mixed', resting: 100_000, count, peerCount: 20_000 / few },
    { name: 'moves1k', mix: 'moves', resting: 1_000, count, peerCount: 300_000 / few },
  ];
};
/** Commands a gateway has handed over and not seen published: one caller that waits, a busy hour, as fast as it goes. */
const inFlightCounts = [1, 1_024, 16_384] as const;
const openLoopRates = [100_000, 500_000, 1_000_000] as const;

/** Of the rounds, in whole commands. */
const median = (rates: readonly Rate[] = [], of: keyof Rate): number =>
  Math.round(
    quantile(
      rates.map((rate) => rate[of]),
      0.5,
    ),
  );

interface Rows {
  readonly rows: readonly BenchRow[];
  readonly latencies: readonly LatencyRow[];
}
interface Measured extends Rows {
  readonly ratio: number;
  readonly heap: HeapGrowth;
  /** Ours, then the peer's. */
  readonly perProcessorSecond: readonly number[];
  readonly book: string;
}

const latencyRow = (subject: string, workload: string, loop: string, latency: Latency): LatencyRow => ({
  subject,
  workload,
  loop,
  ...latency,
});

async function openLoopRows(flow: Flow, workload: string, seconds: number): Promise<LatencyRow[]> {
  const rows: LatencyRow[] = [];
  for (const rate of openLoopRates) {
    const latency = await openLoop(strongroom, flow, rate, Math.min(flow.count, rate * seconds));
    rows.push(latencyRow(strongroom.name, workload, `open, ${rate.toLocaleString('en')}/s`, latency));
  }
  return rows;
}

function bookText({ bids, asks, volume, openOrders }: Outcome, commands: number): string {
  const levels = [...bids, ...asks];
  const deepest = Math.max(...levels.map(({ orders }) => orders));
  return `${openOrders.toLocaleString('en')} orders left in ${levels.length} levels, at most ${deepest} orders in one; ${(volume / commands).toFixed(1)} lots traded per command`;
}

async function measure({ mix, resting, count, peerCount }: Size, quick: boolean): Promise<Measured> {
  const workload = `${mix}, ${resting.toLocaleString('en')} resting`;
  const flow = makeFlow(mix, resting, Math.max(count, peerCount));
  assertSameOutcome(flow, peerCount);
  const atEnd = outcomeOf(strongroom, flow, count);
  const subjects = [
    { subject: strongroom, count },
    { subject: peer, count: peerCount },
  ];
  // When the last book of a kind is collected, so are its hidden classes and with them what was compiled for them: each round
  // would begin with 60 ms of compiling. A market is always there, so is one book of each.
  const kept = subjects.map(({ subject }) => subject.open(flow));
  const found = await rates(subjects, flow, quick ? 3 : 7);
  const latencies: LatencyRow[] = [];
  const rows: BenchRow[] = [];
  for (const { subject, count: commands } of subjects) {
    const latency = await closedLoop(subject, flow, commands);
    latencies.push(latencyRow(subject.name, workload, 'closed', latency));
    rows.push({
      subject: subject.name,
      workload: `${workload}, ${commands.toLocaleString('en')} commands`,
      opsPerSecond: median(found.get(subject), 'perSecond'),
      p50Ms: latency.p50Us / 1_000,
      p99Ms: latency.p99Us / 1_000,
    });
  }
  latencies.push(...(await openLoopRows(flow, workload, quick ? 0.5 : 2)));
  const heap = await heapGrowth(strongroom, flow, count);
  for (const book of kept) book.run(0, 0);
  return {
    rows,
    latencies,
    ratio: ratio(rows[0]?.opsPerSecond ?? 0, rows[1]?.opsPerSecond ?? 0),
    heap,
    book: bookText(atEnd, count),
    perProcessorSecond: subjects.map(({ subject }) => median(found.get(subject), 'perProcessorSecond')),
  };
}

/** How the book looked, and what a million commands left on the heap of the engine. */
const bookConditions = (
  name: string,
  { book, heap, perProcessorSecond }: Measured,
): Record<string, string | number> => ({
  [`${name}PerProcessorSecond`]: perProcessorSecond.map((rate) => rate.toLocaleString('en')).join(' over '),
  [`${name}Book`]: book,
  [`${name}HeapMiBPerMillion`]: heap.keptMiBPerMillion,
  [`${name}CollectionsPerMillion`]: heap.collectionsPerMillion,
});

/** Two threads: sequencer and journal here, the engine in the other. */
async function durableRows(quick: boolean): Promise<Rows> {
  const flow = makeFlow('mixed', 1_000, quick ? 200_000 : 1_000_000);
  const rows: BenchRow[] = [];
  const latencies: LatencyRow[] = [];
  for (const inFlight of inFlightCounts) {
    const count = Math.min(flow.count, inFlight * (quick ? 1_000 : 5_000));
    const { commandsPerSecond, acknowledged } = await durable(flow, count, inFlight);
    const workload = `mixed, 1,000 resting, ${inFlight.toLocaleString('en')} in flight`;
    rows.push({
      subject: 'strongroom, durable',
      workload,
      opsPerSecond: commandsPerSecond,
      p50Ms: acknowledged.p50Us / 1_000,
      p99Ms: acknowledged.p99Us / 1_000,
    });
    latencies.push(latencyRow('strongroom, durable', workload, 'acknowledged', acknowledged));
  }
  return { rows, latencies };
}

async function main(): Promise<void> {
  const { quick, jsonFile } = benchArguments();
  inlineWholeCommands();
  const found: [Size, Measured][] = [];
  for (const size of sizesOf(quick)) found.push([size, await measure(size, quick)]);
  const onDisk = await durableRows(quick);
  publishReport(
    {
      bench: 'matching',
      conditions: {
        ...machineConditions(),
        flow: 'mixed: 60 % limit orders, exponential distance from a random-walk mid, 5 % of them aggressive; 30 % cancels; 10 % market orders. moves: 82 % amends to another price, 9 % limit, 3 % immediate-or-cancel, 6 % cancels',
        strongroom: `whole engine on one thread: ${accounts} accounts, balances held and settled, fees of maker and taker, self-trade check, events written, hashed and read, ${portion} commands between two reads`,
        compiler:
          'V8 may inline 3,000 bytes of bytecode instead of 920, for both books, as the thread of the engine asks for itself',
        peer: 'nodejs-order-book 10.1.1: the book alone, without accounts, balances or fees; journal off; integers',
        commands:
          'made before the clock runs; fresh books, a first round thrown away, garbage collected before each round; rounds in turn, the median counts',
        agreement:
          'traded volume and each level of the final book are equal for both, as far as the peer got (asserted)',
        peerAt100k:
          'fewer commands, because it walks all orders of a level for each that leaves; rates are compared',
        latency:
          'closed: one command at a time, its events read, two clock reads (about 0.05 us each) included; open: from the time a command was due, so that queueing counts',
        ...Object.fromEntries(
          found.flatMap(([{ name }, measured]) => Object.entries(bookConditions(name, measured))),
        ),
        durable:
          'commands handed over until their events are published: sequencer and journal in one thread, fdatasync of each group before its events are told, engine in another; the state hash is that of an engine without them (asserted)',
        notMeasured: 'a network, a standby, several markets at once, stops and icebergs in the flow',
      },
      rows: [...found.flatMap(([, { rows }]) => rows), ...onDisk.rows],
      latencies: [...found.flatMap(([, { latencies }]) => latencies), ...onDisk.latencies],
      ratios: Object.fromEntries(found.map(([{ name }, measured]) => [name, measured.ratio])),
    },
    jsonFile,
  );
}

await main();
