/**
 * For each of the ten checks an attack that it alone refuses: with all ten in place the request is refused by that check,
 * with that one taken out of the array it passes the other nine.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { hashJson } from '#core/canonical-json';
import { type CheckName, checkNames } from '#custody/protocol';
import { bundleStatement, statementChallenge } from '#policies';
import { allChecks } from '../../custody/signer/checks/index.ts';
import type { CheckOutcome } from '../../custody/signer/ports.ts';
import { assertionOf } from '../support/dev-roster.ts';
import {
  attacker,
  closeFixtures,
  commit,
  deniedPayee,
  ether,
  type Fixture,
  mainnetAsset,
  openFixture,
  testPolicy,
  testRoster,
  verdict,
} from './fixture.ts';

afterEach(closeFixtures);

interface Attack {
  readonly check: CheckName;
  readonly reason: string;
  readonly title: string;
  readonly run: (fixture: Fixture) => Promise<CheckOutcome>;
}

/** A new policy version in force, signed by two people of treasury. */
function activateNextPolicy({ coSigner }: Fixture): void {
  const current = { policy: testPolicy.policy, roster: testRoster.roster };
  const policy = { ...testPolicy.policy, version: 2, parent: hashJson(testPolicy.policy) };
  const approvals = ['ana', 'bo'].map((approver) => {
    const statement = bundleStatement({
      next: { policy, roster: testRoster.roster },
      current,
      group: 'treasury',
      approver,
    });
    const assertion = assertionOf(testRoster.passkeyOf(approver), statementChallenge(statement));
    return { group: 'treasury', approver, assertion };
  });
  coSigner.pins.activateBundle({ policy, roster: testRoster.roster, approvals });
}

