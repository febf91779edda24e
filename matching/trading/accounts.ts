/** Numbers of the engine to accounts and back, read as they are needed. Numbers are given out once and never change hands. */
import { errorsOf } from '#core/errors';
import { type Id, uuidOf } from '#core/ids';
import type { Pool } from '#infra/db';
import { createAccountNames } from '../settlement/account-names.ts';
import { isOutage } from '../settlement/store.ts';
import { tradingErrors } from './errors.ts';

const fail = errorsOf(tradingErrors);

export interface TradingAccounts {
  /**
   * Undefined for an account that has never had a spot balance: the engine does not know it.
   * @throws TRADING_UNAVAILABLE when it is asked for the first time while PostgreSQL is away
   */
  numberOf(accountId: Id<'acc'>): Promise<number | undefined>;
  /** Reads whose these are, those that are known left out. @throws MATCHING_ACCOUNT_UNKNOWN */
  load(numbers: Iterable<number>): Promise<void>;
  /** @throws MATCHING_ACCOUNT_UNKNOWN also for one that was not loaded */
  nameOf(number: number): Id<'acc'>;
}

/** Holds one string per account of the engine, twice; it has at most 2^22 (accountsMax of the configuration). */
export function createTradingAccounts(pool: Pool, engineNo: number): TradingAccounts {
  const names = createAccountNames(engineNo);
  const numbers = new Map<Id<'acc'>, number>();
  const asked = new Map<Id<'acc'>, Promise<number | undefined>>();
  async function read(accountId: Id<'acc'>): Promise<number | undefined> {
    const { rows } = await pool
      .query<{ number: number }>('SELECT number FROM matching.account WHERE engine = $1 AND account = $2', [
        engineNo,
        uuidOf(accountId),
      ])
      .catch((error: unknown) => {
        if (!isOutage(error)) throw error;
        throw fail('TRADING_UNAVAILABLE', 'PostgreSQL does not say whose account it is', {}, error);
      });
    const number = rows[0]?.number;
    if (number !== undefined) numbers.set(accountId, number);
    return number;
  }
  return {
    numberOf: async (accountId) => {
      const known = numbers.get(accountId);
      if (known !== undefined) return known;
      // The orders of a batch ask together.
      const asking = asked.get(accountId) ?? read(accountId).finally(() => asked.delete(accountId));
      asked.set(accountId, asking);
      return await asking;
    },
    load: async (wanted) => {
      await names.load(pool, wanted);
    },
    nameOf: names.accountOf,
  };
}
