/** Policies, inputs and intents for the tests, fixed ones and generated ones. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { Decision, Intent, Policy, PolicyInput, Rule } from '#policies/contract';
import { actions, destinationClasses, tiers } from '#policies/contract';
import { parsePolicy } from '#policies/yaml';

export const ether = 'eip155:31337/slip44:60';
export const otherAsset = 'eip155:1/slip44:60';
export const oneEther = 10n ** 18n;
export const devPolicyText = readFileSync(new URL('../../policies/dev-policy.yaml', import.meta.url), 'utf8');
export const devPolicy = parsePolicy(devPolicyText);
/** Account 9 of the development chain; rule D2 lists it. */
export const listedAddress = '0xa0Ee7A142d267C1f36714E4a8F75612F20a79720';
export const address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

export const policyOf = (rules: readonly Rule[]): Policy => ({
  policy: 'test',
  format: 1,
  version: 1,
  parent: null,
  default: 'deny',
  rules: [...rules],
  velocity: [],
});

export const withdrawal = (change: Partial<PolicyInput> = {}): PolicyInput => ({
  action: 'withdraw',
  initiatorRoles: ['withdrawal-service'],
  tier: 'hot',
  vault: 'hot-1',
  asset: ether,
  units: oneEther / 10n,
  feeCapUnits: 10n ** 16n,
  destinations: [{ class: 'external', address }],
  ...change,
});

export const intentOf = (change: Partial<Intent> = {}): Intent => ({
  version: 1,
  id: 'int_0192f3a0-7c1e-7a3b-8c4d-5e6f70818293',
  action: 'withdraw',
  vault: 'hot-1',
  asset: ether,
  outputs: [{ address, units: (2n * oneEther).toString() }],
  feeCap: { asset: ether, units: '10000000000000000' },
  conflictScope: 'wal_0192f3a0-7c1e-7a3b-8c4d-5e6f70818294',
  source: 'm/1/0',
  purpose: 'withdrawal wd_0192f3a0-7c1e-7a3b-8c4d-5e6f70818295',
  initiator: 'api',
  createdAt: 1_790_000_000_000,
  notAfter: 1_790_003_600_000,
  ...change,
});

// Few values, so that generated rules and inputs meet often.
const roles = ['withdrawal-service', 'sweep', 'treasury-desk'];
const vaults = ['hot-1', 'hot-2'];
const assets = [ether, otherAsset];
const addresses = ['0xAa', '0xaa', '0xBb'];
const groups = ['treasury', 'compliance'];
// Mostly absent: a rule with nine conditions matches almost nothing.
const maybe = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 4 }, { arbitrary, weight: 1 });
const setOf = (values: readonly string[]) => {
  const some = fc.subarray([...values], { minLength: 1 });
  return fc.oneof(
    some,
    some.map((not) => ({ not })),
  );
};
const units = fc.integer({ min: 0, max: 12 }).map(String);
const range = fc.record({ gt: units, gte: units, lt: units, lte: units }, { requiredKeys: [] });
const definedOnly = <T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as never;

export const whenArbitrary = fc
  .record({
    action: maybe(setOf(actions)),
    initiatorRole: maybe(setOf(roles)),
    tier: maybe(setOf(tiers)),
    vault: maybe(setOf(vaults)),
    asset: maybe(
      fc.oneof(
        fc.constantFrom(...assets).map((asset) => [asset]),
        setOf(assets),
      ),
    ),
    destination: maybe(setOf(destinationClasses)),
    address: maybe(setOf(addresses)),
    amount: maybe(range),
    feeCap: maybe(range),
  })
  .map(definedOnly);

const ruleParts = { id: fc.nat({ max: 9999 }).map((n) => `R${n}`), title: fc.constant('generated') };
const requirement = fc
  .record({
    approvals: fc.option(fc.dictionary(fc.constantFrom(...groups), fc.integer({ min: 1, max: 4 })), {
      nil: undefined,
    }),
    delay: fc.option(fc.constantFrom('30m', '24h'), { nil: undefined }),
  })
  .map(definedOnly);
export const allowArbitrary: fc.Arbitrary<Rule> = fc.record({
  ...ruleParts,
  effect: fc.constant('allow' as const),
  when: whenArbitrary,
});
export const tighteningArbitrary: fc.Arbitrary<Rule> = fc.oneof(
  fc.record({ ...ruleParts, effect: fc.constant('deny' as const), when: whenArbitrary }),
  fc.record({
    ...ruleParts,
    effect: fc.constant('require' as const),
    when: whenArbitrary,
    require: requirement,
  }),
);
export const rulesArbitrary = fc.array(fc.oneof(allowArbitrary, allowArbitrary, tighteningArbitrary), {
  minLength: 1,
  maxLength: 12,
});
export const inputArbitrary: fc.Arbitrary<PolicyInput> = fc.record({
  action: fc.constantFrom(...actions),
  initiatorRoles: fc.subarray(roles, { minLength: 1 }),
  tier: fc.constantFrom(...tiers),
  vault: fc.constantFrom(...vaults),
  asset: fc.constantFrom(...assets),
  units: fc.bigInt({ min: 1n, max: 12n }),
  feeCapUnits: fc.bigInt({ min: 0n, max: 12n }),
  destinations: fc.array(
    fc.record({ class: fc.constantFrom(...destinationClasses), address: fc.constantFrom(...addresses) }),
    { minLength: 1, maxLength: 3 },
  ),
});

/** Whether `after` lets through anything that `before` held back: the outcome, a quorum, a delay. */
export function looser(before: Decision, after: Decision): boolean {
  if (after.outcome === 'deny') return false;
  if (before.outcome === 'deny') return true;
  const asked = Object.entries(before.obligations.approvals);
  return (
    after.obligations.delayMs < before.obligations.delayMs ||
    asked.some(([group, count]) => (after.obligations.approvals[group] ?? 0) < count)
  );
}
