/** Hostile requests that are not one check's alone, the approvals' defects, sweeps, and waits. */
import { afterEach, describe, expect, it } from 'vitest';
import { loadPolicy } from '#policies';
import type { Approval } from '#policies/contract';
import {
  addressAt,
  asset,
  attacker,
  chain,
  closeFixtures,
  ether,
  type Fixture,
  hotAddress,
  openFixture,
  type PaymentOptions,
  testPolicy,
  testRoster,
  unsignedTransaction,
  verdict,
} from './fixture.ts';

afterEach(closeFixtures);

async function verdictOf(options: PaymentOptions, fixture: Fixture = openFixture()): Promise<string> {
  return verdict(await fixture.sign(fixture.payment(options)));
}

describe('what a co-signer computes', () => {
  it('is the Keccak-256 of the bytes and the address of its own key', async () => {
    const { keccak256 } = await import('ethers');
    const fixture = openFixture();
    const { request } = fixture.payment();
    const outcome = await fixture.check({ request });
    if (!outcome.ok) throw new Error('must pass');
    const digest = Buffer.from(outcome.authorisation.digest).toString('hex');
    expect(`0x${digest}`).toBe(keccak256(`0x${request.unsigned}`));
    expect(outcome.authorisation.sender).toBe(hotAddress);
  });
});

describe('a request is refused', () => {
  it.each([
    ['of an unknown form', { request: { path: "m/1'/0" } }, 'decode/request-malformed'],
    ['with a digest field', { request: { digest: '00' } as object }, 'decode/request-malformed'],
    ['with bytes that are no transaction', { request: { unsigned: '00' } }, 'decode/transaction-type'],
    [
      'with bytes behind the end',
      { request: { unsigned: `${unsignedTransaction()}00` } },
      'decode/rlp-trailing-bytes',
    ],
    ['for an unknown wallet', { request: { wallet: `wal_${'0'.repeat(36)}` } }, 'digest/wallet-unknown'],
    ['for another epoch', { request: { epoch: 1 } }, 'digest/epoch-mismatch'],
    ['with a hardened index', { request: { path: 'm/1/2147483648' } }, 'digest/path-not-allowed'],
    ['for a path outside the scheme', { intent: { source: 'm/2/0' } }, 'digest/path-not-allowed'],
    ['for three of three parties', { request: { participants: [1, 2, 3] } }, 'digest/participants-invalid'],
    ['without this co-signer', { request: { participants: [2, 3] } }, 'digest/participants-invalid'],
    ['with a party twice', { request: { participants: [1, 1] } }, 'digest/participants-invalid'],
    [
      'with a party that does not exist',
      { request: { participants: [1, 4] } },
      'digest/participants-invalid',
    ],
    ['with another chain than its bytes', { request: { chain: 'eip155:1' } }, 'digest/chain-mismatch'],
    ['with bytes of another chain', { transaction: { chainId: 1n } }, 'digest/chain-mismatch'],
    ['when the intent pays from elsewhere', { request: { path: 'm/0/0' } }, 'intent/source-mismatch'],
    [
      'when a withdrawal pays from a deposit address',
      { intent: { source: 'm/0/0' } },
      'intent/source-mismatch',
    ],
    ['for another vault', { intent: { vault: 'treasury' } }, 'intent/wallet-mismatch'],
    ['for another asset', { intent: { asset: `${chain}/erc20:0xabc` } }, 'intent/asset-mismatch'],
    [
      'with a memo nobody would see',
      { intent: { outputs: [{ address: attacker, units: '5', memo: 'x' }] } },
      'intent/memo-not-possible',
    ],
    [
      'with an address in lower case',
      { intent: { outputs: [{ address: attacker.toLowerCase(), units: '5' }] } },
      'intent/output-mismatch',
    ],
    [
      'with two outputs',
      {
        intent: {
          outputs: [
            { address: attacker, units: '5' },
            { address: attacker, units: '6' },
          ],
        },
      },
      'intent/outputs-not-one',
    ],
    ['with one wei more', { transaction: { value: ether / 10n + 1n } }, 'intent/output-mismatch'],
    [
      'when the sweep key asks for a withdrawal',
      { intent: { initiator: 'sweeper' } },
      'intent/initiator-role',
    ],
    [
      'when nobody of the roster asks',
      { intent: { initiator: 'mallory' }, initiator: 'api' },
      'intent/initiator-unknown',
    ],
    ['when another key signed', { intent: { initiator: 'api' }, initiator: 'sweeper' }, 'intent/key-unknown'],
    ['with an unknown roster', { request: { rosterHash: testPolicy.policyHash } }, 'pins/roster-not-pinned'],
    [
      'from the future',
      { intent: { createdAt: 1_790_000_000_000 + 3_600_000 } },
      'policy/intent-from-future',
    ],
  ] as const)('%s', async (_title, options, expected) => {
    expect(await verdictOf(options as PaymentOptions)).toBe(expected);
  });

  it('when the intent was changed after it was signed', async () => {
    const fixture = openFixture();
    const { request } = fixture.payment();
    const [signed] = request.intents;
    if (signed === undefined) throw new Error('one intent');
    const outputs = [{ address: attacker, units: '1' }];
    const changed = { ...signed, intent: { ...signed.intent, outputs } };
    const forged = {
      ...request,
      unsigned: unsignedTransaction({ to: attacker, value: 1n }),
      intents: [changed],
    };
    expect(verdict(await fixture.sign({ request: forged }))).toBe('intent/signature-invalid');
  });

  it('when the policy names no velocity limit for the asset', async () => {
    const { policy } = loadPolicy({ ...testPolicy.policy, velocity: [] });
    expect(await verdictOf({}, openFixture({ policy }))).toBe('spend/limit-missing');
  });

  it('and each refusal is logged with its check, a flood of them at a bounded rate', async () => {
    const fixture = openFixture();
    for (let i = 0; i < 200; i++) await fixture.check({ request: { nonsense: i } });
    const refusals = () =>
      [...fixture.coSigner.decisionLog.records()].filter(({ kind }) => kind === 'refused');
    expect(refusals()).toHaveLength(120);
    expect(refusals()[0]?.body).toMatchObject({
      check: 'decode',
      reason: 'request-malformed',
      suppressed: 0,
    });
    fixture.clock.advance(60_000);
    await fixture.check({ request: {} });
    expect(refusals().at(-1)?.body).toMatchObject({ suppressed: 80 });
  });

  it('and the record of a refusal stays small, however many intents a request carries', async () => {
    const fixture = openFixture();
    const { request } = fixture.payment();
    const intents = Array.from({ length: 500 }, () => request.intents[0]);
    await fixture.check({ request: { ...request, intents } });
    const record = [...fixture.coSigner.decisionLog.records()].at(-1);
    expect(record?.body).toMatchObject({ reason: 'intents-not-one' });
    expect(JSON.stringify(record).length).toBeLessThan(1500);
  });
});

