import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { evaluate, parseDurationMs, ruleMatches } from '#policies';
import type { Decision, PolicyInput, Rule } from '#policies/contract';
import {
  address,
  allowArbitrary,
  devPolicy,
  ether,
  inputArbitrary,
  listedAddress,
  looser,
  oneEther,
  otherAsset,
  policyOf,
  rulesArbitrary,
  tighteningArbitrary,
  withdrawal,
} from './documents.ts';

const runs = { numRuns: 1500 };
const decide = (input: PolicyInput): Decision => evaluate(devPolicy.policy, input);
const rule = (when: Rule['when'], effect: 'allow' | 'deny'): Rule => ({ id: 'X1', title: 'x', effect, when });
const automatic = { rules: [], approvals: {}, delayMs: 0 };

/** The generated cases are worth something only when all outcomes occur among them. */
function outcomesSeen(): Record<'denied' | 'defaulted' | 'automatic' | 'obliged', number> {
  const seen = { denied: 0, defaulted: 0, automatic: 0, obliged: 0 };
  for (const [rules, input] of fc.sample(fc.tuple(rulesArbitrary, inputArbitrary), 1000)) {
    const decision = evaluate(policyOf(rules), input);
    if (decision.outcome === 'deny') seen[decision.rules.length > 0 ? 'denied' : 'defaulted']++;
    else seen[decision.obligations.rules.length > 0 ? 'obliged' : 'automatic']++;
  }
  return seen;
}

describe('properties of any table', () => {
  test('the generated tables reach every outcome', () => {
    for (const count of Object.values(outcomesSeen())) expect(count).toBeGreaterThan(20);
  });

  test('the order of the rules does not matter', () => {
    const permuted = fc
      .tuple(rulesArbitrary, inputArbitrary)
      .chain(([rules, input]) =>
        fc.tuple(
          fc.constant(rules),
          fc.shuffledSubarray(rules, { minLength: rules.length, maxLength: rules.length }),
          fc.constant(input),
        ),
      );
    fc.assert(
      fc.property(permuted, ([rules, shuffled, input]) => {
        const [a, b] = [evaluate(policyOf(rules), input), evaluate(policyOf(shuffled), input)];
        // Ids may repeat among generated rules; the text of a reason then names either title.
        expect({ ...a, reason: '' }).toEqual({ ...b, reason: '' });
      }),
      runs,
    );
  });

  test('adding a deny or require rule never loosens', () => {
    fc.assert(
      fc.property(rulesArbitrary, tighteningArbitrary, inputArbitrary, (rules, added, input) => {
        const before = evaluate(policyOf(rules), input);
        expect(looser(before, evaluate(policyOf([...rules, added]), input))).toBe(false);
      }),
      runs,
    );
  });

  test('taking an allow rule away never loosens', () => {
    fc.assert(
      fc.property(rulesArbitrary, allowArbitrary, inputArbitrary, (rules, extra, input) => {
        const before = evaluate(policyOf([...rules, extra]), input);
        expect(looser(before, evaluate(policyOf(rules), input))).toBe(false);
      }),
      runs,
    );
  });

  test('without a matching allow everything is denied', () => {
    fc.assert(
      fc.property(fc.array(tighteningArbitrary, { minLength: 1 }), inputArbitrary, (rules, input) => {
        expect(evaluate(policyOf(rules), input).outcome).toBe('deny');
      }),
      runs,
    );
  });

  test('one more output never loosens', () => {
    fc.assert(
      fc.property(rulesArbitrary, inputArbitrary, inputArbitrary, (rules, input, other) => {
        const more = { ...input, destinations: [...input.destinations, ...other.destinations] };
        expect(looser(evaluate(policyOf(rules), input), evaluate(policyOf(rules), more))).toBe(false);
      }),
      runs,
    );
  });

  test('obligations are the maximum over the matching require rules', () => {
    fc.assert(
      fc.property(rulesArbitrary, inputArbitrary, (rules, input) => {
        const decision = evaluate(policyOf(rules), input);
        if (decision.outcome === 'deny') return;
        const matching = rules.flatMap((r) => (r.effect === 'require' && ruleMatches(r, input) ? [r] : []));
        for (const group of ['treasury', 'compliance']) {
          const asked = matching.map((r) => r.require.approvals?.[group] ?? 0);
          expect(decision.obligations.approvals[group] ?? 0).toBe(Math.max(0, ...asked));
        }
        const waits = matching.map((r) =>
          r.require.delay === undefined ? 0 : parseDurationMs(r.require.delay),
        );
        expect(decision.obligations.delayMs).toBe(Math.max(0, ...waits));
      }),
      runs,
    );
  });
});

