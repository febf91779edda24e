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
/** `<chain>/<txid>/<index>`, as `inflows.ts` names them. */
const inflowSql = `SELECT json_build_object('type', 'inflow', 'chain', f.chain, 'txId', f.txid, 'index', f.index,
    'walletId', f.wallet_id, 'asset', f.asset, 'sender', f.sender, 'units', f.units::text, 'state', f.state,
    'blockHeight', f.block_height, 'blockHash', f.block_hash, 'declared', f.declared_at IS NOT NULL) AS origin
  FROM operations.inflow AS f WHERE f.chain = $1 AND f.txid = $2 AND f.index = $3::int`;

function questionOf(reference: string): { readonly sql: string; readonly values: string[] } | undefined {
  const [, prefix = ''] = /^(wd|dep|swp)_/.exec(reference) ?? [];
  if (prefix in originSql) return { sql: originSql[prefix as keyof typeof originSql], values: [reference] };
  const [, chain, txId, index] = /^([^/]+)\/([^/]+)\/([0-9]{1,9})$/.exec(reference) ?? [];
  return chain === undefined || txId === undefined || index === undefined
    ? undefined
    : { sql: inflowSql, values: [chain, txId, index] };
}

/** `undefined` where nothing is known of it, where the database holds a ledger only, or its user may see no more than that. */
export async function movementOrigin(
  db: Queryable,
  reference: string,
): Promise<Record<string, unknown> | undefined> {
  const question = questionOf(reference);
  if (question === undefined) return undefined;
  const { rows: tables } = await db.query<{ readable: boolean }>(
    `SELECT bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')) AS readable
       FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
      WHERE n.nspname = 'operations' AND c.relname IN ('withdrawal', 'intent', 'approval', 'deposit', 'sweep', 'inflow')`,
  );
  if (tables[0]?.readable !== true) return undefined;
  const { rows } = await db.query<{ origin: Record<string, unknown> }>(question.sql, question.values);
  return rows[0]?.origin;
}
