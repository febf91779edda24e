/**
 * The state of an engine as bytes that do not depend on where things lie in its memory: two engines in the same state write
 * the same bytes. A document with all small things, then tables of float64 words; all little-endian.
 */
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import { marketStates, semanticsVersion } from '../vocabulary.ts';
import { ClientIds } from './client-ids.ts';
import { Core, type Market } from './core.ts';
import type { Ladder } from './ladder.ts';
import { metaFlag, metaShift, none, orderFloat, orderInt, sideOf } from './orders.ts';
import { floatAt, intAt } from './words.ts';

const fail = errorsOf(matchingErrors);
const formatVersion = 1;
/** id, rest, visible, filled, display, budget, price, account, market, meta, trigger, client id low and high. */
const orderWords = 13;
/** fee tier, blocked, end of the rate window, orders in it. */
const accountWords = 4;
/** Without the market, which has a word of its own. */
const metaOfTable = (1 << metaShift.market) - 1;

const word = z.number().int();
const documentSchema = z.strictObject({
  format: z.literal(formatVersion),
  semantics: z.literal(semanticsVersion),
  seq: word,
  timeMs: z.number(),
  creditPosition: word,
  lanes: z.array(word).length(4),
  accounts: word,
  totals: z.array(z.string().regex(/^\d{1,19}$/)),
  markets: z.array(
    z.strictObject({ state: z.enum(marketStates), bandLow: word, bandHigh: word, lastPrice: word }),
  ),
  orders: word,
  recentClientIds: z.array(z.string()),
});
type SnapshotDocument = z.output<typeof documentSchema>;

// ---------------------------------------------------------------- write

const laddersOf = (market: Market): Ladder[] =>
  [market.bids, market.asks, market.buyStops, market.sellStops].filter((ladder) => ladder !== undefined);

/** Slots of every order, as they are to be put back: market by market, queue by queue. */
function slotsInOrder(core: Core): number[] {
  const slots: number[] = [];
  for (const market of core.markets)
    for (const ladder of laddersOf(market))
      for (let level = ladder.best; level !== none; level = ladder.after(level))
        for (let slot = intAt(ladder.head, level); slot !== none; slot = core.orders.int(slot, orderInt.next))
          slots.push(slot);
  return slots;
}

function orderTable({ orders }: Core, slots: readonly number[]): Float64Array {
  const table = new Float64Array(slots.length * orderWords);
  const isWaiting = (slot: number): boolean => (orders.int(slot, orderInt.meta) & metaFlag.waiting) !== 0;
  const hasClientId = (slot: number): boolean => (orders.int(slot, orderInt.meta) & metaFlag.clientId) !== 0;
  slots.forEach((slot, at) => {
    table.set(
      [
        orders.float(slot, orderFloat.id),
        orders.float(slot, orderFloat.rest),
        isWaiting(slot) ? 0 : orders.visibleOf(slot),
        orders.float(slot, orderFloat.filled),
        orders.displayOf(slot),
        orders.budgetOf(slot),
        orders.int(slot, orderInt.price),
        orders.int(slot, orderInt.account),
        orders.market(slot),
        orders.int(slot, orderInt.meta) & metaOfTable,
        orders.triggerOf(slot),
        hasClientId(slot) ? intAt(orders.clientId, slot * 2) : 0,
        hasClientId(slot) ? intAt(orders.clientId, slot * 2 + 1) : 0,
      ],
      at * orderWords,
    );
  });
  return table;
}

function accountTable(core: Core): Float64Array {
  const table = new Float64Array(core.accounts * accountWords);
  for (let account = 0; account < core.accounts; account++)
    table.set(
      [
        core.feeTier[account] ?? 0,
        core.blocked[account] ?? 0,
        floatAt(core.windowEndMs, account),
        intAt(core.windowOrders, account),
      ],
      account * accountWords,
    );
  return table;
}

export function writeSnapshot(core: Core): Uint8Array {
  const slots = slotsInOrder(core);
  const document: SnapshotDocument = {
    format: formatVersion,
    semantics: semanticsVersion,
    seq: core.seq,
    timeMs: core.timeMs,
    creditPosition: core.creditPosition,
    lanes: [...core.events.lanes],
    accounts: core.accounts,
    totals: [...core.totals].map(String),
    markets: core.markets.map(({ state, bandLow, bandHigh, lastPrice }) => ({
      state: marketStates[state] ?? 'halted',
      bandLow,
      bandHigh,
      lastPrice,
    })),
    orders: slots.length,
    recentClientIds: [...core.clientIds.recent()],
  };
  const text = new TextEncoder().encode(JSON.stringify(document));
  const tables = [core.balances.bytes(core.accounts), accountTable(core), orderTable(core, slots)].map(
    (table) => new Uint8Array(table.buffer, table.byteOffset, table.byteLength),
  );
  const parts = [new Uint8Array(Uint32Array.of(text.length).buffer), text, ...tables];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// ---------------------------------------------------------------- read

function invalid(problem: string): Error {
  return fail('MATCHING_SNAPSHOT_INVALID', `the snapshot: ${problem}`);
}

function parseDocument(bytes: Uint8Array, config: EngineConfig): { document: SnapshotDocument; end: number } {
  const length = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const end = 4 + length;
  if (length === 0 || end > bytes.length) throw invalid('it is cut off');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end)));
  } catch {
    throw invalid('its document is damaged');
  }
  const parsed = documentSchema.safeParse(value);
  if (!parsed.success) throw invalid(z.prettifyError(parsed.error));
  const document = parsed.data;
  const { markets, assets, accountsMax, ordersMax } = config;
  if (document.markets.length !== markets.length || document.totals.length !== assets.length)
    throw invalid('it was made with other assets or markets');
  if (document.accounts > accountsMax || document.orders > ordersMax)
    throw invalid('it has more accounts or orders than the configuration allows');
  return { document, end };
}

