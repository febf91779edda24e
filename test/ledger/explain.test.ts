/** One movement explained: what belongs to it, and a way to the head that breaks wherever somebody changed something. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Id } from '#core/ids';
import { openPool, type Pool } from '#infra/db';
import { createAdjustments, createLedger, explain, exportHead, type Ledger, openHeadKey } from '#ledger';
import { chainHot, customerMain, houseSuspense, type TransferCommand } from '#ledger/contract';
import { hashPath } from '../../ledger/hash-path.ts';
import { makeHeadKey } from '../../ledger/head-key.ts';
import { registerPath } from '../../ledger/register-path.ts';
import { closeFixtures, temporaryFolder } from '../signer/fixture.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import {
  accountOf,
  eth,
  ether,
  freshId,
  pending,
  post,
  postPending,
  voidPending,
  walletOf,
} from './fixture.ts';

const hot = chainHot(walletOf('explained'));
const alice = customerMain(accountOf('explained alice'));
const bob = customerMain(accountOf('explained bob'));
let pool: Pool;
let ledger: Ledger;
let superuser: pg.Client;
let publicKey = '';
/** Batch 1, of several transfers; a signed head stands at batch 3. */
const [first, second] = [post(hot, alice, 100n), post(hot, bob, 50n, { reference: 'a|b' })];

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-explain' });
  superuser = await superuserOf(connectionString);
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice, bob, houseSuspense].map((path) => ({ path, asset: ether })),
  );
  await ledger.apply([first, second]);
  await ledger.apply([post(alice, bob, 1n, { at: 1_700_000_000_000 })]);
  await ledger.apply([post(alice, bob, 200n, { balancing: 'debit' })]);
  const file = join(temporaryFolder(), 'ledger.pem');
  writeFileSync(file, makeHeadKey(), { mode: 0o600 });
  const key = openHeadKey(file);
  ({ publicKey } = key);
  const nobody = { publish: () => Promise.resolve([]), read: () => Promise.resolve([]) };
  await exportHead({ pool, key, witnesses: nobody, clock: { nowMs: () => 1_790_000_000_000 } });
  await ledger.apply([post(bob, alice, 20n)]);
  // An account that the first batches do not know.
  await ledger.openAccounts(pool, [{ path: customerMain(accountOf('late')), asset: ether }]);
  await ledger.apply([post(bob, alice, 3n)]);
});
afterAll(async () => {
  await pool.end();
  await closeFixtures();
});

const only = async (id: Id<'tr'>) => {
  const [explained, ...more] = await explain(pool, { id });
  expect(more).toEqual([]);
  return explained;
};
const headNo = async (): Promise<bigint> => {
  const { rows } = await pool.query<{ batch_no: string }>('SELECT batch_no FROM ledger.head');
  return BigInt(rows[0]?.batch_no ?? 0);
};

