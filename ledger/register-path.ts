/**
 * The names of accounts, proven. The journal carries their ids; what an id is called stands in the register, whose newest
 * hash each batch binds. So a name holds if the register's chain does, from that account up to the newest the batch knew.
 */
import type { Queryable } from '#infra/db';
import { hashOfAccount, noAccounts } from './chain.ts';

/** Accounts read by one question: some seconds. What lies beyond is for `verify`. */
const registerPathAccountsMax = 1_000_000;
/** Accounts in memory at once: 2 MB. */
const accountsPerPage = 10_000;
/** A person needs the first few. */
const problemsMax = 20;

export interface RegisterPath {
  /** Ids of the accounts that were looked at, both included. */
  readonly from: bigint;
  readonly to: bigint;
  /** False: the register is longer than one question reads. */
  readonly isComplete: boolean;
  /** What does not fit, the first {@link problemsMax} places; none means that the names hold. */
  readonly problems: readonly string[];
}

interface AccountRow {
  readonly id: string;
  readonly path: string;
  readonly asset: string;
  readonly hash: Buffer;
}

/** @param range ids of the oldest account that is named and of the newest that the batch binds */
export async function registerPath(
  queryable: Queryable,
  range: { readonly from: bigint; readonly to: bigint },
  accountsMax = registerPathAccountsMax,
): Promise<RegisterPath> {
  const { from } = range;
  const last = from + BigInt(accountsMax) - 1n;
  const to = last < range.to ? last : range.to;
  const problems: string[] = [];
  // The account before gives what the first one continues.
  let before: Buffer | undefined = from === 1n ? noAccounts : undefined;
  let expected = from === 1n ? 1n : from - 1n;
  while (expected <= to) {
    const { rows } = await queryable.query<AccountRow>(
      `SELECT id, path, asset, hash FROM ledger.account WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT ${accountsPerPage}`,
      [expected, to],
    );
    for (const row of rows) {
      const isNext = BigInt(row.id) === expected;
      if (problems.length < problemsMax && before !== undefined)
        if (!isNext) problems.push(`account ${expected} is missing`);
        else if (!hashOfAccount(before, row).equals(row.hash))
          problems.push(`the name of account ${row.id}, or of one before it, was changed`);
      before = row.hash;
      expected = BigInt(row.id) + 1n;
    }
    if (rows.length < accountsPerPage) break;
  }
  if (expected <= to) problems.push(`accounts after ${expected - 1n} are missing`);
  return { from, to, isComplete: to === range.to, problems };
}
