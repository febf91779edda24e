import { beforeAll, describe, expect, it } from 'vitest';
import type { Id } from '#core/ids';
import { customerMain } from '#ledger/contract';
import { decodeBase64url } from '#policies';
import { decide, review } from '../../workflows/operations/decide.ts';
import { assertionOf } from '../support/dev-roster.ts';
import {
  dollars,
  ether,
  oneEther,
  openBench,
  otherOutside,
  outside,
  policyOf,
  type TestBench,
} from './fixture.ts';

let bench: TestBench;
beforeAll(async () => {
  bench = await openBench();
});

const small = (oneEther / 10n).toString();
const large = (2n * oneEther).toString();
const available = async (accountId: string): Promise<string | undefined> =>
  (await bench.operations.balances(accountId))[0]?.available;

async function counts(): Promise<readonly number[]> {
  const tables = [
    'operations.withdrawal',
    'operations.intent',
    'operations.withdrawal_event',
    'infra.outbox',
    'ledger.transfer',
  ];
  return await Promise.all(tables.map((table) => bench.countRows(table)));
}

describe('requesting a withdrawal', () => {
  it('holds the money, signs an intent and tells the process, once', async () => {
    const accountId = await bench.fundedAccount(oneEther);
    const id = bench.newWithdrawalId();
    const request = { id, accountId, asset: ether, address: outside.toLowerCase(), units: small };
    const first = await bench.operations.requestWithdrawal(request);
    expect(first).toMatchObject({ id, state: 'REQUESTED', address: outside, units: small, decision: null });
    expect(first.timeline.map((entry) => entry.event)).toEqual(['requested']);
    expect(await available(accountId)).toBe((oneEther - BigInt(small)).toString());
    const before = await counts();
    expect(await bench.operations.requestWithdrawal(request)).toEqual(first);
    const many = await Promise.all(
      Array.from({ length: 5 }, () => bench.operations.requestWithdrawal(request)),
    );
    expect(new Set(many.map((view) => view.intentHash))).toEqual(new Set([first.intentHash]));
    expect(await counts()).toEqual(before);
  });

  it('makes one of many concurrent first requests with the same id', async () => {
    const accountId = await bench.fundedAccount(oneEther);
    const id = bench.newWithdrawalId();
    const request = { id, accountId, asset: ether, address: outside, units: small };
    const before = await bench.countRows('operations.withdrawal');
    await Promise.all(Array.from({ length: 8 }, () => bench.operations.requestWithdrawal(request)));
    expect((await bench.countRows('operations.withdrawal')) - before).toBe(1);
    expect(await available(accountId)).toBe((oneEther - BigInt(small)).toString());
  });

  it('refuses an id that was used for other content', async () => {
    const accountId = await bench.fundedAccount(oneEther);
    const id = bench.newWithdrawalId();
    const request = { id, accountId, asset: ether, address: outside, units: small };
    await bench.operations.requestWithdrawal(request);
    for (const change of [{ units: '1' }, { address: otherOutside }, { accountId: await bench.newAccount() }])
      await expect(bench.operations.requestWithdrawal({ ...request, ...change })).rejects.toMatchObject({
        code: 'WITHDRAWAL_ID_REUSED',
        kind: 'conflict',
      });
  });

  it('leaves nothing behind for bad input', async () => {
    const accountId = await bench.fundedAccount(oneEther);
    const { address: own } = await bench.operations.depositAddress({ accountId, asset: ether });
    const good = { id: bench.newWithdrawalId(), accountId, asset: ether, address: outside, units: small };
    const wrongChecksum = outside.replace('C', 'c');
    const before = await counts();
    const cases: [Partial<typeof good> | { units: string }, string][] = [
      [{ id: 'wd_1' as Id<'wd'> }, 'CORE_ID_INVALID'],
      [{ accountId: 'acc_1' as Id<'acc'> }, 'CORE_ID_INVALID'],
      [
        { accountId: accountId.replace(/.$/, (last) => (last === '0' ? '1' : '0')) as Id<'acc'> },
        'ACCOUNT_UNKNOWN',
      ],
      [{ asset: 'ETH' as typeof ether }, 'CORE_ASSET_INVALID'],
      [{ asset: 'eip155:1/slip44:60' as typeof ether }, 'CHAINS_ASSET_UNKNOWN'],
      [{ asset: dollars }, 'CHAINS_ASSET_UNKNOWN'],
      [{ address: '0x1234' }, 'CHAINS_ADDRESS_INVALID'],
      [{ address: wrongChecksum }, 'CHAINS_ADDRESS_INVALID'],
      [{ address: own }, 'WITHDRAWAL_ADDRESS_OWN'],
      [{ address: bench.hot }, 'WITHDRAWAL_ADDRESS_OWN'],
      [{ units: '0' }, 'WITHDRAWAL_AMOUNT_INVALID'],
      [{ units: '-1' }, 'WITHDRAWAL_AMOUNT_INVALID'],
      [{ units: '0.1' }, 'WITHDRAWAL_AMOUNT_INVALID'],
      [{ units: '1e18' }, 'WITHDRAWAL_AMOUNT_INVALID'],
      [{ units: '9'.repeat(79) }, 'WITHDRAWAL_AMOUNT_INVALID'],
      [{ units: (oneEther + 1n).toString() }, 'LEDGER_INSUFFICIENT_FUNDS'],
    ];
    for (const [change, code] of cases)
      await expect(bench.operations.requestWithdrawal({ ...good, ...change }), code).rejects.toMatchObject({
        code,
      });
    expect(await counts()).toEqual(before);
    // A failed request does not burn its id.
    expect((await bench.operations.requestWithdrawal(good)).state).toBe('REQUESTED');
  });

  it('says how much there is when too much is asked for', async () => {
    const accountId = await bench.fundedAccount(5n);
    const request = { id: bench.newWithdrawalId(), accountId, asset: ether, address: outside, units: '7' };
    await expect(bench.operations.requestWithdrawal(request)).rejects.toMatchObject({
      code: 'LEDGER_INSUFFICIENT_FUNDS',
      message: `7 units of ${ether} were asked for, ${accountId} has 5 available`,
      details: { asked: '7', available: '5' },
    });
  });

  it('never holds more than there is, however many ask at once', async () => {
    const accountId = await bench.fundedAccount(oneEther);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, () =>
        bench.operations.requestWithdrawal({
          id: bench.newWithdrawalId(),
          accountId,
          asset: ether,
          address: outside,
          units: (oneEther / 7n).toString(),
        }),
      ),
    );
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(7);
    for (const each of outcomes)
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({ code: 'LEDGER_INSUFFICIENT_FUNDS' });
    const [main] = await bench.deps.ledger.balances({ paths: [customerMain(accountId)] });
    expect(main?.available).toBe(oneEther - 7n * (oneEther / 7n));
    await bench.ledgerIsSound();
  }, 60_000);
});

