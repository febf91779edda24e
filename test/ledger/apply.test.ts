import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { derivedId } from '#core/ids';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  accountKind,
  accountKinds,
  accountRules,
  chainCold,
  chainDeposit,
  chainHot,
  chainPending,
  chainWarm,
  commandsPerBatchMax,
  customerMain,
  customerProvisional,
  customerSpot,
  declareFloat,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
  hotInflow,
  houseClearing,
  houseEquity,
  houseIncome,
  houseNetworkFee,
  houseSuspense,
  networkFeePaid,
  networkFeeReserve,
  suspense,
  sweepPaid,
  sweepStart,
  type TransferCommand,
  transferCodes,
  transferKinds,
  withdrawalHold,
  withdrawalPaid,
  withdrawalReleased,
} from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountOf,
  eth,
  ether,
  freshId,
  gold,
  pending,
  post,
  postPending,
  voidPending,
  walletOf,
} from './fixture.ts';

let pool: Pool;
let ledger: Ledger;
const wallet = walletOf('w');
const hot = chainHot(wallet);
const alice = accountOf('alice');
const bob = accountOf('bob');
let customers = 0;

/** A new customer with `units` on the main account. */
async function customer(units: bigint): Promise<ReturnType<typeof accountOf>> {
  const accountId = accountOf(`customer ${++customers}`);
  await ledger.openAccounts(pool, [
    { path: customerMain(accountId), asset: ether },
    { path: customerProvisional(accountId), asset: ether },
  ]);
  if (units > 0n) expect(await statuses([post(hot, customerMain(accountId), units)])).toEqual(['ok']);
  return accountId;
}

async function statuses(commands: readonly TransferCommand[]): Promise<string[]> {
  return (await ledger.apply(commands)).map((result) => result.status);
}

async function balanceOf(path: Parameters<typeof post>[0]) {
  const [balance] = await ledger.balances({ paths: [path], asset: ether });
  if (balance === undefined) throw new Error(`no account ${path}`);
  return balance;
}

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-ledger' });
  ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [
      customerMain(alice),
      customerMain(bob),
      customerProvisional(alice),
      chainPending(wallet),
      chainDeposit(wallet),
      hot,
      suspense(wallet),
      houseEquity,
      houseIncome,
      houseClearing,
      houseNetworkFee,
    ].map((path) => ({ path, asset: ether })),
  );
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});

describe('the database and the contract say the same', () => {
  test('kinds of accounts, their sides and floors', async () => {
    const rest = [customerSpot(alice), chainWarm(wallet), chainCold(wallet), houseSuspense];
    await ledger.openAccounts(
      pool,
      rest.map((path) => ({ path, asset: gold })),
    );
    const { rows } = await pool.query<{ path: string; kind: string; side: string; floor: string }>(
      'SELECT path, kind, side, floor FROM ledger.account',
    );
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(accountKinds));
    for (const { path, kind, side, floor } of rows) {
      expect(kind).toBe(accountKind(path));
      expect(accountRules[accountKind(path)]).toEqual({ side, floor });
    }
  });

  test.each([
    ['transfer_code', transferCodes],
    ['transfer_kind', transferKinds],
    ['side', ['debit', 'credit']],
  ] as const)('the words of %s', async (type, words) => {
    const { rows } = await pool.query<{ word: string }>(
      `SELECT unnest(enum_range(NULL::ledger.${type}))::text AS word`,
    );
    expect(rows.map(({ word }) => word)).toEqual([...words]);
  });

  test('an account outside the chart cannot be opened, and opening twice changes nothing', async () => {
    await expect(
      pool.query("INSERT INTO ledger.account (path, asset) VALUES ('house:bank', 'ledger:gold')"),
    ).rejects.toMatchObject({ code: '23502' });
    await expect(
      pool.query("SELECT ledger.open_accounts(ARRAY['house:bank'], ARRAY['ledger:gold'])"),
    ).rejects.toMatchObject({ code: 'LG003' });
    // What SQL would open and the contract cannot read would stay for good: accounts are never removed.
    const uuid = alice.slice('acc_'.length);
    for (const path of [
      'customer:acc_-:main',
      `customer:acc_${uuid.replaceAll('-', '')}:main`,
      `customer:acc_${uuid.slice(0, -1)}:spot`,
      `customer:acc_${uuid.slice(0, 14)}4${uuid.slice(15)}:main`,
      `chain:hot:wal_${uuid}-`,
      `suspense:wal_${uuid}0`,
    ]) {
      expect(() => accountKind(path), path).toThrow('is not the path');
      await expect(
        pool.query("SELECT ledger.open_accounts(ARRAY[$1], ARRAY['ledger:gold'])", [path]),
        path,
      ).rejects.toMatchObject({ code: 'LG003' });
    }
    await expect(
      pool.query(
        "INSERT INTO ledger.balance (account, asset_no, floor, credits_posted) VALUES (999, 1, 'h', 5)",
      ),
    ).rejects.toMatchObject({ code: 'LG002' });
    const before = await ledger.balances({});
    await ledger.openAccounts(pool, [{ path: hot, asset: ether }]);
    expect(await ledger.balances({})).toEqual(before);
  });
});

