/** One command: the account, transfer and market commands here, orders in their own files. SEMANTICS.md: Commands. */
import type { Command } from '../commands.ts';
import type { RejectReason } from '../vocabulary.ts';
import { amend, cancel, cancelAll } from './amend.ts';
import { triggerStops, uncross } from './auction.ts';
import { isClientIdTaken, keepClientId, place } from './place.ts';
import { emit, found, move, newAccount, reject, traderOf, type World } from './state.ts';

/** Every account stays below; so does the sum of all, or a trade could lift an account above. */
const balanceLimit = 1n << 62n;

export function apply(world: World, command: Command): void {
  if (command.seq !== world.seq + 1) throw new RangeError(`command ${command.seq} after ${world.seq}`);
  world.seq = command.seq;
  world.timeMs = Math.max(world.timeMs, command.timeMs);
  carryOut(world, command);
  for (const market of world.markets) triggerStops(world, market);
}

function carryOut(world: World, command: Command): void {
  switch (command.kind) {
    case 'open-account':
      openAccount(world, command);
      return;
    case 'credit':
      credit(world, command);
      return;
    case 'debit':
      debit(world, command);
      return;
    case 'place':
      place(world, command);
      return;
    case 'amend':
      amend(world, command);
      return;
    case 'cancel':
      cancel(world, command);
      return;
    case 'cancel-all':
      cancelAll(world, command);
      return;
    case 'set-account':
      setAccount(world, command);
      return;
    case 'set-market':
      setMarket(world, command);
      return;
    case 'set-band':
      setBand(world, command);
  }
}

type Of<K extends Command['kind']> = Extract<Command, { kind: K }>;

function openAccount(world: World, { account }: Of<'open-account'>): void {
  const refuse = (reason: RejectReason) => {
    reject(world, reason, account, -1);
  };
  if (account !== world.accounts.length) refuse('account-exists');
  else if (world.accounts.length >= world.config.accountsMax) refuse('capacity');
  else {
    world.accounts.push(newAccount(world.config, account));
    emit(world, { kind: 'account-opened', account });
  }
}

function credit(world: World, { account, asset, units, position }: Of<'credit'>): void {
  const refuse = (reason: RejectReason) => {
    reject(world, reason, account, -1);
  };
  const owner = traderOf(world, account);
  const supply = world.supplies[asset];
  if (owner === undefined) refuse('unknown-account');
  else if (supply === undefined) refuse('unknown-asset');
  else if (units < 1n || !Number.isSafeInteger(position)) refuse('invalid-amount');
  else if (position <= world.creditPosition) refuse('duplicate-transfer');
  else if (supply.units + units >= balanceLimit) refuse('overflow');
  else {
    world.creditPosition = position;
    supply.units += units;
    move(owner.available, asset, units);
    emit(world, { kind: 'credited', account, asset, units, position });
  }
}

function debit(world: World, { account, asset, units, clientOrderId = 0n }: Of<'debit'>): void {
  const refuse = (reason: RejectReason) => {
    reject(world, reason, account, -1);
  };
  const owner = world.accounts[account];
  const supply = world.supplies[asset];
  if (owner === undefined) refuse('unknown-account');
  else if (supply === undefined) refuse('unknown-asset');
  else if (units < 1n) refuse('invalid-amount');
  else if (isClientIdTaken(world, { account, clientOrderId })) refuse('duplicate-client-id');
  else if (owner.blocked) refuse('account-blocked');
  else if (found(owner.available[asset], `asset ${asset}`) < units) refuse('insufficient-balance');
  else {
    supply.units -= units;
    move(owner.available, asset, -units);
    keepClientId(world, { account, clientOrderId });
    emit(world, { kind: 'debited', account, asset, units, clientOrderId });
  }
}

function setAccount(world: World, { account, blocked, feeTier }: Of<'set-account'>): void {
  const owner = traderOf(world, account);
  const tiers = found(world.config.markets[0], 'the first market').fees;
  if (owner === undefined) reject(world, 'unknown-account', account, -1);
  else if (tiers[feeTier] === undefined) reject(world, 'unknown-tier', account, -1);
  else {
    owner.blocked = blocked;
    owner.feeTier = feeTier;
    emit(world, { kind: 'account-set', account, blocked, feeTier });
  }
}

function setMarket(world: World, { market: number, state }: Of<'set-market'>): void {
  const market = world.markets[number];
  if (market === undefined) reject(world, 'unknown-market', -1, number);
  else if (market.state === state) reject(world, 'wrong-state', -1, number);
  else {
    if (state === 'open' || state === 'closed') uncross(world, market);
    market.state = state;
    emit(world, { kind: 'market-set', market: number, state });
  }
}

function setBand(world: World, { market: number, low, high }: Of<'set-band'>): void {
  const market = world.markets[number];
  if (market === undefined) {
    reject(world, 'unknown-market', -1, number);
    return;
  }
  const { minPrice, maxPrice } = market.config;
  if (!(minPrice <= low && low <= high && high <= maxPrice)) {
    reject(world, 'invalid-price', -1, number);
    return;
  }
  market.low = low;
  market.high = high;
  emit(world, { kind: 'band-set', market: number, low, high });
}
