/**
 * Every column of every table of the ledger, taken from the catalogue of the database: changed, removed, added or moved in
 * any row, `verify` finds it and names the place. A new column that nothing covers fails here.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sha256 } from '#core/canonical-json';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger, recompute } from '#ledger';
import { chainHot, customerMain, type LedgerProblem } from '#ledger/contract';
import { readAdjustment } from '../../ledger/adjustments.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import {
  accountOf,
  closeAccount,
  ether,
  expirePending,
  gold,
  pending,
  post,
  postPending,
  proposeAdjustment,
  reopenAccount,
  voidPending,
  walletOf,
} from './fixture.ts';

const ownProof = 'is proven by its signature, not by the journal';
/** Tables that `verify` does not answer for, and why. */
const tablesProvenElsewhere: Readonly<Record<string, string>> = {
  stream:
    'how far others have got: set back, it books nothing twice, because each transfer has its id; set forward, only their source tells',
  exported_head: ownProof,
  liabilities_snapshot: ownProof,
  liabilities_secret: 'a secret: another one makes proofs that do not match the signed root',
  liabilities_subtree: 'each proof is recomputed up to the signed root',
};
/** Columns that can be changed unseen, and why that moves no money. */
const unseen: Readonly<Record<string, string>> = {
  'head.single': 'a constant, there so that the row is the only one',
  'adjustment.proposed_at': 'for display',
  'adjustment.evidence': 'proves itself: a statement signed by a passkey',
  'adjustment_approval.person':
    'any name but the proposer passes; the signed statement in evidence tells who it was',
  'adjustment_approval.approved_at': 'for display',
  'adjustment_approval.evidence': 'proves itself: a statement signed by a passkey',
};
/** Rows that can be added unseen, and why that moves no money. */
const addedUnseen: Readonly<Record<string, string>> = {
  asset: 'no account has it',
  adjustment_approval: 'one more approval of what another had approved, or of nothing',
};

type Row = Readonly<Record<string, unknown>>;
interface Column {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly isKey: boolean;
}
interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
}

let pool: Pool;
let ledger: Ledger;
let superuser: pg.Client;
let tables: readonly Table[];
/** Of each row, by table and key: what a report about it may be called. */
let accounts: readonly { id: number; name: string; asset: string }[];
let batches: readonly { no: number; first_seq: number; last_seq: number }[];

const hot = chainHot(walletOf('w'));
const [alice, bob, carol] = ['alice', 'bob', 'carol'].map((name) => customerMain(accountOf(name))) as [
  ReturnType<typeof customerMain>,
  ReturnType<typeof customerMain>,
  ReturnType<typeof customerMain>,
];

/** Every kind of transfer, hold and account there is. */
async function fillLedger(): Promise<void> {
  await ledger.openAccounts(
    pool,
    [ether, gold].flatMap((asset) => [hot, alice, bob, carol].map((path) => ({ path, asset }))),
  );
  const hold = (units: bigint, timeoutMs?: number) =>
    pending(alice, hot, units, timeoutMs === undefined ? {} : { timeoutMs });
  const [open, timed, paid, released, due] = [
    hold(1n),
    hold(2n, 1e9),
    hold(3n),
    hold(4n, 1e9),
    hold(5n, 1),
  ] as const;
  const corrected = await proposeAdjustment(pool, post(bob, alice, 2n, { code: 'adjustment' }), 'bob');
  for (const commands of [
    [
      post(hot, alice, 100n, { at: 1_700_000_000_000 }),
      post(hot, bob, 100n),
      post(hot, carol, 9n, { asset: gold }),
    ],
    [post(alice, bob, 30n), open, timed, paid, released, due],
    [postPending(paid.id, 1n), voidPending(released.id), post(bob, alice, 1_000n, { balancing: 'debit' })],
    [post(hot, bob, 7n), corrected],
    [closeAccount(carol), closeAccount(bob, gold), reopenAccount(bob, gold)],
  ])
    for (const { status } of await ledger.apply(commands)) expect(status).toBe('ok');
  while ((await ledger.apply([expirePending(due.id)]))[0]?.status !== 'ok') await setTimeout(1);
}

