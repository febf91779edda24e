/** Accounts, balances from and to the ledger, and states of markets. */
import { type CommandSlots, commandFlags, commandFloat64, commandInt32, headShift } from '../commands.ts';
import { detailBits, eventFloat64, eventInt32 } from '../events.ts';
import { marketStates } from '../vocabulary.ts';
import { uncross } from './auction.ts';
import { totalMax } from './balances.ts';
import { ClientIds } from './client-ids.ts';
import { type Core, eventNumber, flagged, house, type Market, reasonNumber, stateNumber } from './core.ts';
import { none } from './orders.ts';
import { floatAt, intAt } from './words.ts';

const intOf = (slots: CommandSlots, at: number, word: keyof typeof commandInt32): number =>
  intAt(slots.int32, at * 16 + commandInt32[word]);

export function openAccount(core: Core, slots: CommandSlots, at: number): void {
  const account = intOf(slots, at, 'account');
  if (account !== core.accounts) core.reject(-1, account, reasonNumber['account-exists']);
  else if (account >= core.config.accountsMax) core.reject(-1, account, reasonNumber.capacity);
  else {
    core.accounts++;
    core.events.add(eventNumber['account-opened'], -1, account, 0, 0);
  }
}

function tellBalance(
  core: Core,
  kind: number,
  account: number,
  asset: number,
  units: bigint,
  position: number,
  clientOrderId: bigint,
): void {
  const { events } = core;
  const at = events.add(kind, asset, account, 0, 0);
  events.float64[at * 12 + eventFloat64.order] = position;
  events.slots.bigInt64[at * 12 + eventFloat64.maker] = clientOrderId;
  events.slots.bigInt64[at * 12 + eventFloat64.lots] = units;
}

export function credit(core: Core, slots: CommandSlots, at: number): void {
  const account = intOf(slots, at, 'account');
  const asset = intOf(slots, at, 'market');
  const units = slots.bigInt64[at * 8 + commandFloat64.lots] ?? 0n;
  const position = floatAt(slots.float64, at * 8 + commandFloat64.extra);
  const total = core.totals[asset];
  if (!core.isTrader(account)) core.reject(-1, account, reasonNumber['unknown-account']);
  else if (total === undefined) core.reject(-1, account, reasonNumber['unknown-asset']);
  else if (units < 1n || !Number.isSafeInteger(position))
    core.reject(-1, account, reasonNumber['invalid-amount']);
  else if (position <= core.creditPosition) core.reject(-1, account, reasonNumber['duplicate-transfer']);
  else if (total + units > totalMax) core.reject(-1, account, reasonNumber.overflow);
  else {
    core.creditPosition = position;
    core.totals[asset] = total + units;
    core.balances.change(account, asset, units);
    tellBalance(core, eventNumber.credited, account, asset, units, position, 0n);
  }
}

export function debit(core: Core, slots: CommandSlots, at: number): void {
  const account = intOf(slots, at, 'account');
  const asset = intOf(slots, at, 'market');
  const units = slots.bigInt64[at * 8 + commandFloat64.lots] ?? 0n;
  const clientOrderId = BigInt.asUintN(64, slots.bigInt64[at * 8 + commandFloat64.clientOrderId] ?? 0n);
  const clientKey = clientOrderId === 0n ? undefined : ClientIds.keyOfId(account, clientOrderId);
  const total = core.totals[asset];
  if (account < house || account >= core.accounts) core.reject(-1, account, reasonNumber['unknown-account']);
  else if (total === undefined) core.reject(-1, account, reasonNumber['unknown-asset']);
  else if (units < 1n) core.reject(-1, account, reasonNumber['invalid-amount']);
  else if (clientKey !== undefined && core.clientIds.isTaken(clientKey))
    core.reject(-1, account, reasonNumber['duplicate-client-id']);
  else if (core.blocked[account] === 1) core.reject(-1, account, reasonNumber['account-blocked']);
  else if (core.balances.available(account, asset) < units)
    core.reject(-1, account, reasonNumber['insufficient-balance']);
  else {
    core.totals[asset] = total - units;
    core.balances.change(account, asset, -units);
    if (clientKey !== undefined) core.clientIds.take(clientKey, none);
    tellBalance(core, eventNumber.debited, account, asset, units, 0, clientOrderId);
  }
}

export function setAccount(core: Core, slots: CommandSlots, at: number): void {
  const account = intOf(slots, at, 'account');
  const tier = intOf(slots, at, 'price');
  const isBlocked = ((intOf(slots, at, 'head') >>> headShift.flags) & commandFlags.blocked) !== 0;
  const tiers = core.config.markets[0]?.fees.length ?? 0;
  if (!core.isTrader(account)) core.reject(-1, account, reasonNumber['unknown-account']);
  else if (tier < 0 || tier >= tiers) core.reject(-1, account, reasonNumber['unknown-tier']);
  else {
    core.blocked[account] = isBlocked ? 1 : 0;
    core.feeTier[account] = tier;
    core.events.add(eventNumber['account-set'], -1, account, tier, isBlocked ? flagged('blocked') : 0);
  }
}

/** @returns the market whose stops are to be looked at, if it was done */
export function setMarket(core: Core, slots: CommandSlots, at: number): Market | undefined {
  const index = intOf(slots, at, 'market');
  const state = intOf(slots, at, 'trigger');
  const market = core.markets[index];
  if (market === undefined) {
    core.reject(index, -1, reasonNumber['unknown-market']);
    return undefined;
  }
  if (marketStates[state] === undefined || state === market.state) {
    core.reject(index, -1, reasonNumber['wrong-state']);
    return undefined;
  }
  // Orders that cross are there only after an auction, also when a halt came between.
  if (state === stateNumber.open || state === stateNumber.closed) uncross(core, market);
  market.state = state;
  core.events.add(eventNumber['market-set'], index, -1, 0, state << detailBits.reason);
  return market;
}

export function setBand(core: Core, slots: CommandSlots, at: number): void {
  const index = intOf(slots, at, 'market');
  const low = intOf(slots, at, 'price');
  const high = intOf(slots, at, 'trigger');
  const market = core.markets[index];
  if (market === undefined) core.reject(index, -1, reasonNumber['unknown-market']);
  else if (low < market.config.minPrice || high > market.config.maxPrice || low > high)
    core.reject(index, -1, reasonNumber['invalid-price']);
  else {
    market.bandLow = low;
    market.bandHigh = high;
    const slot = core.events.add(eventNumber['band-set'], index, -1, low, 0);
    core.events.int32[slot * 24 + eventInt32.high] = high;
  }
}
