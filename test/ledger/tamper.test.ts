import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { chainHot, customerMain } from '#ledger/contract';
import { hashPath } from '../../ledger/hash-path.ts';
import { recompute } from '../../ledger/recompute.ts';
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
  // The lines of both together are as they were: one row gives both, and the other one, made unreadable, none.
  const hidden = `ALTER TABLE ledger.transfer ALTER reference DROP NOT NULL;
       UPDATE ledger.transfer AS t SET reference = t.reference || E'\\n' || ledger.transfer_line(n.seq, n.id, n.kind, n.debit_account,
           n.credit_account, n.debit_before, n.credit_before, n.amount, n.pending_id, n.code, n.at_ms, n.timeout_ms, n.balancing,
           n.amount_max, n.reference)
         FROM ledger.transfer AS n WHERE t.seq = 1 AND n.seq = 2;
       ${inTransfer('amount = amount + 50, reference = NULL', 'seq = 2')};
       UPDATE ledger.balance SET debits_posted = debits_posted + 50 WHERE account = 1;
       UPDATE ledger.balance SET credits_posted = credits_posted + 50 WHERE account = 3`;
  const cases: [string, string, { check: string; place?: string; problem?: string }[]][] = [
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
      'a transfer hidden in the reference of the one before, and books that agree with another in its place',
      hidden,
      [{ check: 'batch', place: 'batch 1' }],
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
      'an account overdrawn without the rule against it',
      `ALTER TABLE ledger.balance DROP CONSTRAINT balance_floor;
       UPDATE ledger.balance SET debits_posted = debits_posted + 500 WHERE account = 2;
       UPDATE ledger.balance SET credits_posted = credits_posted + 500 WHERE account = 3`,
      [
        {
          check: 'balance',
          place: `${alice} ${ether}`,
          problem: 'is overdrawn, or closed and not empty',
        },
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
  /** What only `verify` answers for: see `recompute`. */
  const leftToVerify = ['a moved head', 'a forgotten id', 'a hold made smaller'];

  test.each(cases)('%s', async (what, statement, expected) => {
    try {
      await tamper(statement);
      const { ok, problems } = await ledger.verify(superuser as unknown as Pool);
      expect(ok).toBe(false);
      for (const problem of expected) expect(problems).toContainEqual(expect.objectContaining(problem));
      const recomputed = await recompute(superuser as unknown as Pool);
      expect(recomputed.problems.length > 0).toBe(!leftToVerify.includes(what));
    } finally {
      await superuser.query('ROLLBACK');
    }
  });

  test('one transfer that reads as two, on the hash path of a transfer too', async () => {
    try {
      expect((await hashPath(superuser as unknown as Pool, 1n)).problems).toEqual([]);
      await tamper(hidden);
      // Number and hash of the rows are as they were.
      const { rows } = await superuser.query(
        `SELECT count(*) = max(b.last_seq) AS as_many, max(b.rows_hash::text) = sha256(convert_to(string_agg(
                  ledger.transfer_line(t.seq, t.id, t.kind, t.debit_account, t.credit_account, t.debit_before, t.credit_before,
                    t.amount, t.pending_id, t.code, t.at_ms, t.timeout_ms, t.balancing, t.amount_max, t.reference), E'\\n'
                  ORDER BY t.seq), 'UTF8'))::text AS same_hash
           FROM ledger.batch AS b JOIN ledger.transfer AS t ON t.seq <= b.last_seq WHERE b.no = 1`,
      );
      expect(rows).toEqual([{ as_many: true, same_hash: true }]);
      expect((await hashPath(superuser as unknown as Pool, 1n)).problems).toEqual([
        'the transfers of batch 1 are not those it was written with',
      ]);
    } finally {
      await superuser.query('ROLLBACK');
    }
  });
});