async function readTables(): Promise<readonly Table[]> {
  const { rows } = await superuser.query<{ name: string; columns: Column[] }>(
    `SELECT c.relname AS name, jsonb_agg(jsonb_build_object(
              'name', a.attname, 'type', coalesce(nullif(t.typtype, 'e')::text || ':' || t.typname, 'e'),
              'labels', ARRAY(SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
              'isKey', a.attnum = ANY (k.conkey)) ORDER BY a.attnum) AS columns
       FROM pg_class AS c
       JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       JOIN pg_type AS t ON t.oid = a.atttypid
       JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
      WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      GROUP BY c.relname ORDER BY c.relname`,
  );
  return rows;
}

beforeAll(async () => {
  const connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-ledger-tamper' });
  ledger = createLedger({ pool });
  superuser = await superuserOf(connectionString);
  await fillLedger();
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  expect((await recompute(pool)).problems).toEqual([]);
  tables = await readTables();
  accounts = (
    await superuser.query<{ id: number; name: string; asset: string }>(
      `SELECT id::int, path || ' ' || asset AS name, asset FROM ledger.account`,
    )
  ).rows;
  batches = (
    await superuser.query<{ no: number; first_seq: number; last_seq: number }>(
      'SELECT no::int, first_seq::int, last_seq::int FROM ledger.batch',
    )
  ).rows;
  // Whoever gets past the rights and the triggers gets past the constraints.
  const { rows } = await superuser.query<{ statement: string }>(
    `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS statement FROM pg_constraint
      WHERE connamespace = 'ledger'::regnamespace AND contype IN ('c', 'u', 'f') AND coninhcount = 0`,
  );
  for (const { statement } of rows) await superuser.query(statement);
  await superuser.query("SET session_replication_role = 'replica'");
});
afterAll(async () => {
  await pool.end();
});
beforeEach(async () => {
  await superuser.query('BEGIN');
});
afterEach(async () => {
  await superuser.query('ROLLBACK');
});

async function rowsOf({ name, columns }: Table): Promise<readonly Row[]> {
  const key = columns.filter(({ isKey }) => isKey).map((column) => `t.${column.name}`);
  const { rows } = await superuser.query<{ row: Row }>(
    `SELECT to_jsonb(t) AS row FROM ledger.${name} AS t ORDER BY ${key.join(', ')}`,
  );
  return rows.map(({ row }) => row);
}

/** Puts `rows` in the place of `others`, looks, and takes it back. */
async function problemsAfter(
  table: Table,
  others: readonly Row[],
  rows: readonly Row[],
): Promise<readonly LedgerProblem[]> {
  const key = table.columns.filter(({ isKey }) => isKey).map(({ name }) => name);
  const same = key.map((name) => `t.${name} = o.${name}`).join(' AND ');
  await superuser.query('SAVEPOINT tamper');
  try {
    await superuser.query(
      `DELETE FROM ledger.${table.name} AS t USING jsonb_populate_recordset(NULL::ledger.${table.name}, $1) AS o WHERE ${same}`,
      [JSON.stringify(others)],
    );
    await superuser.query(
      `INSERT INTO ledger.${table.name} OVERRIDING SYSTEM VALUE
         SELECT * FROM jsonb_populate_recordset(NULL::ledger.${table.name}, $1)`,
      [JSON.stringify(rows)],
    );
    return (await ledger.verify(superuser as unknown as Pool)).problems;
  } finally {
    await superuser.query('ROLLBACK TO tamper');
  }
}

