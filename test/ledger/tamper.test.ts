import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, customerMain } from '#ledger/contract';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import { accountOf, ether, pending, post, postPending, voidPending, walletOf } from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
let superuser: pg.Client;
const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const bob = customerMain(accountOf('bob'));

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-ledger' });
  ledger = createLedger({ pool });
  superuser = await superuserOf(connectionString);
  await ledger.openAccounts(
    pool,
    [hot, alice, bob].map((path) => ({ path, asset: ether })),
  );
  const [open, paid, released] = [1n, 2n, 3n].map((units) => pending(alice, hot, units));
  if (open === undefined || paid === undefined || released === undefined) throw new Error('three holds');
  await ledger.apply([post(hot, alice, 100n), post(hot, bob, 100n)]);
  await ledger.apply([post(alice, bob, 30n), open, paid, released]);
  await ledger.apply([postPending(paid.id, 1n), voidPending(released.id)]);
  await ledger.apply([post(bob, alice, 7n)]);
});
afterAll(async () => {
  await pool.end();
});

describe('append-only', () => {
  test.each(['transfer', 'transfer_p0', 'transfer_id', 'batch'])('%s refuses change', async (table) => {
    const column = table === 'batch' ? 'no' : 'seq';
    for (const statement of [
      `UPDATE ledger.${table} SET ${column} = ${column} + 1000`,
      `DELETE FROM ledger.${table}`,
      `TRUNCATE ledger.${table}`,
    ]) {
      await expect(pool.query(statement)).rejects.toMatchObject({ code: '42501' }); // the suite may not
      await expect(superuser.query(statement)).rejects.toMatchObject({ code: 'LG001' }); // nobody may
    }
  });

  test('accounts keep their names, and balances change in pairs and above their floors', async () => {
    const refused = async (statement: string, code: string): Promise<void> => {
      await expect(superuser.query(statement)).rejects.toMatchObject({ code });
    };
    await refused(`UPDATE ledger.account SET path = path`, 'LG001');
    await refused('DELETE FROM ledger.account', 'LG001');
    for (const column of ['account', 'asset_no', 'floor'])
      await refused(`UPDATE ledger.balance SET ${column} = ${column}`, 'LG001');
    await refused('DELETE FROM ledger.balance', 'LG001');
    // hot, alice and bob are the accounts 1, 2 and 3.
    await refused('UPDATE ledger.balance SET credits_posted = credits_posted + 1 WHERE account = 3', 'LG002');
    await refused(
      `UPDATE ledger.balance SET debits_posted = debits_posted + CASE account WHEN 2 THEN 500 ELSE 0 END,
         credits_posted = credits_posted + CASE account WHEN 1 THEN 500 ELSE 0 END`,
      '23514',
    );
    await refused('UPDATE ledger.balance SET closed = true WHERE account = 2', '23514');
  });

  test('a batch outside the limits is refused in SQL too', async () => {
    const call = (reference: string, size: number) =>
      pool.query(
        `SELECT * FROM ledger.apply_batch(NULL, NULL, '{}', array_fill(gen_random_uuid(), ARRAY[$1::int]), NULL, NULL, NULL, NULL,
           NULL, NULL, NULL, NULL, array_fill($2::text, ARRAY[$1::int]), NULL, NULL, NULL)`,
        [size, reference],
      );
    await expect(call('x', 0)).rejects.toMatchObject({ code: 'LG003' });
    await expect(call('x', 8001)).rejects.toMatchObject({ code: 'LG003' });
    await expect(call('a\nb', 1)).rejects.toMatchObject({ code: 'LG003' });
  });
});

/** Someone who got past every guard. */
async function tamper(statement: string): Promise<void> {
  await superuser.query("SET session_replication_role = 'replica'"); // no triggers
  await superuser.query(statement);
  await superuser.query("SET session_replication_role = 'origin'");
}

