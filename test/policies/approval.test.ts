import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '#core/canonical-json';
import {
  approvalDefect,
  approvalStatement,
  judgeApprovals,
  obligationsCover,
  statementChallenge,
} from '#policies';
import type { Approval, ApprovalDefect, Intent } from '#policies/contract';
import { approvalsMax } from '#policies/contract';
import { devRelyingParty, devRoster } from '../support/dev-roster.ts';
import { SoftwarePasskey } from '../support/software-passkey.ts';
import { devPolicy, intentOf } from './documents.ts';
import { forgeAssertion } from './forge-assertion.ts';

const dev = devRoster({
  people: [
    { id: 'ada', groups: ['treasury'] },
    { id: 'bob', groups: ['treasury'] },
    { id: 'cleo', groups: ['treasury', 'compliance'] },
    { id: 'dan', groups: ['compliance'] },
    { id: 'eve', groups: [] },
  ],
  services: [{ id: 'api', roles: ['withdrawal-service'] }],
});
const { roster } = dev;
const intent = intentOf();
const pins = { policyHash: devPolicy.policyHash, rosterHash: dev.rosterHash };
const obligations = { rules: ['R1'], approvals: { treasury: 2 } };
const nowMs = intent.createdAt + 1000;
const notAfter = nowMs + 60_000;
type Approve = Partial<Parameters<typeof dev.approve>[0]>;
const approve = (approver: string, group = 'treasury', change: Approve = {}): Approval =>
  dev.approve({ intent, approver, group, pins, obligations, notAfter, ...change });
const judge = (approvals: readonly Approval[], change: Partial<Parameters<typeof judgeApprovals>[0]> = {}) =>
  judgeApprovals({ approvals, intent, pins, roster, obligations, nowMs, ...change });

// Expected values made with another implementation (Python's json and hashlib over sorted keys).
test('statement and challenge vector', () => {
  const statement = approvalStatement({
    decision: 'approve',
    intent,
    pins: { policyHash: `sha256:${'a'.repeat(64)}`, rosterHash: `sha256:${'b'.repeat(64)}` },
    obligations: { rules: ['R2', 'R1'], approvals: { treasury: 2, compliance: 1 } },
    group: 'treasury',
    approver: 'ada',
    notAfter: 1_790_000_061_000,
  });
  expect(canonicalJson(statement)).toBe(
    `{"approver":"ada","decision":"approve","domain":"strongroom/approval/v1","group":"treasury",` +
      `"intentHash":"sha256:25a32348951a7c48a3dbfeca628c5d54c7229d869fbce04bdc91b262ff9a6626",` +
      `"notAfter":1790000061000,"obligations":{"approvals":{"compliance":1,"treasury":2},"rules":["R1","R2"]},` +
      `"policyHash":"sha256:${'a'.repeat(64)}","requestId":"int_0192f3a0-7c1e-7a3b-8c4d-5e6f70818293",` +
      `"rosterHash":"sha256:${'b'.repeat(64)}"}`,
  );
  expect(Buffer.from(statementChallenge(statement)).toString('hex')).toBe(
    'af701ee72da7881ea05357576e4cc316d8e1c40121874d6e3dcb82ac726f399c',
  );
});