/** Values the column of this row could have instead. */
function otherValues({ type, labels, isKey, name }: Column, value: unknown): readonly unknown[] {
  const others = (): readonly unknown[] => {
    if (labels.length > 0) return labels.filter((label) => label !== value);
    if (name === 'state')
      return ['pending', 'posted', 'voided', 'expired'].filter((state) => state !== value);
    switch (type) {
      case 'b:int4':
      case 'b:int8':
      case 'b:numeric':
        return typeof value === 'number' ? [value + (isKey ? 1000 : 1), ...(isKey ? [] : [value - 1])] : [1];
      case 'b:uuid':
        return [randomUUID()];
      case 'b:text':
        return [`${typeof value === 'string' ? value : ''}x`];
      case 'b:char':
        return ['h', 'p', 'n'].filter((floor) => floor !== value);
      case 'b:bool':
        return [value !== true];
      case 'b:bytea':
        return [`\\x${randomBytes(32).toString('hex')}`];
      case 'b:timestamptz':
        return ['2001-02-03T04:05:06Z'];
      case 'b:jsonb':
        return [{ forged: true }];
      default:
        throw new RangeError(`no other value for a ${type}`);
    }
  };
  return others();
}

/** What a report on this row may call it. */
function namesOf(table: string, row: Row): readonly string[] {
  const number = (column: string): number => (typeof row[column] === 'number' ? row[column] : -1);
  const accountId = number(table === 'account' ? 'id' : 'account');
  const account = accounts.find(({ id }) => id === accountId);
  switch (table) {
    case 'asset':
      return [String(row['id']), `asset ${number('no')}`];
    case 'account':
    case 'balance':
      return [
        `account ${accountId}`,
        `account ${accountId + 1}`,
        ...(account === undefined ? [] : [account.name, account.asset]),
      ];
    case 'transfer':
      return [
        String(row['id']),
        ...batches.flatMap(({ no, first_seq, last_seq }) =>
          number('seq') >= first_seq && number('seq') <= last_seq ? [`batch ${no}`] : [],
        ),
      ];
    case 'batch':
      return [`batch ${number('no')}`, `batch ${number('no') + 1}`, 'head'];
    case 'head':
      return ['head'];
    case 'adjustment_approval':
      return [String(row['adjustment'])];
    default:
      return [String(row['id'])];
  }
}

const describeRow = (table: Table, row: Row): string =>
  `${table.name} ${table.columns
    .filter(({ isKey }) => isKey)
    .map(({ name }) => String(row[name]))
    .join(' ')}`;
/** Which of the changes were not found, or not where they are. */
async function notFound(
  table: Table,
  changes: Iterable<{ readonly what: string; readonly from: readonly Row[]; readonly to: readonly Row[] }>,
): Promise<readonly string[]> {
  const missed: string[] = [];
  for (const { what, from, to } of changes) {
    const names = [...from, ...to].flatMap((row) => namesOf(table.name, row));
    const problems = await problemsAfter(table, from, to);
    if (!problems.some(({ place }) => names.some((name) => place === name || place.includes(name))))
      missed.push(`${what}: ${JSON.stringify(problems.map(({ place }) => place))}`);
  }
  return missed;
}
const covered = (): readonly Table[] => tables.filter(({ name }) => !(name in tablesProvenElsewhere));

