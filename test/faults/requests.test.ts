/** Requests and approvals that must not count, and deposits the chain takes back. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ApprovalDefect } from '#policies/contract';
import { ApiProblem } from '../../infra/dev/demo/api-client.ts';
import {
  type Ask,
  askedStatement,
  signApproval,
  signStatement,
  submitApproval,
} from '../../infra/dev/demo/approvals.ts';
import {
  asset,
  balance,
  chain,
  depositOf,
  ether,
  freshAddress,
  makeId,
  mineToFinality,
  readWithdrawal,
  waitForDeposit,
  waitForWithdrawal,
} from '../../infra/dev/demo/context.ts';
import {
  ask,
  available,
  expectInvariants,
  expectLedgerTrue,
  expectPaidOnce,
  fund,
  type Paid,
  storedAttempts,
  suiteForThisFile,
  untilFinal,
  untilTrue,
} from './suite.ts';

const scenarioTimeoutMs = 60_000;
const suite = await suiteForThisFile();
const { context, pool } = suite;
const { api, found, node } = context;

beforeAll(async () => {
  await fund(suite);
}, 120_000);
const leaveInvariants = (): void => {
  afterEach(async () => {
    await expectInvariants(suite);
  }, scenarioTimeoutMs);
};
afterAll(async () => {
  await pool.end();
});

interface Body {
  readonly accountId: string;
  readonly asset: string;
  readonly address: string;
  readonly units: string;
}
const bodyOf = (changed: Partial<Body> = {}): Body => ({
  accountId: found.accountId,
  asset,
  address: freshAddress(),
  units: ether.toString(),
  ...changed,
});
interface Answer {
  readonly id: string;
  readonly intentId: string;
  readonly createdAt: number;
}
const put = async (id: string, body: Body): Promise<Answer> =>
  await api.call<Answer>('trading', 'PUT', `/v1/withdrawals/${id}`, body);

/** The problem a call is answered with; fails when it is not refused. */
async function problemOf(call: Promise<unknown>): Promise<ApiProblem> {
  const outcome = await call.then(
    (answer) => new Error(`not refused: ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof ApiProblem) return outcome;
  throw outcome;
}

/** Everything a request writes. */
async function written(): Promise<unknown> {
  const { rows } = await pool.query(
    `SELECT (SELECT count(*) FROM operations.withdrawal) AS withdrawals,
            (SELECT count(*) FROM operations.intent WHERE id IN (SELECT intent_id FROM operations.withdrawal)
               OR canonical LIKE '%"action":"withdraw"%') AS intents,
            (SELECT count(*) FROM operations.withdrawal_event) AS events,
            (SELECT count(*) FROM ledger.transfer WHERE code = 'withdrawal-hold') AS holds`,
  );
  return rows[0];
}

describe('a bad request leaves no row and no hold', () => {
  afterAll(async () => {
    await expectInvariants(suite);
  }, scenarioTimeoutMs);
  const mixedCase = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
  const cases: readonly [string, () => Partial<Body>, string, number][] = [
    ['wrong checksum', () => ({ address: mixedCase.replace('aA', 'AA') }), 'CHAINS_ADDRESS_INVALID', 400],
    ['not an address', () => ({ address: '0x1234' }), 'CHAINS_ADDRESS_INVALID', 400],
    ['own hot address', () => ({ address: found.hotAddress }), 'WITHDRAWAL_ADDRESS_OWN', 400],
    ['own deposit address', () => ({ address: found.depositAddress }), 'WITHDRAWAL_ADDRESS_OWN', 400],
    ['zero', () => ({ units: '0' }), 'WITHDRAWAL_AMOUNT_INVALID', 400],
    ['negative', () => ({ units: '-1' }), 'WITHDRAWAL_AMOUNT_INVALID', 400],
    ['a fraction', () => ({ units: '1.5' }), 'WITHDRAWAL_AMOUNT_INVALID', 400],
    ['an exponent', () => ({ units: '1e18' }), 'WITHDRAWAL_AMOUNT_INVALID', 400],
    ['79 digits', () => ({ units: `1${'0'.repeat(78)}` }), 'WITHDRAWAL_AMOUNT_INVALID', 400],
    ['101 digits', () => ({ units: '1'.repeat(101) }), 'API_REQUEST_INVALID', 400],
    [
      'more than the balance',
      () => ({ units: (10_000n * ether).toString() }),
      'LEDGER_INSUFFICIENT_FUNDS',
      409,
    ],
    ['an asset of no chain here', () => ({ asset: 'eip155:1/slip44:60' }), 'CHAINS_ASSET_UNKNOWN', 404],
    ['no asset id', () => ({ asset: 'ETH' }), 'CORE_ASSET_INVALID', 400],
    ['an unknown account', () => ({ accountId: makeId('acc') }), 'ACCOUNT_UNKNOWN', 404],
  ];
  test.each(cases)('%s', async (_name, changed, code, status) => {
    const [before, books] = [await written(), await available(suite)];
    const problem = await problemOf(put(makeId('wd'), bodyOf(changed())));
    expect([problem.code, problem.status]).toEqual([code, status]);
    expect(await written()).toEqual(before);
    expect(await available(suite)).toEqual(books);
  });

  test('an id that is none', async () => {
    const before = await written();
    expect((await problemOf(put('wd_1', bodyOf()))).code).toBe('API_REQUEST_INVALID');
    expect(await written()).toEqual(before);
  });
});

describe('one balance', () => {
  leaveInvariants();
  test(
    '100 requests at once, each sent twice, never exceed it; ids keep their content',
    async () => {
      const before = await available(suite);
      // Above the automatic limit: they wait for people, so that nothing is paid.
      const units = 3n * ether;
      const requests = Array.from({ length: 100 }, () => ({
        id: makeId('wd'),
        body: bodyOf({ units: units.toString() }),
      }));
      const outcomes = await Promise.all(
        requests.map(async ({ id, body }) => await Promise.allSettled([put(id, body), put(id, body)])),
      );
      const accepted = requests.filter((_request, at) => outcomes[at]?.[0].status === 'fulfilled');
      const refused = requests.filter((_request, at) => outcomes[at]?.[0].status === 'rejected');
      expect(BigInt(accepted.length)).toBe(before.available / units);
      for (const [first, second] of outcomes) {
        expect(second.status).toBe(first.status);
        for (const each of [first, second])
          if (each.status === 'rejected')
            expect(each.reason).toMatchObject({ code: 'LEDGER_INSUFFICIENT_FUNDS' });
        if (first.status === 'fulfilled' && second.status === 'fulfilled')
          expect(second.value.intentId).toBe(first.value.intentId);
      }
      const held = units * BigInt(accepted.length);
      expect(await available(suite)).toEqual({
        available: before.available - held,
        held: before.held + held,
      });

      const [known, unknown] = [accepted[0], refused[0]];
      if (known === undefined || unknown === undefined)
        throw new Error('nothing accepted or nothing refused');
      const again = await put(known.id, known.body);
      expect(again.createdAt).toBe((await put(known.id, known.body)).createdAt);
      for (const changed of [{ units: ether.toString() }, { address: freshAddress() }]) {
        const problem = await problemOf(put(known.id, { ...known.body, ...changed }));
        expect([problem.code, problem.status]).toEqual(['WITHDRAWAL_ID_REUSED', 409]);
      }
      expect((await problemOf(readWithdrawal(context, unknown.id))).code).toBe('WITHDRAWAL_UNKNOWN');

      await Promise.all(
        accepted.map(async ({ id }) => {
          await waitForWithdrawal(context, id, 'PENDING_APPROVAL');
          await api.call('trading', 'POST', `/v1/withdrawals/${id}/cancel`);
        }),
      );
      expect(await available(suite)).toEqual(before);
      // A refused request does not burn its id.
      await put(unknown.id, unknown.body);
      await waitForWithdrawal(context, unknown.id, 'PENDING_APPROVAL');
      await api.call('trading', 'POST', `/v1/withdrawals/${unknown.id}/cancel`);
    },
    scenarioTimeoutMs,
  );
});

async function expectRefused(call: Promise<unknown>, defect: ApprovalDefect): Promise<void> {
  const problem = await problemOf(call);
  expect([problem.code, problem.details['defect']]).toEqual(['POLICY_APPROVAL_REFUSED', defect]);
}
const approvalBy = (approver: string, group = 'treasury'): Ask => ({ decision: 'approve', group, approver });

describe('approvals', () => {
  leaveInvariants();
  test(
    'those that are missing, doubled, of the wrong group, stale or stolen do not count',
    async () => {
      const paid = await ask(suite, 2n * ether);
      const other = await ask(suite, 2n * ether);
      const missing = async (people: number): Promise<void> => {
        const now = await waitForWithdrawal(context, paid.id, 'PENDING_APPROVAL');
        expect(now.missingApprovals).toEqual({ treasury: people });
      };
      await missing(2);
      await waitForWithdrawal(context, other.id, 'PENDING_APPROVAL');
      const statement = await askedStatement(context, paid.id, approvalBy('ada'));
      const sign = (person: string, changed: Partial<typeof statement>) =>
        signStatement(context.files, person, { ...statement, approver: person, ...changed });
      const hand = async (asked: Ask, notAfter: number, assertion: ReturnType<typeof sign>) => {
        await submitApproval(context, paid.id, { ...asked, notAfter, assertion });
      };
      const { notAfter } = statement;
      // Two people in no group that is asked, and the service that initiated it.
      await expectRefused(
        askedStatement(context, paid.id, approvalBy('dora')).then(),
        'approver-not-in-group',
      );
      await expectRefused(hand(approvalBy('dora'), notAfter, sign('dora', {})), 'approver-not-in-group');
      const initiator = approvalBy('withdrawals-api');
      await expectRefused(askedStatement(context, paid.id, initiator), 'approver-unknown');
      await expectRefused(hand(initiator, notAfter, sign('ada', initiator)), 'approver-unknown');
      // A statement that has expired, one that says so only outside what was signed, one of another intent.
      const past = Date.now() - 1;
      await expectRefused(
        hand(approvalBy('ada'), past, sign('ada', { notAfter: past })),
        'statement-expired',
      );
      await expectRefused(hand(approvalBy('ada'), notAfter + 60_000, sign('ada', {})), 'challenge-mismatch');
      const foreign = await askedStatement(context, other.id, approvalBy('ada'));
      await expectRefused(
        hand(approvalBy('ada'), foreign.notAfter, sign('ada', foreign)),
        'challenge-mismatch',
      );
      // Ada's key in Ben's name, a rejection handed in as an approval, a broken signature.
      await expectRefused(
        hand(
          approvalBy('ben'),
          notAfter,
          signStatement(context.files, 'ada', { ...statement, approver: 'ben' }),
        ),
        'credential-unknown',
      );
      await expectRefused(
        hand(approvalBy('ada'), notAfter, sign('ada', { decision: 'reject' })),
        'challenge-mismatch',
      );
      const { signature } = sign('ada', { notAfter: notAfter + 1 });
      await expectRefused(
        hand(approvalBy('ada'), notAfter, { ...sign('ada', {}), signature }),
        'signature-invalid',
      );
      await missing(2);

      await signApproval(context, paid.id, approvalBy('ada'));
      await missing(1);
      await expectRefused(signApproval(context, paid.id, approvalBy('ada')), 'approver-twice');
      await signApproval(context, paid.id, approvalBy('dora', 'compliance'));
      await missing(1);
      expect((await readWithdrawal(context, paid.id)).txId).toBeNull();

      await signApproval(context, paid.id, approvalBy('ben'));
      await untilFinal(suite, paid);
      await expectPaidOnce(suite, paid);
      await expectAttemptsKept(paid.id, 9);
      await api.call('trading', 'POST', `/v1/withdrawals/${other.id}/cancel`);
    },
    scenarioTimeoutMs,
  );

  test(
    'a rejection ends it and gives the hold back',
    async () => {
      const before = await available(suite);
      const { id, units } = await ask(suite, 2n * ether);
      await waitForWithdrawal(context, id, 'PENDING_APPROVAL');
      expect((await available(suite)).held).toBe(before.held + units);
      await signApproval(context, id, approvalBy('ada'));
      await signApproval(context, id, { decision: 'reject', group: 'treasury', approver: 'ben' });
      await waitForWithdrawal(context, id, 'REJECTED');
      expect(await available(suite)).toEqual(before);
      expect((await problemOf(signApproval(context, id, approvalBy('cleo')))).code).toBe('WITHDRAWAL_STATE');
    },
    scenarioTimeoutMs,
  );
});

/** Refused tries are kept beside the approvals, not among them. */
async function expectAttemptsKept(id: string, refused: number): Promise<void> {
  const { rows } = await pool.query<{ approver: string }>(
    'SELECT approver FROM operations.approval WHERE withdrawal_id = $1 ORDER BY approver',
    [id],
  );
  expect(rows.map(({ approver }) => approver)).toEqual(['ada', 'ben', 'dora']);
  const tried = await pool.query('SELECT 1 FROM operations.approval_attempt WHERE withdrawal_id = $1', [id]);
  expect(tried.rowCount).toBe(refused);
}

describe('a deposit taken back before it is final', () => {
  leaveInvariants();
  test(
    'its provisional line is reversed; mined again it is credited once',
    async () => {
      const before = await balance(context);
      const units = 5n * ether;
      const from = context.strangers[3] ?? '';
      // Every field is given, so that the same transaction comes again after the reorg.
      const transaction = {
        from,
        to: found.depositAddress,
        value: `0x${units.toString(16)}`,
        nonce: await node.call<string>('eth_getTransactionCount', [from, 'latest']),
        gas: '0x5208',
        maxFeePerGas: '0x174876e800',
        maxPriorityFeePerGas: '0x3b9aca00',
      };
      const txId = await node.call<string>('eth_sendTransaction', [transaction]);
      await node.mine(1);
      await waitForDeposit(context, txId, 'SEEN');
      expect(await balance(context)).toEqual({ ...before, provisional: units.toString() });
      await node.call('anvil_reorg', [1, []]);
      await waitForDeposit(context, txId, 'ORPHANED');
      expect(await balance(context)).toEqual(before);

      expect(await node.call<string>('eth_sendTransaction', [transaction])).toBe(txId);
      await node.mine(1);
      await waitForDeposit(context, txId, 'SEEN');
      await mineToFinality(context);
      await waitForDeposit(context, txId, 'FINAL');
      const credited = (BigInt(before.available) + units).toString();
      expect(await balance(context)).toEqual({ ...before, available: credited });
    },
    scenarioTimeoutMs,
  );
});

interface Customer {
  readonly accountId: string;
  readonly depositAddress: string;
}

async function newCustomer(): Promise<Customer> {
  const accountId = makeId('acc');
  await api.call('trading', 'PUT', `/v1/accounts/${accountId}`);
  const path = `/v1/accounts/${accountId}/deposit-address`;
  const { address } = await api.call<{ address: string }>('trading', 'POST', path, { asset });
  return { accountId, depositAddress: address };
}

async function suspense(): Promise<bigint> {
  const { rows } = await pool.query<{ units: string }>(
    `SELECT coalesce(sum(credits_posted - debits_posted), 0)::text AS units FROM ledger.account_balance
      WHERE path LIKE 'suspense:%'`,
  );
  return BigInt(rows[0]?.units ?? '');
}

// Last in this file: the chain stands still afterwards.
describe('a deposit taken back after it was credited', () => {
  test(
    'halts the chain with a case; suspense carries what was spent; nothing more is credited or paid',
    async () => {
      const customer = await newCustomer();
      const as = { ...context, found: { ...found, ...customer, withdrawals: [] } };
      const units = 3n * ether;
      const txId = await node.pay({ from: context.strangers[4] ?? '', to: customer.depositAddress, units });
      await node.mine(1);
      const { blockHeight } = await waitForDeposit(as, txId, 'SEEN');
      await mineToFinality(context);
      await waitForDeposit(as, txId, 'FINAL');
      const spent: Paid[] = [];
      for (let count = 0; count < 2; count++) {
        const paid = await ask({ ...suite, context: as }, (9n * ether) / 10n);
        await untilFinal(suite, paid);
        spent.push(paid);
      }
      const kept = await Promise.all(spent.map(async ({ id }) => (await storedAttempts(suite, id))[0]?.raw));
      const suspenseBefore = await suspense();
      const others = await available(suite);

      // The payments stay on the new chain, the deposit and its sweep do not.
      const depth = (await node.height()) - blockHeight + 1;
      await node.call('anvil_reorg', [depth, kept.map((raw) => [`0x${raw ?? ''}`, 0])]);
      await waitForDeposit(as, txId, 'ORPHANED_AFTER_FINAL');
      const halts = await pool.query<{ scope: string }>('SELECT scope FROM infra.halt');
      expect(halts.rows).toEqual([{ scope: `chain:${chain}` }]);
      const cases = await pool.query<{ details: { takenBack: string } }>(
        `SELECT details FROM infra.incident_case WHERE kind = 'deposit-orphaned-after-final' AND closed_at IS NULL`,
      );
      const left = units - 2n * ((9n * ether) / 10n);
      expect(cases.rows.map(({ details }) => details.takenBack)).toEqual([left.toString()]);
      expect(await balance(as)).toMatchObject({ available: '0', held: '0', provisional: '0' });
      expect(suspenseBefore - (await suspense())).toBe(units - left);
      for (const paid of spent) await expectPaidOnce(suite, paid);

      const late = await node.pay({ from: context.strangers[5] ?? '', to: found.depositAddress, units });
      await mineToFinality(context);
      const unpaid = await ask(suite, ether / 10n);
      await untilTrue('the withdrawal to be queued', async () => {
        await node.mine(1);
        return (await readWithdrawal(context, unpaid.id)).state === 'QUEUED';
      });
      // Ten looks of the watcher and more than two of the batcher.
      await delay(2_000);
      expect(await depositOf(context, late)).toBeUndefined();
      expect((await readWithdrawal(context, unpaid.id)).state).toBe('QUEUED');
      expect(await node.balance(unpaid.address, await node.height())).toBe(0n);
      expect((await available(suite)).available).toBe(others.available - unpaid.units);
      await expectLedgerTrue(suite);
    },
    scenarioTimeoutMs,
  );
});
