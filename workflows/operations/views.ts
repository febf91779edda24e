/** Withdrawals as the api shows them. */

import type { Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { parseId } from '#core/ids';
import type { Queryable } from '#infra/db';
import {
  pageRowsMax,
  type TimelineEntry,
  type WithdrawalState,
  type WithdrawalView,
  workflowErrors,
} from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { judgeStored } from './judgement.ts';
import { count, readWithdrawal, type WithdrawalRow } from './rows.ts';

const fail = errorsOf(workflowErrors);
const pageRowsDefault = 50;

async function timelineOf(db: Queryable, id: string): Promise<readonly TimelineEntry[]> {
  const { rows } = await db.query<{
    at_ms: string;
    state: WithdrawalState;
    event: string;
    details: TimelineEntry['details'];
  }>(
    'SELECT at_ms, state, event, details FROM operations.withdrawal_event WHERE withdrawal_id = $1 ORDER BY seq',
    [id],
  );
  return rows.map((row) => ({
    at: count(row.at_ms),
    state: row.state,
    event: row.event,
    details: row.details,
  }));
}

export async function withdrawalView(deps: OperationsDeps, row: WithdrawalRow): Promise<WithdrawalView> {
  const { rows } = await deps.pool.query<{ hash: Sha256 }>(
    'SELECT hash FROM operations.intent WHERE id = $1',
    [row.intent_id],
  );
  const waiting = row.state === 'PENDING_APPROVAL' && row.decision?.outcome === 'allow';
  return {
    id: row.id,
    accountId: row.account_id,
    asset: row.asset,
    address: row.address,
    units: row.units,
    state: row.state,
    intentId: row.intent_id,
    intentHash: rows[0]?.hash ?? 'sha256:',
    decision: row.decision,
    missingApprovals: waiting ? (await judgeStored(deps, deps.pool, row)).missing : {},
    txId: row.txid,
    feeUnits: row.fee_units,
    createdAt: count(row.created_at_ms),
    timeline: await timelineOf(deps.pool, row.id),
  };
}

/** @throws CORE_ID_INVALID, WITHDRAWAL_UNKNOWN */
export async function withdrawal(deps: OperationsDeps, id: string): Promise<WithdrawalView> {
  return await withdrawalView(deps, await readWithdrawal(deps.pool, parseId('wd', id)));
}

/** Newest first; `after` is the last id of the page before. @throws WITHDRAWAL_LIMIT, WITHDRAWAL_UNKNOWN */
export async function withdrawals(
  deps: OperationsDeps,
  filter: {
    readonly state?: WithdrawalState;
    readonly accountId?: string;
    readonly limit?: number;
    readonly after?: string;
  },
): Promise<readonly WithdrawalView[]> {
  const limit = filter.limit ?? pageRowsDefault;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > pageRowsMax)
    throw fail('WITHDRAWAL_LIMIT', `a page has 1 to ${pageRowsMax} rows, not ${limit}`, { max: pageRowsMax });
  const last = filter.after === undefined ? undefined : await readWithdrawal(deps.pool, filter.after);
  const { rows } = await deps.pool.query<WithdrawalRow>(
    `SELECT * FROM operations.withdrawal
      WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR account_id = $2)
        AND ($3::bigint IS NULL OR (created_at_ms, id) < ($3, $4))
      ORDER BY created_at_ms DESC, id DESC LIMIT $5`,
    [filter.state ?? null, filter.accountId ?? null, last?.created_at_ms ?? null, last?.id ?? null, limit],
  );
  const views: WithdrawalView[] = [];
  for (const row of rows) views.push(await withdrawalView(deps, row));
  return views;
}
