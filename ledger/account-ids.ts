/**
 * Remembers which id an account has, so that a batch names its accounts by id. Ids are safe to remember because the register
 * of accounts is a hash chain: with each batch the ledger is shown the newest account known here, and refuses the batch if
 * that is not its own (an account whose opening was rolled back; a failover that lost commits).
 */
import type { AssetId } from '#core/money';
import type { Queryable } from '#infra/db';
import type { AccountPath } from './contract.ts';

/** About 250 bytes each, so 50 MB. When it is full everything is forgotten, which costs one query per batch for a while. */
const accountsRememberedMax = 200_000;

export interface AccountName {
  readonly path: AccountPath;
  readonly asset: AssetId;
}
/** The newest account of those whose ids are used: the ledger must have it with this hash. */
export interface RegisterMark {
  /** 0: nothing is known, nothing is compared. */
  readonly id: number;
  readonly hash: Buffer | null;
}
export interface AccountIds {
  /** Ids by {@link accountKey}; accounts that are not open are missing. Asks the database for what is not known. */
  resolve(
    queryable: Queryable,
    names: ReadonlyMap<string, AccountName>,
  ): Promise<ReadonlyMap<string, number>>;
  mark(): RegisterMark;
  forget(): void;
}

export const accountKey = (path: AccountPath, asset: AssetId): string => `${path} ${asset}`;

async function readIds(
  queryable: Queryable,
  names: readonly AccountName[],
): Promise<
  readonly {
    readonly id: string;
    readonly path: AccountPath;
    readonly asset: AssetId;
    readonly hash: Buffer;
  }[]
> {
  const { rows } = await queryable.query<{ id: string; path: AccountPath; asset: AssetId; hash: Buffer }>({
    name: 'ledger-account-ids',
    text: `SELECT a.id, a.path, a.asset, a.hash FROM unnest($1::text[], $2::text[]) AS u (path, asset)
             JOIN ledger.account AS a ON a.path = u.path AND a.asset = u.asset`,
    values: [names.map(({ path }) => path), names.map(({ asset }) => asset)],
  });
  return rows;
}

export function createAccountIds(): AccountIds {
  const known = new Map<string, number>();
  let mark: RegisterMark = { id: 0, hash: null };
  const forget = (): void => {
    known.clear();
    mark = { id: 0, hash: null };
  };
  return {
    resolve: async (queryable, names) => {
      if (known.size > accountsRememberedMax) forget();
      const missing = [...names].flatMap(([key, name]) => (known.has(key) ? [] : [name]));
      if (missing.length > 0)
        for (const { id, path, asset, hash } of await readIds(queryable, missing)) {
          const number = Number.parseInt(id, 10);
          known.set(accountKey(path, asset), number);
          if (number > mark.id) mark = { id: number, hash };
        }
      return known;
    },
    mark: () => mark,
    forget,
  };
}
