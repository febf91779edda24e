/** What is measured of a book: rate, closed-loop and open-loop latency, and what it leaves on the heap. */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { quantile } from '../report.ts';
import type { Subject } from './books.ts';
import type { Flow } from './flow.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
/** What a collection leaves to other threads; without it they took a fifth of the next round. */
const sweepMs = 30;

/** So that nobody pays for the garbage of the one before. */
async function settleHeap(): Promise<void> {
  collectGarbage();
  await delay(sweepMs);
}

export interface Rate {
  readonly perSecond: number;
  /** Per second that the processor was ours: what else runs on the machine hardly moves it. */
  readonly perProcessorSecond: number;
}

/** Of fresh books in turn, so that what else the machine does meets each of them. @returns one rate per round */
export async function rates(
  subjects: readonly { readonly subject: Subject; readonly count: number }[],
  flow: Flow,
  rounds: number,
): Promise<Map<Subject, Rate[]>> {
  const found = new Map<Subject, Rate[]>(subjects.map(({ subject }) => [subject, []]));
  // The first is thrown away: the compiler is not done before it has seen this much.
  for (let round = -1; round < rounds; round++)
    for (const { subject, count } of subjects) {
      const book = subject.open(flow);
      await settleHeap();
      const before = process.cpuUsage();
      const startedMs = performance.now();
      book.run(0, count);
      const perSecond = (count * 1_000) / (performance.now() - startedMs);
      const { user, system } = process.cpuUsage(before);
      if (round >= 0)
        found.get(subject)?.push({ perSecond, perProcessorSecond: (count * 1e6) / (user + system) });
    }
  return found;
}

export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
}
export function latencyOf(samplesMs: Float64Array): Latency {
  const micros = (q: number): number => Math.round(quantile(samplesMs, q) * 1e5) / 100;
  return { p50Us: micros(0.5), p99Us: micros(0.99), p999Us: micros(0.999), maxUs: micros(1) };
}

/** Each command as soon as the one before is done: service time, reading its events and twice the clock included. */
export async function closedLoop(subject: Subject, flow: Flow, count: number): Promise<Latency> {
  const book = subject.open(flow);
  const samplesMs = new Float64Array(count);
  await settleHeap();
  for (let at = 0; at < count; at++) {
    const startedMs = performance.now();
    book.run(at, at + 1);
    samplesMs[at] = performance.now() - startedMs;
  }
  return latencyOf(samplesMs);
}

/** Each command at its time, whether the one before is done or not; latency counts from that time, so queueing shows. */
export async function openLoop(
  subject: Subject,
  flow: Flow,
  ratePerSecond: number,
  count: number,
): Promise<Latency> {
  const book = subject.open(flow);
  const samplesMs = new Float64Array(count);
  await settleHeap();
  const startMs = performance.now() + 1;
  for (let at = 0; at < count; at++) {
    const dueMs = startMs + (at * 1_000) / ratePerSecond;
    while (performance.now() < dueMs);
    book.run(at, at + 1);
    samplesMs[at] = performance.now() - dueMs;
  }
  return latencyOf(samplesMs);
}

/** What a book of a million commands keeps, and how often its garbage was collected on the way. */
export interface HeapGrowth {
  readonly keptMiBPerMillion: number;
  readonly collectionsPerMillion: number;
}
async function usedBytes(): Promise<number> {
  // Buffers that the first one frees are swept beside us and counted off by the next.
  for (let i = 0; i < 3; i++) await settleHeap();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

export async function heapGrowth(subject: Subject, flow: Flow, count: number): Promise<HeapGrowth> {
  let collections = 0;
  const book = subject.open(flow);
  const before = await usedBytes();
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  // What was collected before is told first.
  await delay(1);
  observer.observe({ entryTypes: ['gc'] });
  book.run(0, count);
  await delay(1);
  observer.disconnect();
  const keptMiB = ((await usedBytes()) - before) / 2 ** 20;
  // Held until here, so that what the book keeps is counted.
  book.run(count, count);
  const perMillion = (value: number): number => Math.round((value * 1e8) / count) / 100;
  return { keptMiBPerMillion: perMillion(keptMiB), collectionsPerMillion: perMillion(collections) };
}
