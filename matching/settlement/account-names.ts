/** Whose account a number of the engine is, read as it is needed. Numbers never change hands. */
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import type { Queryable } from '#infra/db';
import { settlementErrors } from './errors.ts';

const fail = errorsOf(settlementErrors);

export interface AccountNames {
  /** Reads those that are not known yet. @throws MATCHING_ACCOUNT_UNKNOWN */
  load(queryable: Queryable, numbers: Iterable<number>): Promise<void>;
  /** @throws MATCHING_ACCOUNT_UNKNOWN also for one that was not loaded */
  accountOf(number: number): Id<'acc'>;
}

/** Holds one string per account of the engine, which has at most 2^22. */
export function createAccountNames(engineNo: number): AccountNames {
  const names = new Map<number, Id<'acc'>>();
  const accountOf = (number: number): Id<'acc'> => {
    const found = names.get(number);
    if (found === undefined)
      throw fail('MATCHING_ACCOUNT_UNKNOWN', `account ${number} of the engine is nobody's`, { number });
    return found;
  };
  return {
    accountOf,
    load: async (queryable, numbers) => {
      const missing = [...new Set(numbers)].filter((number) => number > 0 && !names.has(number));
      if (missing.length === 0) return;
      const { rows } = await queryable.query<{ number: number; account: string }>(
        'SELECT number, account FROM matching.account WHERE engine = $1 AND number = ANY ($2)',
        [engineNo, missing],
      );
      for (const { number, account } of rows) names.set(number, `acc_${account}`);
      for (const number of missing) accountOf(number);
    },
  };
}
