/** An exchange in miniature: customers with money in the ledger, a real engine, and its journal in memory. */
import { amount } from '#core/money';
import type { Pool } from '#infra/db';
import { createLedger, type Ledger, readEventsOfCodes } from '#ledger';
import { spotIn } from '#ledger/contract';
import {
  type Command,
  type CommandBody,
  commandBytes,
  commandSlots,
  writeCommand,
} from '../../../matching/commands.ts';
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';
import { createEngine, type Engine } from '../../../matching/engine/index.ts';
import { type EngineEvent, type EventSlots, eventSlots, readEvent } from '../../../matching/events.ts';
import {
  createEngineAccounts,
  createSpotFeed,
  openEngine,
  type Refusal,
  type SettledEngine,
  type Settler,
  type SettlerOptions,
  startSettler,
} from '../../../matching/settlement/index.ts';
import {
  coin,
  coinUnit,
  customer,
  fundCustomers,
  gold,
  startUnits,
  usd,
} from '../../support/spot-customers.ts';

export { coin, coinUnit, customer, gold, startUnits, usd };

const market = {
  lotUnits: 1_000,
  tickUnits: 3,
  minPrice: 1,
  maxPrice: 1_000,
  minOrderLots: 1,
  maxOrderLots: 100_000,
  maxOrderValue: 2 ** 50,
  collarPpm: 1_000_000,
  fees: [{ makerPpm: 1_000, takerPpm: 2_500 }],
  state: 'open' as const,
};
export const config: EngineConfig = parseEngineConfig({
  assets: [
    { id: coin, unitExponent: 9 },
    { id: usd, unitExponent: 2 },
    { id: gold, unitExponent: 0 },
  ],
  markets: [
    { ...market, id: 'ETH-USD', base: 0, quote: 1 },
    { ...market, id: 'GOLD-USD', base: 2, quote: 1, fees: [{ makerPpm: 0, takerPpm: 777 }] },
  ],
  ordersMax: 20_000,
  accountsMax: 64,
  limits: { openOrders: 10_000, ordersPerSecond: 0 },
  clientIdsKept: 16,
});

/** Events as the engine gave them, to be offered later and again. */
export interface EventLot {
  readonly slots: EventSlots;
  readonly count: number;
}

/** Gives numbers to commands and keeps them: what a sequencer with a journal does. */
export class TestSequencer {
  readonly journal: Command[] = [];
  readonly engine: Engine;
  readonly lots: EventLot[] = [];
  readonly #config: EngineConfig;
  readonly #slots = commandSlots(new ArrayBuffer(commandBytes));

  constructor(engineConfig: EngineConfig) {
    this.#config = engineConfig;
    this.engine = createEngine(engineConfig);
  }
  readonly submit = (body: CommandBody): Promise<EngineEvent[]> => Promise.resolve([this.run(body)]);
  run(
    body: CommandBody,
    timeMs: number = firstCommandMs + this.journal.length * betweenCommandsMs,
  ): EngineEvent {
    const before = this.journal.length;
    const command = { ...body, seq: before + 1, timeMs };
    this.journal.push(command);
    const lot = this.#apply(this.engine, command);
    this.lots.push(lot);
    return readEvent(lot.slots, 0);
  }
  /** What another engine gives that reads the journal from its beginning. */
  replay(): EventLot[] {
    const engine = createEngine(this.#config);
    return this.journal.map((command) => this.#apply(engine, command));
  }
  #apply(engine: Engine, command: Command): EventLot {
    writeCommand(this.#slots, 0, command);
    engine.submit(this.#slots, 0);
    let lot: EventLot | undefined;
    engine.drainEvents(({ float64 }, count) => {
      lot = {
        slots: eventSlots(float64.buffer.slice(float64.byteOffset, float64.byteOffset + count * 96)),
        count,
      };
    });
    if (lot === undefined) throw new RangeError('the engine gave no events');
    return lot;
  }
}

/** Commands are so far apart that a few hundred of them fill candles of every interval. */
const firstCommandMs = 1_790_000_000_000;
const betweenCommandsMs = 17_000;

export interface Exchange {
  readonly ledger: Ledger;
  readonly engine: SettledEngine;
  readonly sequencer: TestSequencer;
  readonly feed: ReturnType<typeof createSpotFeed>;
  readonly accounts: ReturnType<typeof createEngineAccounts>;
  readonly refusals: Refusal[];
  settler(options?: Partial<SettlerOptions>): Promise<Settler>;
  /** Customer's request, base units of the ledger. */
  moveIn(reference: string, at: number, asset: typeof usd, units: bigint): Promise<void>;
}

export async function openExchange(
  pool: Pool,
  name: string,
  customers: number,
  engineConfig: EngineConfig = config,
): Promise<Exchange> {
  const ledger = createLedger({ pool });
  const engine = await openEngine(pool, name, engineConfig);
  const sequencer = new TestSequencer(engineConfig);
  const accounts = createEngineAccounts({ pool, engine, submit: sequencer.submit });
  const feed = createSpotFeed({
    pool,
    engine,
    accounts,
    submit: sequencer.submit,
    readEventsOfCodes,
    ledger,
  });
  const refusals: Refusal[] = [];
  const moveIn: Exchange['moveIn'] = async (reference, at, asset, units) => {
    const results = await ledger.apply(
      spotIn({ reference, accountId: customer(at), amount: amount(asset, units) }),
    );
    if (results[0]?.status !== 'ok') throw new Error(`spot-in: ${results[0]?.status ?? ''}`);
  };
  await fundCustomers(pool, ledger, { reference: name, customers });
  while ((await feed.step()) > 0);
  return {
    ledger,
    engine,
    sequencer,
    feed,
    accounts,
    refusals,
    moveIn,
    settler: async (options = {}) =>
      await startSettler({
        pool,
        ledger,
        engine,
        onRefused: (refusal) => {
          refusals.push(refusal);
          return Promise.resolve();
        },
        ...options,
      }),
  };
}

/** A generator of numbers that a seed fixes (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Any command that customers and the house send; most of them trade. */
export function randomCommand(
  random: (below: number) => number,
  customers: number,
  commands: number,
): CommandBody {
  const account = 1 + random(customers);
  const kind = random(100);
  if (kind < 3)
    return {
      kind: 'debit',
      account: random(customers + 1),
      asset: random(3),
      units: BigInt(1 + random(5_000)),
    };
  if (kind < 12) return { kind: 'cancel', account, orderId: 1 + random(commands) };
  if (kind < 14) return { kind: 'cancel-all', account };
  const side = random(2) === 0 ? 'buy' : 'sell';
  const shared = { kind: 'place', account, market: random(2), side, lots: 1 + random(40) } as const;
  if (kind < 25)
    return {
      ...shared,
      type: 'market',
      timeInForce: 'ioc',
      ...(side === 'buy' ? { budget: 1 + random(10 ** 6) } : {}),
    };
  const selfTrade =
    (['cancel-taker', 'cancel-maker', 'cancel-both', 'decrement'] as const)[random(4)] ?? 'cancel-taker';
  return {
    ...shared,
    type: 'limit',
    timeInForce: random(5) === 0 ? 'ioc' : 'gtc',
    price: 95 + random(10),
    selfTrade,
  };
}