describe('approvals of a large withdrawal', () => {
  const large = { units: 2n * ether };
  /** Two good approvals, the second changed. */
  async function withSecond(change: (approval: Approval, fixture: Fixture) => Approval): Promise<string> {
    const fixture = openFixture();
    const { request } = fixture.payment({ ...large, approvers: ['ana', 'bo'] });
    const approvals = request.approvals.map((item, index) =>
      index === 0 ? item : { ...item, approval: change(item.approval, fixture) },
    );
    return verdict(await fixture.sign({ request: { ...request, approvals } }));
  }
  const other = (options: Partial<Parameters<typeof testRoster.approve>[0]>) => async (): Promise<string> => {
    const fixture = openFixture();
    const payment = fixture.payment({ ...large, approvers: ['ana'] });
    const approval = testRoster.approve({
      intent: payment.intent,
      approver: 'bo',
      group: 'treasury',
      pins: { policyHash: testPolicy.policyHash, rosterHash: testRoster.rosterHash },
      obligations: { rules: ['R1'], approvals: { treasury: 2 } },
      notAfter: payment.intent.notAfter,
      ...options,
    });
    const approvals = [...payment.request.approvals, { intentId: payment.intent.id, approval }];
    return verdict(await fixture.sign({ request: { ...payment.request, approvals } }));
  };

  it('by two people of the group pass', async () => {
    expect(await verdictOf({ ...large, approvers: ['ana', 'bo'] })).toBe('ok');
    expect(await other({})()).toBe('ok');
  });

  it.each([
    ['of one person only', { approvers: ['ana'] }, 'approvals/approval-missing'],
    ['of one person twice', { approvers: ['ana', 'ana'] }, 'approvals/approver-twice'],
    ['of a person outside the group', { approvers: ['ana', 'di'] }, 'approvals/approver-not-in-group'],
  ] as const)('%s are refused', async (_title, options, expected) => {
    expect(await verdictOf({ ...large, ...options })).toBe(expected);
  });

  it.each([
    ['an expired statement', { notAfter: 1_790_000_000_000 - 1 }, 'approvals/statement-expired'],
    [
      'a statement under another policy',
      { pins: { policyHash: testRoster.rosterHash, rosterHash: testRoster.rosterHash } },
      'approvals/challenge-mismatch',
    ],
    [
      'a statement under another roster',
      { pins: { policyHash: testPolicy.policyHash, rosterHash: testPolicy.policyHash } },
      'approvals/challenge-mismatch',
    ],
    [
      'a statement that asked for less',
      { obligations: { rules: [], approvals: { treasury: 1 } } },
      'approvals/obligations-too-small',
    ],
    ['a group the person is not in', { group: 'audit' }, 'approvals/approver-not-in-group'],
    ['a rejection', { decision: 'reject' }, 'approvals/rejected'],
  ] as const)('with %s are refused', async (_title, options, expected) => {
    expect(await other(options)()).toBe(expected);
  });

  it('with an assertion of another person, or one changed byte, are refused', async () => {
    expect(await withSecond((approval) => ({ ...approval, approver: 'cy' }))).toBe(
      'approvals/credential-unknown',
    );
    expect(
      await withSecond((approval) => ({
        ...approval,
        assertion: {
          ...approval.assertion,
          authenticatorData: approval.assertion.authenticatorData.replace(/^./, (c) =>
            c === 'A' ? 'B' : 'A',
          ),
        },
      })),
    ).toBe('approvals/relying-party-mismatch');
  });

  it('of another intent do not carry over', async () => {
    const fixture = openFixture();
    const approved = fixture.payment({ ...large, approvers: ['ana', 'bo'] });
    const wanted = fixture.payment(large);
    const approvals = approved.request.approvals.map(({ approval }) => ({
      intentId: wanted.intent.id,
      approval,
    }));
    expect(verdict(await fixture.sign({ request: { ...wanted.request, approvals } }))).toBe(
      'approvals/challenge-mismatch',
    );
  });
});