describe('a doubt tightens', () => {
  const matches = (when: Rule['when'], effect: 'allow' | 'deny', change: Partial<PolicyInput>) =>
    ruleMatches(rule(when, effect), withdrawal(change));
  const ownHot = { class: 'own-hot', address } as const;
  const external = { class: 'external', address: listedAddress } as const;

  test('an allow needs every output, a deny any one', () => {
    const mixed = { destinations: [ownHot, external] };
    expect(matches({ destination: ['own-hot'] }, 'allow', mixed)).toBe(false);
    expect(matches({ destination: ['own-hot'] }, 'deny', mixed)).toBe(true);
    expect(matches({ destination: ['own-hot'] }, 'allow', { destinations: [ownHot, ownHot] })).toBe(true);
    expect(matches({ address: { not: [listedAddress] } }, 'allow', mixed)).toBe(false);
    expect(matches({ address: { not: [listedAddress] } }, 'deny', mixed)).toBe(true);
  });

  test('destination and address must hold for the same output of a deny', () => {
    const when = { destination: ['own-hot'], address: [listedAddress] };
    expect(matches(when, 'deny', { destinations: [ownHot, external] })).toBe(false);
    expect(matches(when, 'deny', { destinations: [{ ...external, class: 'own-hot' }] })).toBe(true);
  });

  test('letter case: an allow compares exactly, a deny does not', () => {
    const destinations = [{ class: 'external', address: listedAddress.toLowerCase() }] as const;
    expect(matches({ address: [listedAddress] }, 'deny', { destinations })).toBe(true);
    expect(matches({ address: [listedAddress] }, 'allow', { destinations })).toBe(false);
    expect(matches({ address: { not: [listedAddress] } }, 'allow', { destinations })).toBe(false);
    expect(matches({ address: { not: [listedAddress] } }, 'deny', { destinations })).toBe(true);
  });

  test('an exclusion of roles: all roles outside for an allow, any for a deny', () => {
    const initiatorRoles = ['sweep', 'withdrawal-service'];
    expect(matches({ initiatorRole: { not: ['sweep'] } }, 'allow', { initiatorRoles })).toBe(false);
    expect(matches({ initiatorRole: { not: ['sweep'] } }, 'deny', { initiatorRoles })).toBe(true);
    expect(matches({ initiatorRole: ['sweep'] }, 'allow', { initiatorRoles })).toBe(true);
  });

  test('a range without exactly one asset never allows and always denies', () => {
    for (const asset of [undefined, [ether, otherAsset], { not: [otherAsset] }]) {
      const when = { amount: { lte: '1' }, ...(asset === undefined ? {} : { asset }) };
      expect(matches(when, 'allow', { units: 1n })).toBe(false);
      expect(matches(when, 'deny', { units: 2n })).toBe(true);
    }
  });

  test('each bound of a range at its edge', () => {
    const at = (range: NonNullable<Rule['when']['amount']>, units: bigint) =>
      matches({ asset: [ether], amount: range }, 'deny', { units });
    expect([at({ gt: '5' }, 5n), at({ gt: '5' }, 6n)]).toEqual([false, true]);
    expect([at({ gte: '5' }, 4n), at({ gte: '5' }, 5n)]).toEqual([false, true]);
    expect([at({ lt: '5' }, 5n), at({ lt: '5' }, 4n)]).toEqual([false, true]);
    expect([at({ lte: '5' }, 6n), at({ lte: '5' }, 5n)]).toEqual([false, true]);
    expect([at({ gt: '5', lt: '7' }, 6n), at({ gt: '5', lt: '7' }, 7n)]).toEqual([true, false]);
  });

  test.each<[string, Partial<Record<keyof PolicyInput, unknown>>]>([
    ['the initiator has no role', { initiatorRoles: [] }],
    ['there is no output', { destinations: [] }],
    ['an output has no address', { destinations: [{ class: 'external', address: '' }] }],
    ['the class of a destination is unknown', { destinations: [{ class: 'mars', address }] }],
    ['the total is not above zero', { units: 0n }],
    ['the total is not above zero', { units: -1n }],
    ['the fee cap is negative', { feeCapUnits: -1n }],
    ['the action is unknown', { action: 'mint' }],
    ['the tier is unknown', { tier: 'lukewarm' }],
    ['the vault or the asset is missing', { vault: '' }],
    ['the vault or the asset is missing', { asset: '' }],
  ])('%s: denied even by a table that allows everything', (reason, change) => {
    const allowAll = policyOf([rule({}, 'allow')]);
    expect(evaluate(allowAll, withdrawal()).outcome).toBe('allow');
    const decision = evaluate(allowAll, { ...withdrawal(), ...change } as PolicyInput);
    expect(decision).toEqual({ outcome: 'deny', rules: [], reason: `cannot be judged: ${reason}` });
  });
});

