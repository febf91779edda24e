/** What stands behind a reference of the journal: the withdrawal, deposit or sweep, its intent and who decided. */
import type { Queryable } from '#infra/db';

/** One row as a JSON document per kind of event; amounts are text. */
const originSql = {
  wd: `SELECT json_build_object('type', 'withdrawal', 'id', w.id, 'accountId', w.account_id, 'asset', w.asset,
      'address', w.address, 'units', w.units::text, 'state', w.state, 'txId', w.txid, 'batchId', w.batch_id,
      'intentId', w.intent_id, 'intentHash', i.hash, 'intent', i.canonical::json, 'initiatorKey', i.key_id,
      'decision', w.decision, 'policyHash', w.policy_hash, 'rosterHash', w.roster_hash,
      'approvals', (SELECT coalesce(json_agg(json_build_object('approver', a.approver, 'group', a.group_name,
          'decision', a.decision, 'policyHash', a.policy_hash, 'rosterHash', a.roster_hash) ORDER BY a.created_at, a.id), '[]')
        FROM operations.approval AS a WHERE a.withdrawal_id = w.id)) AS origin
    FROM operations.withdrawal AS w JOIN operations.intent AS i ON i.id = w.intent_id WHERE w.id = $1`,
  dep: `SELECT json_build_object('type', 'deposit', 'id', d.id, 'accountId', d.account_id, 'asset', d.asset,
      'address', d.address, 'units', d.units::text, 'state', d.state, 'chain', d.chain, 'txId', d.txid, 'index', d.index,
      'blockHeight', d.block_height, 'blockHash', d.block_hash) AS origin
    FROM operations.deposit AS d WHERE d.id = $1`,
  swp: `SELECT json_build_object('type', 'sweep', 'id', s.id, 'walletId', s.wallet_id, 'asset', s.asset,
      'address', s.address, 'units', s.units::text, 'state', s.state, 'txId', s.txid,
      'intentId', s.intent_id, 'intentHash', i.hash, 'intent', i.canonical::json, 'initiatorKey', i.key_id) AS origin
    FROM operations.sweep AS s JOIN operations.intent AS i ON i.id = s.intent_id WHERE s.id = $1`,
} as const;

const isKnown = (prefix: string): prefix is keyof typeof originSql => prefix in originSql;

/** `undefined` where nothing is known of it, or the database holds a ledger only. */
export async function movementOrigin(
  db: Queryable,
  reference: string,
): Promise<Record<string, unknown> | undefined> {
  const prefix = reference.slice(0, reference.indexOf('_'));
  if (!isKnown(prefix)) return undefined;
  const present = await db.query<{ found: boolean }>(
    `SELECT to_regclass('operations.withdrawal') IS NOT NULL AS found`,
  );
  if (present.rows[0]?.found !== true) return undefined;
  const { rows } = await db.query<{ origin: Record<string, unknown> }>(originSql[prefix], [reference]);
  return rows[0]?.origin;
}
