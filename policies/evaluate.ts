/**
 * The evaluator: one pure function over one policy and one input. The worker asks it before it queues, the console before
 * it shows, and every co-signer before it signs; all of them get the same answer because there is no clock, no fact from
 * outside and no order of rules in it.
 *
 * 1. Any matching `deny` denies. 2. No matching `allow` denies. 3. All matching `require` rules stack: the maximum of
 * people per group, the longest delay.
 *
 * **A doubt tightens.** An `allow` matches only what it surely covers; a `deny` or `require` matches what it may cover:
 * - conditions that are absent hold for everything; a rule with an empty `when` matches everything;
 * - `destination` and `address`: an allow needs *every* output to satisfy both, a deny or require needs *any one* output;
 * - `initiatorRole`: a list matches when any role is in it; `not` needs all roles outside the list for an allow, any one
 *   role outside it for a deny or require;
 * - letter case: an allow compares exactly, a deny or require also matches a value that differs in case only (EIP-55
 *   writes one Ethereum address in two ways);
 * - a range without exactly one `asset` never holds for an allow and always holds for a deny or require (the loader
 *   refuses such rules; this is the second line);
 * - an input without outputs, without initiator role, with an empty text, a value outside the known words, a total of
 *   zero or less or a negative fee cap is denied before any rule is read.
 */
import {
  actions,
  type Conditions,
  type Decision,
  destinationClasses,
  type Policy,
  type PolicyInput,
  type Rule,
  tiers,
} from './contract.ts';
import { parseDurationMs } from './duration.ts';

type SetCondition = NonNullable<Conditions['tier']>;
type RangeCondition = NonNullable<Conditions['amount']>;
/** Which way a doubt falls: `exact` for allow, `wide` for deny and require. */
type Reach = 'exact' | 'wide';

function listed(values: readonly string[], value: string, reach: Reach): boolean {
  if (values.includes(value)) return true;
  return reach === 'wide' && values.some((known) => known.toLowerCase() === value.toLowerCase());
}

function inSet(condition: SetCondition | undefined, value: string, reach: Reach): boolean {
  if (condition === undefined) return true;
  if (Array.isArray(condition)) return listed(condition, value, reach);
  // The complement of a wide list is narrow, so an exclusion turns the reach round.
  return !listed(condition.not, value, reach === 'wide' ? 'exact' : 'wide');
}

function rolesMatch(condition: SetCondition | undefined, roles: readonly string[], reach: Reach): boolean {
  if (condition === undefined) return true;
  const holds = (role: string) => inSet(condition, role, reach);
  return Array.isArray(condition) || reach === 'wide' ? roles.some(holds) : roles.every(holds);
}

function outputsMatch(when: Conditions, outputs: PolicyInput['destinations'], reach: Reach): boolean {
  if (when.destination === undefined && when.address === undefined) return true;
  const holds = (output: PolicyInput['destinations'][number]) =>
    inSet(when.destination, output.class, reach) && inSet(when.address, output.address, reach);
  return reach === 'wide' ? outputs.some(holds) : outputs.every(holds);
}

function inRange(range: RangeCondition, units: bigint): boolean {
  return (
    (range.gt === undefined || units > BigInt(range.gt)) &&
    (range.gte === undefined || units >= BigInt(range.gte)) &&
    (range.lt === undefined || units < BigInt(range.lt)) &&
    (range.lte === undefined || units <= BigInt(range.lte))
  );
}

function rangesMatch(when: Conditions, input: PolicyInput, reach: Reach): boolean {
  if (when.amount === undefined && when.feeCap === undefined) return true;
  if (!Array.isArray(when.asset) || when.asset.length !== 1) return reach === 'wide';
  return (
    (when.amount === undefined || inRange(when.amount, input.units)) &&
    (when.feeCap === undefined || inRange(when.feeCap, input.feeCapUnits))
  );
}

/** Whether one rule applies to the input. */
export function ruleMatches(rule: Rule, input: PolicyInput): boolean {
  const when = rule.when;
  const reach: Reach = rule.effect === 'allow' ? 'exact' : 'wide';
  return (
    inSet(when.action, input.action, reach) &&
    rolesMatch(when.initiatorRole, input.initiatorRoles, reach) &&
    inSet(when.tier, input.tier, reach) &&
    inSet(when.vault, input.vault, reach) &&
    inSet(when.asset, input.asset, reach) &&
    outputsMatch(when, input.destinations, reach) &&
    rangesMatch(when, input, reach)
  );
}

/** Why an input cannot be judged at all; a type alone does not hold against a decoder's mistake. */
function inputDefect(input: PolicyInput): string | undefined {
  const known = (values: readonly string[], value: string) => values.includes(value);
  if (!known(actions, input.action)) return 'the action is unknown';
  if (!known(tiers, input.tier)) return 'the tier is unknown';
  if (input.vault === '' || input.asset === '') return 'the vault or the asset is missing';
  if (input.initiatorRoles.length === 0) return 'the initiator has no role';
  if (input.destinations.length === 0) return 'there is no output';
  for (const output of input.destinations) {
    if (!known(destinationClasses, output.class)) return 'the class of a destination is unknown';
    if (output.address === '') return 'an output has no address';
  }
  if (input.units <= 0n) return 'the total is not above zero';
  if (input.feeCapUnits < 0n) return 'the fee cap is negative';
  return undefined;
}

const idsOf = (rules: readonly Rule[]): string[] => rules.map((rule) => rule.id).sort();

/**
 * Judges one intent. Never throws for a policy that passed the loader. `rules` of an allow names the matching allow and
 * require rules; `obligations.rules` the require rules only. An allow with empty obligations is automatic.
 */
export function evaluate(policy: Policy, input: PolicyInput): Decision {
  const defect = inputDefect(input);
  if (defect !== undefined) return { outcome: 'deny', rules: [], reason: `cannot be judged: ${defect}` };
  const matching = policy.rules.filter((rule) => ruleMatches(rule, input));

  const denies = matching.filter((rule) => rule.effect === 'deny');
  if (denies.length > 0) {
    const ids = idsOf(denies);
    const titles = ids.map((id) => `${id} (${denies.find((rule) => rule.id === id)?.title ?? ''})`);
    return { outcome: 'deny', rules: ids, reason: `denied by ${titles.join(', ')}` };
  }
  if (!matching.some((rule) => rule.effect === 'allow'))
    return { outcome: 'deny', rules: [], reason: 'no rule allows it' };

  const requires = matching.filter((rule) => rule.effect === 'require');
  // A Map, because a group may be called "constructor".
  const people = new Map<string, number>();
  let delayMs = 0;
  for (const { require } of requires) {
    for (const [group, count] of Object.entries(require.approvals ?? {}))
      people.set(group, Math.max(count, people.get(group) ?? 0));
    if (require.delay !== undefined) delayMs = Math.max(delayMs, parseDurationMs(require.delay));
  }
  const approvals = Object.fromEntries([...people].sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    outcome: 'allow',
    rules: idsOf(matching),
    obligations: { rules: idsOf(requires), approvals, delayMs },
  };
}