describe('the development table', () => {
  test.each<[string, Partial<PolicyInput>, Decision['outcome'], string[]]>([
    ['a small withdrawal is automatic', {}, 'allow', ['A1']],
    ['just under 1 ETH is automatic', { units: oneEther - 1n }, 'allow', ['A1']],
    ['1 ETH needs approval', { units: oneEther }, 'allow', ['A1', 'R1']],
    ['50 ETH needs approval', { units: 50n * oneEther }, 'allow', ['A1', 'R1']],
    ['one wei above 50 ETH is denied', { units: 50n * oneEther + 1n }, 'deny', ['D1']],
    [
      'a listed address is denied',
      { destinations: [{ class: 'external', address: listedAddress }] },
      'deny',
      ['D2'],
    ],
    ['a fee cap above 0.1 ETH is denied', { feeCapUnits: oneEther / 10n + 1n }, 'deny', ['D3']],
    ['the sweep key cannot pay customers', { initiatorRoles: ['sweep'] }, 'deny', []],
    ['a warm vault pays nobody', { tier: 'warm' }, 'deny', []],
    ['an unknown asset is not paid', { asset: otherAsset }, 'deny', []],
  ])('%s', (_title, change, outcome, rules) => {
    const decision = decide(withdrawal(change));
    expect([decision.outcome, decision.rules]).toEqual([outcome, rules]);
  });

  const sweep = (change: Partial<PolicyInput> = {}) =>
    decide(
      withdrawal({
        action: 'sweep',
        initiatorRoles: ['sweep'],
        units: 100n * oneEther,
        destinations: [{ class: 'own-hot', address }],
        ...change,
      }),
    );
  test('a sweep to the own hot address is automatic, anything else of it is denied', () => {
    expect(sweep()).toEqual({ outcome: 'allow', rules: ['S1'], obligations: automatic });
    expect(sweep({ destinations: [{ class: 'external', address }] }).outcome).toBe('deny');
    expect(sweep({ feeCapUnits: oneEther / 100n }).outcome).toBe('allow');
    expect(sweep({ feeCapUnits: oneEther / 100n + 1n }).outcome).toBe('deny');
    expect(sweep({ initiatorRoles: ['withdrawal-service'] }).outcome).toBe('deny');
    expect(sweep({ asset: otherAsset }).outcome).toBe('deny');
  });

  test('R1 asks two of treasury and says so', () => {
    const decision = decide(withdrawal({ units: 2n * oneEther }));
    expect(decision).toEqual({
      outcome: 'allow',
      rules: ['A1', 'R1'],
      obligations: { rules: ['R1'], approvals: { treasury: 2 }, delayMs: 0 },
    });
  });

  test('raising the amount or the fee cap never loosens', () => {
    const amounts = fc.bigInt({ min: 1n, max: 60n * oneEther });
    const caps = fc.bigInt({ min: 0n, max: oneEther / 5n });
    fc.assert(
      fc.property(amounts, amounts, caps, caps, (units, more, feeCapUnits, moreFee) => {
        const before = decide(withdrawal({ units, feeCapUnits }));
        const after = decide(withdrawal({ units: units + more, feeCapUnits: feeCapUnits + moreFee }));
        expect(looser(before, after)).toBe(false);
      }),
      runs,
    );
  });
});

test.each([
  ['30s', 30_000],
  ['30m', 1_800_000],
  ['24h', 86_400_000],
  ['999999d', 86_399_913_600_000],
])('duration %s', (text, ms) => {
  expect(parseDurationMs(text)).toBe(ms);
});
test.each(['', '0m', '-1h', '1h30m', '1.5h', '24', '1000000s', '1w', ' 1h'])('no duration: "%s"', (text) => {
  expect(() => parseDurationMs(text)).toThrow(/is not a duration/);
});
