/** A market with customers: real engine, books in PostgreSQL, and a link within the process that can be made to fail. */
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import { assetId } from '#core/money';
import type { Pool } from '#infra/db';
import type { CommandBody } from '../../../matching/commands.ts';
import { type EngineConfig, parseEngineConfig } from '../../../matching/config.ts';
import { matchingErrors } from '../../../matching/errors.ts';
import { type EngineEvent, readEvent } from '../../../matching/events.ts';
import type {
  EngineLink,
  EngineView,
  LinkListener,
  LinkState,
  TakenBy,
} from '../../../matching/link/types.ts';
import type { Settler } from '../../../matching/settlement/index.ts';
import { createTradingAccounts, type TradingAccounts } from '../../../matching/trading/accounts.ts';
import { createEngineCommands, type EngineCommands } from '../../../matching/trading/commands.ts';
import type { NewOrder } from '../../../matching/trading/contract.ts';
import { createScales, type Scales } from '../../../matching/trading/scale.ts';
import { coin, customer, type Exchange, gold, openExchange, usd } from '../settlement/fixture.ts';

const fail = errorsOf(matchingErrors);

/** Lots of 0.0001 ETH, ticks of 0.01 USD: one lot at one tick is 0.000001 USD, the unit of the engine. */
const market = {
  lotUnits: 100_000,
  tickUnits: 1,
  minPrice: 1_000,
  maxPrice: 500_000,
  minOrderLots: 10,
  maxOrderLots: 1_000_000,
  maxOrderValue: 10 ** 11,
  collarPpm: 100_000,
  fees: [
    { makerPpm: 1_000, takerPpm: 2_000 },
    { makerPpm: 0, takerPpm: 500 },
  ],
  state: 'open' as const,
};
export const deskConfig = (changes: Partial<EngineConfig> = {}): EngineConfig =>
  parseEngineConfig({
    assets: [
      { id: coin, unitExponent: 9 },
      { id: usd, unitExponent: 0 },
      { id: gold, unitExponent: 0 },
    ],
    markets: [
      { ...market, id: 'ETH-USD', base: 0, quote: 1 },
      { ...market, id: 'GOLD-USD', base: 2, quote: 1 },
    ],
    ordersMax: 1_000,
    accountsMax: 64,
    limits: { openOrders: 500, ordersPerSecond: 0 },
    clientIdsKept: 10_000,
    ...changes,
  });
export const decimalsOf = (asset: string): number => (asset === coin ? 18 : asset === usd ? 6 : 9);
export const otherAsset = assetId('ledger:other');

export type LinkFault = 'down' | 'busy' | 'lags' | 'lost-before' | 'lost-after';
const faultCodes = {
  down: 'MATCHING_LINK_DOWN',
  busy: 'MATCHING_BUSY',
  lags: 'MATCHING_SETTLEMENT_LAGS',
  'lost-before': 'MATCHING_OUTCOME_UNKNOWN',
  'lost-after': 'MATCHING_OUTCOME_UNKNOWN',
} as const satisfies Record<LinkFault, keyof typeof matchingErrors>;

/** What a customer is tried out with: the link as it is, but in one process. */
export class DeskLink implements EngineLink {
  readonly config: EngineConfig;
  readonly engineName: string;
  readonly sent: CommandBody[] = [];
  /** Of the next submission; then it is well again. */
  fault: LinkFault | undefined;
  /** What is sent reaches the engine when this resolves. */
  gate: Promise<void> = Promise.resolve();
  /** All commands come within one millisecond. */
  isTimeStill = false;
  readonly #exchange: Exchange;
  readonly #settler: Settler | undefined;
  readonly #listeners = new Set<LinkListener>();
  #published = 0;

  constructor(exchange: Exchange, settler?: Settler) {
    this.#exchange = exchange;
    this.#settler = settler;
    this.config = exchange.engine.config;
    this.engineName = exchange.engine.name;
    this.publish();
  }
  view = (): EngineView => this.#exchange.sequencer.engine;
  state = (): LinkState => ({ connected: this.fault !== 'down', epoch: 1, settlementLags: false });
  /** Events of all commands so far, also of those that others sent. */
  publish(): void {
    const { lots } = this.#exchange.sequencer;
    for (; this.#published < lots.length; this.#published++) {
      const { slots, count } = lots[this.#published] ?? lots[0] ?? { slots: undefined, count: 0 };
      if (slots === undefined) continue;
      for (const { onEvents } of this.#listeners) onEvents(slots, count);
      this.#settler?.offer(slots, 0, count);
    }
  }
  submit = async (command: CommandBody, bound?: TakenBy): Promise<readonly EngineEvent[]> =>
    (await this.submitAll([command], bound))[0] ?? [];
  submitAll = async (
    commands: readonly CommandBody[],
    bound?: TakenBy,
  ): Promise<readonly (readonly EngineEvent[])[]> => {
    const { fault } = this;
    this.fault = undefined;
    if (fault !== undefined && fault !== 'lost-after') throw fail(faultCodes[fault], fault);
    await this.gate;
    // As the engine's end of the link has it.
    if (bound !== undefined && this.#exchange.sequencer.engine.seq + commands.length > bound.lastSeq)
      throw fail('MATCHING_COMMAND_LATE', 'late');
    const answers = commands.map((command) => this.#run(command));
    if (fault !== undefined) throw fail(faultCodes[fault], fault);
    return answers;
  };
  subscribe = (listener: LinkListener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  ready = (): Promise<void> => Promise.resolve();
  close = (): Promise<void> => Promise.resolve();

  #run(command: CommandBody): EngineEvent[] {
    const { sequencer } = this.#exchange;
    this.sent.push(command);
    sequencer.run(command, this.isTimeStill ? sequencer.journal.at(-1)?.timeMs : undefined);
    const lot = sequencer.lots.at(-1);
    this.publish();
    return Array.from({ length: lot?.count ?? 0 }, (_, at) => readEvent((lot ?? noLot()).slots, at));
  }
}
function noLot(): never {
  throw new RangeError('the engine gave no events');
}

export interface Desk {
  readonly exchange: Exchange;
  readonly link: DeskLink;
  readonly commands: EngineCommands;
  readonly scales: Scales;
  readonly accounts: TradingAccounts;
  readonly settler: Settler;
  /** Resolves when all is booked. */
  settle(): Promise<void>;
}
export const alice: Id<'acc'> = customer(1);
export const bob: Id<'acc'> = customer(2);
/** Has no spot account. */
export const stranger: Id<'acc'> = customer(99);

/** Each customer has 1 ETH, 1,000,000,000 USD and 1,000 GOLD in spot, and as much in main. */
export async function openDesk(
  pool: Pool,
  name: string,
  config = deskConfig(),
  customers = 3,
): Promise<Desk> {
  const exchange = await openExchange(pool, name, customers, config);
  const settler = await exchange.settler();
  const link = new DeskLink(exchange, settler);
  return {
    exchange,
    link,
    settler,
    commands: createEngineCommands(link),
    scales: createScales(config, decimalsOf),
    accounts: createTradingAccounts(pool, exchange.engine.no),
    settle: async () => {
      link.publish();
      await settler.drain(exchange.sequencer.engine.seq);
    },
  };
}

/** Sells 0.01 ETH at 2000.00. */
export const order = (changes: Partial<NewOrder> = {}): NewOrder => ({
  accountId: alice,
  market: 'ETH-USD',
  side: 'sell',
  type: 'limit',
  price: '2000',
  size: '0.01',
  ...changes,
});