describe('one command', () => {
  test('posts, and reads back with its batch', async () => {
    const accountId = await customer(0n);
    const command = post(hot, customerMain(accountId), 70n, { reference: 'dep_x', at: 1_700_000_000_000 });
    expect(await ledger.apply([command])).toEqual([{ id: command.id, status: 'ok' }]);
    expect(await balanceOf(customerMain(accountId))).toMatchObject({ balance: 70n, available: 70n });
    const [transfer, ...others] = await ledger.transfersByReference('dep_x');
    expect(others).toEqual([]);
    expect(transfer).toMatchObject({ ...command, at: 1_700_000_000_000 });
    const { rows } = await pool.query<{ no: string; last_seq: string }>(
      'SELECT no, last_seq FROM ledger.batch ORDER BY no DESC LIMIT 1',
    );
    expect([transfer?.batch, transfer?.seq]).toEqual([
      BigInt(rows[0]?.no ?? 0),
      BigInt(rows[0]?.last_seq ?? 0),
    ]);
  });

  test('a hold counts as spent, and a partial post releases the rest', async () => {
    const accountId = await customer(100n);
    const main = customerMain(accountId);
    const hold = pending(main, hot, 80n);
    expect(await statuses([hold, post(main, hot, 21n)])).toEqual(['ok', 'insufficient']);
    expect(await balanceOf(main)).toMatchObject({ balance: 100n, available: 20n, debitsPending: 80n });
    expect(await statuses([postPending(hold.id, 81n)])).toEqual(['amount-exceeds-pending']);
    expect(await statuses([postPending(hold.id, 50n)])).toEqual(['ok']);
    expect(await balanceOf(main)).toMatchObject({ balance: 50n, available: 50n, debitsPending: 0n });
    expect(await statuses([voidPending(hold.id), postPending(hold.id, 1n)])).toEqual([
      'pending-resolved',
      'pending-resolved',
    ]);
  });

  test('a void releases all', async () => {
    const accountId = await customer(10n);
    const hold = pending(customerMain(accountId), hot, 10n);
    expect(await statuses([hold, voidPending(hold.id)])).toEqual(['ok', 'ok']);
    expect(await balanceOf(customerMain(accountId))).toMatchObject({ balance: 10n, available: 10n });
  });

  test('a mirror cannot go below zero, nor is a hold against it refused', async () => {
    const empty = walletOf('empty');
    await ledger.openAccounts(pool, [{ path: chainHot(empty), asset: ether }]);
    const main = customerMain(await customer(10n));
    const hold = pending(main, chainHot(empty), 10n);
    expect(await ledger.apply([hold, postPending(hold.id, 10n)])).toMatchObject([
      { status: 'ok' },
      { status: 'insufficient', account: chainHot(empty) },
    ]);
    expect(await balanceOf(chainHot(empty))).toMatchObject({ balance: 0n, available: -10n });
  });

  test('what is refused, and why', async () => {
    const main = customerMain(await customer(5n));
    const stranger = customerMain(accountOf('stranger'));
    expect(await ledger.apply([post(main, stranger, 1n)])).toMatchObject([
      { status: 'unknown-account', account: stranger },
    ]);
    expect(await statuses([post(main, hot, 1n, { asset: gold })])).toEqual(['unknown-account']);
    expect(await statuses([post(main, hot, 0n)])).toEqual(['invalid']);
    expect(await statuses([post(main, main, 1n)])).toEqual(['invalid']);
    expect(await statuses([postPending(freshId(), 1n)])).toEqual(['pending-not-found']);
    const hold = pending(main, hot, 1n);
    expect(await statuses([hold, postPending(hold.id, 1n, gold)])).toEqual(['ok', 'invalid']);
    await expect(ledger.apply([])).rejects.toMatchObject({ code: 'LEDGER_BATCH_INVALID' });
    const one = post(main, hot, 1n);
    await expect(
      ledger.apply(Array.from({ length: commandsPerBatchMax + 1 }, () => one)),
    ).rejects.toMatchObject({ code: 'LEDGER_BATCH_INVALID' });
    await expect(ledger.apply([{ ...one, reference: 'two\nlines' }])).rejects.toMatchObject({
      code: 'LEDGER_BATCH_INVALID',
    });
  });
});