async function pendingWithdrawal(): Promise<Id<'wd'>> {
  const id = bench.newWithdrawalId();
  const accountId = await bench.fundedAccount(3n * oneEther);
  await bench.operations.requestWithdrawal({ id, accountId, asset: ether, address: outside, units: large });
  await decide(bench.deps, id);
  return id;
}

async function approve(
  withdrawalId: string,
  approver: string,
  options: { decision?: 'approve' | 'reject'; group?: string; notAfter?: number; signedBy?: string } = {},
) {
  const { decision = 'approve', group = 'treasury', signedBy = approver } = options;
  const ask = { withdrawalId, decision, group, approver };
  const { statement, challenge } = await bench.operations.approvalRequest(ask);
  const assertion = assertionOf(
    bench.roster.passkeyOf(signedBy),
    decodeBase64url(challenge) ?? new Uint8Array(),
  );
  return await bench.operations.submitApproval({
    ...ask,
    notAfter: options.notAfter ?? statement.notAfter,
    assertion,
  });
}

describe('deciding', () => {
  it('queues what needs nobody, rejects what is denied and gives its money back', async () => {
    const accountId = await bench.fundedAccount(60n * oneEther);
    const auto = bench.newWithdrawalId();
    await bench.operations.requestWithdrawal({
      id: auto,
      accountId,
      asset: ether,
      address: outside,
      units: small,
    });
    expect((await decide(bench.deps, auto)).state).toBe('QUEUED');
    expect((await decide(bench.deps, auto)).state).toBe('QUEUED');
    const denied = bench.newWithdrawalId();
    const before = await available(accountId);
    const units = (51n * oneEther).toString();
    await bench.operations.requestWithdrawal({
      id: denied,
      accountId,
      asset: ether,
      address: outside,
      units,
    });
    expect((await decide(bench.deps, denied)).state).toBe('REJECTED');
    const view = await bench.operations.withdrawal(denied);
    expect(view.decision).toMatchObject({ outcome: 'deny', rules: ['D1'] });
    expect(await available(accountId)).toBe(before);
  });

  it('expires what nobody approved in time and gives its money back', async () => {
    const id = await pendingWithdrawal();
    const later = { ...bench.deps, clock: { nowMs: () => Date.now() + 3_700_000 } };
    expect((await review(later, id)).state).toBe('EXPIRED');
    const view = await bench.operations.withdrawal(id);
    expect(await available(view.accountId)).toBe((3n * oneEther).toString());
  });

  it('asks anew under a new policy, and old approvals no longer count', async () => {
    const id = await pendingWithdrawal();
    await approve(id, 'ana');
    await approve(id, 'ben');
    const stricter = bench.withPolicy(
      policyOf(2, [
        {
          id: 'R2',
          title: 'compliance too',
          effect: 'require',
          when: { action: 'withdraw' },
          require: { approvals: { compliance: 1 } },
        },
      ]),
    );
    expect((await review(stricter, id)).state).toBe('PENDING_APPROVAL');
    const view = await bench.operations.withdrawal(id);
    expect(view.decision).toMatchObject({ obligations: { approvals: { treasury: 2, compliance: 1 } } });
  });
});

