/** Adjustments against the real database: two people, unchanged content, booked once. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { type Adjustments, createAdjustments, createLedger, type Ledger } from '#ledger';
import {
  type AdjustmentContent,
  adjustment,
  chainHot,
  customerMain,
  houseSuspense,
  type TransferCommand,
} from '#ledger/contract';
import { databaseForThisFile } from '../support/database.ts';
import { accountOf, eth, ether, gold, post, transferOf, walletOf } from './fixture.ts';

const hot = chainHot(walletOf('w'));
const alice = customerMain(accountOf('alice'));
const bob = customerMain(accountOf('bob'));
const evidence = { assertion: 'of a passkey' };
const by = (person: string) => ({ person, evidence });

let pool: Pool;
let ledger: Ledger;
let adjustments: Adjustments;
let made = 0;

/** Five units from alice to bob, over suspense; each time another reason. */
const content = (part: Partial<AdjustmentContent> = {}): AdjustmentContent => ({
  proposedBy: 'ana',
  reason: `deposit ${++made} was credited to the wrong customer`,
  legs: [
    { debit: alice, credit: houseSuspense, amount: eth(5n) },
    { debit: houseSuspense, credit: bob, amount: eth(5n) },
  ],
  ...part,
});
const propose = async (part: Partial<AdjustmentContent> = {}) =>
  await adjustments.propose(content(part), evidence);
/** The approval alone, as if the process had ended before it booked. */
const approvedOnly = async (id: string, person: string) =>
  await pool.query(
    'INSERT INTO ledger.adjustment_approval (adjustment, person) SELECT id, $2 FROM ledger.adjustment WHERE content = $1',
    [id, person],
  );
const balanceOf = async (path: typeof alice) =>
  (await ledger.balances({ paths: [path], asset: ether }))[0]?.balance;
const statuses = async (commands: readonly TransferCommand[]) =>
  (await ledger.apply(commands)).map(({ status }) => status);

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-adjustments' });
  ledger = createLedger({ pool });
  adjustments = createAdjustments(pool, ledger.applyOrThrow);
  await ledger.openAccounts(
    pool,
    [hot, alice, bob, houseSuspense].map((path) => ({ path, asset: ether })),
  );
});
afterAll(async () => {
  expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
  await pool.end();
});
beforeEach(async () => {
  expect(await statuses([post(hot, alice, 100n)])).toEqual(['ok']);
});

test('a second person books it: all legs, under the hash of what was agreed', async () => {
  const [wrong] = await ledger.apply([post(hot, alice, 5n)]);
  const before = [await balanceOf(alice), await balanceOf(bob)];
  const { id, booked, approvals } = await propose(wrong === undefined ? {} : { corrects: wrong.id });
  expect({ booked, approvals }).toEqual({ booked: false, approvals: [] });
  expect(await balanceOf(bob)).toBe(before[1]);

  const { adjustment: done, refused } = await adjustments.approve(id, by('ben'));
  expect(refused).toBeUndefined();
  expect(done).toMatchObject({ id, booked: true, evidence, approvals: [by('ben')], corrects: wrong?.id });
  expect([await balanceOf(alice), await balanceOf(bob)]).toEqual([
    (before[0] ?? 0n) - 5n,
    (before[1] ?? 0n) + 5n,
  ]);
  const journal = await ledger.transfersByReference(id);
  expect(journal.map(({ id: transfer, code }) => [transfer, code])).toEqual(
    adjustment(done).map((command) => [command.id, 'adjustment']),
  );
});

test('approving and booking again books nothing again, also at once', async () => {
  const { id } = await propose();
  const outcomes = await Promise.all(
    ['ben', 'cai', 'ben'].map((person) => adjustments.approve(id, by(person))),
  );
  expect(outcomes.map(({ refused }) => refused)).toEqual([undefined, undefined, undefined]);
  const balance = await balanceOf(bob);
  expect((await adjustments.book(id)).adjustment.approvals.map(({ person }) => person).toSorted()).toEqual([
    'ben',
    'cai',
  ]);
  expect(await balanceOf(bob)).toBe(balance);
  expect(await ledger.transfersByReference(id)).toHaveLength(2);
});

test('proposing the same again is the same proposal; another reason is another one', async () => {
  const proposal = content();
  const first = await adjustments.propose(proposal, evidence);
  expect(await adjustments.propose(proposal, { other: 'evidence' })).toEqual(first);
  expect((await adjustments.propose({ ...proposal, reason: 'other' }, evidence)).id).not.toBe(first.id);
});

describe('what one person alone cannot do', () => {
  test('approve their own proposal', async () => {
    const { id } = await propose();
    await expect(adjustments.approve(id, by('ana'))).rejects.toMatchObject({
      code: 'LEDGER_ADJUSTMENT_SAME_PERSON',
    });
    const { adjustment: still, refused } = await adjustments.book(id);
    expect(refused).toMatchObject({ code: 'LEDGER_NOT_APPROVED' });
    expect(still).toMatchObject({ booked: false, approvals: [] });
  });

  test('approve it past this module: the database refuses the proposer', async () => {
    const { id } = await propose();
    await expect(approvedOnly(id, 'ana')).rejects.toThrow(/by the same person/);
    expect((await adjustments.book(id)).refused).toMatchObject({ code: 'LEDGER_NOT_APPROVED' });
  });

  test('book it past this module', async () => {
    const proposal = content();
    expect(await statuses(adjustment(proposal))).toEqual(['not-approved', 'linked-failed']);
    await adjustments.propose(proposal, evidence);
    expect(await statuses(adjustment(proposal))).toEqual(['not-approved', 'linked-failed']);
  });
});

