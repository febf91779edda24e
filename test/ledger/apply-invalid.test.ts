/** What bad input gets: a typed result for the one transfer, and the rest of its batch as documented. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  type AccountPath,
  chainHot,
  commandsPerBatchMax,
  customerMain,
  type MoveCommand,
  suspense,
  type TransferCommand,
} from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountOf,
  closeAccount,
  ether,
  expirePending,
  freshId,
  gold,
  pending,
  post,
  postPending,
  reopenAccount,
  voidPending,
  walletOf,
} from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
let main: AccountPath;
let other: AccountPath;
const hot = chainHot(walletOf('w'));
const ownerless = suspense(walletOf('w'));
let customers = 0;

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-ledger-invalid' });
  ledger = createLedger({ pool });
  const paths = [hot, ownerless];
  await ledger.openAccounts(
    pool,
    [ether, gold].flatMap((asset) => paths.map((path) => ({ path, asset }))),
  );
});
/** Two new customers with 100 each. */
beforeEach(async () => {
  main = customerMain(accountOf(`main ${++customers}`));
  other = customerMain(accountOf(`other ${customers}`));
  await ledger.openAccounts(
    pool,
    [main, other].map((path) => ({ path, asset: ether })),
  );
  expect(await statuses([post(hot, main, 100n), post(hot, other, 100n)])).toEqual(['ok', 'ok']);
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});

async function statuses(commands: readonly TransferCommand[]): Promise<string[]> {
  return (await ledger.apply(commands)).map(({ status }) => status);
}
async function available(path: AccountPath): Promise<bigint | undefined> {
  return (await ledger.balances({ paths: [path], asset: ether }))[0]?.available;
}

/** The bad command between two good ones: these apply, and it leaves no trace. */
async function alone(bad: TransferCommand, status: string): Promise<void> {
  const [before, between] = [await available(main), await available(other)];
  expect(await statuses([post(main, other, 2n), bad, post(other, main, 1n)])).toEqual(['ok', status, 'ok']);
  expect([await available(main), await available(other)]).toEqual([
    (before ?? 0n) - 1n,
    (between ?? 0n) + 1n,
  ]);
  const { rows } = await pool.query('SELECT FROM ledger.transfer_id WHERE id = $1', [bad.id.slice(3)]);
  expect(rows.length).toBe(['exists', 'conflict'].includes(status) ? 1 : 0);
}
/** An amount no typed caller can make. */
const forged = (units: unknown, over: Partial<MoveCommand> = {}): TransferCommand => ({
  ...post(main, other, 1n, over as Parameters<typeof post>[3]),
  amount: { asset: ether, units } as MoveCommand['amount'],
});
const pow78 = 10n ** 78n;

