import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkPolicyAgainstRoster, loadPolicy, loadRoster } from '#policies';
import type { Rule } from '#policies/contract';
import { parsePolicy, parseRoster } from '#policies/yaml';
import { devRoster } from '../support/dev-roster.ts';
import { devPolicy, devPolicyText, ether, otherAsset, policyOf } from './documents.ts';

const dev = devRoster({
  people: [
    { id: 'ada', groups: ['treasury'] },
    { id: 'bob', groups: ['treasury'] },
    { id: 'cleo', groups: ['treasury'] },
    { id: 'dan', groups: ['compliance'] },
  ],
  services: [
    { id: 'api', roles: ['withdrawal-service'] },
    { id: 'worker', roles: ['sweep'] },
  ],
});
const refusal = (code: string, message: RegExp): unknown =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as unknown });
const edit = (from: string, to: string) => {
  expect(devPolicyText).toContain(from);
  return devPolicyText.replace(from, to);
};

describe('policy', () => {
  test('YAML, its JSON and the loaded policy have one hash', () => {
    expect(parsePolicy(JSON.stringify(devPolicy.policy)).policyHash).toBe(devPolicy.policyHash);
    expect(loadPolicy(devPolicy.policy).policyHash).toBe(devPolicy.policyHash);
    expect(loadPolicy(JSON.parse(JSON.stringify(devPolicy.policy))).policyHash).toBe(devPolicy.policyHash);
  });

  test('one value and a list of one are the same policy; any edit is another', () => {
    expect(parsePolicy(edit('tier: hot', 'tier: [hot]')).policyHash).toBe(devPolicy.policyHash);
    expect(parsePolicy(edit('treasury: 2', 'treasury: 3')).policyHash).not.toBe(devPolicy.policyHash);
  });

  test('the development policy fits a roster with its roles and three of treasury', () => {
    expect(parsePolicy(devPolicyText, { roster: dev.roster }).policyHash).toBe(devPolicy.policyHash);
  });

  test.each<[string, string, RegExp]>([
    ['tier: hot', 'teir: hot', /rules\[0\]\.when: unknown field "teir"; did you mean "tier"\? known: action/],
    ['tier: hot', 'tier: hto', /"hto" is not a value of tier; did you mean "hot"\? known: hot, warm, cold/],
    ['action: withdraw', 'action: withdrw', /did you mean "withdraw"\? known: withdraw, sweep/],
    ['destination: own-hot', 'destination: own-hott', /did you mean "own-hot"\? known: own-hot, external/],
    ['effect: allow', 'effect: permit', /rules\[0\]\.effect: must be one of allow, deny, require/],
    ['effect: deny', 'effect: deny\n    require: { delay: 1h }', /unknown field "require"/],
    ['default: deny', 'default: allow', /default/],
    ['version: 1', 'versoin: 1', /did you mean "version"\?/],
    [
      'gte: "1000000000000000000"',
      'gte: 1000000000000000000',
      /rules\[2\]\.when\.amount\.gte: write an amount as quoted/,
    ],
    ['gte: "1000000000000000000"', 'gte: "1e18"', /rules\[2\]\.when\.amount\.gte/],
    ['gte: "1000000000000000000"', 'min: "1"', /unknown field "min"; known: gt, gte, lt, lte/],
    ['amount: { gte: "1000000000000000000" }', 'amount: {}', /has no bound/],
    ['treasury: 2 }', 'treasury: 0 }', /rules\[2\]\.require\.approvals\.treasury/],
    ['{ approvals: { treasury: 2 } }', '{}', /asks for nothing/],
    ['{ approvals: { treasury: 2 } }', '{ approvals: {} }', /asks for nothing/],
    ['{ approvals: { treasury: 2 } }', '{ delay: 1y }', /a duration such as/],
    ['id: D2', 'id: D1', /the id D1 is used twice/],
    ['asset: "eip155:31337/slip44:60", feeCap', 'feeCap', /needs exactly one asset/],
    [
      'asset: "eip155:31337/slip44:60", feeCap',
      `asset: ["${ether}", "${otherAsset}"], feeCap`,
      /exactly one asset/,
    ],
    [
      'asset: "eip155:31337/slip44:60", feeCap',
      `asset: { not: ["${otherAsset}"] }, feeCap`,
      /exactly one asset/,
    ],
    ['asset: "eip155:31337/slip44:60" }', 'asset: ETH }', /"ETH" is not an asset id/],
    ['- "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"', '- ""', /an empty text/],
    ['window: 24h', 'window: soon', /velocity\[0\]\.window/],
    ['default: deny', 'default: deny\ndefault: deny', /unique/],
    ['window: 24h', 'window: *day', /[Aa]lias/],
  ])('"%s" -> "%s" is refused by name', (from, to, message) => {
    expect(() => parsePolicy(edit(from, to))).toThrow(refusal('POLICY_DOCUMENT_INVALID', message));
  });

  test('an allow rule without conditions is refused, a deny rule without conditions is not', () => {
    const rule = (effect: 'allow' | 'deny'): Rule => ({ id: 'X1', title: 'x', effect, when: {} });
    expect(() => loadPolicy(policyOf([rule('allow')]))).toThrow(/would allow everything/);
    expect(loadPolicy(policyOf([rule('deny')])).policy.rules).toHaveLength(1);
  });

  test.each([
    ['gt at lt', { gt: '5', lt: '6' }],
    ['gte above lte', { gte: '6', lte: '5' }],
    ['gt at lte', { gt: '5', lte: '5' }],
    ['gte at lt', { gte: '5', lt: '5' }],
    ['below zero', { lt: '0' }],
    ['two floors, the second above', { gte: '1', gt: '9', lte: '8' }],
  ])('empty interval: %s', (_title, amount) => {
    const rule: Rule = { id: 'X1', title: 'x', effect: 'deny', when: { asset: [ether], amount } };
    expect(() => loadPolicy(policyOf([rule]))).toThrow(refusal('POLICY_CONTRADICTION', /empty interval/));
  });
  test('an interval of one value is not empty', () => {
    const amount = { gt: '4', lt: '6', gte: '5', lte: '5' };
    const rule: Rule = { id: 'X1', title: 'x', effect: 'deny', when: { asset: [ether], amount } };
    expect(loadPolicy(policyOf([rule])).policy.rules).toHaveLength(1);
  });
  test('excluding every value of a word is a contradiction', () => {
    const rule: Rule = {
      id: 'X1',
      title: 'x',
      effect: 'deny',
      when: { tier: { not: ['hot', 'warm', 'cold'] } },
    };
    expect(() => loadPolicy(policyOf([rule]))).toThrow(refusal('POLICY_CONTRADICTION', /never match/));
  });
});

