/**
 * The stream under a thousand clients: what it sends, how long after a command is durable each client has it, and what that costs.
 * Engine with journal, gateway and clients are processes of their own on this machine; orders come over a stream too. Every run
 * ends with the books of all clients compared.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createTradingClient } from '../api/client/index.ts';
import type { StreamClient } from '../api/client/stream.ts';
import {
  type BenchRow,
  benchArguments,
  benchRow,
  type LatencyRow,
  machineConditions,
  publishReport,
  quantile,
  ratio,
} from './report.ts';
import { ClientsProcess, type ClientsReport } from './stream/clients.ts';
import { customer, market, OrderFlow, startEngine } from './stream/exchange.ts';
import { type GatewayProcess, startGateway, type Usage } from './stream/gateway.ts';

const clientProcesses = 2;
/** Orders without an answer; below what a connection may have. */
const inFlightMax = 24;
const warmUpSteps = 1_500;
/** So that all books have a depth to keep. */
const openOrders = 500;

interface Run {
  readonly clients: number;
  /** Place and cancel commands a second. */
  readonly commandsPerSecond: number;
  readonly seconds: number;
}
interface Measured {
  readonly row: BenchRow;
  readonly latency: LatencyRow;
  readonly facts: Readonly<Record<string, number>>;
}

/** Commands at a rate, whatever their answers take; those that are late are sent at once. @returns how many */
async function load(stream: StreamClient, { commandsPerSecond, seconds }: Run): Promise<number> {
  const flow = new OrderFlow(stream, commandsPerSecond);
  const startMs = performance.now();
  const running = new Set<Promise<void>>();
  for (;;) {
    const elapsedMs = performance.now() - startMs;
    if (elapsedMs > seconds * 1_000) break;
    const due = (elapsedMs / 1_000) * commandsPerSecond - flow.commands;
    if (due < 1 || running.size >= inFlightMax) {
      await delay(1);
      continue;
    }
    const step = flow.step(openOrders).finally(() => running.delete(step));
    running.add(step);
  }
  await Promise.all(running);
  return flow.commands;
}

/** Of each message at each client, nanoseconds to milliseconds. */
function latenciesMs(durable: Usage['durable'], reports: readonly ClientsReport[]): Float64Array {
  const atNs = new Map<number, bigint>();
  for (const [at, seq] of durable.seqs.entries()) atNs.set(seq, durable.atNs[at] ?? 0n);
  const all = new Float64Array(reports.reduce((sum, { heard }) => sum + heard.seqs.length, 0));
  let count = 0;
  for (const { heard } of reports)
    for (const [at, seq] of heard.seqs.entries()) {
      const from = atNs.get(seq);
      if (from === undefined) continue;
      all[count++] = Number.parseInt(((heard.atNs[at] ?? 0n) - from).toString(), 10) / 1e6;
    }
  return all.subarray(0, count);
}

function assertExact(reports: readonly ClientsReport[], clients: number, snapshots: number): void {
  const books = new Set(reports.flatMap(({ digests }) => Object.keys(digests)));
  const sum = (of: 'breaks' | 'resyncs' | 'snapshots'): number =>
    reports.reduce((total, report) => total + report[of], 0);
  if (books.size !== 1) throw new Error(`${clients} clients have ${books.size} different books`);
  if (sum('breaks') + sum('resyncs') > 0 || sum('snapshots') !== snapshots)
    throw new Error(`gaps: ${sum('breaks')}, resyncs: ${sum('resyncs')}, snapshots: ${sum('snapshots')}`);
}

/** A command after all others; who has it has everything. */
async function lastSeq(stream: StreamClient): Promise<number> {
  const order = { accountId: customer(1), market, side: 'buy', type: 'limit', size: '0.0100' } as const;
  const { orderId } = await stream.place({ ...order, price: '11.11' });
  // Of the cancel: while clients wait for the order, some have the cancel already, and books would differ.
  return (await stream.cancel({ accountId: order.accountId, orderId })).seq;
}

interface Parts {
  readonly gateway: GatewayProcess;
  readonly groups: readonly ClientsProcess[];
  readonly trader: StreamClient;
}

