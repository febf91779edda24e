/** Customer accounts, their deposit addresses, balances and deposits. */
import { errorsOf } from '#core/errors';
import { type Id, parseId } from '#core/ids';
import { type AssetId, assetId } from '#core/money';
import { inTransaction, type Queryable } from '#infra/db';
import {
  type AccountRef,
  chainDeposit,
  chainHot,
  chainPending,
  customerMain,
  customerProvisional,
  houseEquity,
  houseIncome,
  houseNetworkFee,
  houseSuspense,
  suspense,
} from '#ledger/contract';
import { type BalanceView, type DepositView, pageRowsMax, workflowErrors } from '../contract.ts';
import { knownAssets, type OperationsDeps, walletFor } from './context.ts';
import { count, type DepositRow } from './rows.ts';

const fail = errorsOf(workflowErrors);

export async function createAccount(
  deps: OperationsDeps,
  options: { readonly id: string },
): Promise<{ id: string; created: boolean }> {
  const id = parseId('acc', options.id);
  return await inTransaction(deps.pool, async (tx) => {
    const inserted = await tx.query(
      'INSERT INTO operations.customer_account (id) VALUES ($1) ON CONFLICT DO NOTHING',
      [id],
    );
    // Also for an account that exists: an asset may have been configured since.
    await deps.ledger.openAccounts(
      tx,
      knownAssets(deps).flatMap((asset): AccountRef[] => [
        { path: customerMain(id), asset },
        { path: customerProvisional(id), asset },
      ]),
    );
    return { id, created: inserted.rowCount === 1 };
  });
}

/** The house's accounts and the mirrors of every configured wallet; safe to call at every start. */
export async function openHouseAccounts(deps: OperationsDeps): Promise<void> {
  const refs = deps.wallets.flatMap((wallet) =>
    deps.chains
      .adapter(wallet.chain)
      .assets.flatMap((asset): AccountRef[] =>
        [
          chainPending(wallet.id),
          chainDeposit(wallet.id),
          chainHot(wallet.id),
          suspense(wallet.id),
          houseEquity,
          houseIncome,
          houseNetworkFee,
        ].map((path) => ({ path, asset })),
      ),
  );
  const onBooks = deps.ledgerAssets.flatMap((asset): AccountRef[] =>
    [houseSuspense, houseEquity, houseIncome].map((path) => ({ path, asset })),
  );
  await deps.ledger.openAccounts(deps.pool, [...refs, ...onBooks]);
}

/** @throws ACCOUNT_UNKNOWN */
export async function requireAccount(db: Queryable, id: string): Promise<Id<'acc'>> {
  const accountId = parseId('acc', id);
  const { rowCount } = await db.query('SELECT 1 FROM operations.customer_account WHERE id = $1', [accountId]);
  if (rowCount !== 1) throw fail('ACCOUNT_UNKNOWN', `there is no account ${accountId}`, { accountId });
  return accountId;
}

/** The account's own deposit address; the same at every call. @throws ACCOUNT_UNKNOWN, CHAINS_ASSET_UNKNOWN */
export async function depositAddress(
  deps: OperationsDeps,
  options: { readonly accountId: string; readonly asset: string },
): Promise<{ address: string; asset: string; path: string; walletId: string }> {
  const accountId = await requireAccount(deps.pool, options.accountId);
  const asset = assetId(options.asset);
  const wallet = walletFor(deps, asset);
  const derived = await deps.custody.newDepositAddress({ walletId: wallet.id, accountId });
  return { address: derived.address, asset, path: derived.path, walletId: wallet.id };
}

/** @throws ACCOUNT_UNKNOWN */
export async function balances(deps: OperationsDeps, id: string): Promise<readonly BalanceView[]> {
  const accountId = await requireAccount(deps.pool, id);
  const found = await deps.ledger.balances({
    paths: [customerMain(accountId), customerProvisional(accountId)],
  });
  const of = (path: string, asset: AssetId) =>
    found.find((balance) => balance.path === path && balance.asset === asset);
  return [...new Set(found.map((balance) => balance.asset))].map((asset) => {
    const main = of(customerMain(accountId), asset);
    return {
      asset,
      available: (main?.available ?? 0n).toString(),
      held: (main?.debitsPending ?? 0n).toString(),
      provisional: (of(customerProvisional(accountId), asset)?.balance ?? 0n).toString(),
    };
  });
}

const depositView = (row: DepositRow): DepositView => ({
  id: row.id,
  accountId: row.account_id,
  asset: row.asset,
  address: row.address,
  units: row.units,
  state: row.state,
  txId: row.txid,
  index: row.index,
  blockHeight: count(row.block_height),
  blockHash: row.block_hash,
});

/** The newest `pageRowsMax`, newest first. @throws ACCOUNT_UNKNOWN */
export async function deposits(deps: OperationsDeps, id: string): Promise<readonly DepositView[]> {
  const accountId = await requireAccount(deps.pool, id);
  const { rows } = await deps.pool.query<DepositRow>(
    `SELECT * FROM operations.deposit WHERE account_id = $1
      ORDER BY created_at DESC, id DESC LIMIT ${pageRowsMax}`,
    [accountId],
  );
  return rows.map(depositView);
}
