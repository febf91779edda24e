/** Holds that end by themselves, by the ledger's clock. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, expiriesPerCallMax, type Ledger } from '#ledger';
import { type AccountPath, chainHot, customerMain, type TransferCommand } from '#ledger/contract';
import { applyBatch } from '../../ledger/batch-call.ts';
import { dueExpiries } from '../../ledger/expiry.ts';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountOf,
  atClock,
  ether,
  expirePending,
  pending,
  post,
  postPending,
  voidPending,
  walletOf,
} from './fixture.ts';

const hot = chainHot(walletOf('w'));
/** Far enough that the clock of the database does not get there. */
const dayMs = 86_400_000;
/** For some milliseconds to pass on a busy machine. */
const soon = { timeout: 10_000 };

let pool: Pool;
let ledger: Ledger;
let main: AccountPath;
let customers = 0;
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-expiry' });
  ledger = createLedger({ pool });
  await ledger.openAccounts(pool, [{ path: hot, asset: ether }]);
});
/** A new customer with 100. */
beforeEach(async () => {
  main = customerMain(accountOf(++customers));
  await ledger.openAccounts(pool, [{ path: main, asset: ether }]);
  expect(await statuses(post(hot, main, 100n))).toEqual(['ok']);
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});

async function statuses(...commands: TransferCommand[]): Promise<string[]> {
  return (await ledger.apply(commands)).map(({ status }) => status);
}
async function available(): Promise<bigint | undefined> {
  return (await ledger.balances({ paths: [main] }))[0]?.available;
}
/** Holds of one unit, made and due. */
async function dueHolds(count: number): Promise<TransferCommand[]> {
  const holds = Array.from({ length: count }, () => pending(main, hot, 1n, { timeoutMs: 1 }));
  expect(new Set(await statuses(...holds))).toEqual(new Set(['ok']));
  await expect.poll(async () => (await dueExpiries(pool, count)).length, soon).toBe(count);
  return holds;
}

