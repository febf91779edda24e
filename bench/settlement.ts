/**
 * Trades settled per second: the engine's events into PostgreSQL, with synchronous commits and hash chains on, proven exact
 * afterwards. Beside it the plain way, four linked transfers of the ledger per trade, on the same trades. `--pages` instead: what
 * reading a page of fills or trades costs.
 */
import { amount } from '#core/money';
import { openPool, type Pool } from '#infra/db';
import { readEventsOfCodes } from '#ledger';
import {
  customerSpot,
  houseClearing,
  houseIncome,
  portionsOf,
  type TransferCommand,
  tradeSettled,
} from '#ledger/contract';
import { migrate } from '../infra/migrations.ts';
import { type EngineEvent, readEvent } from '../matching/events.ts';
import { reconcile, startSettler, verifySettlement } from '../matching/settlement/index.ts';
import { openDatabase } from './ledger/database.ts';
import { cpuMsOf } from './ledger-soak-figures.ts';
import {
  type BenchRow,
  benchArguments,
  benchRow,
  machineConditions,
  publishReport,
  ratio,
} from './report.ts';
import {
  type BenchExchange,
  base,
  type EventLot,
  openBenchExchange,
  type Population,
  quote,
} from './settlement/exchange.ts';
import { measurePages } from './settlement/pages.ts';

const populations: readonly Population[] = [
  { name: '1,000 accounts, any with any', accounts: 1_000, marketMakers: 0 },
  { name: '10,000 accounts, 20 market makers', accounts: 10_000, marketMakers: 20 },
  { name: '10,000 accounts, any with any', accounts: 10_000, marketMakers: 0 },
];
const portionTrades = 1_000;

/** What it took, which hardly depends on what else the machine does. */
interface Cost {
  /** Of the backends; 0 for a server on another machine. */
  readonly serverMs: number;
  /** Of this process: the settler alone, its events were made before. */
  readonly settlerMs: number;
  readonly walBytes: number;
}
interface Outcome {
  readonly row: BenchRow;
  readonly trades: number;
  readonly transfersPerTrade: number;
  readonly cost: Cost;
}
interface Method {
  readonly name: string;
  readonly run: (
    pool: Pool,
    exchange: BenchExchange,
    lots: readonly EventLot[],
  ) => Promise<{ elapsedMs: number; portionsMs: number[]; transfers: number }>;
}

function commandsOf({ settled, customer }: BenchExchange, event: EngineEvent): TransferCommand[] {
  if (event.kind !== 'trade') return [];
  const [{ unit: baseUnit = 1n } = {}, { unit: quoteUnit = 1n } = {}] = settled.assets;
  const takerBuys = event.side === 'buy';
  const [buyer, seller] = takerBuys ? [event.taker, event.maker] : [event.maker, event.taker];
  const feeOf = (party: typeof buyer) =>
    party === buyer
      ? amount(base, BigInt(party.fee) * baseUnit)
      : amount(quote, BigInt(party.fee) * quoteUnit);
  return tradeSettled({
    stream: 'engine/bench',
    sequence: BigInt(event.seq),
    index: event.index,
    buyer: customer(buyer.account),
    seller: customer(seller.account),
    base: amount(base, BigInt(event.lots) * 1_000n * baseUnit),
    quote: amount(quote, BigInt(event.lots) * BigInt(event.price) * quoteUnit),
    maker: takerBuys ? 'seller' : 'buyer',
    makerFee: feeOf(event.maker),
    takerFee: feeOf(event.taker),
  });
}

const perTrade: Method = {
  name: 'four transfers per trade',
  run: async (_, exchange, lots) => {
    const { ledger } = exchange;
    const events = lots.flatMap(({ slots, count }) =>
      Array.from({ length: count }, (__, at) => readEvent(slots, at)),
    );
    const start = performance.now();
    const portionsMs: number[] = [];
    let transfers = 0;
    let after = await ledger.streamPosition('engine/bench');
    const portions = portionsOf(
      events.flatMap((event) => commandsOf(exchange, event)),
      4 * portionTrades,
    );
    for (const commands of portions) {
      const begun = performance.now();
      await ledger.applyPortion({ stream: 'engine/bench', after, upTo: after + 1n }, commands);
      after += 1n;
      transfers += commands.length;
      portionsMs.push(performance.now() - begun);
    }
    return { elapsedMs: performance.now() - start, portionsMs, transfers };
  },
};

const netted = (tradesMax: number | undefined): Method => ({
  name:
    tradesMax === undefined
      ? 'strongroom, portions as large as what waits'
      : `strongroom, portions of ${tradesMax}`,
  run: async (pool, { ledger, engine, settled }, lots) => {
    const portionsMs: number[] = [];
    let transfers = 0;
    let begun = performance.now();
    const settler = await startSettler({
      pool,
      ledger,
      engine: settled,
      onRefused: ({ error }) => Promise.reject(error),
      onBooked: (portion) => {
        transfers += portion.transfers;
        portionsMs.push(performance.now() - begun);
        begun = performance.now();
      },
      ...(tradesMax === undefined ? {} : { tradesMax }),
    });
    const start = performance.now();
    begun = start;
    for (const { slots, count } of lots) settler.offer(slots, 0, count);
    await settler.drain(engine.seq);
    return { elapsedMs: performance.now() - start, portionsMs, transfers };
  },
});

