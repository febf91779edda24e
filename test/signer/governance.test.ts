/** The configuration, the pinned documents and the freeze flags: what may change them, and what may not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { bundleStatement, freezeStatement, loadPolicy, statementChallenge } from '#policies';
import type { Policy, Roster } from '#policies/contract';
import { openCoSigner } from '../../custody/signer/co-signer.ts';
import { assertStartAllowed, loadSignerConfig } from '../../custody/signer/config.ts';
import { assertionOf, devRoster } from '../support/dev-roster.ts';
import {
  closeFixtures,
  commit,
  type Fixture,
  openFixture,
  temporaryFolder,
  testPolicy,
  testRoster,
  verdict,
  wallet,
  writeConfig,
} from './fixture.ts';

afterEach(closeFixtures);
const invalid: unknown = expect.objectContaining({ code: 'CUSTODY_CONFIG_INVALID' });
function refused(check: string, reason: string): unknown {
  const details: unknown = expect.objectContaining({ check, reason });
  return expect.objectContaining({ code: 'CUSTODY_REFUSED', details });
}

const current = { policy: testPolicy.policy, roster: testRoster.roster };
/** Version 2 with a tighter rule. */
const nextPolicy = loadPolicy({
  ...testPolicy.policy,
  version: 2,
  parent: testPolicy.policyHash,
  rules: [
    ...testPolicy.policy.rules,
    { id: 'D9', title: 'Stop', effect: 'deny', when: { action: 'withdraw' } },
  ],
}).policy;

function bundle(
  next: { readonly policy: Policy; readonly roster: Roster },
  approvers: readonly string[],
  from = current,
): unknown {
  const approvals = approvers.map((approver) => {
    const statement = bundleStatement({ next, current: from, group: 'treasury', approver });
    const assertion = assertionOf(testRoster.passkeyOf(approver), statementChallenge(statement));
    return { group: 'treasury', approver, assertion };
  });
  return { ...next, approvals };
}