describe('one transfer of a batch', () => {
  test.each(['post', 'pending'] as const)('zero or negative: %s', async (kind) => {
    await alone({ ...forged(0n), kind } as MoveCommand, 'invalid');
    await alone({ ...forged(-1n), kind } as MoveCommand, 'invalid');
  });

  test('amounts are exact past 2^64', async () => {
    const units = 2n ** 200n + 1n;
    expect(await statuses([post(hot, ownerless, units), post(ownerless, hot, units)])).toEqual(['ok', 'ok']);
    expect(await statuses([post(ownerless, hot, units)])).toEqual(['insufficient']);
  });

  test('an unknown account, on either side', async () => {
    const nobody = customerMain(accountOf('nobody'));
    await alone(post(nobody, main, 1n), 'unknown-account');
    await alone(post(main, nobody, 1n), 'unknown-account');
    await alone(closeAccount(nobody), 'unknown-account');
    expect(await ledger.apply([post(main, nobody, 1n), post(nobody, main, 1n)])).toMatchObject([
      { account: nobody },
      { account: nobody },
    ]);
  });

  test('the wrong asset', async () => {
    await alone(post(main, hot, 1n, { asset: gold }), 'unknown-account');
    const hold = pending(main, hot, 3n);
    expect(await statuses([hold])).toEqual(['ok']);
    await alone(postPending(hold.id, 1n, gold), 'invalid');
  });

  test('the same account on both sides', async () => {
    await alone(post(main, main, 1n), 'invalid');
    await alone(pending(main, main, 1n), 'invalid');
  });

  test('more than there is', async () => {
    await alone(post(main, other, 1_000n), 'insufficient');
    await alone(pending(main, other, 1_000n), 'insufficient');
  });

  test.each(['post', 'pending'] as const)('overflow above 78 digits: %s', async (kind) => {
    const own = walletOf(`overflow ${kind}`);
    const [mirror, sink] = [chainHot(own), suspense(own)];
    await ledger.openAccounts(
      pool,
      [mirror, sink].map((path) => ({ path, asset: ether })),
    );
    const most = { ...post(mirror, sink, pow78 - 1n), kind };
    await alone({ ...post(mirror, sink, 1n), kind, amount: { asset: ether, units: pow78 } }, 'overflow');
    expect(await statuses([most])).toEqual(['ok']);
    await alone({ ...post(mirror, sink, 1n), kind }, 'overflow');
    expect(await ledger.apply([{ ...post(mirror, main, 1n), kind }])).toMatchObject([{ account: mirror }]);
    await alone(forged(pow78, { balancing: 'debit' }), 'overflow');
  });

  test('posting more than pending, posting twice, voiding after posting', async () => {
    const hold = pending(main, hot, 10n);
    const paid = postPending(hold.id, 10n);
    expect(await statuses([hold])).toEqual(['ok']);
    await alone(postPending(hold.id, 11n), 'amount-exceeds-pending');
    await alone(postPending(hold.id, 0n), 'invalid');
    expect(await statuses([paid])).toEqual(['ok']);
    await alone(paid, 'exists');
    await alone(postPending(hold.id, 1n), 'pending-resolved');
    await alone(voidPending(hold.id), 'pending-resolved');
    await alone(expirePending(hold.id), 'pending-resolved');
    await alone({ ...voidPending(hold.id), id: paid.id }, 'conflict');
  });

  test('posting after voiding, resolving what never was', async () => {
    const hold = pending(main, hot, 10n);
    expect(await statuses([hold, voidPending(hold.id)])).toEqual(['ok', 'ok']);
    await alone(postPending(hold.id, 1n), 'pending-resolved');
    for (const make of [(id: typeof hold.id) => postPending(id, 1n), voidPending, expirePending]) {
      await alone(make(freshId()), 'pending-not-found');
      await alone(make(post(hot, main, 1n).id), 'pending-not-found');
    }
    const self = freshId();
    await alone({ ...voidPending(self), id: self }, 'pending-not-found');
  });

  test('a timeout or balancing where none belongs, and a timeout that is none', async () => {
    const hold = pending(main, hot, 3n);
    expect(await statuses([hold])).toEqual(['ok']);
    const with_ = (command: TransferCommand, extra: object): TransferCommand => ({ ...command, ...extra });
    await alone(with_(post(main, other, 1n), { timeoutMs: 5 }), 'invalid');
    await alone(with_(voidPending(hold.id), { timeoutMs: 5 }), 'invalid');
    await alone(with_(closeAccount(main), { balancing: 'debit' }), 'invalid');
    await alone(with_(postPending(hold.id, 1n), { balancing: 'credit' }), 'invalid');
    await alone(with_(post(main, other, 1n), { pendingId: hold.id }), 'invalid');
    await alone(pending(main, other, 1n, { timeoutMs: 0 }), 'invalid');
    await alone(pending(main, other, 1n, { timeoutMs: -1 }), 'invalid');
  });

  test('a closed account, and one that cannot be closed', async () => {
    const closed = customerMain(accountOf(`closed ${customers}`));
    await ledger.openAccounts(pool, [{ path: closed, asset: ether }]);
    await alone(reopenAccount(closed), 'not-closed');
    expect(await statuses([closeAccount(closed)])).toEqual(['ok']);
    await alone(closeAccount(closed), 'closed');
    await alone(post(main, closed, 1n), 'closed');
    await alone(pending(closed, main, 1n), 'closed');
    await alone(closeAccount(main), 'not-empty');
    expect(await statuses([reopenAccount(closed), post(main, closed, 1n)])).toEqual(['ok', 'ok']);
  });

  test('an adjustment that nobody approved, in any form', async () => {
    const code = 'adjustment';
    const hold = pending(main, hot, 3n);
    expect(await statuses([hold])).toEqual(['ok']);
    await alone(post(main, other, 1n, { code }), 'not-approved');
    await alone(post(main, other, 1n, { code, balancing: 'debit' }), 'not-approved');
    await alone(pending(main, other, 1n, { code }), 'not-approved');
    await alone({ ...voidPending(hold.id), code }, 'not-approved');
    await alone({ ...closeAccount(hot), code }, 'not-approved');
  });
});