describe('what belongs to it', () => {
  test('a hold and what became of it', async () => {
    const [open, brief, paid, released] = [1n, 2n, 3n, 4n].map((units) =>
      pending(alice, hot, units, units < 3n ? { timeoutMs: units === 2n ? 1 : 60_000 } : {}),
    ) as [TransferCommand, TransferCommand, TransferCommand, TransferCommand];
    await ledger.apply([open, brief, paid, released]);
    const [payment, release] = [postPending(paid.id, 2n), voidPending(released.id)];
    await ledger.apply([payment, release]);
    await expect.poll(async () => await ledger.expireDue()).toBe(1);
    const opened = await only(open.id);
    expect(opened?.hold).toEqual({
      state: 'pending',
      expiresMs: (opened?.transfer.recordedMs ?? 0) + 60_000,
    });
    expect((await only(brief.id))?.hold).toMatchObject({
      state: 'expired',
      resolvedBy: { kind: 'expire-pending', pendingId: brief.id },
    });
    expect((await only(paid.id))?.hold).toMatchObject({
      state: 'posted',
      resolvedBy: { id: payment.id, amount: { units: 2n } },
    });
    expect((await only(released.id))?.hold).toMatchObject({
      state: 'voided',
      resolvedBy: { id: release.id },
    });
    const resolved = await only(payment.id);
    expect(resolved).toMatchObject({ resolves: { id: paid.id, amount: { units: 3n } } });
    expect(resolved).not.toHaveProperty('hold');
  });

  test('an adjustment: why and who; and at what it corrects', async () => {
    const adjustments = createAdjustments(pool, ledger.applyOrThrow);
    const content = {
      proposedBy: 'ana',
      reason: 'booked to the wrong customer',
      corrects: second.id,
      legs: [{ debit: bob, credit: houseSuspense, amount: eth(5n) }],
    };
    const { id } = await adjustments.propose(content, { signed: 'a' });
    expect((await only(second.id))?.correctedBy).toMatchObject([{ id, booked: false, approvals: [] }]);
    await adjustments.approve(id, { person: 'ben', evidence: { signed: 'b' } });
    const [booked] = await explain(pool, { reference: id });
    expect(booked).toMatchObject({
      transfer: { code: 'adjustment', debit: bob },
      adjustment: { ...content, id, booked: true, approvals: [{ person: 'ben' }] },
    });
    expect((await only(second.id))?.correctedBy).toMatchObject([
      { id, reason: content.reason, booked: true },
    ]);
  });

  test('nothing of what is not there', async () => {
    await expect(explain(pool, { id: freshId() })).rejects.toMatchObject({ code: 'LEDGER_TRANSFER_UNKNOWN' });
    await expect(explain(pool, { reference: 'x'.repeat(9_999) })).rejects.toMatchObject({
      code: 'LEDGER_TRANSFER_UNKNOWN',
    });
  });
});