describe('a wait', () => {
  it('runs from the own first sight, over a restart, and not from what the intent says', async () => {
    const fixture = openFixture();
    const payment = fixture.payment({
      units: 5n * ether,
      approvers: ['ana', 'bo'],
      intent: { createdAt: 1_790_000_000_000 - 10 * 3_600_000 },
    });
    expect(verdict(await fixture.sign(payment))).toBe('policy/wait-not-over');
    fixture.clock.advance(3_600_000 - 1);
    const restarted = await fixture.reopen();
    expect(verdict(await restarted.sign(payment))).toBe('policy/wait-not-over');
    restarted.clock.advance(1);
    expect(verdict(await restarted.sign(payment))).toBe('ok');
  });

  it('does not start for an intent whose signature or bytes are wrong', async () => {
    const fixture = openFixture();
    const payment = fixture.payment({ units: 5n * ether, approvers: ['ana', 'bo'] });
    const swapped = {
      ...payment.request,
      unsigned: unsignedTransaction({ to: attacker, value: 5n * ether }),
    };
    expect(verdict(await fixture.sign({ request: swapped }))).toBe('intent/output-mismatch');
    fixture.clock.advance(3_600_000);
    expect(verdict(await fixture.sign(payment))).toBe('policy/wait-not-over');
  });
});

describe('a sweep', () => {
  it('pays from a deposit address to the own hot address; only its fee counts as spend', async () => {
    const fixture = openFixture();
    const outcome = await fixture.check(fixture.sweep({ units: 1000n * ether }));
    if (!outcome.ok) throw new Error(verdict(outcome));
    expect(outcome.authorisation.sender).toBe(addressAt('m/0/7'));
    expect(verdict(await fixture.sign(fixture.sweep({ units: 1000n * ether, nonce: 1n })))).toBe('ok');
  });

  it.each([
    [
      'to somewhere else',
      { intent: { outputs: [{ address: attacker, units: '5' }] } },
      'intent/sweep-destination',
    ],
    [
      'to a deposit address of the wallet',
      { intent: { outputs: [{ address: addressAt('m/0/8'), units: '5' }] } },
      'intent/sweep-destination',
    ],
    ['from the hot address', { intent: { source: 'm/1/0' } }, 'intent/source-mismatch'],
    ['by the withdrawal key', { intent: { initiator: 'api' } }, 'intent/initiator-role'],
    ['that pays elsewhere in its bytes', { transaction: { to: attacker } }, 'intent/output-mismatch'],
  ] as const)('%s is refused', async (_title, options, expected) => {
    const fixture = openFixture();
    expect(verdict(await fixture.sign(fixture.sweep(options as PaymentOptions)))).toBe(expected);
  });
});

describe('local limits', () => {
  it('hold the global limit even with one hostile co-signer of three', async () => {
    // Parties 1 and 2 are honest, 3 signs everything: each payment needs one honest party besides it.
    const honest = [openFixture(), openFixture({ config: { party: 2 } })];
    let paid = 0n;
    for (const [index, fixture] of honest.entries())
      for (let nonce = 0n; nonce < 30n; nonce++) {
        const participants = [index + 1, 3];
        const payment = fixture.payment({ units: ether / 2n, nonce, request: { participants } });
        if ((await fixture.sign(payment)).ok) paid += ether / 2n + ether / 100n;
      }
    const global = BigInt(testPolicy.policy.velocity.find((limit) => limit.asset === asset)?.max ?? '0');
    expect(paid).toBeLessThanOrEqual(global);
    expect(paid).toBeGreaterThan((global * 9n) / 10n);
  });

  it('open again when the window has passed', async () => {
    const fixture = openFixture();
    for (let nonce = 0n; nonce < 11n; nonce++)
      expect(verdict(await fixture.sign(fixture.payment({ units: (9n * ether) / 10n, nonce })))).toBe(
        nonce < 10n ? 'ok' : 'spend/limit-exceeded',
      );
    fixture.clock.advance(24 * 3_600_000);
    expect(verdict(await fixture.sign(fixture.payment({ units: (9n * ether) / 10n, nonce: 11n })))).toBe(
      'ok',
    );
  });
});
