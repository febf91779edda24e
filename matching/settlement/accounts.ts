/**
 * Numbers of accounts: an engine opens its accounts in order, 1, 2, 3 ..., so each customer account gets the next number, for
 * ever, and the engine is told of all numbers up to it. Telling it twice does no harm: it refuses what is open.
 */
import { errorsOf, invariant } from '#core/errors';
import { type Id, uuidOf } from '#core/ids';
import type { Pool } from '#infra/db';
import type { CommandBody } from '../commands.ts';
import type { EngineEvent } from '../events.ts';
import { settlementErrors } from './errors.ts';
import type { SettledEngine } from './store.ts';

const fail = errorsOf(settlementErrors);

/** The engine's sequencer: resolves with the events of the command once they are durable. */
export type SubmitCommand = (command: CommandBody) => Promise<readonly EngineEvent[]>;

/** What became of the command. */
export async function firstEvent(submit: SubmitCommand, command: CommandBody): Promise<EngineEvent> {
  const [event] = await submit(command);
  invariant(event !== undefined, 'every command gives an event', { kind: command.kind });
  return event;
}

export interface EngineAccounts {
  /**
   * The number of an account, which is open in the engine when this resolves.
   * @throws MATCHING_OPENING_REFUSED
   */
  numberOf(accountId: Id<'acc'>): Promise<number>;
}
export interface EngineAccountsOptions {
  readonly pool: Pool;
  readonly engine: SettledEngine;
  readonly submit: SubmitCommand;
}

/** One per engine, in the process of its sequencer: numbers are to reach the engine in order. */
export function createEngineAccounts({ pool, engine, submit }: EngineAccountsOptions): EngineAccounts {
  const numbers = new Map<Id<'acc'>, number>();
  /** How many the engine surely has; undefined before the first question. */
  let opened: number | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  async function openUpTo(number: number): Promise<void> {
    if (opened === undefined) {
      const { rows } = await pool.query<{ accounts: number }>(
        'SELECT accounts FROM matching.fed WHERE engine = $1',
        [engine.no],
      );
      opened = rows[0]?.accounts ?? 0;
    }
    if (number <= opened) return;
    for (let next = opened + 1; next <= number; next++) {
      const event = await firstEvent(submit, { kind: 'open-account', account: next });
      if (event.kind === 'rejected' && event.reason !== 'account-exists')
        throw fail('MATCHING_OPENING_REFUSED', `the engine does not open account ${next}: ${event.reason}`, {
          number: next,
          reason: event.reason,
        });
      opened = next;
    }
    await pool.query('SELECT matching.advance_fed($1, 0, $2)', [engine.no, opened]);
  }
  async function give(accountId: Id<'acc'>): Promise<number> {
    const { rows } = await pool.query<{ number: number }>(
      'SELECT number FROM matching.give_numbers($1, $2)',
      [engine.no, [uuidOf(accountId)]],
    );
    const number = rows[0]?.number ?? 0;
    await openUpTo(number);
    numbers.set(accountId, number);
    return number;
  }
  return {
    numberOf: async (accountId) => {
      const known = numbers.get(accountId);
      if (known !== undefined) return known;
      const given = turn.then(() => give(accountId));
      // One that failed must not fail those after it.
      turn = given.catch(() => undefined);
      return await given;
    },
  };
}