describe('verify finds', () => {
  beforeEach(async () => {
    expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
    await superuser.query('BEGIN');
  });
  const inTransfer = (change: string, where: string) => `UPDATE ledger.transfer SET ${change} WHERE ${where}`;
  const random = randomBytes(32).toString('hex');
  const cases: [string, string, { check: string; place?: string }[]][] = [
    [
      'a changed amount',
      inTransfer('amount = amount + 1', 'seq = 3'),
      [{ check: 'batch', place: 'batch 2' }, { check: 'balance' }],
    ],
    ['a changed reference', inTransfer("reference = 'x'", 'seq = 1'), [{ check: 'batch', place: 'batch 1' }]],
    [
      'a changed leg',
      inTransfer('debit_account = 1', 'seq = 9'),
      [{ check: 'batch', place: 'batch 4' }, { check: 'balance' }],
    ],
    [
      'a removed transfer',
      'DELETE FROM ledger.transfer WHERE seq = 9',
      [{ check: 'batch', place: 'batch 4' }, { check: 'idempotency' }],
    ],
    [
      'two transfers in the other order',
      `${inTransfer('seq = 1000, debit_before = 0, credit_before = 0', 'seq = 1')}; ${inTransfer('seq = 1, debit_before = 0, credit_before = 0', 'seq = 2')};
       ${inTransfer('seq = 2', 'seq = 1000')}`,
      [{ check: 'batch', place: 'batch 1' }, { check: 'idempotency' }],
    ],
    [
      'an added transfer',
      `INSERT INTO ledger.transfer (seq, id, kind, debit_account, credit_account, amount, code, reference, debit_before, credit_before)
       SELECT 99, gen_random_uuid(), kind, debit_account, credit_account, amount, code, reference, 0, 0 FROM ledger.transfer WHERE seq = 1`,
      [{ check: 'journal' }, { check: 'balance' }, { check: 'idempotency' }],
    ],
    [
      'a removed last batch',
      'DELETE FROM ledger.batch WHERE no = 4',
      [{ check: 'chain', place: 'head' }, { check: 'journal' }],
    ],
    [
      'a removed batch',
      'DELETE FROM ledger.batch WHERE no = 2',
      [{ check: 'chain', place: 'batch 3' }, { check: 'journal' }],
    ],
    [
      'a changed batch',
      'UPDATE ledger.batch SET recorded_ms = 0 WHERE no = 3',
      [{ check: 'chain', place: 'batch 3' }],
    ],
    [
      'a changed hash',
      `UPDATE ledger.batch SET hash = '\\x${random}' WHERE no = 2`,
      [
        { check: 'chain', place: 'batch 2' },
        { check: 'chain', place: 'batch 3' },
      ],
    ],
    ['a moved head', `UPDATE ledger.head SET hash = '\\x${random}'`, [{ check: 'chain', place: 'head' }]],
    [
      'invented money',
      'UPDATE ledger.balance SET credits_posted = credits_posted + 5 WHERE account = 3',
      [
        { check: 'balance', place: `${bob} ${ether}` },
        { check: 'zero-sum', place: ether },
      ],
    ],
    [
      'a renamed account',
      `UPDATE ledger.account SET path = '${customerMain(accountOf('eve'))}' WHERE path = '${alice}'`,
      [{ check: 'register', place: 'account 2' }],
    ],
    ['a forgotten id', 'DELETE FROM ledger.transfer_id WHERE seq = 5', [{ check: 'idempotency' }]],
    [
      'a hold opened again',
      "UPDATE ledger.pending SET state = 'pending', resolved_by = NULL WHERE state = 'voided'",
      [{ check: 'pending' }],
    ],
    [
      'a hold made smaller',
      "UPDATE ledger.pending SET amount = 1 WHERE state = 'posted'",
      [{ check: 'pending' }],
    ],
  ];
  test.each(cases)('%s', async (_what, statement, expected) => {
    try {
      await tamper(statement);
      const { ok, problems } = await ledger.verify(superuser as unknown as Pool);
      expect(ok).toBe(false);
      for (const problem of expected) expect(problems).toContainEqual(expect.objectContaining(problem));
    } finally {
      await superuser.query('ROLLBACK');
    }
  });
});