/** Each account has in the ledger what it has in the engine. */
async function assertExact(pool: Pool, exchange: BenchExchange, isNetted: boolean): Promise<void> {
  const { ledger, engine, settled } = exchange;
  const { ok } = await ledger.verify();
  if (!ok) throw new Error('the books do not verify');
  if (isNetted) {
    const { differences } = await reconcile({ pool, engine: settled, ledger, readEventsOfCodes }, engine);
    const problems = await verifySettlement(pool, settled);
    if (differences.length + problems.length > 0)
      throw new Error(
        JSON.stringify({ differences, problems }, (_, v: unknown) =>
          typeof v === 'bigint' ? v.toString() : v,
        ),
      );
    return;
  }
  const found = new Map(
    (await ledger.balances({ pathPrefix: 'customer:' })).map(({ path, asset, balance }) => [
      `${path} ${asset}`,
      balance,
    ]),
  );
  for (let number = 1; number < settled.config.accountsMax; number++)
    for (const [asset, { id, unit }] of settled.assets.entries()) {
      const { available, held } = engine.balance(number, asset);
      if (found.get(`${customerSpot(exchange.customer(number))} ${id}`) !== (available + held) * unit)
        throw new Error(`account ${number} differs`);
    }
}

async function costSoFar(pool: Pool): Promise<Cost> {
  const { rows } = await pool.query<{ pids: number[]; wal: string }>(
    `SELECT array_agg(pid) AS pids, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS wal
       FROM pg_stat_activity WHERE datname = current_database()`,
  );
  const { user, system } = process.cpuUsage();
  return {
    serverMs: (rows[0]?.pids ?? []).reduce((sum, pid) => sum + cpuMsOf(pid), 0),
    settlerMs: (user + system) / 1_000,
    walBytes: Number.parseInt(rows[0]?.wal ?? '0', 10),
  };
}
function costPerTrade({ cost, trades }: Outcome): string {
  const each = (total: number, digits: number): string => (total / trades).toFixed(digits);
  return `${each(cost.serverMs * 1_000, 1)} us PostgreSQL, ${each(cost.settlerMs * 1_000, 1)} us settler, ${each(cost.walBytes, 0)} bytes of WAL`;
}

/** On a database of its own: a quarter warms up, the whole is measured. */
async function measure(population: Population, method: Method, trades: number): Promise<Outcome> {
  const database = await openDatabase();
  const pool = openPool({ connectionString: database.url, applicationName: 'bench-settlement' });
  // The processor time of a backend that was let go of would be missing.
  pool.options.idleTimeoutMillis = 0;
  try {
    await migrate(pool);
    const exchange = await openBenchExchange(pool, population);
    await exchange.ledger.openAccounts(
      pool,
      [base, quote].flatMap((asset) => [houseIncome, houseClearing].map((path) => ({ path, asset }))),
    );
    await method.run(pool, exchange, exchange.trade(Math.ceil(trades / 4)));
    await pool.query('VACUUM ANALYZE');
    const lots = exchange.trade(trades);
    const before = await costSoFar(pool);
    const { elapsedMs, portionsMs, transfers } = await method.run(pool, exchange, lots);
    const after = await costSoFar(pool);
    await assertExact(pool, exchange, method !== perTrade);
    return {
      row: benchRow(method.name, population.name, { operations: trades, elapsedMs, latenciesMs: portionsMs }),
      trades,
      transfersPerTrade: ratio(transfers, trades),
      cost: {
        serverMs: after.serverMs - before.serverMs,
        settlerMs: after.settlerMs - before.settlerMs,
        walBytes: after.walBytes - before.walBytes,
      },
    };
  } finally {
    await pool.end();
    await database.close();
  }
}

async function main(): Promise<void> {
  const { quick, jsonFile, mode } = benchArguments(['pages']);
  if (mode === 'pages') {
    const pages = await measurePages();
    const cpu = pages.map(({ row, cpuMs }): [string, string] => [
      `processor time of a page: ${row.subject}, ${row.workload}`,
      `${cpuMs.toFixed(2)} ms`,
    ]);
    const conditions = { ...machineConditions(), ...Object.fromEntries(cpu) };
    publishReport(
      { bench: 'settlement-pages', conditions, rows: pages.map(({ row }) => row), ratios: {} },
      jsonFile,
    );
    return;
  }
  const trades = quick ? 10_000 : 100_000;
  const methods = [perTrade, netted(portionTrades), netted(undefined)];
  const outcomes: Outcome[] = [];
  for (const population of quick ? populations.slice(0, 1) : populations)
    for (const method of methods)
      outcomes.push(await measure(population, method, method === perTrade ? Math.ceil(trades / 4) : trades));
  const rateOf = (method: Method, { name }: Population): number =>
    outcomes.find(({ row }) => row.subject === method.name && row.workload === name)?.row.opsPerSecond ?? 0;
  publishReport(
    {
      bench: 'settlement',
      conditions: {
        ...machineConditions(),
        trades,
        latency: 'of a portion, from one commit to the next',
        exact: "after every run: each balance equals the engine's, ledger and settlement verify",
        notMeasured:
          'a network between settler and PostgreSQL, replication; the engine made the events before',
        ...Object.fromEntries(
          outcomes.flatMap((outcome): [string, number | string][] => {
            const name = `${outcome.row.subject}, ${outcome.row.workload}`;
            return [
              [`transfers per trade: ${name}`, outcome.transfersPerTrade],
              [`processor time per trade: ${name}`, costPerTrade(outcome)],
            ];
          }),
        ),
      },
      rows: outcomes.map(({ row }) => row),
      ratios: Object.fromEntries(
        populations
          .filter((population) => rateOf(perTrade, population) > 0)
          .map((population) => [
            `overPerTrade: ${population.name}`,
            ratio(rateOf(netted(portionTrades), population), rateOf(perTrade, population)),
          ]),
      ),
    },
    jsonFile,
  );
}

await main();
