/**
 * An engine with accounts that have something, for tests that tell a short story. Every command also goes to the reference; both
 * must say the same and have the same in books and balances, so each story is one about both.
 */
import { expect } from 'vitest';
import type { Command, CommandBody, PlaceFields } from '../../../matching/commands.ts';
import type { EngineConfig } from '../../../matching/config.ts';
import { createEngine } from '../../../matching/engine/index.ts';
import type { EngineEvent } from '../../../matching/events.ts';
import { createReference } from '../../../matching/reference/index.ts';
import type { MarketState, RejectReason, Side } from '../../../matching/vocabulary.ts';
import { type DocumentEngine, documentEngine, stateOfEngine, stateOfReference } from './both.ts';
import { oneMarket } from './configs.ts';

type Fields = Partial<PlaceFields> & { readonly side: Side; readonly as?: string };

export class Desk {
  readonly config: EngineConfig;
  readonly fast: DocumentEngine;
  readonly #reference: ReturnType<typeof createReference>;
  readonly #names = new Map<number, string>();
  #seq = 0;
  #position = 0;
  timeMs = 1_000_000;

  constructor(config: EngineConfig = oneMarket, { accounts = 3, units = 1_000_000n } = {}) {
    this.config = config;
    this.fast = documentEngine(createEngine(config));
    this.#reference = createReference(config);
    for (let account = 1; account <= accounts; account++) {
      this.submit({ kind: 'open-account', account });
      for (const asset of config.assets.keys()) this.credit(account, asset, units);
    }
  }

  submit(body: CommandBody): EngineEvent[] {
    this.#seq += 1;
    const command: Command = { ...body, seq: this.#seq, timeMs: this.timeMs };
    const events = this.fast.submit(command);
    expect(this.#reference.submit(command)).toEqual(events);
    const state = stateOfReference(this.#reference, this.config);
    expect(stateOfEngine(this.fast.engine, this.config, this.#reference)).toEqual(state);
    return events;
  }

  credit(account: number, asset: number, units: bigint): EngineEvent[] {
    this.#position += 1;
    return this.submit({ kind: 'credit', account, asset, units, position: this.#position });
  }

  /** A limit order GTC of account 1 in market 0, but for what is given. */
  commandOf({ as: _, ...fields }: Fields): CommandBody {
    return { kind: 'place', account: 1, market: 0, type: 'limit', timeInForce: 'gtc', ...fields };
  }
  place(fields: Fields): string[] {
    this.#names.set(this.#seq + 1, fields.as ?? `${this.#seq + 1}`);
    return this.told(this.submit(this.commandOf(fields)));
  }
  market(fields: Fields): string[] {
    return this.place({ type: 'market', timeInForce: 'ioc', ...fields });
  }
  setMarket(state: MarketState, market = 0): string[] {
    return this.told(this.submit({ kind: 'set-market', market, state }));
  }

  orderId(name: string): number {
    const found = [...this.#names].find(([, given]) => given === name);
    if (found === undefined) throw new Error(`no order is called ${name}`);
    return found[0];
  }
  amend(name: string, change: { price?: number; lots?: number }, account = 1): string[] {
    return this.told(this.submit({ kind: 'amend', account, orderId: this.orderId(name), ...change }));
  }
  cancel(name: string, account = 1): string[] {
    return this.told(this.submit({ kind: 'cancel', account, orderId: this.orderId(name) }));
  }

  reasonOf(body: CommandBody): RejectReason | undefined {
    const [event] = this.submit(body);
    return event?.kind === 'rejected' ? event.reason : undefined;
  }

  /** What an account has: available and held. */
  balance(account: number, asset: number): { available: bigint; held: bigint } {
    return this.fast.engine.balance(account, asset);
  }

  /** Best first: visible lots at each price, and of how many orders when there are several. */
  book(side: Side, market = 0): string {
    const levels = this.fast.engine.levels(market, side, 1_000);
    return levels
      .map(({ price, lots, orders }) => `${lots}@${price}${orders > 1 ? `/${orders}` : ''}`)
      .join(' ');
  }

  /** Everything that a refused command may not change. */
  state(): unknown {
    const { balance, levels } = this.fast.engine;
    return {
      openOrders: this.#reference.openOrders().map((order) => ({ ...order })),
      levels: this.config.markets.map((_, market) => [levels(market, 'buy', 99), levels(market, 'sell', 99)]),
      balances: Array.from({ length: this.#reference.accounts() }, (_, account) =>
        this.config.assets.map((_asset, asset) => balance(account, asset)),
      ),
      count: this.fast.engine.openOrders,
    };
  }

  told(events: readonly EngineEvent[]): string[] {
    return events.map((event) => this.#line(event));
  }

  #line(event: EngineEvent): string {
    const name = (order: number): string => this.#names.get(order) ?? `${order}`;
    switch (event.kind) {
      case 'trade': {
        const { taker, maker, lots, price } = event;
        return `trade ${name(taker.order)} ${name(maker.order)} ${lots}@${price} left ${taker.rest} ${maker.rest}`;
      }
      case 'decremented': {
        const { taker, maker, lots } = event;
        return `decremented ${name(taker.order)} ${name(maker.order)} ${lots} left ${taker.rest} ${maker.rest}`;
      }
      case 'rested':
        return `rested ${name(event.order)} ${event.rest}@${event.price} shows ${event.visible}`;
      case 'amended':
        return `amended ${name(event.order)} ${event.rest}@${event.price} ${event.priorityKept ? 'kept' : 'lost'}`;
      case 'waiting':
      case 'triggered':
        return `${event.kind} ${name(event.order)} at ${event.triggerPrice}`;
      case 'done':
        return `done ${name(event.order)} ${event.reason} ${event.rest}`;
      case 'accepted':
        return `accepted ${name(event.order)}`;
      case 'rejected':
        return `rejected ${event.reason}`;
      case 'market-set':
        return event.state;
      case 'cancelled-all':
        return `cancelled-all ${event.count}`;
      case 'account-opened':
      case 'credited':
      case 'debited':
      case 'account-set':
      case 'band-set':
        return event.kind;
    }
  }
}
