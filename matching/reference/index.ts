/**
 * The reference engine: SEMANTICS.md in the plainest words, to compare `matching/engine` with. It checks its own
 * invariants after each command, and takes time in proportion to everything it holds.
 */
import type { Command } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import type { EngineEvent } from '../events.ts';
import type { MarketState, Side } from '../vocabulary.ts';
import { apply } from './commands.ts';
import { checkInvariants } from './invariants.ts';
import { createWorld, found, type Order, openOrders } from './state.ts';

interface ReferenceLevel {
  readonly price: number;
  /** Hidden parts not included. */
  readonly visible: number;
  /** Hidden parts included; exact where a number is not. */
  readonly lots: bigint;
  readonly orders: number;
}
export interface Reference {
  /** @returns what happened, in order */
  readonly submit: (command: Command) => EngineEvent[];
  readonly balance: (account: number, asset: number) => { readonly available: bigint; readonly held: bigint };
  /** Best price first. */
  readonly levels: (market: number, side: Side) => ReferenceLevel[];
  /** By order id; resting and waiting. */
  readonly openOrders: () => readonly Readonly<Order>[];
  readonly lastPrice: (market: number) => number | undefined;
  readonly market: (market: number) => {
    readonly state: MarketState;
    readonly low: number;
    readonly high: number;
  };
  readonly account: (account: number) => { readonly blocked: boolean; readonly feeTier: number };
  readonly accounts: () => number;
}

export function createReference(config: EngineConfig): Reference {
  const world = createWorld(config);
  return {
    submit: (command) => {
      world.events = [];
      apply(world, command);
      checkInvariants(world);
      return world.events;
    },
    balance: (account, asset) => {
      const { available, held } = found(world.accounts[account], `account ${account}`);
      return {
        available: found(available[asset], `asset ${asset}`),
        held: found(held[asset], `asset ${asset}`),
      };
    },
    levels: (market, side) => levelsOf(found(world.markets[market], `market ${market}`).book[side]),
    openOrders: () => openOrders(world).sort((a, b) => a.id - b.id),
    lastPrice: (market) => found(world.markets[market], `market ${market}`).lastPrice,
    market: (market) => {
      const { state, low, high } = found(world.markets[market], `market ${market}`);
      return { state, low, high };
    },
    account: (account) => {
      const { blocked, feeTier } = found(world.accounts[account], `account ${account}`);
      return { blocked, feeTier };
    },
    accounts: () => world.accounts.length,
  };
}

function levelsOf(orders: readonly Order[]): ReferenceLevel[] {
  const prices = [...new Set(orders.map(({ price }) => price))];
  return prices.map((price) => {
    const level = orders.filter((order) => order.price === price);
    return {
      price,
      visible: level.reduce((sum, { visible }) => sum + visible, 0),
      lots: level.reduce((sum, { rest }) => sum + BigInt(rest), 0n),
      orders: level.length,
    };
  });
}