describe('a chain', () => {
  test('left open', async () => {
    const linked = { linked: true };
    expect(
      await statuses([post(main, other, 1n), post(main, other, 2n, linked), post(main, other, 3n, linked)]),
    ).toEqual(['ok', 'linked-failed', 'invalid']);
    expect(await statuses([post(main, other, 1n, linked)])).toEqual(['invalid']);
    expect(await available(main)).toBe(99n);
  });
});

describe('the whole batch is refused before anything is asked', () => {
  const refused = async (commands: readonly TransferCommand[], message: RegExp): Promise<void> => {
    await expect(ledger.apply(commands)).rejects.toMatchObject({
      code: 'LEDGER_BATCH_INVALID',
      message: expect.stringMatching(message) as unknown,
    });
  };
  test('over the limit, or empty', async () => {
    const one = post(main, other, 1n);
    await refused(
      Array.from({ length: commandsPerBatchMax + 1 }, () => one),
      /1 to 8000/,
    );
    await refused([], /1 to 8000/);
    expect(await available(main)).toBe(100n);
  });

  test.each(['', 'two\nlines', 'a b', 'ä', 'x'.repeat(129)])(
    'a reference that is none: %j',
    async (reference) => {
      await refused([post(main, other, 1n), post(main, other, 1n, { reference })], /printable ASCII/);
      expect(await available(main)).toBe(100n);
    },
  );

  test.each([1, '1', '1,2', '0x1', undefined])('an amount that is no bigint: %j', async (units) => {
    await refused([post(main, other, 1n), forged(units)], /base units/);
    const hold = postPending(freshId(), 1n);
    await refused([{ ...hold, amount: { asset: ether, units } } as unknown as TransferCommand], /base units/);
  });

  test.each([
    { id: 'tr_1' },
    { id: undefined },
    { id: accountOf('x') },
    { id: post(hot, ownerless, 1n).id.toUpperCase() },
    { pendingId: 'tr_1,2' },
    { pendingId: undefined },
    { kind: 'gift' },
    { code: 'present' },
    { code: 'inflow,inflow' },
    { linked: 'true' },
    { balancing: 'both' },
    { amount: { units: 1n } },
  ])('what no type would let through: %o', async (wrong) => {
    await refused(
      [post(main, other, 1n), { ...post(main, other, 1n), ...wrong } as TransferCommand],
      /command 2/,
    );
    expect(await available(main)).toBe(100n);
  });

  test.each([0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('a time that is none: %d', async (time) => {
    await refused([post(main, other, 1n, { at: time })], /milliseconds/);
    await refused([pending(main, other, 1n, { timeoutMs: time })], /milliseconds/);
  });
});

describe('in SQL, past the types', () => {
  const transferOne = async (
    units: string,
    over: { debit?: string | null; asset?: string; pending?: string } = {},
  ) => {
    const { debit = main, asset = ether, pending: hold } = over;
    const { rows } = await pool.query<{ status: string }>(
      'SELECT ledger.transfer_one(gen_random_uuid(), $1, $2, $3, $4, $5, $6, $7, $8) AS status',
      [hold === undefined ? 'post' : 'post-pending', debit, other, asset, units, 'inflow', 'test', hold],
    );
    return rows[0]?.status;
  };

  test('one transfer by the paths of its accounts', async () => {
    expect(await transferOne('40')).toBe('ok');
    expect(await available(main)).toBe(60n);
    expect(await transferOne('61')).toBe('insufficient');
    expect(await transferOne('1', { debit: 'house:bank' })).toBe('unknown-account');
    expect(await transferOne('1', { debit: null })).toBe('unknown-account');
    expect(await transferOne('1', { asset: gold })).toBe('unknown-account');
  });

  test.each(['0', '-1', '0.5', '5.0', '-0.1', 'NaN', 'Infinity'])('a malformed amount: %s', async (units) => {
    const hold = pending(main, hot, 3n);
    expect(await statuses([hold])).toEqual(['ok']);
    expect(await transferOne(units)).toBe('invalid');
    expect(await transferOne(units, { pending: hold.id.slice(3) })).toBe('invalid');
    expect(await available(main)).toBe(97n);
    await expect(transferOne('1e999999')).rejects.toMatchObject({ code: '22003' });
  });

  test('a column that is longer or shorter than the others', async () => {
    const two = `ARRAY[gen_random_uuid(), gen_random_uuid()]`;
    const columns = [
      "'{post,post}'",
      "'{1,1}'",
      "'{2,2}'",
      "'{1,1}'",
      'NULL',
      'NULL',
      'NULL',
      "'{inflow,inflow}'",
      "'{x,x}'",
    ];
    const call = (wrong: number, value: string) =>
      pool.query(
        `SELECT * FROM ledger.apply_batch(NULL, NULL, '{1,2}', ${two},
           ${columns.map((column, at) => (at === wrong ? value : column)).join(', ')}, NULL, NULL, NULL)`,
      );
    for (const [at, value] of [
      [0, "'{post}'"],
      [1, "'{1}'"],
      [2, "'{2,2,2}'"],
      [3, "'{1,1,1}'"],
      [6, "'{t}'"],
      [8, "'{x}'"],
    ] as const)
      await expect(call(at, value)).rejects.toMatchObject({ code: 'LG003' });
  });

  test('an id of any version is read, posted and voided from everywhere', async () => {
    const { rows } = await pool.query<{ id: string; status: string }>(
      `SELECT id, ledger.transfer_one(id, 'pending', $1, $2, $3, 9, 'inflow', $4) AS status
         FROM (SELECT gen_random_uuid() AS id) AS made`,
      [main, other, ether, `by-hand-${customers}`],
    );
    expect(rows).toMatchObject([{ status: 'ok' }]);
    const id = `tr_${rows[0]?.id ?? ''}` as const;
    expect(await ledger.transfersByReference(`by-hand-${customers}`)).toMatchObject([{ id }]);
    expect(await statuses([postPending(id, 9n)])).toEqual(['ok']);
  });

  test('a batch over the limit', async () => {
    const call = (count: number) =>
      pool.query(
        `SELECT * FROM ledger.apply_batch(NULL, NULL, '{1,2}', ARRAY(SELECT gen_random_uuid() FROM n),
           ARRAY(SELECT 'post'::ledger.transfer_kind FROM n), ARRAY(SELECT 1 FROM n), ARRAY(SELECT 2 FROM n), ARRAY(SELECT 1 FROM n),
           NULL, NULL, NULL, ARRAY(SELECT 'inflow'::ledger.transfer_code FROM n), ARRAY(SELECT 'x' FROM n), NULL, NULL, NULL)`.replace(
          'SELECT *',
          'WITH n AS (SELECT generate_series(1, $1)) SELECT *',
        ),
        [count],
      );
    for (const count of [0, commandsPerBatchMax + 1])
      await expect(call(count)).rejects.toMatchObject({ code: 'LG003' });
    expect((await call(commandsPerBatchMax)).rows).toEqual([]);
  });

  test('an array that does not begin at 1 or has two dimensions', async () => {
    // PostgreSQL gives the elements of such an array by other numbers than it counts them.
    const call = (columns: { accounts?: string; kinds?: string; debits?: string }) =>
      pool.query(
        `SELECT * FROM ledger.apply_batch(NULL, NULL, $1, ARRAY[gen_random_uuid(), gen_random_uuid()], $2, $3, '{2,2}', '{1,1}',
           NULL, NULL, NULL, '{inflow,inflow}', '{x,x}', NULL, NULL, NULL)`,
        [columns.accounts ?? '{1,2}', columns.kinds ?? '{post,pending}', columns.debits ?? '{1,1}'],
      );
    for (const columns of [
      { kinds: '[0:1]={post,pending}' },
      { kinds: '{{post,pending}}' },
      { debits: '[2:3]={1,1}' },
      { accounts: '[0:2]={1,2,3}' },
      { accounts: '{{1,2}}' },
    ])
      await expect(call(columns), JSON.stringify(columns)).rejects.toMatchObject({ code: 'LG003' });
    expect((await call({})).rows).toEqual([]);
  });

  test('an account that is listed twice, or none', async () => {
    const call = (accounts: unknown[], reference: unknown[] = ['x']) =>
      pool.query(
        `SELECT * FROM ledger.apply_batch(NULL, NULL, $1, ARRAY[gen_random_uuid()], '{post}', '{1}', '{2}', '{1}', NULL, NULL,
           NULL, '{inflow}', $2, NULL, NULL, NULL)`,
        [accounts, reference],
      );
    await expect(call([1, 1])).rejects.toMatchObject({ code: 'LG003' });
    expect((await call([-1, -2])).rows).toMatchObject([{ status: 'unknown-account' }]);
    await expect(call([1, 2], [null])).rejects.toMatchObject({ code: 'LG003' });
    await expect(call([1, 2], ['x', 'y'])).rejects.toMatchObject({ code: 'LG003' });
  });
});
