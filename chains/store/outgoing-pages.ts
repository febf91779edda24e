/** Conflict sets in rounds, for whoever checks all of them again and again without reading all at once. */
import type { ChainId } from '#core/money';
import type { Queryable } from '#infra/db';

export interface OutgoingPage {
  readonly intentIds: readonly string[];
  /** Where the next page starts; '0' when this was the last one. */
  readonly next: string;
}

/**
 * All conflict sets that may still change (at most `openMax`, oldest first), and a page of the ended ones by their id,
 * after `after` ('0' for the first). Released ones are not among them: nothing was ever built for those.
 */
export async function outgoingPage(
  db: Queryable,
  chain: ChainId,
  options: { readonly after: string; readonly limit: number; readonly openMax: number },
): Promise<OutgoingPage> {
  const open = await db.query<{ intent_id: string }>(
    `SELECT intent_id FROM chains.outgoing
      WHERE chain = $1 AND state NOT IN ('final', 'dead', 'released') ORDER BY sender, nonce LIMIT $2`,
    [chain, options.openMax],
  );
  const ended = await db.query<{ id: string; intent_id: string }>(
    `SELECT id, intent_id FROM chains.outgoing
      WHERE chain = $1 AND id > $2 AND state IN ('final', 'dead') ORDER BY id LIMIT $3`,
    [chain, options.after, options.limit],
  );
  return {
    intentIds: [...open.rows, ...ended.rows].map((row) => row.intent_id),
    next: ended.rows.length < options.limit ? '0' : (ended.rows.at(-1)?.id ?? '0'),
  };
}
