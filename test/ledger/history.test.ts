/** The past, against balances that were noted when they were the present. */
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { balanceAt, createLedger, type Ledger } from '#ledger';
import { type AccountRef, chainHot, customerMain } from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { askForServer } from '../support/servers.ts';
import { accountOf, ether, gold, post, walletOf } from './fixture.ts';
import { freshAccounts, makePast, stepArbitrary } from './past.ts';

let pool: Pool;
let ledger: Ledger;
let connectionString = '';
beforeAll(async () => {
  connectionString = await databaseForThisFile();
  pool = openPool({ connectionString, applicationName: 'test-history' });
  ledger = createLedger({ pool });
});
afterAll(async () => {
  await pool.end();
});

/** Undoing transfers, and reading the journal forwards or backwards, whichever end is nearer. */
const ways = [{}, { stepsMax: 0 }, { stepsMax: 3 }] as const;

test('the balance after every batch is what it was then, however it is found', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(stepArbitrary, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 6 }),
      async (batches) => {
        const { refs, noted } = await makePast({ pool, ledger }, freshAccounts(), batches);
        for (const { batch, balances } of noted)
          for (const account of refs)
            for (const limits of ways) {
              const { lastSeq, recordedMs, ...then } = await balanceAt(pool, {
                account,
                asOf: { batch },
                limits,
              });
              expect(then).toEqual({ ...balances.find(({ path }) => path === account.path), batch });
              expect(recordedMs > 0).toBe(lastSeq > 0n);
            }
      },
    ),
    { numRuns: 25 },
  );
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
});

async function busyAccount(name: string, transfers: number): Promise<AccountRef> {
  const account: AccountRef = { path: customerMain(accountOf(name)), asset: ether };
  const hot = chainHot(walletOf(name));
  await ledger.openAccounts(pool, [account, { path: hot, asset: ether }]);
  for (let n = 0; n < transfers; n++) await ledger.apply([post(hot, account.path, 1n)]);
  return account;
}
const newestBatch = async (): Promise<bigint> => {
  const { rows } = await pool.query<{ no: string }>('SELECT max(no) AS no FROM ledger.batch');
  return BigInt(rows[0]?.no ?? 0);
};

test('a time means the newest batch written by then', async () => {
  const account = await busyAccount('timed', 5);
  const newest = await newestBatch();
  const { rows } = await pool.query<{ no: string; recorded_ms: string }>(
    'SELECT no, recorded_ms FROM ledger.batch ORDER BY no DESC LIMIT 4',
  );
  for (const row of rows) {
    const timeMs = Number.parseInt(row.recorded_ms, 10);
    const at = await balanceAt(pool, { account, asOf: { timeMs } });
    const before = await balanceAt(pool, { account, asOf: { timeMs: timeMs - 1 } });
    expect(at.recordedMs).toBe(timeMs);
    expect(at.balance).toBe(5n - (newest - at.batch));
    expect(before.recordedMs).toBeLessThan(timeMs);
    expect(before.batch).toBeLessThan(at.batch);
  }
  expect(await balanceAt(pool, { account, asOf: { timeMs: Number.MAX_SAFE_INTEGER } })).toMatchObject({
    batch: newest,
  });
  expect(await balanceAt(pool, { account, asOf: { timeMs: 0 } })).toMatchObject({
    batch: 0n,
    balance: 0n,
    recordedMs: 0,
  });
});

test('a busy account long ago is refused before the journal is read, unless more may be read', async () => {
  const account = await busyAccount('busy', 12);
  const batch = (await newestBatch()) - 6n;
  const ask = (limits: { stepsMax: number; rowsMax: number }) =>
    balanceAt(pool, { account, asOf: { batch }, limits });
  expect(await ask({ stepsMax: 6, rowsMax: 0 })).toMatchObject({ balance: 6n });
  await expect(ask({ stepsMax: 5, rowsMax: 5 })).rejects.toMatchObject({
    code: 'LEDGER_HISTORY_LIMITED',
    kind: 'limited',
  });
  expect(await ask({ stepsMax: 5, rowsMax: 6 })).toMatchObject({ balance: 6n });
});

test('what cannot be answered is said', async () => {
  const account = await busyAccount('asked', 1);
  const newest = await newestBatch();
  const codeOf = async (asOf: Parameters<typeof balanceAt>[1]['asOf'], of: AccountRef = account) =>
    await balanceAt(pool, { account: of, asOf }).then(
      () => 'answered',
      (error: unknown) => (error as { code: string }).code,
    );
  expect(await codeOf({ batch: newest })).toBe('answered');
  expect(await codeOf({ batch: newest + 1n })).toBe('LEDGER_BATCH_UNKNOWN');
  expect(await codeOf({ batch: -1n })).toBe('LEDGER_QUESTION_INVALID');
  expect(await codeOf({ batch: 2n ** 63n })).toBe('LEDGER_QUESTION_INVALID');
  for (const timeMs of [-1, 1.5, Number.NaN])
    expect(await codeOf({ timeMs })).toBe('LEDGER_QUESTION_INVALID');
  expect(await codeOf({ batch: newest }, { ...account, asset: gold })).toBe('LEDGER_UNKNOWN_ACCOUNT');
});

test('a journal with a hole says so instead of giving a wrong balance', async () => {
  const account = await busyAccount('tampered', 6);
  const { adminUrl = '' } = await askForServer('cluster');
  const admin = new URL(adminUrl);
  admin.pathname = new URL(connectionString).pathname;
  const superuser = new pg.Client({ connectionString: admin.href });
  await superuser.connect();
  await superuser.query("SET session_replication_role = 'replica'"); // no triggers
  await superuser.query('DELETE FROM ledger.transfer WHERE seq = (SELECT last_seq - 2 FROM ledger.head)');
  await superuser.end();
  const batch = (await newestBatch()) - 5n;
  await expect(balanceAt(pool, { account, asOf: { batch } })).rejects.toMatchObject({
    code: 'LEDGER_JOURNAL_BROKEN',
    kind: 'invariant',
  });
});
