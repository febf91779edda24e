/** Customers who trade, move funds to spot and take them back, whatever crashes; they remember what they were told. */
import { setTimeout as delay } from 'node:timers/promises';
import { isStrongroomError } from '#core/errors';
import type { Pool } from '#infra/db';
import type { Ledger } from '#ledger';
import type { EngineLink } from '#matching/link';
import type { CommandBody } from '../../../matching/commands.ts';
import { type AnsweredCommand, textOf } from '../../../matching/process/drill-load.ts';
import { isOutage } from '../../../matching/settlement/index.ts';
import { coinUnit, customer, randomCommand } from '../settlement/fixture.ts';
import { assets, moveToSpot } from './fixture.ts';

const retryMs = 10;
/** Whole engine units of each asset. */
const depositUnits = [coinUnit, 100n, 1n] as const;
/** Nothing was taken; a customer tries something else. */
const notTaken: ReadonlySet<string> = new Set([
  'MATCHING_LINK_DOWN',
  'MATCHING_STOPPED',
  'MATCHING_BUSY',
  'MATCHING_SETTLEMENT_LAGS',
]);

export interface CrashLoadOptions {
  readonly link: EngineLink;
  readonly ledger: Ledger;
  readonly customers: number;
  readonly random: (below: number) => number;
}

export class CrashLoad {
  readonly acknowledged: AnsweredCommand[] = [];
  /** Sent, and nobody knows. */
  unanswered = 0;
  /** Transfers to spot that were booked, also those whose answer was lost. */
  deposits = 0;
  withdrawals = 0;
  readonly #options: CrashLoadOptions;
  #isStopping = false;
  #failure: Error | undefined;
  #clients: Promise<void>[] = [];
  #lastClientOrderId = 0n;

  constructor(options: CrashLoadOptions) {
    this.#options = options;
  }

  /** When all of them have their first funds in the engine. */
  async start(): Promise<void> {
    const { link, customers } = this.#options;
    const isFunded = (): boolean =>
      assets.every((_, asset) => link.view().balance(customers, asset).available > 0n);
    while (!isFunded()) await delay(retryMs);
    this.#clients = Array.from({ length: customers }, async (_, at) => {
      await this.#live(at + 1);
    });
  }

  /** Waits for so many more answers. */
  async progress(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count;
    while (this.acknowledged.length < wanted) {
      this.#assertSound();
      await delay(1);
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#clients);
    this.#assertSound();
  }

  /** Every deposit was offered to the engine. */
  async untilFed(pool: Pool): Promise<void> {
    for (;;) {
      const { rows } = await pool.query<{ fed: boolean }>(
        `SELECT ledger_seq >= (SELECT max(seq) FROM ledger.transfer WHERE code = 'spot-in') AS fed FROM matching.fed`,
      );
      if (rows[0]?.fed === true) return;
      await delay(retryMs);
    }
  }

  #assertSound(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #live(at: number): Promise<void> {
    const { random } = this.#options;
    for (let turn = 1; !this.#isStopping && this.#failure === undefined; turn++) {
      try {
        if (random(20) === 0) await this.#deposit(at, turn);
        else await this.#send(this.#commandOf(at));
      } catch (error) {
        this.#failure = error instanceof Error ? error : new Error(String(error));
      }
    }
  }

  async #deposit(at: number, turn: number): Promise<void> {
    const { ledger, random } = this.#options;
    const asset = random(assets.length);
    const units = BigInt(1 + random(1_000)) * (depositUnits[asset] ?? 1n);
    // The same reference until there is an answer: booked once, however often it is asked for.
    for (;;) {
      try {
        await moveToSpot(ledger, `deposit/${at}/${turn}`, customer(at), assets[asset] ?? assets[0], units);
        this.deposits++;
        return;
      } catch (error) {
        if (!isOutage(error)) throw error;
        await delay(retryMs);
      }
    }
  }

  #commandOf(account: number): CommandBody {
    const { customers, random } = this.#options;
    const command = randomCommand(random, customers, Math.max(this.acknowledged.length, 1));
    // The house takes nothing here: each debit is a withdrawal of this customer.
    if (command.kind === 'debit') return { ...command, account, clientOrderId: ++this.#lastClientOrderId };
    return command;
  }

  async #send(command: CommandBody): Promise<void> {
    try {
      const events = await this.#options.link.submit(command);
      const [first] = events;
      if (first === undefined) throw new Error('no event');
      this.acknowledged.push({ seq: first.seq, events: textOf(events), atMs: performance.now() });
      if (first.kind === 'debited') this.withdrawals++;
    } catch (error) {
      const code = isStrongroomError(error) ? error.code : '';
      if (code === 'MATCHING_OUTCOME_UNKNOWN') this.unanswered++;
      else if (!notTaken.has(code)) throw error;
      await delay(retryMs);
    }
  }
}