describe('idempotency', () => {
  test('same content exists, other content conflicts, a failed id is free', async () => {
    const main = customerMain(await customer(10n));
    const command = post(main, hot, 4n);
    expect(await statuses([command, command])).toEqual(['ok', 'exists']);
    expect(await statuses([{ ...command, at: 5 }])).toEqual(['exists']);
    const others: TransferCommand[] = [
      { ...command, amount: eth(5n) },
      { ...command, kind: 'pending' },
      { ...command, credit: chainDeposit(wallet) },
      { ...command, debit: customerMain(alice) },
      { ...command, reference: 'other' },
      { ...command, code: 'float' },
      { ...voidPending(freshId()), id: command.id },
    ];
    expect(await statuses(others)).toEqual(others.map(() => 'conflict'));
    const tooMuch = post(main, hot, 100n);
    expect(await statuses([tooMuch])).toEqual(['insufficient']);
    expect(await statuses([{ ...tooMuch, amount: eth(6n) }])).toEqual(['ok']);
    expect(await balanceOf(main)).toMatchObject({ balance: 0n });
  });

  test('posting and voiding are repeatable too', async () => {
    const main = customerMain(await customer(10n));
    const hold = pending(main, hot, 4n);
    const paid = postPending(hold.id, 3n);
    expect(await statuses([hold, paid])).toEqual(['ok', 'ok']);
    expect(await statuses([hold, paid])).toEqual(['exists', 'exists']);
    expect(await statuses([{ ...paid, amount: eth(2n) } as TransferCommand])).toEqual(['conflict']);
  });
});

describe('chains', () => {
  test('all or nothing, the others go on', async () => {
    const main = customerMain(await customer(10n));
    const first = post(main, hot, 4n, { linked: true });
    const tooMuch = post(main, hot, 7n, { linked: true });
    const after = post(main, hot, 1n);
    const alone = post(main, hot, 2n);
    expect(await statuses([first, tooMuch, after, alone])).toEqual([
      'linked-failed',
      'insufficient',
      'linked-failed',
      'ok',
    ]);
    expect(await balanceOf(main)).toMatchObject({ balance: 8n });
    expect(await statuses([first, after])).toEqual(['ok', 'ok']); // neither id was used up
    expect(await statuses([first, after])).toEqual(['exists', 'exists']);
  });

  test('a chain left open fails', async () => {
    const main = customerMain(await customer(10n));
    expect(
      await statuses([post(main, hot, 1n, { linked: true }), post(main, hot, 1n, { linked: true })]),
    ).toEqual(['linked-failed', 'invalid']);
  });

  test('holds made and resolved in a failed chain are as before', async () => {
    const main = customerMain(await customer(10n));
    const old = pending(main, hot, 3n);
    expect(await statuses([old])).toEqual(['ok']);
    const hold = pending(main, hot, 2n, { linked: true });
    const chain = [hold, { ...voidPending(old.id), linked: true }, post(main, hot, 99n)];
    expect(await statuses([...chain, postPending(hold.id, 1n), postPending(old.id, 3n)])).toEqual([
      'linked-failed',
      'linked-failed',
      'insufficient',
      'pending-not-found',
      'ok',
    ]);
    expect(await balanceOf(main)).toMatchObject({ balance: 7n, available: 7n });
  });
});