const attacks: readonly Attack[] = [
  {
    check: 'decode',
    reason: 'contract-data',
    title: 'a payment that also calls its recipient with data nobody approved',
    run: async (fixture) => await fixture.sign(fixture.payment({ transaction: { data: '0x095ea7b3' } })),
  },
  {
    check: 'decode',
    reason: 'access-list',
    title: 'a payment with an access list',
    run: async (fixture) =>
      await fixture.sign(fixture.payment({ transaction: { accessList: [[attacker, ['00'.repeat(32)]]] } })),
  },
  {
    check: 'digest',
    reason: 'chain-mismatch',
    title: 'bytes, intent and request all say mainnet, the wallet lives on the development chain',
    run: async (fixture) =>
      await fixture.sign(
        fixture.payment({
          intent: { asset: mainnetAsset, feeCap: { asset: mainnetAsset, units: (ether / 100n).toString() } },
          transaction: { chainId: 1n },
          request: { chain: 'eip155:1' },
        }),
      ),
  },
  {
    check: 'intent',
    reason: 'output-mismatch',
    title: 'the destination is swapped after two people approved',
    run: async (fixture) =>
      await fixture.sign(
        fixture.payment({ units: 2n * ether, approvers: ['ana', 'bo'], transaction: { to: attacker } }),
      ),
  },
  {
    check: 'intent',
    reason: 'fee-above-cap',
    title: 'a fee beyond the cap burns the wallet',
    run: async (fixture) => await fixture.sign(fixture.payment({ transaction: { maxFee: 10n ** 15n } })),
  },
  {
    check: 'pins',
    reason: 'policy-not-pinned',
    title: 'the coordinator goes back to the policy before the one in force',
    run: async (fixture) => {
      activateNextPolicy(fixture);
      return await fixture.sign(fixture.payment({ request: { policyHash: testPolicy.policyHash } }));
    },
  },
  {
    check: 'approvals',
    reason: 'approval-missing',
    title: 'a large withdrawal that nobody approved',
    run: async (fixture) => await fixture.sign(fixture.payment({ units: 2n * ether })),
  },
  {
    check: 'policy',
    reason: 'policy-denied',
    title: 'a listed address',
    run: async (fixture) =>
      await fixture.sign(
        fixture.payment({ intent: { outputs: [{ address: deniedPayee, units: (ether / 10n).toString() }] } }),
      ),
  },
  {
    check: 'policy',
    reason: 'intent-expired',
    title: 'an intent kept until after its end',
    run: async (fixture) => {
      const payment = fixture.payment();
      fixture.clock.advance(25 * 3_600_000);
      return await fixture.sign(payment);
    },
  },
  {
    check: 'policy',
    reason: 'wait-not-over',
    title: 'a withdrawal that must wait, asked for at once',
    run: async (fixture) =>
      await fixture.sign(fixture.payment({ units: 5n * ether, approvers: ['ana', 'bo'] })),
  },
  {
    check: 'policy',
    reason: 'clock-behind-log',
    title: 'the clock is set back to make an expired intent good again',
    run: async (fixture) => {
      const payment = fixture.payment();
      fixture.clock.advance(25 * 3_600_000);
      await fixture.sign(fixture.payment({ nonce: 1n }));
      fixture.clock.advance(-25 * 3_600_000);
      return await fixture.sign(payment);
    },
  },
  {
    check: 'spend',
    reason: 'limit-exceeded',
    title: 'a stolen service key drains in small payments that need nobody',
    run: async (fixture) => {
      // The local limit is 20 / (3 - 2 + 1) = 10 ether; one payment counts 0.91.
      let outcome = await fixture.sign(fixture.payment({ units: (9n * ether) / 10n }));
      for (let nonce = 1n; nonce <= 10n && outcome.ok; nonce++)
        outcome = await fixture.sign(fixture.payment({ units: (9n * ether) / 10n, nonce }));
      return outcome;
    },
  },
  {
    check: 'freeze',
    reason: 'frozen',
    title: 'a payment from a wallet the operator froze',
    run: async (fixture) => {
      fixture.coSigner.freezes.freezeLocally('all', 'incident');
      return await fixture.sign(fixture.payment());
    },
  },
  {
    check: 'conflict',
    reason: 'intent-has-other-set',
    title: 'one withdrawal signed under two nonces pays twice',
    run: async (fixture) => {
      const first = await fixture.sign(fixture.payment({ id: 'twice', nonce: 0n }));
      expect(verdict(first)).toBe('ok');
      return await fixture.sign(fixture.payment({ id: 'twice', nonce: 1n }));
    },
  },
  {
    check: 'record',
    reason: 'sign-id-reused',
    title: 'a sign id comes back under the same shares',
    run: async (fixture) => {
      const signId = new Uint8Array(32).fill(7);
      const outcomes = await Promise.all([
        fixture.check(fixture.payment({ nonce: 0n })),
        fixture.check(fixture.payment({ nonce: 1n })),
      ]);
      for (const outcome of outcomes) {
        if (!outcome.ok) return outcome;
        const committed = await commit(fixture.coSigner, outcome.authorisation, signId);
        if (!committed.ok) return committed;
      }
      return outcomes[1];
    },
  },
];

describe('each check refuses an attack that the other nine let pass', () => {
  it.each(attacks)('$check ($reason): $title', async ({ check, reason, run }) => {
    expect(verdict(await run(openFixture()))).toBe(`${check}/${reason}`);
    const others = allChecks.filter(({ name }) => name !== check);
    expect(others).toHaveLength(9);
    expect(verdict(await run(openFixture({ checks: others })))).toBe('ok');
  });

  it('has an attack for every check, and the checks stand in the order of the design', () => {
    expect([...new Set(attacks.map(({ check }) => check))]).toEqual([...checkNames]);
    expect(allChecks.map(({ name }) => name)).toEqual([...checkNames]);
  });

  it('record: without it a signature leaves no trace in the log', async () => {
    const kinds = async (fixture: Fixture) => {
      expect(verdict(await fixture.sign(fixture.payment()))).toBe('ok');
      return [...fixture.coSigner.decisionLog.records()].map(({ kind }) => kind);
    };
    expect(await kinds(openFixture())).toContain('committed');
    const others = allChecks.filter(({ name }) => name !== 'record');
    expect(await kinds(openFixture({ checks: others }))).not.toContain('committed');
  });
});
