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
/** What is known together: the mark vouches for these ids, whatever is forgotten elsewhere meanwhile. Read both at once. */
export interface KnownAccounts {
  /** By {@link accountKey}; accounts that are not open are missing. */
  readonly ids: ReadonlyMap<string, number>;
  readonly mark: RegisterMark;
}
export interface AccountIds {
  /** Asks the database for what is not known. */
  resolve(queryable: Queryable, names: ReadonlyMap<string, AccountName>): Promise<KnownAccounts>;
  forget(): void;
}

export const accountKey = (path: AccountPath, asset: AssetId): string => `${path} ${asset}`;

interface IdRow extends AccountName {
  readonly id: string;
  readonly hash: Buffer;
}

/**
 * Nothing if the mark is not the ledger's: what is new would vouch for itself and not for what is remembered. The batch then
 * goes with the old mark, and the ledger refuses it.
 */
async function readIds(
  queryable: Queryable,
  names: readonly AccountName[],
  mark: RegisterMark,
): Promise<readonly IdRow[]> {
  const { rows } = await queryable.query<IdRow>({
    name: 'ledger-account-ids',
    text: `SELECT a.id, a.path, a.asset, a.hash FROM unnest($1::text[], $2::text[]) AS u (path, asset)
             JOIN ledger.account AS a ON a.path = u.path AND a.asset = u.asset
            WHERE $3::bigint = 0 OR EXISTS (SELECT FROM ledger.account AS m WHERE m.id = $3 AND m.hash = $4)`,
    values: [names.map(({ path }) => path), names.map(({ asset }) => asset), mark.id, mark.hash],
  });
  return rows;
}

interface Memory {
  readonly ids: Map<string, number>;
  mark: RegisterMark;
}
const emptyMemory = (): Memory => ({ ids: new Map(), mark: { id: 0, hash: null } });

export function createAccountIds(): AccountIds {
  let memory = emptyMemory();
  const forget = (): void => {
    memory = emptyMemory();
  };
  async function resolve(
    queryable: Queryable,
    names: ReadonlyMap<string, AccountName>,
  ): Promise<KnownAccounts> {
    if (memory.ids.size > accountsRememberedMax) forget();
    // Held on to: another batch may have everything forgotten while this one asks.
    const used = memory;
    const { mark } = used;
    const missing = [...names].flatMap(([key, name]) => (used.ids.has(key) ? [] : [name]));
    if (missing.length === 0) return used;
    const rows = await readIds(queryable, missing, mark);
    // Another batch learnt meanwhile, perhaps from another server than answered here. At most one is on its way beside this.
    if (used.mark !== mark) return await resolve(queryable, names);
    for (const { id, path, asset, hash } of rows) {
      const number = Number.parseInt(id, 10);
      used.ids.set(accountKey(path, asset), number);
      if (number > used.mark.id) used.mark = { id: number, hash };
    }
    return used;
  }
  return { resolve, forget };
}