async function measure({ gateway, groups, trader }: Parts, run: Run): Promise<Measured> {
  for (const group of groups) group.measure();
  const before = await gateway.usage();
  const startMs = performance.now();
  const commands = await load(trader, run);
  const seq = await lastSeq(trader);
  const reports = await Promise.all(groups.map(async (group) => await group.report(seq)));
  const elapsedMs = performance.now() - startMs;
  const after = await gateway.usage();
  assertExact(reports, run.clients, run.clients);
  const latencies = latenciesMs(after.durable, reports);
  const workload = `${run.clients} clients, ${run.commandsPerSecond} commands/s asked for`;
  const us = (q: number): number => Math.round(quantile(latencies, q) * 1_000);
  const messages = after.durable.seqs.length;
  return {
    row: {
      ...benchRow('messages out', workload, { operations: latencies.length, elapsedMs, latenciesMs: [] }),
      p50Ms: us(0.5) / 1_000,
      p99Ms: us(0.99) / 1_000,
    },
    latency: {
      subject: 'durable to received',
      workload,
      loop: 'open',
      p50Us: us(0.5),
      p99Us: us(0.99),
      p999Us: us(0.999),
      maxUs: us(1),
    },
    facts: {
      'commands/s in': ratio(commands * 1_000, elapsedMs),
      'messages of the book/s': ratio(messages * 1_000, elapsedMs),
      'bytes of a message, mean': ratio(
        after.durable.bytes.reduce((sum, of) => sum + of, 0),
        messages,
      ),
      'cores of the gateway': ratio(after.cpuMs - before.cpuMs, elapsedMs),
      'microseconds of processor per message out, orders included': ratio(
        (after.cpuMs - before.cpuMs) * 1_000,
        latencies.length,
      ),
    },
  };
}

async function main(): Promise<void> {
  const { quick, jsonFile } = benchArguments();
  const clients = 1_000;
  const seconds = quick ? 5 : 20;
  const rates = quick ? [100] : [20, 100, 500];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'strongroom-stream-'));
  const groups = Array.from({ length: clientProcesses }, () => new ClientsProcess());
  const engine = await startEngine(folder);
  const gateway = await startGateway(engine);
  const [token = '', ...tokens] = gateway.tokens;
  const trader = createTradingClient({ baseUrl: gateway.baseUrl, token }).stream();
  try {
    while (!trader.isOpen) await delay(1);
    const flow = new OrderFlow(trader, 1);
    for (let at = 0; at < warmUpSteps; at++) await flow.step(openOrders);
    const alone = await gateway.usage();
    const startMs = performance.now();
    const open = { baseUrl: gateway.baseUrl, tokens, market, count: clients / clientProcesses };
    await Promise.all(groups.map(async (group) => await group.open(open)));
    const openedMs = performance.now() - startMs;
    const full = await gateway.usage();
    const measured: Measured[] = [];
    for (const commandsPerSecond of rates)
      measured.push(await measure({ gateway, groups, trader }, { clients, commandsPerSecond, seconds }));
    publishReport(
      {
        bench: 'stream',
        conditions: {
          ...machineConditions(),
          clients,
          secondsPerRun: seconds,
          processes: `engine with journal, gateway, ${clientProcesses} of clients, load: all on this machine`,
          latency:
            'from when the gateway has a durable message of the book until a client has taken it into its book',
          exact:
            'after every run all books are the same, no chain was broken, nobody needed a second snapshot',
          'clients connected and subscribed per second': ratio(clients * 1_000, openedMs),
          'memory of the gateway per client, KiB': ratio(full.heldBytes - alone.heldBytes, clients * 1_024),
          notMeasured:
            'a network, TLS, what the kernel holds for sockets, slow clients, more than one gateway, from the flush of the journal to the gateway; clients take processor time from the gateway here',
          ...Object.fromEntries(
            measured.flatMap(({ latency, facts }) =>
              Object.entries(facts).map(([name, value]) => [`${latency.workload}: ${name}`, value]),
            ),
          ),
        },
        rows: measured.map(({ row }) => row),
        latencies: measured.map(({ latency }) => latency),
        ratios: {},
      },
      jsonFile,
    );
  } finally {
    await trader.close();
    for (const group of groups) await group.stop();
    await gateway.stop();
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
