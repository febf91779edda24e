/**
 * The order flow of the bench: seeded, so that everyone gets the same, and made once before the clock runs. It is made against
 * a live engine, so that each cancel and each move meets an order that is there.
 */
import {
  type Command,
  type CommandBody,
  type CommandSlots,
  commandBytes,
  commandSlots,
  type EngineConfig,
  type EngineEvent,
  type EventSlots,
  type PlaceFields,
  parseEngineConfig,
  readEvent,
  type Side,
  writeCommand,
} from '../../matching/contract.ts';
import { plainMarket } from '../../matching/csv/plain-config.ts';
import { createEngine, type Engine } from '../../matching/engine/index.ts';
import { seededRandom } from '../seeded-random.ts';
import { OpenOrders } from './open-orders.ts';
import { type PeerCall, peerCallOf } from './peer-calls.ts';

export const accounts = 1_000;
const market = 0;
const ladderTicks = 1 << 17;
const firstMid = ladderTicks / 2;
/** Mean distance of a new order from the mid price. */
const meanDistanceTicks = 30;
const aggressiveTicksMax = 5;
const lotsMax = 100;
/** Never binds: a buying market order ends with its lots. */
const budgetUnits = 2 ** 40;
/** Of each asset for each account: 900 times what one order may be worth. */
const fundUnits = 10n ** 15n;
const foundation = accounts * 3;

/** Shares of all commands; they add up to 1. */
interface Mix {
  readonly add: number;
  readonly cancel: number;
  readonly market: number;
  readonly immediate: number;
  readonly move: number;
}
export const mixes = {
  mixed: { add: 0.6, cancel: 0.3, market: 0.1, immediate: 0, move: 0 },
  /** That of exchange-core's own figures. */
  moves: { add: 0.09, cancel: 0.06, market: 0, immediate: 0.03, move: 0.82 },
} as const satisfies Record<string, Mix>;
/** Of the adds, and of the moves, that meet the other side. */
const aggressiveShare = { mixed: 0.05, moves: 0.002 } as const;
/**
 * How often the mid price takes a step in a book of 1,000 orders; orders that are moved all the time would meet each other at a
 * faster one. A book that is n times as deep moves n times as slowly: faster steps would eat it, 100,000 orders became 19,000.
 */
const stepShare = { mixed: 0.1, moves: 0.01 } as const;
const stepsAtResting = 1_000;
/** What orders that only take may ask for: on average what adds leave over cancels, so that the book stays as large as it is. */
const takingLotsMax = { mixed: 300, moves: 20 } as const;

export interface Flow {
  readonly resting: number;
  readonly config: EngineConfig;
  /** Accounts and their balances, then the resting orders, then what is timed. */
  readonly slots: CommandSlots;
  /** Commands before those that are timed. */
  readonly before: number;
  readonly count: number;
  /** The same for a book without accounts: the resting orders, then what is timed. */
  readonly calls: readonly PeerCall[];
}

const flowConfig = (): EngineConfig =>
  parseEngineConfig({
    assets: [
      { id: 'ledger:base', unitExponent: 0 },
      { id: 'ledger:quote', unitExponent: 0 },
    ],
    markets: [
      {
        ...plainMarket,
        maxPrice: ladderTicks,
        maxOrderLots: 1_000_000,
        maxOrderValue: budgetUnits,
        fees: [{ makerPpm: 500, takerPpm: 1_000 }],
      },
    ],
    ordersMax: 1 << 18,
    accountsMax: accounts + 1,
    limits: { openOrders: 1 << 18, ordersPerSecond: 0 },
    clientIdsKept: 1,
  });

class FlowMaker {
  readonly calls: PeerCall[] = [];
  readonly #slots: CommandSlots;
  readonly #engine: Engine;
  readonly #open = new OpenOrders();
  readonly #random: () => number;
  readonly #resting: number;
  readonly #mix: keyof typeof mixes;
  #mid = firstMid;
  #seq = 0;

  constructor(config: EngineConfig, slots: CommandSlots, mix: keyof typeof mixes, resting: number) {
    this.#mix = mix;
    this.#engine = createEngine(config);
    this.#slots = slots;
    this.#resting = resting;
    this.#random = seededRandom(resting);
  }

  fund(): void {
    for (let account = 1; account <= accounts; account++) this.#submit({ kind: 'open-account', account });
    let position = 0;
    for (let account = 1; account <= accounts; account++)
      for (const asset of [0, 1])
        this.#submit({ kind: 'credit', account, asset, units: fundUnits, position: ++position });
  }