describe('the way to the head', () => {
  test('from every batch, of whatever kind its transfers are', async () => {
    const head = await headNo();
    for (let batch = 1n; batch <= head; batch++) {
      const path = await hashPath(pool, batch);
      expect(path).toMatchObject({ batch, problems: [] });
      expect(BigInt(path.links)).toBe(head - batch);
      expect(path.upTo).toMatchObject({ batch: head, isHead: true });
      const { rows } = await pool.query<{ hash: string }>(
        `SELECT 'sha256:' || encode(hash, 'hex') AS hash FROM ledger.batch WHERE no = $1`,
        [batch],
      );
      expect(path.hash).toBe(rows[0]?.hash);
    }
  });

  test('the first head signed after it, and none after the last', async () => {
    expect((await hashPath(pool, 1n, { publicKey })).signedHead).toEqual({
      batch: 3n,
      signedMs: 1_790_000_000_000,
    });
    expect((await hashPath(pool, 3n, { publicKey })).signedHead).toMatchObject({ batch: 3n });
    expect(await hashPath(pool, 4n, { publicKey })).not.toHaveProperty('signedHead');
    expect(await hashPath(pool, 1n)).not.toHaveProperty('signedHead');
  });

  test('no further than one question may go, and it says so', async () => {
    const path = await hashPath(pool, 1n, { publicKey, batchesMax: 2 });
    expect(path).toMatchObject({ links: 1, upTo: { batch: 2n, isHead: false }, problems: [] });
    expect(path).not.toHaveProperty('signedHead');
    expect(await registerPath(pool, { from: 1n, to: 4n }, 2)).toEqual({
      from: 1n,
      to: 2n,
      isComplete: false,
      problems: [],
    });
  });

  test('the names of its accounts, up to those its batch knew', async () => {
    expect((await only(first.id))?.names).toEqual({ from: 1n, to: 4n, isComplete: true, problems: [] });
    expect(await registerPath(pool, { from: 3n, to: 5n })).toMatchObject({ isComplete: true, problems: [] });
  });

  const swapNames = `UPDATE ledger.account AS a SET path = o.path FROM ledger.account AS o WHERE a.id + o.id = 5 AND a.id IN (2, 3)`;
  test.each<[string, string, RegExp]>([
    ['an amount', 'UPDATE ledger.transfer SET amount = 101 WHERE seq = 1', /transfers of batch 1 are not/],
    ['a side', 'UPDATE ledger.transfer SET credit_account = 3 WHERE seq = 1', /transfers of batch 1 are not/],
    [
      'a reference',
      `UPDATE ledger.transfer SET reference = 'a' WHERE seq = 2`,
      /transfers of batch 1 are not/,
    ],
    [
      'a time',
      'UPDATE ledger.batch SET recorded_ms = recorded_ms - 1 WHERE no = 1',
      /hash of batch 1 is not/,
    ],
    ['a hash', `UPDATE ledger.batch SET hash = sha256('x') WHERE no = 2`, /hash of batch 2 is not/],
    [
      'a link',
      `UPDATE ledger.batch SET prev_hash = sha256('x') WHERE no = 4`,
      /batch 4 does not continue batch 3/,
    ],
    [
      'the start',
      `UPDATE ledger.batch SET prev_hash = sha256('x') WHERE no = 1`,
      /batch 1 does not start the chain/,
    ],
    ['a batch taken out', 'DELETE FROM ledger.batch WHERE no = 2', /batch 3 does not continue batch 1/],
    ['the newest taken off', 'DELETE FROM ledger.batch WHERE no > 4', /batches after 4 are missing/],
    ['the head', `UPDATE ledger.head SET hash = sha256('x')`, /the head is not the newest batch/],
    ['the names of two accounts', swapNames, /name of account 2/],
    [
      'an account taken out',
      'DELETE FROM ledger.account WHERE id = 4',
      /accounts after 3 are missing|hash of batch/,
    ],
  ])('%s changed is named', async (_what, statement, problem) => {
    await superuser.query('BEGIN');
    try {
      await superuser.query("SET LOCAL session_replication_role = 'replica'"); // no triggers
      if (statement === swapNames)
        await superuser.query('ALTER TABLE ledger.account DROP CONSTRAINT account_path_asset_key');
      await superuser.query(statement);
      const [explained] = await explain(superuser, { id: first.id });
      expect([...(explained?.path.problems ?? []), ...(explained?.names.problems ?? [])].join('\n')).toMatch(
        problem,
      );
    } finally {
      await superuser.query('ROLLBACK');
    }
  });

  test('a chain that was computed anew is not the one whose head was signed', async () => {
    await superuser.query('BEGIN');
    try {
      await superuser.query("SET LOCAL session_replication_role = 'replica'");
      await superuser.query(`UPDATE ledger.batch SET recorded_ms = recorded_ms + 1`);
      await superuser.query(`DO $$ DECLARE n bigint; BEGIN
        FOR n IN SELECT no FROM ledger.batch ORDER BY no LOOP
          UPDATE ledger.batch SET prev_hash = (SELECT hash FROM ledger.batch WHERE no = n - 1) WHERE no = n AND n > 1;
          UPDATE ledger.batch AS b SET hash = ledger.batch_hash(b.prev_hash, b.no, b.first_seq, b.last_seq, b.recorded_ms,
            b.accounts, (SELECT a.hash FROM ledger.account AS a WHERE a.id = b.accounts), b.rows_hash) WHERE b.no = n;
        END LOOP;
        UPDATE ledger.head SET hash = (SELECT hash FROM ledger.batch ORDER BY no DESC LIMIT 1);
      END $$`);
      expect((await hashPath(superuser, 1n)).problems).toEqual([]);
      expect((await hashPath(superuser, 1n, { publicKey })).problems).toEqual([
        'batch 3 is not the one whose head was signed',
      ]);
    } finally {
      await superuser.query('ROLLBACK');
    }
  });
});