describe('policy against roster', () => {
  const requiring = (approvals: Record<string, number>) =>
    policyOf([{ id: 'R1', title: 'x', effect: 'require', when: {}, require: { approvals } }]);
  const check = (approvals: Record<string, number>) => () => {
    checkPolicyAgainstRoster(requiring(approvals), dev.roster);
  };
  test('a quorum must be reachable without the initiator', () => {
    expect(check({ treasury: 2 })).not.toThrow();
    expect(check({ treasury: 3 })).toThrow(refusal('POLICY_CONTRADICTION', /too few distinct people/));
    expect(check({ compliance: 1 })).toThrow(refusal('POLICY_CONTRADICTION', /too few distinct people/));
  });
  test('one person in two groups is one person', () => {
    const both = ['treasury', 'compliance'];
    const people = ['ada', 'bob', 'cleo'].map((id) => ({ id, groups: both }));
    const { roster } = devRoster({ people, services: [{ id: 'api', roles: ['x'] }] });
    const judge = (approvals: Record<string, number>) => () => {
      checkPolicyAgainstRoster(requiring(approvals), roster);
    };
    expect(judge({ treasury: 1, compliance: 1 })).not.toThrow();
    expect(judge({ treasury: 2, compliance: 1 })).toThrow(/too few distinct people/);
  });
  test('unknown groups and roles are named with what was meant', () => {
    expect(check({ tresury: 1 })).toThrow(/did you mean "treasury"\? known: compliance, treasury/);
    const text = edit('initiatorRole: sweep', 'initiatorRole: sweeper');
    expect(() => parsePolicy(text, { roster: dev.roster })).toThrow(
      /"sweeper" is not a role of the roster; did you mean "sweep"\?/,
    );
    expect(() => parsePolicy(text)).not.toThrow();
  });
});