describe('approving', () => {
  it('takes the people the rule asks for, then queues', async () => {
    const id = await pendingWithdrawal();
    expect((await bench.operations.withdrawal(id)).missingApprovals).toEqual({ treasury: 2 });
    expect((await approve(id, 'ana')).missingApprovals).toEqual({ treasury: 1 });
    expect((await review(bench.deps, id)).state).toBe('PENDING_APPROVAL');
    await approve(id, 'ben');
    expect((await review(bench.deps, id)).state).toBe('QUEUED');
    await expect(approve(id, 'cleo')).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });
  });

  it('refuses and remembers every approval that does not count', async () => {
    const id = await pendingWithdrawal();
    await approve(id, 'ana');
    const before = await bench.countRows('operations.approval_attempt');
    const cases: [() => Promise<unknown>, string][] = [
      [() => approve(id, 'ana'), 'approver-twice'],
      [() => approve(id, 'ben', { signedBy: 'cleo' }), 'credential-unknown'],
      [() => approve(id, 'ben', { notAfter: Date.now() - 1 }), 'statement-expired'],
      [() => approve(id, 'ben', { notAfter: Date.now() + 5_000_000 }), 'challenge-mismatch'],
    ];
    for (const [attempt, defect] of cases)
      await expect(attempt(), defect).rejects.toMatchObject({
        code: 'POLICY_APPROVAL_REFUSED',
        details: { defect },
      });
    await expect(approve(id, 'dora')).rejects.toMatchObject({ details: { defect: 'approver-not-in-group' } });
    await expect(approve(id, 'eve')).rejects.toMatchObject({ details: { defect: 'approver-unknown' } });
    expect((await bench.countRows('operations.approval_attempt')) - before).toBe(cases.length);
    expect((await bench.operations.withdrawal(id)).missingApprovals).toEqual({ treasury: 1 });
  });

  it('answers the very same approval like the first time', async () => {
    const id = await pendingWithdrawal();
    const ask = { withdrawalId: id, decision: 'approve', group: 'treasury', approver: 'ana' } as const;
    const { statement, challenge } = await bench.operations.approvalRequest(ask);
    const assertion = assertionOf(
      bench.roster.passkeyOf('ana'),
      decodeBase64url(challenge) ?? new Uint8Array(),
    );
    const approval = { ...ask, notAfter: statement.notAfter, assertion };
    const first = await bench.operations.submitApproval(approval);
    expect(await bench.operations.submitApproval(approval)).toEqual(first);
    // Its answer may be lost and asked for again when others have completed the quorum meanwhile.
    await approve(id, 'ben');
    expect((await review(bench.deps, id)).state).toBe('QUEUED');
    const attempts = await bench.countRows('operations.approval_attempt');
    expect((await bench.operations.submitApproval(approval)).state).toBe('QUEUED');
    expect(await bench.countRows('operations.approval_attempt')).toBe(attempts);
    await expect(
      bench.operations.submitApproval({ ...approval, notAfter: approval.notAfter - 1 }),
    ).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });
  });

  it('is stopped by one rejection, and the money is free again', async () => {
    const id = await pendingWithdrawal();
    await approve(id, 'ana');
    await approve(id, 'ben', { decision: 'reject' });
    expect((await review(bench.deps, id)).state).toBe('REJECTED');
    const view = await bench.operations.withdrawal(id);
    expect(await available(view.accountId)).toBe((3n * oneEther).toString());
  });
});

describe('cancelling', () => {
  it('gives the money back before a batch has taken it, and only then', async () => {
    const id = await pendingWithdrawal();
    const view = await bench.operations.cancelWithdrawal(id);
    expect(view.state).toBe('CANCELLED');
    expect((await bench.operations.cancelWithdrawal(id)).state).toBe('CANCELLED');
    expect(await available(view.accountId)).toBe((3n * oneEther).toString());
    await expect(approve(id, 'ana')).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });
  });
});