describe('inside the transaction of the caller', () => {
  test('goes with it, and throws what failed', async () => {
    const main = customerMain(await customer(10n));
    const command = post(main, hot, 4n);
    await expect(
      inTransaction(pool, async (tx) => {
        expect(await ledger.applyOrThrow([command], tx)).toMatchObject([{ status: 'ok' }]);
        expect((await ledger.balances({ paths: [main] }, tx))[0]).toMatchObject({ balance: 6n });
        throw new Error('the caller gave up');
      }),
    ).rejects.toThrow('the caller gave up');
    expect(await balanceOf(main)).toMatchObject({ balance: 10n });
    await inTransaction(pool, (tx) => ledger.applyOrThrow([command], tx));
    expect(await balanceOf(main)).toMatchObject({ balance: 6n });
  });

  test('names the cause, not what follows from it', async () => {
    const accountId = await customer(10n);
    const main = customerMain(accountId);
    const throws = (commands: TransferCommand[]) =>
      expect(inTransaction(pool, (tx) => ledger.applyOrThrow(commands, tx))).rejects;
    const linked = post(main, hot, 1n, { linked: true });
    await throws([linked, post(main, hot, 11n)]).toMatchObject({
      code: 'LEDGER_INSUFFICIENT_FUNDS',
      kind: 'conflict',
      details: { account: main },
    });
    await throws([post(main, customerMain(accountOf('nobody')), 1n)]).toMatchObject({
      code: 'LEDGER_UNKNOWN_ACCOUNT',
    });
    await throws([voidPending(freshId())]).toMatchObject({ code: 'LEDGER_PENDING_NOT_FOUND' });
    const used = post(main, hot, 1n);
    await ledger.apply([used]);
    await throws([{ ...used, amount: eth(2n) }]).toMatchObject({ code: 'LEDGER_ID_CONFLICT' });
    expect(await balanceOf(main)).toMatchObject({ balance: 9n });
  });
});

test('the journal from deposit to payout gives the proof line', async () => {
  const own = walletOf('story');
  const accountId = await customer(0n);
  const asset = ether;
  await ledger.openAccounts(
    pool,
    [chainPending(own), chainDeposit(own), chainHot(own), suspense(own)].map((path) => ({ path, asset })),
  );
  const before = await ledger.totals(ether);
  const deposit = {
    depositId: derivedId('dep', 'story'),
    walletId: own,
    accountId,
    amount: eth(1000n),
    sighting: 1,
  };
  const again = { ...deposit, sighting: 2 };
  const withdrawalId = derivedId('wd', 'story');
  const refused = derivedId('wd', 'refused');
  const sweepId = derivedId('swp', 'story');
  const inflow = 'eip155:31337/0xfeed/0';
  for (const commands of [
    hotInflow({ inflow, walletId: own, amount: eth(500n) }),
    declareFloat({ inflow, walletId: own, amount: eth(500n) }),
    depositSeen(deposit),
    depositOrphanedBeforeFinal(deposit),
    depositSeen(again),
    depositFinal(again),
    networkFeeReserve({ feeOwner: sweepId, payer: chainDeposit(own), cap: eth(40n) }),
    sweepStart({ sweepId, walletId: own, amount: eth(900n) }),
    sweepPaid({ sweepId, amount: eth(900n) }),
    networkFeePaid({ feeOwner: sweepId, fee: eth(25n) }),
    withdrawalHold({ withdrawalId: refused, accountId, walletId: own, amount: eth(600n) }),
    withdrawalReleased({ withdrawalId: refused }),
    withdrawalHold({ withdrawalId, accountId, walletId: own, amount: eth(700n) }),
    networkFeeReserve({ feeOwner: withdrawalId, payer: chainHot(own), cap: eth(40n) }),
    withdrawalPaid({ withdrawalId, amount: eth(700n) }),
    networkFeePaid({ feeOwner: withdrawalId, fee: eth(11n) }),
  ]) {
    expect(await statuses(commands)).toEqual(commands.map(() => 'ok'));
    expect(await statuses(commands)).toEqual(commands.map(() => 'exists'));
  }
  expect(await statuses(depositFinal(deposit))).toEqual(['conflict', 'linked-failed']); // it was orphaned
  expect(await statuses(depositOrphanedBeforeFinal(again))).toEqual(['conflict']); // it is final
  const onChain = (await ledger.balances({ pathPrefix: 'chain:', asset: ether }))
    .filter(({ path }) => path.endsWith(own))
    .reduce((total, { balance }) => total + balance, 0n);
  expect(onChain).toBe(500n + 1000n - 25n - 700n - 11n);
  const after = await ledger.totals(ether);
  expect(after.customers - before.customers).toBe(300n);
  expect(after.house - before.house).toBe(500n - 36n);
  expect(after.suspense - before.suspense).toBe(0n);

  const orphaned = depositOrphanedAfterFinal({ ...again, available: eth(300n), mirror: chainHot(own) });
  expect(await statuses(orphaned)).toEqual(['linked-failed', 'insufficient']); // the hot mirror holds 689 of 1000
  const small = { ...again, amount: eth(400n), available: eth(300n), mirror: chainHot(own) };
  expect(await statuses(depositOrphanedAfterFinal(small))).toEqual(['ok', 'ok']);
  expect((await ledger.totals(ether)).suspense - before.suspense).toBe(-100n);
});
