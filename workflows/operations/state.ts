/**
 * The only writer of states. Every change names the state and version it starts from, so that two writers can never both
 * have moved a row, and every change of a withdrawal appends the event that its timeline shows.
 */
import { errorsOf, invariant } from '#core/errors';
import type { Queryable, Tx } from '#infra/db';
import {
  type DepositState,
  type WithdrawalState,
  withdrawalTransitions,
  workflowErrors,
} from '../contract.ts';
import type { DepositRow, SweepRow, SweepState, WithdrawalRow } from './rows.ts';

const fail = errorsOf(workflowErrors);

export type EventDetails = Readonly<Record<string, string | number | boolean | null>>;
export interface WithdrawalEvent {
  readonly event: string;
  readonly atMs: number;
  readonly details?: EventDetails;
}

/** Columns that may change together with a state. */
type WithdrawalColumns = Partial<{
  decision: string;
  policy_hash: string;
  roster_hash: string;
  batch_id: string | null;
  fee_reserved: boolean;
  fee_round: number;
  txid: string | null;
  fee_units: string;
  nonce: number | null;
  ending: 'REJECTED' | 'EXPIRED' | 'CANCELLED';
  not_before_ms: number;
  queued_at: Date;
}>;

function assignments(columns: WithdrawalColumns, firstParameter: number): { sql: string; values: unknown[] } {
  const entries = Object.entries(columns);
  return {
    sql: entries.map(([column], at) => `, ${column} = $${firstParameter + at}`).join(''),
    values: entries.map(([, value]) => value),
  };
}

async function appendEvent(tx: Queryable, row: WithdrawalRow, event: WithdrawalEvent): Promise<void> {
  await tx.query(
    `INSERT INTO operations.withdrawal_event (withdrawal_id, seq, at_ms, state, event, details)
     VALUES ($1, $2, $3, $4, $5, $6::jsonb)`,
    [row.id, row.version, event.atMs, row.state, event.event, JSON.stringify(event.details ?? {})],
  );
}

async function write(
  tx: Tx,
  row: WithdrawalRow,
  to: WithdrawalState,
  event: WithdrawalEvent,
  columns: WithdrawalColumns,
): Promise<WithdrawalRow> {
  const { sql, values } = assignments(columns, 5);
  const { rows } = await tx.query<WithdrawalRow>(
    `UPDATE operations.withdrawal SET state = $1, version = version + 1${sql}
      WHERE id = $2 AND state = $3 AND version = $4 RETURNING *`,
    [to, row.id, row.state, row.version, ...values],
  );
  const moved = rows[0];
  if (moved === undefined)
    throw fail('WITHDRAWAL_STATE', `${row.id} was no longer ${row.state}, version ${row.version}`, {
      id: row.id,
      expected: row.state,
    });
  await appendEvent(tx, moved, event);
  return moved;
}

/** @throws WITHDRAWAL_STATE when somebody else moved it; CORE_INVARIANT for a change that does not exist */
export async function moveWithdrawal(
  tx: Tx,
  row: WithdrawalRow,
  to: WithdrawalState,
  event: WithdrawalEvent,
  columns: WithdrawalColumns = {},
): Promise<WithdrawalRow> {
  invariant(
    withdrawalTransitions[row.state].includes(to),
    `a withdrawal never goes from ${row.state} to ${to}`,
    { id: row.id },
  );
  return await write(tx, row, to, event, columns);
}

/** An event that leaves the state as it is. @throws WITHDRAWAL_STATE */
export async function noteWithdrawal(
  tx: Tx,
  row: WithdrawalRow,
  event: WithdrawalEvent,
  columns: WithdrawalColumns = {},
): Promise<WithdrawalRow> {
  return await write(tx, row, row.state, event, columns);
}

/** The first event of a row that was just inserted. */
export async function beginWithdrawal(tx: Tx, row: WithdrawalRow, event: WithdrawalEvent): Promise<void> {
  await appendEvent(tx, row, event);
}

export const sweepTransitions: Readonly<Record<SweepState, readonly SweepState[]>> = {
  SIGNING: ['BROADCAST', 'FAILED'],
  BROADCAST: ['CONFIRMED', 'FINAL', 'FAILED'],
  CONFIRMED: ['BROADCAST', 'FINAL', 'FAILED'],
  FINAL: [],
  FAILED: [],
};

/** @throws WITHDRAWAL_STATE when somebody else moved it; CORE_INVARIANT for a change that does not exist */
export async function moveSweep(
  tx: Tx,
  row: SweepRow,
  to: SweepState,
  columns: { readonly txid?: string | null; readonly feeUnits?: string } = {},
): Promise<SweepRow> {
  invariant(sweepTransitions[row.state].includes(to), `a sweep never goes from ${row.state} to ${to}`, {
    id: row.id,
  });
  const { rows } = await tx.query<SweepRow>(
    `UPDATE operations.sweep SET state = $1, version = version + 1,
        txid = coalesce($5, txid), fee_units = coalesce($6::numeric, fee_units)
      WHERE id = $2 AND state = $3 AND version = $4 RETURNING *`,
    [to, row.id, row.state, row.version, columns.txid ?? null, columns.feeUnits ?? null],
  );
  const moved = rows[0];
  if (moved === undefined) throw fail('WITHDRAWAL_STATE', `${row.id} was no longer ${row.state}`);
  return moved;
}

export const depositTransitions: Readonly<Record<DepositState, readonly DepositState[]>> = {
  SEEN: ['FINAL', 'ORPHANED'],
  FINAL: ['ORPHANED_AFTER_FINAL'],
  // The same transaction may be mined again in another block.
  ORPHANED: ['SEEN'],
  ORPHANED_AFTER_FINAL: [],
};

export interface Sighting {
  readonly height: number;
  readonly hash: string;
  readonly timeMs: number;
}

/** @throws WITHDRAWAL_STATE when somebody else moved it; CORE_INVARIANT for a change that does not exist */
export async function moveDeposit(
  tx: Tx,
  row: DepositRow,
  to: DepositState,
  seenAgain?: Sighting,
): Promise<DepositRow> {
  invariant(depositTransitions[row.state].includes(to), `a deposit never goes from ${row.state} to ${to}`, {
    id: row.id,
  });
  const { rows } = await tx.query<DepositRow>(
    `UPDATE operations.deposit SET state = $1, version = version + 1,
        sighting = sighting + $5, block_height = coalesce($6::bigint, block_height),
        block_hash = coalesce($7, block_hash), block_at_ms = coalesce($8::bigint, block_at_ms)
      WHERE id = $2 AND state = $3 AND version = $4 RETURNING *`,
    [
      to,
      row.id,
      row.state,
      row.version,
      seenAgain === undefined ? 0 : 1,
      seenAgain?.height ?? null,
      seenAgain?.hash ?? null,
      seenAgain?.timeMs ?? null,
    ],
  );
  const moved = rows[0];
  if (moved === undefined) throw fail('WITHDRAWAL_STATE', `${row.id} was no longer ${row.state}`);
  return moved;
}