function restoreOrders(core: Core, table: Float64Array): void {
  const { orders } = core;
  const slots: number[] = [];
  for (let at = 0; at < table.length; at += orderWords) {
    const field = (word: number): number => floatAt(table, at + word);
    const slot = orders.take();
    slots.push(slot);
    orders.setFloat(slot, orderFloat.id, field(0));
    orders.setFloat(slot, orderFloat.rest, field(1));
    orders.visible[slot] = field(2);
    orders.setFloat(slot, orderFloat.filled, field(3));
    orders.display[slot] = field(4);
    orders.budget[slot] = field(5);
    orders.setInt(slot, orderInt.price, field(6));
    orders.setInt(slot, orderInt.account, field(7));
    orders.setInt(slot, orderInt.meta, field(9) | (field(8) << metaShift.market));
    orders.trigger[slot] = field(10);
    orders.clientId[slot * 2] = field(11);
    orders.clientId[slot * 2 + 1] = field(12);
    putBack(core, slot);
  }
  // Orders of an account are listed by id, and registering appends.
  slots.sort((a, b) => orders.float(a, orderFloat.id) - orders.float(b, orderFloat.id));
  for (const slot of slots) {
    core.register(slot);
    const low = intAt(orders.clientId, slot * 2);
    const high = intAt(orders.clientId, slot * 2 + 1);
    if (low !== 0 || high !== 0)
      core.clientIds.restoreOpen(ClientIds.keyOf(orders.int(slot, orderInt.account), low, high), slot);
  }
}

function putBack(core: Core, slot: number): void {
  const { orders } = core;
  const market = core.markets[orders.market(slot)];
  const meta = orders.int(slot, orderInt.meta);
  if (market === undefined) throw invalid('an order is of a market that does not exist');
  const isWaiting = (meta & metaFlag.waiting) !== 0;
  const price = isWaiting ? intAt(orders.trigger, slot) : orders.int(slot, orderInt.price);
  const level = price - market.config.minPrice;
  if (level < 0 || level >= market.ticks) throw invalid('an order is outside the ladder of its market');
  const ladder = isWaiting ? market.stopsOf(sideOf(meta)) : market.own(sideOf(meta));
  if (isWaiting) market.stops++;
  ladder.append(orders, slot, level);
}

/** @throws MATCHING_SNAPSHOT_INVALID */
export function readSnapshot(config: EngineConfig, bytes: Uint8Array): Core {
  const { document, end } = parseDocument(bytes, config);
  const core = new Core(config);
  const balanceBytes = document.accounts * config.assets.length * 16;
  const accountBytes = document.accounts * accountWords * 8;
  const orderBytes = document.orders * orderWords * 8;
  if (bytes.length !== end + balanceBytes + accountBytes + orderBytes) throw invalid('its length is wrong');
  // Copies, because a table of words begins at a multiple of its word; not by `slice`, which copies nothing of a Buffer.
  const rest = new Uint8Array(bytes.subarray(end));
  core.balances.restore(rest.subarray(0, balanceBytes));
  const accounts = new Float64Array(rest.slice(balanceBytes, balanceBytes + accountBytes).buffer);
  for (let account = 0; account < document.accounts; account++) {
    const at = account * accountWords;
    core.feeTier[account] = floatAt(accounts, at);
    core.blocked[account] = floatAt(accounts, at + 1);
    core.windowEndMs[account] = floatAt(accounts, at + 2);
    core.windowOrders[account] = floatAt(accounts, at + 3);
  }
  core.accounts = document.accounts;
  core.seq = document.seq;
  core.timeMs = document.timeMs;
  core.creditPosition = document.creditPosition;
  core.totals.set(document.totals.map(BigInt));
  core.events.lanes.set(document.lanes);
  document.markets.forEach(({ state, bandLow, bandHigh, lastPrice }, at) => {
    const market = core.markets[at] as Market;
    Object.assign(market, { state: marketStates.indexOf(state), bandLow, bandHigh, lastPrice });
  });
  core.clientIds.restoreRecent(document.recentClientIds);
  restoreOrders(core, new Float64Array(rest.slice(balanceBytes + accountBytes).buffer));
  return core;
}
