import { describe, expect, test } from 'vitest';
import {
  bundleStatement,
  clockSkewMaxMs,
  freezeStatement,
  freezeStatementAgeMaxMs,
  judgeBundle,
  judgeFreeze,
  loadPolicy,
  type SignedBundle,
  type SignedFreeze,
  statementChallenge,
} from '#policies';
import type { Policy } from '#policies/contract';
import { assertionOf, devRoster } from '../support/dev-roster.ts';
import { devPolicy } from './documents.ts';

const people = [
  { id: 'ada', groups: ['treasury', 'compliance'] },
  { id: 'bob', groups: ['treasury'] },
  { id: 'cleo', groups: ['treasury'] },
  { id: 'dan', groups: ['compliance'] },
];
const services = [
  { id: 'api', roles: ['withdrawal-service'] },
  { id: 'worker', roles: ['sweep'] },
];
const governance = { treasury: 1, compliance: 1 };
const now = devRoster({ people, services, governance });
const current = { policy: devPolicy.policy, roster: now.roster };

const edited = (change: Partial<Policy>): Policy =>
  loadPolicy({ ...devPolicy.policy, version: 2, parent: devPolicy.policyHash, ...change }).policy;
const nextRoster = (change: Partial<Parameters<typeof devRoster>[0]> = {}) =>
  devRoster({ people, services, governance, version: 2, parent: now.rosterHash, previous: now, ...change });

function signed(
  next: { policy: Policy; roster: typeof now.roster },
  signers: readonly (readonly [string, string])[],
  keys = now,
): SignedBundle {
  const approvals = signers.map(([approver, group]) => {
    const statement = bundleStatement({ next, current, group, approver });
    const assertion = assertionOf(keys.passkeyOf(approver), statementChallenge(statement));
    return { group, approver, assertion };
  });
  return { ...next, approvals };
}
const judge = (bundle: SignedBundle) =>
  judgeBundle({ bundle, currentPolicy: current.policy, currentRoster: current.roster });
const quorum = [
  ['bob', 'treasury'],
  ['dan', 'compliance'],
] as const;

describe('bundle', () => {
  test('a new policy, a new roster, or both, signed by the people the roster in force asks for', () => {
    const policy = edited({ rules: devPolicy.policy.rules.slice(0, 3) });
    const { roster, rosterHash } = nextRoster();
    expect(judge(signed({ policy, roster: now.roster }, quorum))).toEqual({
      accepted: true,
      policyHash: loadPolicy(policy).policyHash,
      rosterHash: now.rosterHash,
    });
    expect(judge(signed({ policy: devPolicy.policy, roster }, quorum))).toMatchObject({
      accepted: true,
      rosterHash,
    });
    expect(judge(signed({ policy, roster }, quorum)).accepted).toBe(true);
  });

  const policy = edited({});
  const next = { policy, roster: now.roster };
  test.each<[string, string, () => SignedBundle]>([
    ['nothing new', 'nothing-changed', () => signed(current, quorum)],
    [
      'an older version',
      'version-not-higher',
      () => signed({ ...next, policy: edited({ version: 1 }) }, quorum),
    ],
    [
      'a version that skips the one in force',
      'parent-mismatch',
      () => signed({ ...next, policy: edited({ parent: `sha256:${'0'.repeat(64)}` }) }, quorum),
    ],
    ['no parent', 'parent-mismatch', () => signed({ ...next, policy: edited({ parent: null }) }, quorum)],
    [
      'an older roster beside a good policy',
      'version-not-higher',
      () => signed({ policy, roster: nextRoster({ version: 1 }).roster }, quorum),
    ],
    [
      'a policy the loader refuses',
      'document-invalid',
      () => signed({ ...next, policy: { ...policy, rules: [] } }, quorum),
    ],
    [
      'a quorum the roster cannot fill',
      'document-invalid',
      () =>
        signed(
          { policy, roster: nextRoster({ people: people.slice(0, 2), governance: { treasury: 1 } }).roster },
          quorum,
        ),
    ],
    ['nobody signed', 'approvals-missing', () => signed(next, [])],
    ['one of two groups', 'approvals-missing', () => signed(next, [['bob', 'treasury']])],
    [
      'one person for both groups',
      'approvals-missing',
      () =>
        signed(next, [
          ['ada', 'treasury'],
          ['ada', 'compliance'],
        ]),
    ],
    [
      'a person outside the group',
      'approvals-missing',
      () =>
        signed(next, [
          ['bob', 'treasury'],
          ['cleo', 'compliance'],
        ]),
    ],
    [
      'signatures over another policy',
      'approvals-missing',
      () => ({
        ...signed({ ...next, policy: edited({ version: 3 }) }, quorum),
        policy,
      }),
    ],
    [
      'people whom only the new roster knows',
      'approvals-missing',
      () => {
        const takeover = devRoster({ people, services, governance, version: 2, parent: now.rosterHash });
        return signed({ policy, roster: takeover.roster }, quorum, takeover);
      },
    ],
  ])('%s: %s', (_title, reason, bundle) => {
    expect(judge(signed(next, quorum)).accepted).toBe(true);
    expect(judge(bundle())).toMatchObject({ accepted: false, reason });
  });

  test('a development roster cannot follow a real one', () => {
    const real = nextRoster({ dev: false, version: 1, parent: null });
    const dev = nextRoster({ dev: true, parent: real.rosterHash });
    const bundle = { policy: devPolicy.policy, roster: dev.roster, approvals: [] };
    expect(
      judgeBundle({ bundle, currentPolicy: devPolicy.policy, currentRoster: real.roster }),
    ).toMatchObject({ accepted: false, reason: 'dev-roster' });
  });
});

