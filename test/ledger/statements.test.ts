/** Statements: every line of an account once, newest first, and the balances that follow from one another. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import {
  balanceAt,
  createLedger,
  type Ledger,
  type StatementLine,
  statementLinesMax,
  statementPage,
} from '#ledger';
import { type AccountRef, chainHot, customerMain } from '#ledger/contract';
import { createCursorKey, statementLines } from '../../ledger/statements.ts';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, ether, gold, pending, post, postPending, walletOf } from './fixture.ts';
import { freshAccounts, makePast, stepArbitrary } from './past.ts';

let pool: Pool;
let ledger: Ledger;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-statements' });
  ledger = createLedger({ pool });
});
afterAll(async () => {
  await pool.end();
});

async function allPages(
  account: AccountRef,
  limit: number,
  keyOf = createCursorKey,
): Promise<StatementLine[]> {
  const lines: StatementLine[] = [];
  let key = keyOf();
  for (let cursor: string | undefined; ; ) {
    const page = await statementPage(
      pool,
      { account, limit, ...(cursor === undefined ? {} : { cursor }) },
      key,
    );
    lines.push(...page.lines);
    if (page.next === undefined) return lines;
    cursor = page.next;
    key = keyOf();
  }
}

/** Seqs of an account's transfers by reading the whole journal. */
async function seqsOf({ path, asset }: AccountRef): Promise<string[]> {
  const { rows } = await pool.query<{ seq: string }>(
    `SELECT t.seq FROM ledger.transfer AS t JOIN ledger.account AS a ON a.id IN (t.debit_account, t.credit_account)
      WHERE a.path = $1 AND a.asset = $2 ORDER BY t.seq DESC`,
    [path, asset],
  );
  return rows.map(({ seq }) => seq);
}

test('pages hold every line once, and each balance is what balanceAt says', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(stepArbitrary, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 5 }),
      async (batches, limit) => {
        const { refs } = await makePast({ pool, ledger }, freshAccounts(), batches);
        const ours = createCursorKey();
        for (const account of refs) {
          const lines = await allPages(account, limit, () => ours);
          expect(lines.map(({ seq }) => seq.toString())).toEqual(await seqsOf(account));
          // Cursors that another process made give the same.
          expect(await allPages(account, limit)).toEqual(lines);
          const streamed: StatementLine[] = [];
          for await (const line of statementLines(pool, account)) streamed.push(line);
          expect(streamed).toEqual(lines);
          for (const [at, line] of lines.entries()) {
            const older = lines[at + 1];
            expect(line.balance - line.change).toBe(older?.balance ?? 0n);
            expect(line.available - line.availableChange).toBe(older?.available ?? 0n);
            if (lines[at - 1]?.batch === line.batch) continue;
            const then = await balanceAt(pool, { account, asOf: { batch: line.batch } });
            expect([line.balance, line.available]).toEqual([then.balance, then.available]);
          }
        }
      },
    ),
    { numRuns: 12 },
  );
});

const hot = chainHot(walletOf('statements'));
async function open(name: string): Promise<AccountRef> {
  const account: AccountRef = { path: customerMain(accountOf(name)), asset: ether };
  await ledger.openAccounts(pool, [account, { path: hot, asset: ether }]);
  return account;
}

test('a hold, its part that was paid, and what both did to the balance', async () => {
  const account = await open('held');
  const hold = pending(account.path, hot, 40n, { reference: 'wd 1'.replace(' ', '_') });
  await ledger.apply([post(hot, account.path, 100n), hold, postPending(hold.id, 25n)]);
  const { lines, next } = await statementPage(pool, { account, limit: 10 });
  expect(next).toBeUndefined();
  expect(
    lines.map((line) => [line.kind, line.side, line.counterAccount, line.change, line.availableChange]),
  ).toEqual([
    ['post-pending', 'debit', hot, -25n, 15n],
    ['pending', 'debit', hot, 0n, -40n],
    ['post', 'credit', hot, 100n, 100n],
  ]);
  expect(lines.map(({ balance, available }) => [balance, available])).toEqual([
    [75n, 75n],
    [100n, 60n],
    [100n, 100n],
  ]);
  expect(lines[1]).toMatchObject({ id: hold.id, reference: 'wd_1', amount: { asset: ether, units: 40n } });
});

test('what is booked meanwhile does not move the pages of a statement that has begun', async () => {
  const account = await open('moving');
  await ledger.apply([1n, 2n, 3n].map((units) => post(hot, account.path, units)));
  const first = await statementPage(pool, { account, limit: 2 });
  await ledger.apply([post(hot, account.path, 1_000n)]);
  const { next: cursor = '' } = first;
  const second = await statementPage(pool, { account, limit: 2, cursor });
  expect([...first.lines, ...second.lines].map(({ change }) => change)).toEqual([3n, 2n, 1n]);
  expect(second.lines[0]?.balance).toBe(1n);
});

test('a cursor is good for its account only, and its sums only from who made them', async () => {
  const [account, other] = [await open('cursor a'), await open('cursor b')];
  for (const { path } of [account, other])
    await ledger.apply([1n, 2n, 3n].map((units) => post(hot, path, units)));
  const { next: cursor = '' } = await statementPage(pool, { account, limit: 1 });
  const ask = async (text: string, of = account) =>
    await statementPage(pool, { account: of, limit: 5, cursor: text });
  const code = 'LEDGER_CURSOR_INVALID';
  await expect(ask(cursor, other)).rejects.toMatchObject({ code });
  for (const text of ['', 'x', `${cursor}x`, cursor.replace('s1', 's2'), cursor.slice(0, -1), '😀'])
    await expect(ask(text)).rejects.toMatchObject({ code });

  const [version, id, seq = '', ...rest] = cursor.split('.');
  const withSeq = (text: bigint): string => [version, id, text, ...rest].join('.');
  // The other account's newest line; beyond the journal; before it.
  for (const wrong of [BigInt(seq) + 2n, 10n ** 20n, 0n])
    await expect(ask(withSeq(wrong))).rejects.toMatchObject({ code });

  const richer = [version, id, seq, '0', '0', '0', '999', rest.at(-1)].join('.');
  expect(richer).not.toBe(cursor);
  expect(await ask(richer)).toEqual(await ask(cursor));
});

test('page sizes and accounts that are none', async () => {
  const account = await open('sizes');
  for (const limit of [0, -1, 1.5, statementLinesMax + 1, Number.NaN])
    await expect(statementPage(pool, { account, limit })).rejects.toMatchObject({
      code: 'LEDGER_QUESTION_INVALID',
    });
  await expect(statementPage(pool, { account: { ...account, asset: gold }, limit: 1 })).rejects.toMatchObject(
    {
      code: 'LEDGER_UNKNOWN_ACCOUNT',
    },
  );
  expect(await statementPage(pool, { account, limit: 1 })).toEqual({ lines: [] });
});