  add(aggressive: number): void {
    const side = this.#side();
    this.#place({
      side,
      type: 'limit',
      timeInForce: 'gtc',
      price: this.#price(side, aggressive),
      lots: this.#upTo(lotsMax),
    });
  }

  next(): void {
    const mix: Mix = mixes[this.#mix];
    const aggressive = aggressiveShare[this.#mix];
    if (this.#random() < (stepShare[this.#mix] * stepsAtResting) / this.#resting)
      this.#mid += this.#random() < 0.5 ? 1 : -1;
    let share = this.#random();
    if (share < mix.add) {
      this.add(aggressive);
      return;
    }
    share -= mix.add;
    if (share < mix.cancel) this.#cancel();
    else if (share < mix.cancel + mix.market) this.#market();
    else if (share < mix.cancel + mix.market + mix.immediate) this.#immediate();
    else this.#move(aggressive);
  }

  #side(): Side {
    return this.#random() < 0.5 ? 'buy' : 'sell';
  }

  #upTo(max: number): number {
    return 1 + Math.floor(this.#random() * max);
  }

  #price(side: Side, aggressive: number): number {
    const isAggressive = this.#random() < aggressive;
    const away = isAggressive
      ? -this.#upTo(aggressiveTicksMax)
      : Math.ceil(-Math.log(1 - this.#random()) * meanDistanceTicks);
    return side === 'buy' ? this.#mid - away : this.#mid + away;
  }

  /** Far larger when the book has outgrown its target, far smaller when it has shrunk: that holds it there. */
  #takingLots(): number {
    const size = this.#open.count / this.#resting;
    const square = size * size;
    const eighth = square * square * square * square;
    return this.#upTo(Math.max(1, Math.floor(takingLotsMax[this.#mix] * eighth)));
  }

  #market(): void {
    const side = this.#side();
    const budget = side === 'buy' ? { budget: budgetUnits } : {};
    this.#place({ side, type: 'market', timeInForce: 'ioc', lots: this.#takingLots(), ...budget });
  }

  #immediate(): void {
    const side = this.#side();
    const price = side === 'buy' ? this.#mid + meanDistanceTicks : this.#mid - meanDistanceTicks;
    this.#place({ side, type: 'limit', timeInForce: 'ioc', price, lots: this.#takingLots() });
  }

  #cancel(): void {
    const order = this.#open.any(this.#random());
    this.#submit({ kind: 'cancel', account: order.account, orderId: order.id });
  }

  #move(aggressive: number): void {
    const order = this.#open.any(this.#random());
    let price = this.#price(order.side, aggressive);
    // The same price and lots again would be refused: nothing would change.
    if (price === order.price) price += order.side === 'buy' ? -1 : 1;
    this.#submit({ kind: 'amend', account: order.account, orderId: order.id, price }, order.rest);
  }

  /** Buyers and sellers are different accounts, so that no order meets one of its own, whatever a book does then. */
  #place(order: Omit<PlaceFields, 'account' | 'market'>): void {
    const half = accounts / 2;
    const account = order.side === 'buy' ? this.#upTo(half) : half + this.#upTo(half);
    this.#submit({ kind: 'place', account, market, ...order });
  }

  #submit(body: CommandBody, rest?: number): void {
    const at = this.#seq;
    this.#seq += 1;
    const command: Command = { ...body, seq: this.#seq, timeMs: this.#seq };
    writeCommand(this.#slots, at, command);
    const call = peerCallOf(command, this.#resting, rest);
    if (call !== undefined) this.calls.push(call);
    this.#engine.submit(this.#slots, at);
    this.#engine.drainEvents((slots, count) => {
      this.#follow(slots, count);
    });
  }

  #follow(slots: EventSlots, count: number): void {
    for (let at = 0; at < count; at++) this.#open.follow(accepted(readEvent(slots, at)));
  }
}

function accepted(event: EngineEvent): EngineEvent {
  if (event.kind === 'rejected')
    throw new Error(`the flow has a command that is refused: ${event.reason}, command ${event.seq}`);
  return event;
}

/** @param count commands to be timed */
export function makeFlow(mix: keyof typeof mixes, resting: number, count: number): Flow {
  const config = flowConfig();
  const before = foundation + resting;
  const slots = commandSlots(new ArrayBuffer((before + count) * commandBytes));
  const maker = new FlowMaker(config, slots, mix, resting);
  maker.fund();
  for (let i = 0; i < resting; i++) maker.add(0);
  for (let i = 0; i < count; i++) maker.next();
  return { resting, config, slots, before, count, calls: maker.calls };
}