describe('quorum', () => {
  test('two of treasury satisfy', () => {
    const judgement = judge([approve('ada'), approve('bob')]);
    expect(judgement).toEqual({
      counted: { treasury: ['ada', 'bob'] },
      defects: [],
      missing: {},
      rejectedBy: [],
      satisfied: true,
    });
  });

  test('one is missing one, none is missing two, and nothing asked is satisfied by nobody', () => {
    expect(judge([approve('ada')])).toMatchObject({ missing: { treasury: 1 }, satisfied: false });
    expect(judge([])).toMatchObject({ missing: { treasury: 2 }, satisfied: false });
    expect(judge([], { obligations: { rules: [], approvals: {} } }).satisfied).toBe(true);
  });

  test('one person counts in one group, in the one that helps', () => {
    const asked = { rules: ['R1', 'R2'], approvals: { treasury: 2, compliance: 1 } };
    const sign = (who: string, group: string) => approve(who, group, { obligations: asked });
    const cleoTwice = [sign('cleo', 'treasury'), sign('cleo', 'compliance')];
    const first = judge([...cleoTwice, sign('ada', 'treasury'), sign('bob', 'treasury')], {
      obligations: asked,
    });
    expect(first).toMatchObject({ satisfied: true, counted: { compliance: ['cleo'] } });
    expect(first.defects).toEqual([{ approver: 'cleo', group: 'treasury', defect: 'approver-twice' }]);
    const second = judge([...cleoTwice, sign('ada', 'treasury'), sign('dan', 'compliance')], {
      obligations: asked,
    });
    expect(second).toMatchObject({ satisfied: true, counted: { compliance: ['dan'] } });
    expect(judge([...cleoTwice, sign('ada', 'treasury')], { obligations: asked }).satisfied).toBe(false);
  });

  test('the assignment fills as many places as any could, in any order of approvals', () => {
    const asked = { rules: [], approvals: { treasury: 2, compliance: 1 } };
    const all = (['ada', 'bob', 'cleo', 'dan'] as const).flatMap(
      (who) =>
        roster.people
          .find(({ id }) => id === who)
          ?.groups.map((group) => approve(who, group, { obligations: asked })) ?? [],
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(all), (approvals) => {
        const { missing, counted } = judge(approvals, { obligations: asked });
        const given = (group: string) => approvals.filter((a) => a.group === group).map((a) => a.approver);
        const [treasury, compliance] = [given('treasury'), given('compliance')];
        // By hand: give each compliance candidate (or nobody) the place and see how far treasury comes.
        const best = [undefined, ...compliance].map((chosen) => {
          const rest = treasury.filter((who) => who !== chosen);
          return Math.min(2, rest.length) + (chosen === undefined ? 0 : 1);
        });
        const short = Object.values(missing).reduce((a, b) => a + b, 0);
        expect(3 - short).toBe(Math.max(...best));
        const people = Object.values(counted).flat();
        expect(new Set(people).size).toBe(people.length);
      }),
      { numRuns: 60 },
    );
  });

  test('a rejection stops, and who rejected does not count', () => {
    const judgement = judge([
      approve('ada'),
      approve('bob'),
      approve('cleo'),
      approve('cleo', 'compliance', { decision: 'reject' }),
    ]);
    expect(judgement).toMatchObject({ satisfied: false, rejectedBy: ['cleo'], missing: {} });
    expect(judgement.counted).toEqual({ treasury: ['ada', 'bob'] });
  });

  test('a rejection signed by nobody who may does not stop', () => {
    const forged = { ...approve('ada'), decision: 'reject' as const };
    expect(judge([approve('ada'), approve('bob'), forged])).toMatchObject({
      satisfied: true,
      rejectedBy: [],
    });
  });

  test('more approvals than the limit are refused as a whole', () => {
    const one = approve('ada');
    const many = Array.from({ length: approvalsMax + 1 }, () => one);
    expect(() => judge(many)).toThrow(expect.objectContaining({ code: 'POLICY_DOCUMENT_INVALID' }));
  });
});

