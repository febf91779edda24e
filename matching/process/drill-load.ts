/** Clients of the drill: many accounts that place, trade and cancel, and remember what they were told. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorsOf, invariant, isStrongroomError } from '#core/errors';
import type { CommandBody } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import type { EngineEvent } from '../events.ts';
import type { EngineLink } from '../link/index.ts';

const fail = errorsOf(matchingErrors);

/** As many accounts as the configuration allows, up to these; each waits for its answer before it sends again. */
const accountsMax = 64;
/** Of each asset for each account; all accounts together stay far below what the engine can count. */
const creditUnits = 10n ** 15n;
/** Orders around the middle of the ladder, so that about half of them trade. */
const spreadTicks = 10;
/** While no engine serves. */
const retryMs = 5;

export interface AnsweredCommand {
  readonly seq: number;
  /** {@link textOf} its events. */
  readonly events: string;
  /** When the answer came; `performance.now()`. */
  readonly atMs: number;
}

export const textOf = (events: readonly EngineEvent[]): string =>
  JSON.stringify(events, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));

export class DrillLoad {
  readonly answered: AnsweredCommand[] = [];
  readonly #link: EngineLink;
  readonly #config: EngineConfig;
  readonly #accounts: readonly number[];
  #isStopping = false;
  #unanswered = 0;
  #failure: Error | undefined;
  #clients: Promise<void>[] = [];

  constructor(link: EngineLink, config: EngineConfig) {
    this.#link = link;
    this.#config = config;
    const count = Math.min(accountsMax, config.accountsMax - 1);
    this.#accounts = Array.from({ length: count }, (_, at) => at + 1);
  }

  /** Accounts with units of every asset, and an open market. */
  async open(): Promise<void> {
    if (this.#accounts.length < 2)
      throw fail('MATCHING_CONFIG_INVALID', 'a drill needs a configuration with room for two accounts');
    let position = 0;
    for (const account of this.#accounts) {
      await this.#link.submit({ kind: 'open-account', account });
      for (const asset of this.#config.assets.keys())
        await this.#link.submit({ kind: 'credit', account, asset, units: creditUnits, position: ++position });
    }
    if (this.#config.markets[0]?.state !== 'open')
      await this.#link.submit({ kind: 'set-market', market: 0, state: 'open' });
  }

  start(): void {
    this.#clients = this.#accounts.map(async (account) => {
      await this.#trade(account);
    });
  }

  /** @throws what a client met that must not be */
  assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** @returns commands that were sent and never answered @throws as {@link assertSound} */
  async stop(): Promise<number> {
    this.#isStopping = true;
    await Promise.all(this.#clients);
    this.assertSound();
    return this.#unanswered;
  }

  async #trade(account: number): Promise<void> {
    for (let turn = account; !this.#isStopping && this.#failure === undefined; turn++) {
      try {
        const events = await this.#link.submit(this.#commandOf(account, turn));
        const [first] = events;
        invariant(first !== undefined, 'every command gives an event');
        this.answered.push({ seq: first.seq, events: textOf(events), atMs: performance.now() });
      } catch (error) {
        const code = isStrongroomError(error) ? error.code : '';
        if (code === 'MATCHING_OUTCOME_UNKNOWN') this.#unanswered++;
        else if (!notTaken.has(code))
          this.#failure = error instanceof Error ? error : new TypeError(String(error));
        await delay(retryMs);
      }
    }
  }

  /** Buyers and sellers in turn, at prices that meet; every eighth command takes everything back. */
  #commandOf(account: number, turn: number): CommandBody {
    const market = this.#config.markets[0];
    invariant(market !== undefined, 'a configuration has a market');
    if (turn % 8 === 0) return { kind: 'cancel-all', account };
    const { minPrice, maxPrice, minOrderLots } = market;
    const middle = Math.floor((minPrice + maxPrice) / 2);
    const offset = ((turn * 7) % (2 * spreadTicks + 1)) - spreadTicks;
    return {
      kind: 'place',
      account,
      market: 0,
      side: (account + turn) % 2 === 0 ? 'buy' : 'sell',
      type: 'limit',
      timeInForce: 'gtc',
      price: Math.min(Math.max(middle + offset, minPrice), maxPrice),
      lots: minOrderLots,
    };
  }
}

/** Nothing happened; the same client goes on. */
const notTaken: ReadonlySet<string> = new Set([
  'MATCHING_LINK_DOWN',
  'MATCHING_STOPPED',
  'MATCHING_BUSY',
  'MATCHING_FENCED',
]);