describe('the configuration file', () => {
  function configFile(change: (config: Record<string, unknown>) => void): string {
    const folder = temporaryFolder();
    const config: Record<string, unknown> = {
      ...writeConfig(folder, { policy: testPolicy.policy, roster: testRoster }),
    };
    change(config);
    const file = join(folder, 'signer.json');
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  it('is read with paths seen from its own folder', () => {
    const file = configFile((config) => {
      config['dataDir'] = 'data';
      config['keyEncryption'] = { file: 'kek' };
    });
    const config = loadSignerConfig(file);
    expect(config.dataDir).toBe(join(file, '../data'));
    expect(config.keyEncryption).toEqual({ file: join(file, '../kek') });
  });

  it.each<[string, (config: Record<string, unknown>) => void]>([
    [
      'an unknown key',
      (config) => {
        config['spendLimt'] = '1';
      },
    ],
    [
      'a missing key',
      (config) => {
        delete config['pins'];
      },
    ],
    [
      'a wallet on another chain in development',
      (config) => {
        config['wallets'] = [{ id: wallet, vault: 'v', tier: 'hot', chain: 'eip155:1' }];
      },
    ],
    [
      'a wallet twice',
      (config) => {
        const one = { id: wallet, vault: 'v', tier: 'hot', chain: 'eip155:31337' };
        config['wallets'] = [one, one];
      },
    ],
    [
      'a plain key outside development',
      (config) => {
        config['dev'] = false;
        config['keyEncryption'] = { plain: true };
      },
    ],
  ])('is refused with %s', (_title, change) => {
    expect(() => loadSignerConfig(configFile(change))).toThrow(invalid);
  });

  it('is refused when it is no JSON or is missing', () => {
    const file = join(temporaryFolder(), 'signer.json');
    expect(() => loadSignerConfig(file)).toThrow(invalid);
    writeFileSync(file, '{');
    expect(() => loadSignerConfig(file)).toThrow(invalid);
  });

  it('must accept an unaudited engine outside development', () => {
    const config = loadSignerConfig(
      configFile((raw) => {
        raw['dev'] = false;
      }),
    );
    expect(() => assertStartAllowed(config, { audited: false })).toThrow(/unaudited/);
    assertStartAllowed({ ...config, acceptUnauditedEcdsaEngine: true }, { audited: false });
    assertStartAllowed(config, { audited: true });
  });
});

describe('pins', () => {
  const clock = { nowMs: () => 1 };

  it('refuse files that are not the pinned ones, and a development roster without --dev', () => {
    const config = writeConfig(temporaryFolder(), { policy: testPolicy.policy, roster: testRoster });
    const { policyHash } = testPolicy;
    for (const [pins, message] of [
      [{ ...config.pins, policyHash: config.pins.rosterHash }, /policy file/],
      [{ ...config.pins, rosterHash: policyHash }, /roster file/],
      [{ ...config.pins, policyVersion: 2 }, /policy file/],
    ] as const)
      expect(() => openCoSigner({ ...config, dataDir: temporaryFolder(), pins }, { clock })).toThrow(message);
    expect(() => openCoSigner({ ...config, dataDir: temporaryFolder(), dev: false }, { clock })).toThrow(
      /--dev only/,
    );
    const real = devRoster({
      people: ['ana', 'bo', 'cy'].map((id) => ({ id, groups: ['treasury'] })),
      services: testRoster.roster.services.map(({ id, roles }) => ({ id, roles })),
      dev: false,
    });
    const other = writeConfig(temporaryFolder(), { policy: testPolicy.policy, roster: real });
    expect(() => openCoSigner(other, { clock })).toThrow(/needs a development roster/);
  });

  it('a bundle needs the people the roster in force asks for', () => {
    const { pins } = openFixture().coSigner;
    const next = { ...current, policy: nextPolicy };
    const activate = (value: unknown) => () => pins.activateBundle(value);
    expect(activate({})).toThrow(refused('pins', 'bundle-malformed'));
    expect(activate(bundle(next, ['ana']))).toThrow(refused('pins', 'approvals-missing'));
    expect(activate(bundle(next, ['ana', 'ana']))).toThrow(refused('pins', 'approvals-missing'));
    expect(activate(bundle(current, ['ana', 'bo']))).toThrow(refused('pins', 'nothing-changed'));
    // Signatures for another bundle do not carry over.
    const signed = bundle(next, ['ana', 'bo']) as { approvals: unknown };
    const looser = { ...nextPolicy, rules: testPolicy.policy.rules };
    expect(activate({ ...next, policy: looser, approvals: signed.approvals })).toThrow(
      refused('pins', 'approvals-missing'),
    );
    expect(pins.current().policyHash).toBe(testPolicy.policyHash);
    expect(pins.activateBundle(bundle(next, ['ana', 'bo'])).policy.version).toBe(2);
  });

  it('the highest version is durable: neither a message nor the configuration goes back', async () => {
    const fixture = openFixture();
    const before = fixture.payment();
    const next = { ...current, policy: nextPolicy };
    fixture.coSigner.pins.activateBundle(bundle(next, ['ana', 'bo']));
    expect(verdict(await fixture.sign(fixture.payment()))).toBe('policy/policy-denied');
    expect(verdict(await fixture.sign(before))).toBe('pins/policy-not-pinned');
    // The file still pins version 1: version 2 stays in force.
    const restarted = await fixture.reopen();
    expect(restarted.coSigner.pins.current().policy.version).toBe(2);
    expect(() => restarted.coSigner.pins.activateBundle(bundle(current, ['ana', 'bo'], next))).toThrow(
      refused('pins', 'version-not-higher'),
    );
    const pins = (change: object) => ({ pins: { ...fixture.config.pins, ...change } });
    await expect(restarted.reopen(pins({ policyVersion: 3 }))).rejects.toThrow(/signed bundle/);
    await expect(restarted.reopen(pins({ policyVersion: 2 }))).rejects.toThrow(/another content/);
  });

  it('a bundle put in force between judging and committing stops the commit', async () => {
    const fixture = openFixture();
    const outcome = await fixture.check(fixture.payment());
    if (!outcome.ok) throw new Error('must pass');
    fixture.coSigner.pins.activateBundle(bundle({ ...current, policy: nextPolicy }, ['ana', 'bo']));
    expect(verdict(await commit(fixture.coSigner, outcome.authorisation))).toBe('pins/policy-not-pinned');
  });

  it('a payment signed before a stricter policy stays replaceable, and only that', async () => {
    const fixture = openFixture();
    const payment = fixture.payment();
    expect(verdict(await fixture.sign(payment))).toBe('ok');
    fixture.coSigner.pins.activateBundle(bundle({ ...current, policy: nextPolicy }, ['ana', 'bo']));
    expect(verdict(await fixture.sign(payment))).toBe('ok');
    expect(verdict(await fixture.sign(fixture.payment({ nonce: 1n })))).toBe('policy/policy-denied');
  });
});

describe('freeze flags', () => {
  const signedBy = (
    fixture: Fixture,
    decision: 'freeze' | 'lift',
    people: readonly string[],
    scope = 'all',
    at = fixture.clock.nowMs(),
  ) =>
    people.map((approver) => {
      const statement = freezeStatement({ decision, scope, reason: 'incident', approver, at });
      return {
        statement,
        assertion: assertionOf(testRoster.passkeyOf(approver), statementChallenge(statement)),
      };
    });

  it('one person freezes, two different people lift, nobody replays', async () => {
    const fixture = openFixture();
    const { freezes } = fixture.coSigner;
    const apply =
      (...options: Parameters<typeof signedBy>) =>
      () =>
        freezes.apply(signedBy(...options));
    fixture.clock.advance(1000);
    const freeze = signedBy(fixture, 'freeze', ['di']);
    expect(freezes.apply(freeze)).toMatchObject({ frozen: true, by: ['di'] });
    expect(verdict(await fixture.sign(fixture.payment()))).toBe('freeze/frozen');
    fixture.clock.advance(1000);
    expect(apply(fixture, 'lift', ['ana'])).toThrow(refused('freeze', 'too-few-people'));
    expect(apply(fixture, 'lift', ['ana', 'ana'])).toThrow(refused('freeze', 'too-few-people'));
    const lift = signedBy(fixture, 'lift', ['ana', 'bo']);
    expect(freezes.apply(lift)).toMatchObject({ frozen: false, by: ['ana', 'bo'] });
    expect(verdict(await fixture.sign(fixture.payment()))).toBe('ok');
    fixture.clock.advance(1000);
    expect(() => freezes.apply(freeze)).toThrow(refused('freeze', 'too-few-people'));
    freezes.freezeLocally('all', 'again');
    expect(() => freezes.apply(lift)).toThrow(refused('freeze', 'too-few-people'));
    expect(freezes.covering(wallet, 'eip155:31337')).toMatchObject({ by: ['local'] });
  });

  it('cover their scope only, survive a restart and need the form of a statement', async () => {
    const fixture = openFixture();
    const { freezes } = fixture.coSigner;
    freezes.freezeLocally('chain:eip155:1', 'elsewhere');
    freezes.freezeLocally(`wallet:wal_${'0'.repeat(36)}`, 'elsewhere');
    expect(verdict(await fixture.sign(fixture.payment()))).toBe('ok');
    freezes.freezeLocally(`wallet:${wallet}`, 'here');
    const restarted = await fixture.reopen();
    expect(verdict(await restarted.sign(restarted.payment({ nonce: 1n })))).toBe('freeze/frozen');
    expect(restarted.coSigner.freezes.list()).toHaveLength(3);
    const flags = restarted.coSigner.freezes;
    expect(() => flags.freezeLocally('everything', '')).toThrow(refused('freeze', 'scope-malformed'));
    expect(() => flags.apply([])).toThrow(refused('freeze', 'statement-malformed'));
    expect(() => flags.apply(signedBy(fixture, 'lift', ['ana', 'bo'], 'all'))).toThrow(
      refused('freeze', 'not-frozen'),
    );
    expect(() =>
      flags.apply(signedBy(fixture, 'freeze', ['di'], 'all', fixture.clock.nowMs() - 3_600_000)),
    ).toThrow(refused('freeze', 'too-few-people'));
  });
});
