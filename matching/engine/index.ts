/**
 * The matching engine: commands in, events out, nothing else. No clock, no randomness, no I/O; for the same configuration and
 * commands the same events and the same hash on every machine. What it does stands in SEMANTICS.md.
 */
import { errorsOf } from '#core/errors';
import { type CommandSlots, commandFloat64, commandInt32, headShift } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import type { EventSlots } from '../events.ts';
import { commandKinds, type Side } from '../vocabulary.ts';
import { credit, debit, openAccount, setAccount, setBand, setMarket } from './admin.ts';
import { amend, cancel, cancelAll } from './amend.ts';
import { Core, reasonNumber } from './core.ts';
import { place } from './place.ts';
import {
  type AccountNow,
  accountNow,
  type BookLevel,
  level,
  levels,
  type MarketNow,
  marketNow,
  type OpenOrder,
  type OrderQuestion,
  openOrder,
  ordersOf,
} from './read.ts';
import { readSnapshot, writeSnapshot } from './snapshot.ts';
import { triggerStops } from './stops.ts';

export type { AccountNow, BookLevel, MarketNow, OpenOrder, OrderQuestion } from './read.ts';

const fail = errorsOf(matchingErrors);
const kind = {
  place: commandKinds.indexOf('place'),
  cancel: commandKinds.indexOf('cancel'),
  amend: commandKinds.indexOf('amend'),
  cancelAll: commandKinds.indexOf('cancel-all'),
  credit: commandKinds.indexOf('credit'),
  debit: commandKinds.indexOf('debit'),
  openAccount: commandKinds.indexOf('open-account'),
  setAccount: commandKinds.indexOf('set-account'),
  setMarket: commandKinds.indexOf('set-market'),
  setBand: commandKinds.indexOf('set-band'),
} as const;
// Why these are named once more: see orders.ts.
const { seq: seqWord, timeMs: timeWord } = commandFloat64;
const { head: headWord } = commandInt32;
const kindShift = headShift.kind;
/** A portion of commands between two drains; its events fit the memory of a small machine (96 bytes each). */
const undrainedEventsMax = 1 << 22;

export interface Engine {
  /**
   * Applies the command in slot `at`. Its outcome, also a refusal, is its events.
   * @returns how many events were written
   * @throws MATCHING_SEQUENCE_GAP, MATCHING_EVENTS_UNDRAINED; the engine is unchanged then
   */
  submit(commands: CommandSlots, at: number): number;
  /** Gives the events since the last drain, in slots 0 to count - 1 that are used again afterwards. All again if `visit` throws. */
  drainEvents(visit: (events: EventSlots, count: number) => void): void;
  /** Over all events so far; 32 hexadecimal digits. */
  stateHash(): string;
  /** Of the last command; 0 before the first. */
  readonly seq: number;
  /** Orders that rest or wait. */
  readonly openOrders: number;
  balance(account: number, asset: number): { readonly available: bigint; readonly held: bigint };
  /** Of all state but the events not drained yet; the same bytes for the same state. */
  snapshot(): Uint8Array;
  /** Of the last command; 0 before the first. Milliseconds since 1970. */
  readonly timeMs: number;
  /** Best first. */
  levels(market: number, side: Side, max: number): BookLevel[];
  /** At a price in ticks; without orders where nothing rests. */
  level(market: number, side: Side, price: number): BookLevel;
  /** Undefined when the account has no such open order. */
  order(question: OrderQuestion): OpenOrder | undefined;
  /** Open orders of the account by id, those after the id `after`. */
  ordersOf(account: number, after: number, max: number): OpenOrder[];
  /** Undefined for one that the configuration does not have. */
  market(market: number): MarketNow | undefined;
  /** Undefined for the house and for one that is not open. */
  account(account: number): AccountNow | undefined;
}

function apply(core: Core, commands: CommandSlots, at: number, kindOf: number): void {
  if (kindOf === kind.place) {
    const market = place(core, commands, at);
    if (market !== undefined && market.stops > 0) triggerStops(core, market);
  } else if (kindOf === kind.cancel) cancel(core, commands, at);
  else if (kindOf === kind.amend) {
    const market = amend(core, commands, at);
    if (market !== undefined) triggerStops(core, market);
  } else if (kindOf === kind.cancelAll) cancelAll(core, commands, at);
  else if (kindOf === kind.credit) credit(core, commands, at);
  else if (kindOf === kind.debit) debit(core, commands, at);
  else if (kindOf === kind.openAccount) openAccount(core, commands, at);
  else if (kindOf === kind.setAccount) setAccount(core, commands, at);
  else if (kindOf === kind.setMarket) {
    const market = setMarket(core, commands, at);
    if (market !== undefined) triggerStops(core, market);
  } else if (kindOf === kind.setBand) setBand(core, commands, at);
  else core.reject(-1, -1, reasonNumber['invalid-order']);
}

/** @param config checked by `parseEngineConfig` */
export const createEngine = (config: EngineConfig): Engine => engineOf(new Core(config));

/** The engine as it was when it wrote the snapshot, with the same configuration. @throws MATCHING_SNAPSHOT_INVALID */
export const restoreEngine = (config: EngineConfig, snapshot: Uint8Array): Engine =>
  engineOf(readSnapshot(config, snapshot));

function engineOf(core: Core): Engine {
  const { events } = core;
  return {
    submit(commands, at) {
      const seq = commands.float64[at * 8 + seqWord] as number;
      if (seq !== core.seq + 1)
        throw fail('MATCHING_SEQUENCE_GAP', `command ${seq} does not follow ${core.seq}`, {
          seq,
          last: core.seq,
        });
      const before = events.count;
      if (before > undrainedEventsMax)
        throw fail('MATCHING_EVENTS_UNDRAINED', `${before} events wait to be drained`, { undrained: before });
      core.seq = seq;
      const timeMs = commands.float64[at * 8 + timeWord] as number;
      if (timeMs > core.timeMs) core.timeMs = timeMs;
      events.begin(seq);
      apply(core, commands, at, ((commands.int32[at * 16 + headWord] as number) >>> kindShift) & 0xf);
      return events.count - before;
    },
    drainEvents(visit) {
      events.drain(visit);
    },
    stateHash: () => events.hash,
    get seq() {
      return core.seq;
    },
    get openOrders() {
      return core.orders.count;
    },
    balance: (account, asset) => ({
      available: core.balances.available(account, asset),
      held: core.balances.held(account, asset),
    }),
    snapshot: () => writeSnapshot(core),
    get timeMs() {
      return core.timeMs;
    },
    levels: (market, side, max) => levels(core, market, side, max),
    level: (market, side, price) => level(core, market, side, price),
    order: (question) => openOrder(core, question),
    ordersOf: (account, after, max) => ordersOf(core, account, after, max),
    market: (market) => marketNow(core, market),
    account: (account) => accountNow(core, account),
  };
}
