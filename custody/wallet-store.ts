/** Rows of wallets, ceremonies, statements and addresses. Reads give claims; `index.ts` verifies them. */
import type { Id } from '#core/ids';
import type { ActivationAck, KeyStatement } from '#custody/protocol';
import { inTransaction, type Pool, type Queryable } from '#infra/db';
import type { WalletSpec } from './contract.ts';

export interface AddressRow {
  readonly wallet_id: Id<'wal'>;
  readonly chain: string;
  readonly address: string;
  readonly epoch: number;
  readonly path: string;
  readonly account_id: Id<'acc'> | null;
}
const addressColumns = 'wallet_id, chain, address, epoch, path, account_id';

export async function saveWallet(db: Queryable, wallet: WalletSpec): Promise<void> {
  await db.query(
    `INSERT INTO custody.wallet (id, vault, tier, chain) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
    [wallet.id, wallet.vault, wallet.tier, wallet.chain],
  );
}

export async function readWallet(db: Queryable, id: string): Promise<WalletSpec | undefined> {
  const { rows } = await db.query<WalletSpec>(
    'SELECT id, vault, tier, chain FROM custody.wallet WHERE id = $1',
    [id],
  );
  return rows[0];
}

export async function readWallets(db: Queryable): Promise<readonly WalletSpec[]> {
  const { rows } = await db.query<WalletSpec>(
    'SELECT id, vault, tier, chain FROM custody.wallet ORDER BY id',
  );
  return rows;
}

/** A later ceremony of the same wallet replaces the acknowledgements of one that was never activated. */
export async function saveAcknowledgements(
  db: Queryable,
  wallet: string,
  acks: readonly ActivationAck[],
): Promise<void> {
  await db.query(
    `INSERT INTO custody.key_ceremony (wallet_id, epoch, acks) VALUES ($1, $2, $3::jsonb)
     ON CONFLICT (wallet_id) DO UPDATE SET epoch = excluded.epoch, acks = excluded.acks, created_at = now()`,
    [wallet, acks[0]?.epoch ?? 0, JSON.stringify(acks)],
  );
}

export async function readAcknowledgements(
  db: Queryable,
  wallet: string,
): Promise<readonly ActivationAck[] | undefined> {
  const { rows } = await db.query<{ acks: readonly ActivationAck[] }>(
    'SELECT acks FROM custody.key_ceremony WHERE wallet_id = $1',
    [wallet],
  );
  return rows[0]?.acks;
}

export async function saveStatements(pool: Pool, statements: readonly KeyStatement[]): Promise<void> {
  await inTransaction(pool, async (tx) => {
    for (const statement of statements)
      await tx.query(
        `INSERT INTO custody.key_statement (wallet_id, epoch, party, statement) VALUES ($1, $2, $3, $4::jsonb)
         ON CONFLICT (wallet_id, epoch, party) DO NOTHING`,
        [statement.wallet, statement.epoch, statement.party, JSON.stringify(statement)],
      );
  });
}

/** The statements of the newest epoch, unverified. */
export async function readStatements(db: Queryable, wallet: string): Promise<readonly unknown[]> {
  const { rows } = await db.query<{ statement: unknown }>(
    `SELECT statement FROM custody.key_statement
      WHERE wallet_id = $1
        AND epoch = (SELECT max(epoch) FROM custody.key_statement WHERE wallet_id = $1)
      ORDER BY party`,
    [wallet],
  );
  return rows.map((row) => row.statement);
}

/** The next deposit index; never the same twice. */
export async function drawDepositIndex(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ index: number }>(`SELECT nextval('custody.deposit_index')::int AS index`);
  const index = rows[0]?.index;
  if (index === undefined) throw new TypeError('the sequence gave no row');
  return index;
}

/** Keeps what is there: a retry or a second caller finds the first one's row. */
export async function saveAddress(db: Queryable, row: AddressRow): Promise<void> {
  await db.query(
    `INSERT INTO custody.address (${addressColumns}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
    [row.wallet_id, row.chain, row.address, row.epoch, row.path, row.account_id],
  );
}

export async function readDepositAddress(
  db: Queryable,
  wallet: string,
  account: string,
): Promise<AddressRow | undefined> {
  const { rows } = await db.query<AddressRow>(
    `SELECT ${addressColumns} FROM custody.address WHERE wallet_id = $1 AND account_id = $2`,
    [wallet, account],
  );
  return rows[0];
}

export async function readAddresses(
  db: Queryable,
  chain: string,
  addresses: readonly string[],
): Promise<readonly AddressRow[]> {
  const { rows } = await db.query<AddressRow>(
    `SELECT ${addressColumns} FROM custody.address WHERE chain = $1 AND address = ANY($2::text[])`,
    [chain, addresses],
  );
  return rows;
}

/** By path, those after the given one. */
export async function readAddressPage(
  db: Queryable,
  wallet: string,
  page: { readonly afterPath: string; readonly limit: number },
): Promise<readonly AddressRow[]> {
  const { rows } = await db.query<AddressRow>(
    `SELECT ${addressColumns} FROM custody.address WHERE wallet_id = $1 AND path > $2 ORDER BY path LIMIT $3`,
    [wallet, page.afterPath, page.limit],
  );
  return rows;
}

export async function readAddressesOf(db: Queryable, wallet: string): Promise<readonly AddressRow[]> {
  const { rows } = await db.query<AddressRow>(
    `SELECT ${addressColumns} FROM custody.address WHERE wallet_id = $1 ORDER BY created_at, path`,
    [wallet],
  );
  return rows;
}