describe('each defect by an attack; the same approval without it is good', () => {
  const otherKey = new SoftwarePasskey({
    rpId: devRelyingParty.id,
    origin: devRelyingParty.origins[0] ?? '',
  });
  const forgedWith = (change: Partial<Parameters<typeof forgeAssertion>[1]>): Approval => {
    const good = approve('ada');
    const statement = approvalStatement({ ...good, intent, pins });
    const challenge = statementChallenge(statement);
    return { ...good, assertion: forgeAssertion(dev.passkeyOf('ada'), { challenge, ...change }) };
  };
  const attacks: [string, ApprovalDefect, () => Approval, Partial<Intent>?][] = [
    [
      'a person the roster does not know',
      'approver-unknown',
      () => ({ ...approve('ada'), approver: 'mallory' }),
    ],
    ['a service approves', 'approver-unknown', () => ({ ...approve('ada'), approver: 'api' })],
    ['a person of no group', 'approver-not-in-group', () => approve('eve')],
    ['a person of another group', 'approver-not-in-group', () => approve('dan', 'treasury')],
    [
      "another person's passkey",
      'credential-unknown',
      () => ({ ...approve('ada'), assertion: approve('bob').assertion }),
    ],
    [
      'a passkey of nobody',
      'credential-unknown',
      () => ({
        ...approve('ada'),
        assertion: { ...approve('ada').assertion, credentialId: otherKey.credentialId.toString('base64url') },
      }),
    ],
    [
      "a stranger's key under ada's credential",
      'signature-invalid',
      () => {
        const good = approve('ada');
        const challenge = statementChallenge(approvalStatement({ ...good, intent, pins }));
        const { credentialId } = good.assertion;
        return { ...good, assertion: { ...forgeAssertion(otherKey, { challenge }), credentialId } };
      },
    ],
    ['too late', 'statement-expired', () => approve('ada', 'treasury', { notAfter: nowMs - 1 })],
    ['the time on it moved', 'challenge-mismatch', () => ({ ...approve('ada'), notAfter: notAfter + 1 })],
    [
      'asked about fewer people',
      'obligations-too-small',
      () => approve('ada', 'treasury', { obligations: { rules: ['R1'], approvals: { treasury: 1 } } }),
    ],
    [
      'asked about other rules',
      'obligations-too-small',
      () => approve('ada', 'treasury', { obligations: { rules: ['R9'], approvals: { treasury: 2 } } }),
    ],
    [
      'obligations raised after signing',
      'challenge-mismatch',
      () => ({
        ...approve('ada', 'treasury', { obligations: { rules: [], approvals: {} } }),
        obligations: { rules: ['R1'], approvals: { treasury: 2 } },
      }),
    ],
    [
      'the destination swapped after approval',
      'challenge-mismatch',
      () =>
        approve('ada', 'treasury', {
          intent: intentOf({
            outputs: [{ address: '0x0000000000000000000000000000000000000bad', units: '1' }],
          }),
        }),
    ],
    [
      'given for another request',
      'challenge-mismatch',
      () =>
        approve('ada', 'treasury', { intent: intentOf({ id: 'int_0192f3a0-7c1e-7a3b-8c4d-5e6f70818299' }) }),
    ],
    [
      'given under an older policy',
      'challenge-mismatch',
      () => approve('ada', 'treasury', { pins: { ...pins, policyHash: `sha256:${'0'.repeat(64)}` } }),
    ],
    [
      'given under another roster',
      'challenge-mismatch',
      () => approve('ada', 'treasury', { pins: { ...pins, rosterHash: `sha256:${'0'.repeat(64)}` } }),
    ],
    [
      'a rejection turned into an approval',
      'challenge-mismatch',
      () => ({
        ...approve('ada', 'treasury', { decision: 'reject' }),
        decision: 'approve',
      }),
    ],
    [
      'moved to another of her groups',
      'challenge-mismatch',
      () => ({ ...approve('cleo'), group: 'compliance' }),
    ],
    ['made on another page', 'origin-mismatch', () => forgedWith({ origin: 'https://evil.example' })],
    ['made for another site', 'relying-party-mismatch', () => forgedWith({ rpId: 'evil.example' })],
    ['a registration', 'type-mismatch', () => forgedWith({ type: 'webauthn.create' })],
    ['without touch', 'user-not-present', () => forgedWith({ flags: 0x04 })],
    ['without verification', 'user-not-verified', () => forgedWith({ flags: 0x01 })],
    ['garbage', 'malformed', () => forgedWith({ clientDataText: '{' })],
  ];
  const context = { intent, pins, roster, obligations, nowMs };

  test.each(attacks)('%s: %s', (_title, defect, attack) => {
    expect(approvalDefect(forgedWith({}), context)).toBeUndefined();
    const bad = attack();
    expect(approvalDefect(bad, context)).toBe(defect);
    const judgement = judge([bad, approve('bob')]);
    expect(judgement).toMatchObject({ satisfied: false, missing: { treasury: 1 } });
    expect(judgement.defects).toEqual([{ approver: bad.approver, group: bad.group, defect }]);
  });

  test('the initiator does not approve: approver-is-initiator', () => {
    const own = intentOf({ initiator: 'ada' });
    const signed = [approve('ada', 'treasury', { intent: own }), approve('bob', 'treasury', { intent: own })];
    const judgement = judge(signed, { intent: own });
    expect(judgement.defects).toEqual([
      { approver: 'ada', group: 'treasury', defect: 'approver-is-initiator' },
    ]);
    expect(judgement.satisfied).toBe(false);
  });

  test('one person twice counts once: approver-twice', () => {
    const judgement = judge([approve('ada'), approve('ada', 'treasury', { notAfter: notAfter + 5 })]);
    expect(judgement.defects).toEqual([{ approver: 'ada', group: 'treasury', defect: 'approver-twice' }]);
    expect(judgement).toMatchObject({ satisfied: false, missing: { treasury: 1 } });
  });

  test('an invalid approval in front does not shadow the valid one of the same person', () => {
    const stale = approve('ada', 'treasury', { notAfter: nowMs - 1 });
    expect(judge([stale, approve('ada'), approve('bob')]).satisfied).toBe(true);
  });

  test('still good in the last millisecond', () => {
    expect(approvalDefect(approve('ada', 'treasury', { notAfter: nowMs }), context)).toBeUndefined();
  });
});

describe('obligations cover', () => {
  const asked = fc.record({
    rules: fc.subarray(['R1', 'R2', 'R3']),
    approvals: fc.dictionary(
      fc.constantFrom('treasury', 'compliance', 'constructor'),
      fc.integer({ min: 1, max: 3 }),
    ),
  });
  test('itself and everything smaller, nothing larger', () => {
    fc.assert(
      fc.property(asked, asked, (a, b) => {
        expect(obligationsCover(a, a)).toBe(true);
        const larger =
          b.rules.some((rule) => !a.rules.includes(rule)) ||
          Object.keys(b.approvals).some((group) => {
            const stated = Object.hasOwn(a.approvals, group) ? (a.approvals[group] ?? 0) : 0;
            return (b.approvals[group] ?? 0) > stated;
          });
        expect(obligationsCover(a, b)).toBe(!larger);
      }),
      { numRuns: 1000 },
    );
  });
  test('an approval given for more still counts when less is asked', () => {
    const more = { rules: ['R1', 'R2'], approvals: { treasury: 3, compliance: 1 } };
    const signed = ['ada', 'bob'].map((who) => approve(who, 'treasury', { obligations: more }));
    expect(judge(signed).satisfied).toBe(true);
  });
});