describe('freeze and lift', () => {
  const nowMs = 1_790_000_000_000;
  type Change = Partial<Parameters<typeof freezeStatement>[0]>;
  const sign = (approver: string, change: Change = {}): SignedFreeze => {
    const base = { decision: 'freeze', scope: 'all', reason: 'odd outflow', approver, at: nowMs } as const;
    const statement = freezeStatement({ ...base, ...change });
    const assertion = assertionOf(now.passkeyOf(approver), statementChallenge(statement));
    return { statement, assertion };
  };
  const lift = (approver: string, change: Change = {}) => sign(approver, { decision: 'lift', ...change });
  const decide = (items: readonly SignedFreeze[], changedAtMs?: number) =>
    judgeFreeze({
      signed: items,
      roster: now.roster,
      nowMs,
      ...(changedAtMs === undefined ? {} : { changedAtMs }),
    });

  test('one person freezes, two different people lift', () => {
    expect(decide([sign('ada')])).toEqual({
      accepted: true,
      decision: 'freeze',
      scope: 'all',
      people: ['ada'],
    });
    expect(decide([lift('ada')])).toMatchObject({ accepted: false, reason: 'too-few-people' });
    expect(decide([lift('ada'), lift('ada')])).toMatchObject({ accepted: false, reason: 'too-few-people' });
    expect(decide([lift('bob'), lift('ada')])).toMatchObject({ accepted: true, people: ['ada', 'bob'] });
  });

  test.each(['all', 'wallet:wal_0192f3a0-7c1e-7a3b-8c4d-5e6f70818294', 'chain:eip155:31337'])(
    'scope %s',
    (scope) => {
      expect(decide([sign('ada', { scope })])).toMatchObject({ accepted: true, scope });
    },
  );
  test.each(['', 'ALL', 'wallet:', 'chain:ethereum', 'all '])('no scope: "%s"', (scope) => {
    expect(decide([sign('ada', { scope })])).toMatchObject({ accepted: false, reason: 'malformed' });
  });

  test('statements that do not say the same are refused as a whole', () => {
    expect(decide([lift('ada'), sign('bob')])).toMatchObject({ reason: 'malformed' });
    expect(decide([lift('ada'), lift('bob', { scope: 'chain:eip155:1' })])).toMatchObject({
      reason: 'malformed',
    });
    expect(decide([])).toMatchObject({ reason: 'malformed' });
  });

  test('a freeze signature cannot lift', () => {
    const turned = (item: SignedFreeze): SignedFreeze => ({
      ...item,
      statement: { ...item.statement, decision: 'lift' },
    });
    expect(decide([turned(sign('ada')), turned(sign('bob'))])).toMatchObject({
      accepted: false,
      defects: [
        { approver: 'ada', defect: 'challenge-mismatch' },
        { approver: 'bob', defect: 'challenge-mismatch' },
      ],
    });
  });

  test('too old, from the future, or from before the last change: a replay', () => {
    const edges = [nowMs - freezeStatementAgeMaxMs, nowMs + clockSkewMaxMs];
    for (const at of edges) expect(decide([sign('ada', { at })]).accepted).toBe(true);
    for (const at of [nowMs - freezeStatementAgeMaxMs - 1, nowMs + clockSkewMaxMs + 1])
      expect(decide([sign('ada', { at })])).toMatchObject({
        accepted: false,
        defects: [{ approver: 'ada', defect: 'statement-expired' }],
      });
    const pair = [lift('ada'), lift('bob')];
    expect(decide(pair, nowMs - 1).accepted).toBe(true);
    expect(decide(pair, nowMs).accepted).toBe(false);
  });
});
