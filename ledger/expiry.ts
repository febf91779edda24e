/** Ends the holds whose timeout has passed. */
import type { Id } from '#core/ids';
import type { Queryable } from '#infra/db';
import { transferIdOf } from './journal.ts';
import type { ExpirePendingCommand } from './transfers.ts';

/**
 * Commands for the holds that are due by the clock of the database, those longest due first; at most `limit`. The index finds
 * them however many are not due: hence a time that stands still within the statement, as a bigint.
 */
export async function dueExpiries(queryable: Queryable, limit: number): Promise<ExpirePendingCommand[]> {
  const { rows } = await queryable.query<{ id: string; reference: string }>(
    `SELECT p.id, t.reference
       FROM ledger.pending AS p
       JOIN ledger.transfer_id AS i ON i.id = p.id
       JOIN ledger.transfer AS t ON t.seq = i.seq
      WHERE p.state = 'pending' AND p.expires_ms <= floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint
      ORDER BY p.expires_ms LIMIT $1`,
    [limit],
  );
  return rows.map(({ id, reference }) => {
    const pendingId: Id<'tr'> = `tr_${id}`;
    return {
      id: transferIdOf(pendingId, 'expired'),
      kind: 'expire-pending',
      pendingId,
      code: 'hold-expired',
      reference,
    };
  });
}
