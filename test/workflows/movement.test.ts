/** What stands behind a reference of the journal: found for each kind of event, and never a reason to fail. */
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { movementOrigin } from '#workflows';
import { databaseForThisFile, superuserOf } from '../support/database.ts';

const uuid = '0190a000-0000-7000-8000-00000000000';
const ether = 'eip155:31337/slip44:60';
const role = `test_auditor_${randomBytes(6).toString('hex')}`;
let pool: Pool;
let auditor: Pool;
let superuser: pg.Client;

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-movement' });
  superuser = await superuserOf(connectionString);
  await superuser.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  await pool.query(`SELECT ledger.grant_reader('${role}')`);
  const own = new URL(connectionString);
  [own.username, own.password] = [role, 'x'];
  auditor = openPool({ connectionString: own.href, applicationName: 'test-movement-auditor' });
  await pool.query(`
    INSERT INTO operations.customer_account (id) VALUES ('acc_1');
    INSERT INTO operations.intent (id, canonical, hash, key_id, signature) VALUES
      ('int_1', '{"outputs":[]}', 'sha256:a', 'key', 's'), ('int_2', '{"outputs":[1]}', 'sha256:b', 'sweep-key', 's');
    INSERT INTO operations.pinned_document (hash, kind, document) VALUES ('sha256:p', 'policy', '{}'), ('sha256:r', 'roster', '{}');
    INSERT INTO operations.withdrawal (id, account_id, chain, wallet_id, asset, address, units, fee_cap_units, state, intent_id,
        decision, policy_hash, roster_hash, not_after_ms, created_at_ms)
      VALUES ('wd_1', 'acc_1', 'eip155:31337', 'wal_1', '${ether}', '0xab', 1${'0'.repeat(30)}, 1, 'QUEUED', 'int_1',
        '{"effect":"allow"}', 'sha256:p', 'sha256:r', 2, 1);
    INSERT INTO operations.approval (id, withdrawal_id, approver, group_name, decision, document, policy_hash, roster_hash, evidence)
      VALUES ('apr_1', 'wd_1', 'ana', 'treasury', 'approve', '{}', 'sha256:p', 'sha256:r', '{}');
    INSERT INTO operations.deposit (id, chain, txid, index, wallet_id, account_id, asset, address, path, units, state,
        block_height, block_hash, block_at_ms)
      VALUES ('dep_1', 'eip155:31337', '0x01', 3, 'wal_1', 'acc_1', '${ether}', '0xcd', 'm/0/1', 5, 'FINAL', 7, '0xb', 1);
    INSERT INTO operations.sweep (id, chain, wallet_id, asset, address, path, units, fee_cap_units, state, intent_id, created_at_ms)
      VALUES ('swp_1', 'eip155:31337', 'wal_1', '${ether}', '0xcd', 'm/0/1', 5, 1, 'FINAL', 'int_2', 1);
    INSERT INTO operations.inflow (chain, txid, index, wallet_id, asset, sender, units, state, block_height, block_hash, block_at_ms)
      VALUES ('eip155:31337', '0x02', 1, 'wal_1', '${ether}', '0xef', 8, 'FINAL', 9, '0xc', 1);`);
});
afterAll(async () => {
  await Promise.all([pool.end(), auditor.end()]);
  await superuser.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
});

test('a withdrawal with its intent, its decision and who approved it; amounts stay exact', async () => {
  expect(await movementOrigin(pool, 'wd_1')).toMatchObject({
    type: 'withdrawal',
    units: `1${'0'.repeat(30)}`,
    intentHash: 'sha256:a',
    intent: { outputs: [] },
    initiatorKey: 'key',
    decision: { effect: 'allow' },
    policyHash: 'sha256:p',
    approvals: [{ approver: 'ana', group: 'treasury', decision: 'approve', rosterHash: 'sha256:r' }],
  });
});

test('a deposit with its block, a sweep with its intent, an inflow with its sender', async () => {
  expect(await movementOrigin(pool, 'dep_1')).toMatchObject({
    type: 'deposit',
    txId: '0x01',
    index: 3,
    blockHash: '0xb',
  });
  expect(await movementOrigin(pool, 'swp_1')).toMatchObject({
    type: 'sweep',
    intentHash: 'sha256:b',
    intent: { outputs: [1] },
  });
  expect(await movementOrigin(pool, 'eip155:31337/0x02/1')).toMatchObject({
    type: 'inflow',
    sender: '0xef',
    units: '8',
    declared: false,
  });
});

test.each([
  'nothing',
  'wd',
  'wdx',
  `wd_${uuid}1`,
  'toString_1',
  'constructor_',
  'eip155:31337/0x02/2',
  'eip155:31337/0x02/99999999999',
  'a/b/c',
  "wd_'; DROP TABLE x",
])('of %s nothing is known', async (reference) => {
  expect(await movementOrigin(pool, reference)).toBeUndefined();
});

test('a user who may read the ledger only is told what the ledger knows, and no error', async () => {
  for (const reference of ['wd_1', 'dep_1', 'eip155:31337/0x02/1'])
    expect(await movementOrigin(auditor, reference)).toBeUndefined();
});