describe('by the clock of the database', () => {
  test('a hold that is due is only to expire, and gives back what it held', async () => {
    const [hold] = await dueHolds(1);
    const kept = pending(main, hot, 10n, { timeoutMs: dayMs });
    const endless = pending(main, hot, 20n);
    expect(await statuses(kept, endless)).toEqual(['ok', 'ok']);
    // Until the keeper comes it is neither spent nor free.
    expect(await available()).toBe(69n);
    const id = hold?.id ?? 'tr_none';
    expect(await statuses(postPending(id, 1n), voidPending(id))).toEqual([
      'pending-expired',
      'pending-expired',
    ]);
    expect(await ledger.expireDue()).toBe(1);
    expect(await available()).toBe(70n);
    expect(await statuses(postPending(id, 1n), voidPending(id), expirePending(id))).toEqual([
      'pending-expired',
      'pending-expired',
      'pending-expired',
    ]);
    expect(await ledger.expireDue()).toBe(0);
    expect(await statuses(expirePending(kept.id), expirePending(endless.id))).toEqual([
      'pending-not-due',
      'pending-not-due',
    ]);
    expect(await statuses(postPending(kept.id, 10n), voidPending(endless.id))).toEqual(['ok', 'ok']);
    expect(await available()).toBe(90n);
  });

  test('the journal shows the end of a hold under the reference of its beginning', async () => {
    const hold = pending(main, hot, 1n, { timeoutMs: 1, reference: `hold-${customers}` });
    expect(await statuses(hold)).toEqual(['ok']);
    await expect.poll(async () => await ledger.expireDue(), soon).toBe(1);
    expect(await ledger.transfersByReference(hold.reference)).toMatchObject([
      { id: hold.id, kind: 'pending', timeoutMs: 1 },
      { kind: 'expire-pending', code: 'hold-expired', pendingId: hold.id, amount: hold.amount, debit: main },
    ]);
  });

  test('keepers at work at once end each hold once', async () => {
    await dueHolds(60);
    const ended = await Promise.all(
      Array.from({ length: 4 }, () => createLedger({ pool })).map(async (each) => await each.expireDue()),
    );
    expect(ended.reduce((sum, count) => sum + count, 0)).toBe(60);
    expect(await available()).toBe(100n);
  });

  test('a post and the expiry of the same hold: one of them', async () => {
    const holds = Array.from({ length: 40 }, (_, at) => pending(main, hot, 1n, { timeoutMs: 1 + at }));
    expect(new Set(await statuses(...holds))).toEqual(new Set(['ok']));
    const [keeper, payer] = [createLedger({ pool }), createLedger({ pool })];
    let paid = 0;
    let ended = 0;
    await Promise.all([
      (async () => {
        for (const { id } of holds)
          if ((await payer.apply([postPending(id, 1n)]))[0]?.status === 'ok') paid++;
      })(),
      expect
        .poll(async () => {
          ended += await keeper.expireDue();
          return paid + ended;
        }, soon)
        .toBe(holds.length),
    ]);
    expect(await available()).toBe(100n - BigInt(paid));
    expect((await ledger.balances({ paths: [main] }))[0]).toMatchObject({ debitsPending: 0n });
  });

  test('the index finds those that are due, however many are not', async () => {
    let asked: readonly [text: string, values: unknown[]] = ['', []];
    const query = async (text: string, values: unknown[]) => {
      asked = [text, values];
      return await pool.query(text, values);
    };
    await dueExpiries({ query: query as Pool['query'] }, 1);
    const plan = await inTransaction(pool, async (tx) => {
      await tx.query('SET LOCAL enable_seqscan = off');
      return await tx.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${asked[0]}`, asked[1]);
    });
    expect(plan.rows.map((row) => row['QUERY PLAN']).join('\n')).toMatch(
      /pending_due on pending p[^\n]*\n\s+Index Cond: \(expires_ms <= /,
    );
  });

  test('those longest due come first, and no more than asked for', async () => {
    const first = await dueHolds(2);
    const second = await dueHolds(2);
    const due = await dueExpiries(pool, 3);
    expect(due.map(({ pendingId }) => pendingId)).toHaveLength(3);
    expect(new Set(due.slice(0, 2).map(({ pendingId }) => pendingId))).toEqual(
      new Set(first.map(({ id }) => id)),
    );
    expect(second.map(({ id }) => id)).toContain(due[2]?.pendingId);
    expect(await ledger.expireDue()).toBe(4);
    expect(expiriesPerCallMax).toBeLessThanOrEqual(1_000);
  });
});

describe("by the ledger's clock, which is that of its newest batch", () => {
  test('it never goes back, so that what has expired stays so', async () => {
    const { rows } = await pool.query<{ recorded_ms: string }>('SELECT recorded_ms FROM ledger.head');
    const startMs = Number.parseInt(rows[0]?.recorded_ms ?? '0', 10) + 1_000;
    let nowMs = startMs;
    const clocked = atClock(pool, () => nowMs);
    const send = async (...commands: TransferCommand[]) =>
      (await applyBatch(clocked, commands)).map(({ status }) => status);
    const hold = pending(main, hot, 1n, { timeoutMs: 100 });
    expect(await send(hold)).toEqual(['ok']);
    nowMs = startMs + 99;
    expect(await send(expirePending(hold.id))).toEqual(['pending-not-due']);
    nowMs = startMs + 100;
    expect(await send(postPending(hold.id, 1n), expirePending(hold.id))).toEqual(['pending-expired', 'ok']);

    const next = pending(main, hot, 1n, { timeoutMs: 50 });
    nowMs = startMs; // a server whose clock is behind takes over
    expect(await send(next)).toEqual(['ok']);
    nowMs = startMs + 149;
    expect(await send(expirePending(next.id))).toEqual(['pending-not-due']);
    nowMs = startMs + 150;
    expect(await send(voidPending(next.id))).toEqual(['pending-expired']);
    expect(await send(expirePending(next.id))).toEqual(['ok']);
    nowMs = startMs;
    expect(await send(postPending(next.id, 1n))).toEqual(['pending-expired']);
    expect(await available()).toBe(100n);
  });
});