describe('verify finds', { timeout: 120_000 }, () => {
  test('the lists of exceptions name what there is', () => {
    const names = tables.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(Object.keys(tablesProvenElsewhere)));
    expect(names).toEqual(expect.arrayContaining(Object.keys(addedUnseen)));
    const columns = tables.flatMap((table) => table.columns.map(({ name }) => `${table.name}.${name}`));
    expect(columns).toEqual(expect.arrayContaining(Object.keys(unseen)));
  });

  test('any column changed in any row', async () => {
    for (const table of covered()) {
      const rows = await rowsOf(table);
      expect(rows.length, table.name).toBeGreaterThan(0);
      for (const column of table.columns) {
        const name = `${table.name}.${column.name}`;
        const changes = rows.flatMap((row) =>
          otherValues(column, row[column.name]).map((value) => ({
            what: `${describeRow(table, row)}: ${column.name} from ${JSON.stringify(row[column.name])} to ${JSON.stringify(value)}`,
            from: [row],
            to: [{ ...row, [column.name]: value }],
          })),
        );
        const missed = await notFound(table, changes);
        // What is excused is so for each change, else the excuse is outdated.
        expect(missed, name).toHaveLength(name in unseen ? changes.length : 0);
      }
    }
  });

  test('any value taken away', async () => {
    for (const table of covered()) {
      const rows = await rowsOf(table);
      for (const column of table.columns) {
        if (`${table.name}.${column.name}` in unseen) continue;
        const isNullable = !(await isRequired(table.name, column.name));
        const changes = rows
          .filter((row) => isNullable && row[column.name] !== null)
          .map((row) => ({
            what: `${describeRow(table, row)}: no ${column.name}`,
            from: [row],
            to: [{ ...row, [column.name]: null }],
          }));
        expect(await notFound(table, changes)).toEqual([]);
      }
    }
  });

  test('any row removed', async () => {
    for (const table of covered()) {
      const changes = (await rowsOf(table)).map((row) => ({
        what: describeRow(table, row),
        from: [row],
        to: [],
      }));
      expect(await notFound(table, changes)).toEqual([]);
    }
  });

  test('any row added', async () => {
    for (const table of covered()) {
      const changes = (await rowsOf(table)).map((row) => ({
        what: `a copy of ${describeRow(table, row)}`,
        from: [],
        to: [copyOf(table, row)],
      }));
      const missed = await notFound(table, changes);
      expect(missed, table.name).toHaveLength(table.name in addedUnseen ? changes.length : 0);
    }
  });

  test('a changed reason or leg of an adjustment when it is read, too', async () => {
    const { rows } = await superuser.query<{ content: Sha256 }>('SELECT content FROM ledger.adjustment');
    const content = rows[0]?.content ?? 'sha256:';
    const reading = async () => await readAdjustment(superuser as unknown as Pool, content);
    await expect(reading()).resolves.toMatchObject({ id: content });
    for (const change of ["reason = 'other'", 'amount = amount + 1', "proposed_by = 'eve'"]) {
      await superuser.query('SAVEPOINT tamper');
      await superuser.query(`UPDATE ledger.adjustment SET ${change}`);
      await expect(reading()).rejects.toMatchObject({ code: 'CORE_INVARIANT' });
      await superuser.query('ROLLBACK TO tamper');
    }
  });

  test('any two neighbours with their values exchanged', async () => {
    for (const table of covered()) {
      const rows = await rowsOf(table);
      for (const { name } of table.columns) {
        if (`${table.name}.${name}` in unseen) continue;
        const changes = rows.slice(1).flatMap((row, index) => {
          const before = rows[index];
          if (before === undefined || before[name] === row[name]) return [];
          return [
            {
              what: `${name} of ${describeRow(table, before)} and ${describeRow(table, row)}`,
              from: [before, row],
              to: [
                { ...before, [name]: row[name] },
                { ...row, [name]: before[name] },
              ],
            },
          ];
        });
        expect(await notFound(table, changes)).toEqual([]);
      }
    }
  });
});

async function isRequired(table: string, column: string): Promise<boolean> {
  const { rows } = await superuser.query<{ attnotnull: boolean }>(
    `SELECT attnotnull FROM pg_attribute WHERE attrelid = format('ledger.%I', $1::text)::regclass AND attname = $2`,
    [table, column],
  );
  return rows[0]?.attnotnull ?? true;
}

/** The same row under another key. */
function copyOf(table: Table, row: Row): Row {
  return Object.fromEntries(
    table.columns.map((column) => [
      column.name,
      column.isKey ? otherValues(column, row[column.name])[0] : row[column.name],
    ]),
  );
}
