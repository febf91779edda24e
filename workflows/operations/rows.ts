/** Rows of the schema `operations` as they come from the driver: numeric and bigint are decimal text. */
import { errorsOf, invariant } from '#core/errors';
import type { Id } from '#core/ids';
import { type Amount, amount, assetId, parseUnits } from '#core/money';
import type { Queryable } from '#infra/db';
import type { Decision } from '#policies/contract';
import { type DepositState, type WithdrawalState, workflowErrors } from '../contract.ts';

const fail = errorsOf(workflowErrors);

/** A height, a nonce or milliseconds from a `bigint` column: a bounded count, never an amount. */
export function count(text: string | number): number {
  const value = typeof text === 'number' ? text : Number.parseInt(text, 10);
  invariant(Number.isSafeInteger(value) && value >= 0, `${text} is not a count`);
  return value;
}

export const amountOf = (row: { readonly asset: string; readonly units: string }): Amount =>
  amount(assetId(row.asset), parseUnits(row.units));

export interface WithdrawalRow {
  readonly id: Id<'wd'>;
  readonly account_id: Id<'acc'>;
  readonly chain: string;
  readonly wallet_id: Id<'wal'>;
  readonly asset: string;
  readonly address: string;
  readonly units: string;
  readonly fee_cap_units: string;
  readonly state: WithdrawalState;
  readonly version: number;
  readonly intent_id: Id<'int'>;
  readonly decision: Decision | null;
  readonly policy_hash: string | null;
  readonly roster_hash: string | null;
  readonly batch_id: Id<'bat'> | null;
  readonly fee_reserved: boolean;
  readonly fee_round: number;
  readonly txid: string | null;
  readonly fee_units: string | null;
  readonly nonce: string | null;
  readonly ending: 'REJECTED' | 'EXPIRED' | 'CANCELLED' | null;
  readonly not_before_ms: string;
  readonly not_after_ms: string;
  readonly created_at_ms: string;
}

/** It has ended for us, and a cancel is to use up the nonce that something was built for. */
export const isCancelling = (row: WithdrawalRow): boolean =>
  row.ending !== null && row.state === 'PENDING_APPROVAL';

export const sweepStates = ['SIGNING', 'BROADCAST', 'CONFIRMED', 'FINAL', 'FAILED'] as const;
export type SweepState = (typeof sweepStates)[number];
export interface SweepRow {
  readonly id: Id<'swp'>;
  readonly chain: string;
  readonly wallet_id: Id<'wal'>;
  readonly asset: string;
  readonly address: string;
  readonly path: string;
  readonly units: string;
  readonly fee_cap_units: string;
  readonly state: SweepState;
  readonly version: number;
  readonly intent_id: Id<'int'>;
  readonly txid: string | null;
  readonly fee_units: string | null;
}

/** What pays an intent of ours; both kinds go the same way. */
export type Payment =
  | { readonly kind: 'withdrawal'; readonly row: WithdrawalRow }
  | { readonly kind: 'sweep'; readonly row: SweepRow };

export interface DepositRow {
  readonly id: Id<'dep'>;
  readonly chain: string;
  readonly txid: string;
  readonly index: number;
  readonly wallet_id: Id<'wal'>;
  readonly account_id: Id<'acc'>;
  readonly asset: string;
  readonly address: string;
  readonly path: string;
  readonly units: string;
  readonly state: DepositState;
  readonly version: number;
  readonly sighting: number;
  readonly block_height: string;
  readonly block_hash: string;
  readonly block_at_ms: string;
}

/** @throws WITHDRAWAL_UNKNOWN */
export async function readWithdrawal(
  db: Queryable,
  id: string,
  lock: '' | 'FOR UPDATE' = '',
): Promise<WithdrawalRow> {
  const { rows } = await db.query<WithdrawalRow>(
    `SELECT * FROM operations.withdrawal WHERE id = $1 ${lock}`,
    [id],
  );
  const row = rows[0];
  if (row === undefined) throw fail('WITHDRAWAL_UNKNOWN', `there is no withdrawal ${id.slice(0, 80)}`);
  return row;
}

export async function readSweep(db: Queryable, id: string, lock: '' | 'FOR UPDATE' = ''): Promise<SweepRow> {
  const { rows } = await db.query<SweepRow>(`SELECT * FROM operations.sweep WHERE id = $1 ${lock}`, [id]);
  const row = rows[0];
  invariant(row !== undefined, `there is no sweep ${id}`);
  return row;
}
