/**
 * Policies and rosters from their JSON value: form, known words, contradictions, hash. Co-signers load these same ways;
 * YAML is for people and lives in `yaml.ts`, which no co-signer imports.
 */
import { p256 } from '@noble/curves/nist.js';
import { hexToBytes } from '@noble/hashes/utils.js';
import { hashJson, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { assetId, parseUnits } from '#core/money';
import { canFill, type Offers, type Places } from './assign-people.ts';
import {
  actions,
  conditionsSchema,
  destinationClasses,
  type Policy,
  policyErrors,
  policySchema,
  type Roster,
  type Rule,
  rosterSchema,
  tiers,
} from './contract.ts';
import { type FieldNames, knownValues, readDocument } from './schema-errors.ts';

const fail = errorsOf(policyErrors);
const invalid = (field: string, why: string) =>
  fail('POLICY_DOCUMENT_INVALID', `${field}: ${why}`, { field });
const contradiction = (field: string, why: string) =>
  fail('POLICY_CONTRADICTION', `${field}: ${why}`, { field });

export interface LoadedPolicy {
  readonly policy: Policy;
  /** SHA-256 of the canonical JSON of the policy as loaded: a single value and a list of one are the same. */
  readonly policyHash: Sha256;
}
export interface LoadedRoster {
  readonly roster: Roster;
  readonly rosterHash: Sha256;
}

export const policyHash = (policy: Policy): Sha256 => hashJson(policy);
export const rosterHash = (roster: Roster): Sha256 => hashJson(roster);

// ---------------------------------------------------------------- policy

const ruleFields = ['id', 'title', 'effect', 'when', 'require'];
const rangeFields = ['gt', 'gte', 'lt', 'lte'];
const policyFieldNames: FieldNames = (path) => {
  const last = path.at(-1);
  if (last === undefined) return Object.keys(policySchema.shape);
  if (last === 'when') return Object.keys(conditionsSchema.shape);
  if (last === 'require') return ['approvals', 'delay'];
  if (last === 'amount' || last === 'feeCap') return rangeFields;
  if (path[0] === 'velocity') return ['asset', 'window', 'max'];
  return path.length === 2 ? ruleFields : ['not'];
};

const knownWords = { action: actions, tier: tiers, destination: destinationClasses } as const;
type SetCondition = NonNullable<Policy['rules'][number]['when']['tier']>;
const valuesOf = (condition: SetCondition): readonly string[] =>
  Array.isArray(condition) ? condition : condition.not;

function checkWords(rule: Rule, at: string): void {
  for (const [name, known] of Object.entries(knownWords)) {
    const condition = rule.when[name as keyof typeof knownWords];
    if (condition === undefined) continue;
    for (const value of valuesOf(condition)) {
      if (!(known as readonly string[]).includes(value))
        throw invalid(
          `${at}.when.${name}`,
          `"${value}" is not a value of ${name}; ${knownValues(value, known)}`,
        );
    }
    if (!Array.isArray(condition) && known.every((value) => condition.not.includes(value)))
      throw contradiction(`${at}.when.${name}`, 'excludes every value, so the rule can never match');
  }
  for (const name of ['initiatorRole', 'vault', 'asset', 'address'] as const) {
    const condition = rule.when[name];
    if (condition !== undefined && valuesOf(condition).includes(''))
      throw invalid(`${at}.when.${name}`, 'an empty text is not a value');
  }
  if (rule.when.asset !== undefined)
    for (const asset of valuesOf(rule.when.asset)) checkAsset(asset, `${at}.when.asset`);
}

function checkAsset(text: string, field: string): void {
  try {
    assetId(text);
  } catch {
    throw invalid(field, `"${text.slice(0, 80)}" is not an asset id such as eip155:1/slip44:60`);
  }
}

function checkRange(rule: Rule, name: 'amount' | 'feeCap', at: string): void {
  const range = rule.when[name];
  if (range === undefined) return;
  const field = `${at}.when.${name}`;
  const { asset } = rule.when;
  if (!Array.isArray(asset) || asset.length !== 1)
    throw invalid(
      field,
      'needs exactly one asset in the same rule, because base units of two assets do not compare',
    );
  if (Object.keys(range).length === 0) throw invalid(field, 'has no bound; give gt, gte, lt or lte');
  // Units are whole, so `gt: n` is `gte: n + 1` and `lt: n` is `lte: n - 1`.
  const floors = [0n];
  const ceilings: bigint[] = [];
  if (range.gte !== undefined) floors.push(parseUnits(range.gte));
  if (range.gt !== undefined) floors.push(parseUnits(range.gt) + 1n);
  if (range.lte !== undefined) ceilings.push(parseUnits(range.lte));
  if (range.lt !== undefined) ceilings.push(parseUnits(range.lt) - 1n);
  if (ceilings.some((ceiling) => floors.some((floor) => ceiling < floor)))
    throw contradiction(field, 'is an empty interval, so the rule can never match');
}

function checkRule(rule: Rule, at: string): void {
  checkWords(rule, at);
  checkRange(rule, 'amount', at);
  checkRange(rule, 'feeCap', at);
  if (rule.effect === 'allow' && Object.keys(rule.when).length === 0)
    throw invalid(`${at}.when`, 'an allow rule without conditions would allow everything');
  if (rule.effect !== 'require') return;
  const { approvals, delay } = rule.require;
  if (delay === undefined && (approvals === undefined || Object.keys(approvals).length === 0))
    throw invalid(`${at}.require`, 'asks for nothing; give approvals, a delay, or both');
}

function firstRepeated(values: readonly string[]): string | undefined {
  return values.find((value, at) => values.indexOf(value) !== at);
}

/**
 * Loads a policy from its JSON value. With a roster, initiator roles and groups must be the roster's and every quorum must
 * be within reach ({@link checkPolicyAgainstRoster}).
 * @throws POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION
 */
export function loadPolicy(value: unknown, options: { readonly roster?: Roster } = {}): LoadedPolicy {
  const policy = readDocument(policySchema, value, 'policy', policyFieldNames);
  policy.rules.forEach((rule, at) => {
    checkRule(rule, `rules[${at}] (${rule.id})`);
  });
  const repeatedRule = firstRepeated(policy.rules.map((rule) => rule.id));
  if (repeatedRule !== undefined) throw invalid('rules', `the id ${repeatedRule} is used twice`);
  policy.velocity.forEach((limit, at) => {
    checkAsset(limit.asset, `velocity[${at}].asset`);
  });
  const repeatedLimit = firstRepeated(policy.velocity.map((limit) => `${limit.asset} over ${limit.window}`));
  if (repeatedLimit !== undefined) throw invalid('velocity', `${repeatedLimit} is limited twice`);
  if (options.roster !== undefined) checkPolicyAgainstRoster(policy, options.roster);
  return { policy, policyHash: policyHash(policy) };
}

// ---------------------------------------------------------------- roster

const rosterFieldNames: FieldNames = (path) => {
  if (path.length === 0) return Object.keys(rosterSchema.shape);
  if (path[0] === 'relyingParty') return ['id', 'origins'];
  if (path[0] === 'governance') return ['bundle'];
  if (path.includes('credentials')) return ['id', 'publicKey'];
  if (path.includes('keys')) return ['id', 'publicKey'];
  return path[0] === 'people' ? ['id', 'name', 'groups', 'credentials'] : ['id', 'roles', 'keys'];
};

const groupsOf = (roster: Roster): readonly string[] =>
  [...new Set(roster.people.flatMap((person) => person.groups))].sort();

/** Everybody who could approve: people without a passkey cannot. */
function offersOf(roster: Roster, without?: string): Offers {
  return new Map(
    roster.people
      .filter((person) => person.id !== without && person.credentials.length > 0)
      .map((person) => [person.id, person.groups]),
  );
}

function checkPoint(publicKey: string, field: string): void {
  try {
    p256.Point.fromBytes(hexToBytes(publicKey));
  } catch {
    throw invalid(field, 'is not a point of P-256 in uncompressed form (04, x, y)');
  }
}

/**
 * Loads a roster from its JSON value. Ids are unique over people and services together (the initiator is excluded by id),
 * and no passkey or key belongs to two holders (one would count twice).
 * @throws POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION when governance could never be satisfied
 */
export function loadRoster(value: unknown): LoadedRoster {
  const roster = readDocument(rosterSchema, value, 'roster', rosterFieldNames);
  const credentials = roster.people.flatMap((person) => person.credentials);
  const keys = roster.services.flatMap((service) => service.keys);
  const unique: readonly (readonly [string, readonly string[]])[] = [
    ['people and services: id', [...roster.people, ...roster.services].map(({ id }) => id)],
    ['people: credential id', credentials.map(({ id }) => id)],
    ['people: credential public key', credentials.map(({ publicKey }) => publicKey)],
    ['services: key id', keys.map(({ id }) => id)],
    ['services: public key', keys.map(({ publicKey }) => publicKey)],
  ];
  for (const [field, values] of unique) {
    const repeated = firstRepeated(values);
    if (repeated !== undefined) throw invalid(field, `"${repeated}" is used twice`);
  }
  roster.people.forEach((person, at) => {
    const repeated = firstRepeated(person.groups);
    if (repeated !== undefined) throw invalid(`people[${at}].groups`, `"${repeated}" is listed twice`);
    person.credentials.forEach(({ id, publicKey }, index) => {
      const field = `people[${at}].credentials[${index}]`;
      if (id === '') throw invalid(`${field}.id`, 'is empty');
      checkPoint(publicKey, `${field}.publicKey`);
    });
  });
  checkPlaces(roster.governance.bundle, roster, 'governance.bundle');
  if (Object.keys(roster.governance.bundle).length === 0)
    throw contradiction('governance.bundle', 'names nobody, so anybody could replace the policy');
  if (!canFill(roster.governance.bundle, offersOf(roster)))
    throw contradiction('governance.bundle', 'the roster has too few distinct people with passkeys');
  return { roster, rosterHash: rosterHash(roster) };
}

// ---------------------------------------------------------------- both

function checkPlaces(places: Places, roster: Roster, field: string): void {
  const groups = groupsOf(roster);
  for (const group of Object.keys(places)) {
    if (!groups.includes(group))
      throw invalid(field, `"${group}" is not a group of the roster; ${knownValues(group, groups)}`);
  }
}

/**
 * Refuses a policy that this roster could never satisfy: a role no service has, a group nobody is in, or a quorum that
 * distinct people with passkeys cannot fill once any one of them is taken out as the initiator.
 * @throws POLICY_DOCUMENT_INVALID, POLICY_CONTRADICTION
 */
export function checkPolicyAgainstRoster(policy: Policy, roster: Roster): void {
  const roles = [...new Set(roster.services.flatMap((service) => service.roles))].sort();
  policy.rules.forEach((rule, index) => {
    const at = `rules[${index}] (${rule.id})`;
    for (const role of rule.when.initiatorRole === undefined ? [] : valuesOf(rule.when.initiatorRole)) {
      if (!roles.includes(role))
        throw invalid(
          `${at}.when.initiatorRole`,
          `"${role}" is not a role of the roster; ${knownValues(role, roles)}`,
        );
    }
    if (rule.effect !== 'require' || rule.require.approvals === undefined) return;
    const places = rule.require.approvals;
    checkPlaces(places, roster, `${at}.require.approvals`);
    const asked = roster.people.filter((person) =>
      person.groups.some((group) => Object.hasOwn(places, group)),
    );
    if (asked.some((person) => !canFill(places, offersOf(roster, person.id))) || asked.length === 0)
      throw contradiction(
        `${at}.require.approvals`,
        'the roster has too few distinct people with passkeys (quorum plus one who may be the initiator)',
      );
  });
}
