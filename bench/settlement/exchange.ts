/** An engine with trades to settle: who trades with whom is the workload; prices and sizes are of one seed. */
import { derivedId, type Id, uuidOf } from '#core/ids';
import { amount, assetId } from '#core/money';
import type { Pool } from '#infra/db';
import { createLedger, type Ledger, readEventsOfCodes } from '#ledger';
import { customerMain, customerSpot, houseSuspense, openingBalance, spotIn } from '#ledger/contract';
import { type CommandBody, commandBytes, commandSlots, writeCommand } from '../../matching/commands.ts';
import { type EngineConfig, parseEngineConfig } from '../../matching/config.ts';
import { createEngine, type Engine } from '../../matching/engine/index.ts';
import {
  type EngineEvent,
  type EventSlots,
  eventBytes,
  eventSlots,
  readEvent,
} from '../../matching/events.ts';
import { createSpotFeed, openEngine, type SettledEngine } from '../../matching/settlement/index.ts';
import { openFunded } from '../ledger/database.ts';

export const base = assetId('eip155:31337/slip44:60');
export const quote = assetId('ledger:usd');
/** 10^12 engine units of each: more than any run can spend, and far from what an engine holds of all accounts. */
const fundUnits = new Map([
  [base, 10n ** 21n],
  [quote, 10n ** 14n],
]);
/** Events of so many trades are offered at once. */
const tradesPerLot = 500;

export interface Population {
  readonly name: string;
  readonly accounts: number;
  /** A few accounts that are on one side of every trade. */
  readonly marketMakers: number;
}
export interface EventLot {
  readonly slots: EventSlots;
  readonly count: number;
}
export interface BenchExchange {
  readonly ledger: Ledger;
  readonly engine: Engine;
  readonly settled: SettledEngine;
  readonly customer: (number: number) => Id<'acc'>;
  /** Lots of events with this many trades in all. */
  trade(trades: number): EventLot[];
}

function configOf(accounts: number): EngineConfig {
  return parseEngineConfig({
    assets: [
      { id: base, unitExponent: 9 },
      { id: quote, unitExponent: 2 },
    ],
    markets: [
      {
        id: 'ETH-USD',
        base: 0,
        quote: 1,
        lotUnits: 1_000,
        tickUnits: 1,
        minPrice: 1,
        maxPrice: 100_000,
        minOrderLots: 1,
        maxOrderLots: 1_000_000,
        maxOrderValue: 2 ** 50,
        collarPpm: 1_000_000,
        fees: [{ makerPpm: 1_000, takerPpm: 2_000 }],
        state: 'open',
      },
    ],
    ordersMax: 1_000,
    accountsMax: accounts + 1,
    limits: { openOrders: 1_000, ordersPerSecond: 0 },
    clientIdsKept: 1,
  });
}

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

async function fund(pool: Pool, customers: readonly Id<'acc'>[]): Promise<void> {
  for (const [asset, units] of fundUnits) {
    const moved = amount(asset, units);
    await openFunded(
      pool,
      [
        { path: houseSuspense, asset },
        ...customers.flatMap((id) => [customerMain(id), customerSpot(id)].map((path) => ({ path, asset }))),
      ],
      customers.flatMap((id) => [
        ...openingBalance({
          reference: `${id}/${asset}`,
          account: customerMain(id),
          against: houseSuspense,
          amount: moved,
        }),
        ...spotIn({ reference: `in/${id}/${asset}`, accountId: id, amount: moved }),
      ]),
    );
  }
}

export async function openBenchExchange(
  pool: Pool,
  { accounts, marketMakers }: Population,
): Promise<BenchExchange> {
  const config = configOf(accounts);
  const ledger = createLedger({ pool });
  const customers = Array.from({ length: accounts }, (_, at) => derivedId('acc', `bench ${at}`));
  await fund(pool, customers);
  const engine = createEngine(config);
  const settled = await openEngine(pool, 'bench', config);
  const slots = commandSlots(new ArrayBuffer(commandBytes));
  let lot: Float64Array[] = [];
  const lots: EventLot[] = [];
  const run = (body: CommandBody): EngineEvent => {
    writeCommand(slots, 0, { ...body, seq: engine.seq + 1, timeMs: engine.seq });
    engine.submit(slots, 0);
    let first: EngineEvent | undefined;
    engine.drainEvents((events, count) => {
      first = readEvent(events, 0);
      lot.push(events.float64.slice(0, (count * eventBytes) / 8));
    });
    if (first === undefined) throw new RangeError('the engine gave no event');
    return first;
  };
  const closeLot = (): void => {
    const words = new Float64Array(lot.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of lot) {
      words.set(part, at);
      at += part.length;
    }
    lots.push({ slots: eventSlots(words.buffer), count: (words.length * 8) / eventBytes });
    lot = [];
  };
  const submit = (body: CommandBody): Promise<EngineEvent[]> => Promise.resolve([run(body)]);
  // All numbers at once: one by one would take a round trip each.
  await pool.query('SELECT count(*) FROM matching.give_numbers($1, $2)', [
    settled.no,
    customers.map((id) => uuidOf(id)),
  ]);
  for (let number = 1; number <= accounts; number++) run({ kind: 'open-account', account: number });
  const numbers = new Map(customers.map((id, at) => [id, at + 1]));
  const feed = createSpotFeed({
    pool,
    engine: settled,
    accounts: { numberOf: (id) => Promise.resolve(numbers.get(id) ?? 0) },
    submit,
    readEventsOfCodes,
    ledger,
  });
  while ((await feed.step()) > 0);
  closeLot();
  const random = seeded(7);
  const trade = (trades: number): EventLot[] => {
    for (let made = 0; made < trades; made++) {
      const maker = marketMakers > 0 ? 1 + random(marketMakers) : 1 + random(accounts);
      const taker =
        marketMakers > 0
          ? marketMakers + 1 + random(accounts - marketMakers)
          : 1 + ((maker + random(accounts - 1)) % accounts);
      const order = {
        kind: 'place',
        market: 0,
        type: 'limit',
        price: 900 + random(200),
        lots: 1 + random(50),
      } as const;
      const [side, other] = random(2) === 0 ? (['buy', 'sell'] as const) : (['sell', 'buy'] as const);
      run({ ...order, account: maker, side, timeInForce: 'gtc' });
      run({ ...order, account: taker, side: other, timeInForce: 'ioc' });
      if ((made + 1) % tradesPerLot === 0) closeLot();
    }
    closeLot();
    return lots.splice(0);
  };
  return {
    ledger,
    engine,
    settled,
    customer: (number) => customers[number - 1] ?? derivedId('acc', 'nobody'),
    trade,
  };
}