describe('recomputing', () => {
  const inTampered = async (statement: string, work: () => Promise<void>): Promise<void> => {
    await superuser.query('BEGIN');
    try {
      await tamper(statement);
      await work();
    } finally {
      await superuser.query('ROLLBACK');
    }
  };
  const recomputing = async () => await recompute(superuser as unknown as Pool);
  const problemsNow = async () => (await recomputing()).problems;

  test('gives the head, with nothing of the database but its rows', async () => {
    const { rows } = await pool.query<{ hash: Buffer }>('SELECT hash FROM ledger.head');
    expect(await recomputing()).toEqual({
      problems: [],
      batch: 4n,
      transfers: 9n,
      accounts: 3,
      hash: `sha256:${rows[0]?.hash.toString('hex') ?? ''}`,
    });
  });

  test('finds what an owner hides who replaced the functions that prove the books', async () => {
    const { rows } = await superuser.query<{ replacing: string }>(
      `SELECT format('CREATE OR REPLACE FUNCTION %s(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RETURN; END $f$',
                oid::regproc, pg_get_function_arguments(oid), pg_get_function_result(oid)) AS replacing
         FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace AND proname IN ('verify', 'verify_batches', 'verify_totals')`,
    );
    expect(rows).toHaveLength(3);
    const blinded = rows.map(({ replacing }) => `${replacing};`).join('\n');
    const stolen = `UPDATE ledger.transfer SET amount = amount + 50 WHERE seq = 2;
      UPDATE ledger.balance SET debits_posted = debits_posted + 50 WHERE account = 1;
      UPDATE ledger.balance SET credits_posted = credits_posted + 50 WHERE account = 3`;
    await inTampered(`${blinded} ${stolen}`, async () => {
      expect(await ledger.verify(superuser as unknown as Pool)).toEqual({ ok: true, problems: [] });
      expect(await problemsNow()).toEqual([
        { check: 'batch', place: 'batch 1', problem: 'its transfers are not those it was written with' },
      ]);
    });
  });

  test.each<[string, string, { check: string; place: string }]>([
    [
      'a leg of another asset',
      `UPDATE ledger.account SET asset = 'ledger:gold' WHERE id = 3`,
      { check: 'zero-sum', place: 'transfer' },
    ],
    [
      'an account of a path that is none',
      `UPDATE ledger.account SET path = 'x' WHERE id = 3`,
      { check: 'register', place: 'account 3' },
    ],
    [
      'an account removed',
      'DELETE FROM ledger.account WHERE id = 1',
      { check: 'register', place: 'account 1' },
    ],
    ['a balance removed', 'DELETE FROM ledger.balance WHERE account = 2', { check: 'balance', place: alice }],
    [
      'a balance added',
      `INSERT INTO ledger.balance (account, asset_no, floor) SELECT 77, asset_no, 'n' FROM ledger.balance LIMIT 1`,
      { check: 'balance', place: 'account 77' },
    ],
    [
      'a link of a statement changed',
      'UPDATE ledger.transfer SET debit_before = 0 WHERE seq = 9',
      { check: 'journal', place: 'transfer' },
    ],
    [
      'a hold ended by more than it was',
      'UPDATE ledger.transfer SET amount = 1000 WHERE seq = 7',
      { check: 'pending', place: 'transfer' },
    ],
    [
      'an open hold forgotten',
      "UPDATE ledger.pending SET state = 'voided', resolved_by = id WHERE state = 'pending'",
      { check: 'pending', place: '' },
    ],
    [
      'an account overdrawn on the way',
      'UPDATE ledger.transfer SET amount = 1000 WHERE seq = 3',
      { check: 'balance', place: alice },
    ],
    ['a first batch removed', 'DELETE FROM ledger.batch WHERE no = 1', { check: 'chain', place: 'batch 2' }],
  ])('names %s', async (_what, statement, { check, place }) => {
    await inTampered(statement, async () => {
      expect(await problemsNow()).toContainEqual(
        expect.objectContaining({ check, place: expect.stringContaining(place) as unknown }),
      );
    });
  });
});
