/** What the facade reads: balances, transfers and totals as they are now. */
import type { AssetId } from '#core/money';
import type { Queryable } from '#infra/db';
import type { AccountBalance, BalanceFilter, LedgerTotals, Transfer } from './contract.ts';
import { type BalanceRow, balanceOf, parseSigned, type TransferRow, transferOf } from './rows.ts';

/** A transfer `t` with the names of its accounts and its batch, as {@link TransferRow}. */
export const transferColumns = `t.seq, t.id, t.kind, d.path AS debit, c.path AS credit, d.asset, t.amount, t.pending_id, t.code,
  t.reference, t.at_ms, t.timeout_ms, t.balancing, t.amount_max, b.no AS batch, b.recorded_ms`;
export const transferJoins = `JOIN ledger.account AS d ON d.id = t.debit_account
  JOIN ledger.account AS c ON c.id = t.credit_account
  JOIN LATERAL (SELECT no, recorded_ms FROM ledger.batch WHERE last_seq >= t.seq ORDER BY last_seq LIMIT 1) AS b ON true`;

export async function balances(queryable: Queryable, filter: BalanceFilter): Promise<AccountBalance[]> {
  const { rows } = await queryable.query<BalanceRow>(
    `SELECT path, asset, debits_pending, debits_posted, credits_pending, credits_posted, closed FROM ledger.account_balance
      WHERE ($1::text IS NULL OR starts_with(path, $1)) AND ($2::text[] IS NULL OR path = ANY ($2))
        AND ($3::text IS NULL OR asset = $3)
      ORDER BY path, asset`,
    [filter.pathPrefix ?? null, filter.paths ?? null, filter.asset ?? null],
  );
  return rows.map(balanceOf);
}

export async function transfersByReference(queryable: Queryable, reference: string): Promise<Transfer[]> {
  const { rows } = await queryable.query<TransferRow>(
    `SELECT ${transferColumns} FROM ledger.transfer AS t ${transferJoins} WHERE t.reference = $1 ORDER BY t.seq`,
    [reference],
  );
  return rows.map(transferOf);
}

export async function totals(queryable: Queryable, asset: AssetId): Promise<LedgerTotals> {
  const { rows } = await queryable.query<{ customers: string; house: string; suspense: string }>(
    `SELECT coalesce(sum(net) FILTER (WHERE kind IN ('customer-main', 'customer-spot')), 0) AS customers,
            coalesce(sum(net) FILTER (WHERE kind IN ('house-equity', 'house-income', 'house-network-fee')), 0) AS house,
            coalesce(sum(net) FILTER (WHERE kind = 'suspense'), 0) AS suspense
       FROM (SELECT kind, credits_posted - debits_posted AS net FROM ledger.account_balance WHERE asset = $1) AS a`,
    [asset],
  );
  const [row = { customers: '0', house: '0', suspense: '0' }] = rows;
  return {
    asset,
    customers: parseSigned(row.customers),
    house: parseSigned(row.house),
    suspense: parseSigned(row.suspense),
  };
}