describe('roster', () => {
  const json = () => JSON.parse(JSON.stringify(dev.roster)) as typeof dev.roster;
  const broken = (change: (roster: typeof dev.roster) => void) => () => {
    const roster = json();
    change(roster);
    return loadRoster(roster);
  };
  const person = (roster: typeof dev.roster, at: number) => {
    const found = roster.people[at];
    if (found === undefined) throw new Error('no person');
    return found;
  };
  test('a text of it has the same hash', () => {
    expect(parseRoster(JSON.stringify(dev.roster)).rosterHash).toBe(dev.rosterHash);
    expect(broken((r) => r.people.pop())().rosterHash).not.toBe(dev.rosterHash);
  });
  test.each<[string, RegExp, (roster: typeof dev.roster) => void]>([
    [
      'the same id twice',
      /"ada" is used twice/,
      (r) => {
        person(r, 1).id = 'ada';
      },
    ],
    [
      'a person with the id of a service',
      /"api" is used twice/,
      (r) => {
        person(r, 1).id = 'api';
      },
    ],
    [
      'one passkey for two people',
      /credential/,
      (r) => {
        person(r, 1).credentials = person(r, 0).credentials;
      },
    ],
    [
      'one key under two credential ids',
      /public key/,
      (r) => {
        person(r, 1).credentials = person(r, 0).credentials.map((c) => ({ ...c, id: 'b' }));
      },
    ],
    [
      'not on the curve',
      /not a point of P-256/,
      (r) => {
        person(r, 0).credentials = [{ id: 'a', publicKey: `04${'11'.repeat(64)}` }];
      },
    ],
    [
      'compressed point',
      /publicKey/,
      (r) => {
        person(r, 0).credentials = [{ id: 'a', publicKey: `02${'11'.repeat(32)}` }];
      },
    ],
    [
      'a group twice',
      /"treasury" is listed twice/,
      (r) => {
        person(r, 0).groups = ['treasury', 'treasury'];
      },
    ],
    [
      'governance by a group nobody is in',
      /is not a group/,
      (r) => {
        r.governance.bundle = { board: 1 };
      },
    ],
    [
      'a misspelt field',
      /unknown field "grups"; did you mean "groups"\?/,
      (r) => {
        Object.assign(person(r, 0), { grups: [] });
      },
    ],
  ])('%s', (_title, message, change) => {
    expect(broken(change)).toThrow(refusal('POLICY_DOCUMENT_INVALID', message));
  });
  test.each<[string, RegExp, (roster: typeof dev.roster) => void]>([
    [
      'nobody governs',
      /names nobody/,
      (r) => {
        r.governance.bundle = {};
      },
    ],
    [
      'more governors than people',
      /too few/,
      (r) => {
        r.governance.bundle = { treasury: 4 };
      },
    ],
    [
      'a governor without a passkey',
      /too few/,
      (r) => {
        r.governance.bundle = { compliance: 1 };
        person(r, 3).credentials = [];
      },
    ],
  ])('%s', (_title, message, change) => {
    expect(broken(change)).toThrow(refusal('POLICY_CONTRADICTION', message));
  });
});

test('no file but yaml.ts imports the yaml package, and no other file imports yaml.ts', () => {
  const folder = new URL('../../policies/', import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));
  expect(files).toContain('index.ts');
  const imports = files
    .filter((name) => name !== 'yaml.ts')
    .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/from '([^']+)'/g)])
    .map((match) => match[1]);
  expect(imports.length).toBeGreaterThan(20);
  expect(
    imports.filter((name) => name === 'yaml' || name === './yaml.ts' || name?.startsWith('node:') === true),
  ).toEqual([]);
});