describe('what was approved is what is booked', () => {
  test('another amount, account or kind under the same id is refused', async () => {
    const proposal = content();
    const { id } = await adjustments.propose(proposal, evidence);
    await approvedOnly(id, 'ben');
    const [first] = adjustment({ ...proposal, legs: proposal.legs.slice(0, 1) });
    if (first?.kind !== 'post') throw new Error('an adjustment posts');
    const { linked: _linked, ...leg } = first;
    const idOfLeg = adjustment(proposal)[0]?.id ?? leg.id;
    const changes: Partial<typeof first>[] = [
      { amount: eth(6n) },
      { debit: bob },
      { credit: bob },
      { kind: 'pending' },
    ];
    for (const change of changes)
      expect(await statuses([{ ...leg, id: idOfLeg, ...change }])).not.toContain('ok');
    expect((await adjustments.book(id)).adjustment.booked).toBe(true);
  });

  test('a part of it alone is found, and the rest is booked as it was agreed', async () => {
    const { id } = await propose();
    await approvedOnly(id, 'ben');
    const [first] = adjustment(await adjustments.read(id));
    if (first?.kind !== 'post') throw new Error('an adjustment posts');
    const { linked: _linked, ...leg } = first;
    expect(await statuses([leg])).toEqual(['ok']);
    expect((await adjustments.read(id)).booked).toBe(false);
    expect((await ledger.verify()).problems).toEqual([
      { check: 'adjustment', place: id, problem: 'only a part of its legs was booked' },
    ]);
    expect((await adjustments.book(id)).adjustment.booked).toBe(true);
    expect(await ledger.verify()).toMatchObject({ ok: true });
  });

  test('a proposal is never changed', async () => {
    const { id } = await propose();
    for (const change of ['UPDATE ledger.adjustment SET amount = 6', 'DELETE FROM ledger.adjustment'])
      await expect(pool.query(`${change} WHERE content = $1`, [id])).rejects.toThrow(
        /append-only|permission/,
      );
  });
});

test('without funds it stays approved and says so, and is booked when there are some', async () => {
  const short = (await balanceOf(alice)) ?? 0n;
  const { id } = await propose({ legs: [{ debit: alice, credit: houseSuspense, amount: eth(short + 1n) }] });
  const { adjustment: waiting, refused } = await adjustments.approve(id, by('ben'));
  expect(refused).toMatchObject({ code: 'LEDGER_INSUFFICIENT_FUNDS', details: { account: alice } });
  expect(waiting).toMatchObject({ booked: false, approvals: [by('ben')] });
  expect((await adjustments.list({ open: true })).map((each) => each.id)).toContain(id);
  await ledger.apply([post(hot, alice, 1n)]);
  expect((await adjustments.book(id)).adjustment).toMatchObject({ booked: true });
  expect((await adjustments.list({ open: true })).map((each) => each.id)).not.toContain(id);
  expect((await adjustments.list()).map((each) => each.id)).toContain(id);
});

test('a database that fails is not an answer of the books', async () => {
  const broken = createAdjustments(pool, () => Promise.reject(new Error('connection lost')));
  const { id } = await propose();
  await expect(broken.approve(id, by('ben'))).rejects.toThrow('connection lost');
  expect((await adjustments.book(id)).adjustment).toMatchObject({ booked: true, approvals: [by('ben')] });
});

test('a proposal that cannot be meant is refused', async () => {
  const leg = { debit: alice, credit: bob, amount: eth(1n) };
  const refused: [Partial<AdjustmentContent>, string][] = [
    [{ reason: ' ' }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ reason: 'x'.repeat(1001) }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ reason: 'credited twice\nbooked' }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ reason: 'paid to \u202ebob' }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ proposedBy: '' }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ legs: [] }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ legs: Array.from({ length: 21 }, () => leg) }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ legs: [{ ...leg, credit: alice }] }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ legs: [{ ...leg, amount: eth(0n) }] }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ corrects: transferOf('never booked') }, 'LEDGER_ADJUSTMENT_INVALID'],
    [{ legs: [{ ...leg, amount: { asset: gold, units: 1n } }] }, 'LEDGER_UNKNOWN_ACCOUNT'],
    [{ legs: [{ ...leg, credit: 'house:bank' as typeof alice }] }, 'LEDGER_ACCOUNT_PATH_INVALID'],
  ];
  for (const [part, code] of refused) await expect(propose(part)).rejects.toMatchObject({ code });
  const nobodys = `sha256:${'0'.repeat(64)}` as const;
  await expect(adjustments.read(nobodys)).rejects.toMatchObject({ code: 'LEDGER_ADJUSTMENT_UNKNOWN' });
  await expect(adjustments.approve(nobodys, by('ben'))).rejects.toMatchObject({
    code: 'LEDGER_ADJUSTMENT_UNKNOWN',
  });
  const nothing = await inTransaction(
    pool,
    async (tx) => await tx.query('SELECT FROM ledger.adjustment WHERE asset = $1', [gold]),
  );
  expect(nothing.rowCount).toBe(0);
});
