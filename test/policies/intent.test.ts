import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import {
  intentDefect,
  intentHash,
  intentSigningBytes,
  intentUnits,
  parseIntent,
  policyInputOf,
  rolesOf,
  signIntent,
} from '#policies';
import type { SignedIntent } from '#policies/contract';
import { devRoster } from '../support/dev-roster.ts';
import { address, ether, intentOf, oneEther, otherAsset } from './documents.ts';

const dev = devRoster({
  people: [{ id: 'ada', groups: ['treasury'] }],
  services: [
    { id: 'api', roles: ['withdrawal-service'] },
    { id: 'worker', roles: ['sweep'] },
  ],
});
const intent = intentOf();

test('hash and signing bytes vector', () => {
  const hash = 'sha256:25a32348951a7c48a3dbfeca628c5d54c7229d869fbce04bdc91b262ff9a6626';
  expect(intentHash(intent)).toBe(hash);
  expect(new TextDecoder().decode(intentSigningBytes(hash))).toBe(
    `{"domain":"strongroom/intent/v1","intentHash":"${hash}"}`,
  );
});

describe('signature of the initiator', () => {
  const signed = dev.signIntentAs('api', intent);
  const keyOf = (service: string) => dev.serviceKeys.get(service)?.secretKey ?? new Uint8Array(32);
  test('the right one is good', () => {
    expect(intentDefect(signed, dev.roster)).toBeUndefined();
  });
  test.each<[string, string, SignedIntent]>([
    ['unknown initiator', 'initiator-unknown', { ...signed, intent: intentOf({ initiator: 'mallory' }) }],
    [
      'a person has no intent key',
      'initiator-unknown',
      { ...signed, intent: intentOf({ initiator: 'ada' }) },
    ],
    ["another service's key id", 'key-unknown', { ...signed, keyId: 'worker-1' }],
    ["another service's key", 'signature-invalid', signIntent(intent, 'api-1', keyOf('worker'))],
    [
      'another amount',
      'signature-invalid',
      { ...signed, intent: intentOf({ outputs: [{ address, units: '1' }] }) },
    ],
    ['cut short', 'signature-invalid', { ...signed, signature: signed.signature.slice(0, 40) }],
    ['no base64url', 'signature-invalid', { ...signed, signature: '!' }],
    [
      'signed without the domain',
      'signature-invalid',
      {
        ...signed,
        signature: Buffer.from(
          ed25519.sign(new TextEncoder().encode(intentHash(intent)), keyOf('api')),
        ).toString('base64url'),
      },
    ],
  ])('%s: %s', (_title, defect, bad) => {
    expect(intentDefect(bad, dev.roster)).toBe(defect);
  });
});

describe('reading', () => {
  test('a good intent, and its totals', () => {
    const two = intentOf({
      outputs: [
        { address, units: '3' },
        { address, units: '4' },
      ],
    });
    expect(parseIntent(structuredClone(two))).toEqual({ intent: two, intentHash: intentHash(two) });
    expect(intentUnits(two)).toBe(7n);
  });
  test.each<[string, RegExp, object]>([
    ['unknown field', /unknown field "gas"/, { ...intent, gas: 1 }],
    ['no outputs', /outputs/, { ...intent, outputs: [] }],
    ['zero', /outputs\[0\]\.units: an output of zero/, intentOf({ outputs: [{ address, units: '0' }] })],
    ['negative', /outputs\[0\]\.units/, intentOf({ outputs: [{ address, units: '-1' }] })],
    ['decimal point', /outputs\[0\]\.units/, intentOf({ outputs: [{ address, units: '1.5' }] })],
    ['number', /quoted text/, { ...intent, outputs: [{ address, units: 5 }] }],
    [
      'total too large',
      /78 digits/,
      intentOf({ outputs: [1, 2].map(() => ({ address, units: '9'.repeat(78) })) }),
    ],
    ['no asset id', /asset: "ETH" is not an asset id/, intentOf({ asset: 'ETH' })],
    ['asset of our books', /our books only/, intentOf({ asset: 'ledger:usd' })],
    ['fee on another chain', /feeCap\.asset/, intentOf({ feeCap: { asset: otherAsset, units: '1' } })],
    ['ends before it begins', /notAfter/, intentOf({ notAfter: intent.createdAt })],
    ['id of something else', /id/, { ...intent, id: 'wd_0192f3a0-7c1e-7a3b-8c4d-5e6f70818293' }],
    ['hardened path', /source/, intentOf({ source: "m/1'/0" })],
  ])('%s is refused by name', (_title, message, value) => {
    expect(() => parseIntent(value)).toThrow(
      expect.objectContaining({
        code: 'POLICY_DOCUMENT_INVALID',
        message: expect.stringMatching(message) as unknown,
      }),
    );
  });
});

test('what the policy sees of an intent', () => {
  const seen = policyInputOf(intent, { roster: dev.roster, tier: 'hot', isOwnHot: (to) => to === address });
  expect(seen).toEqual({
    action: 'withdraw',
    initiatorRoles: ['withdrawal-service'],
    tier: 'hot',
    vault: 'hot-1',
    asset: ether,
    units: 2n * oneEther,
    feeCapUnits: oneEther / 100n,
    destinations: [{ class: 'own-hot', address }],
  });
  expect(rolesOf(dev.roster, 'ada')).toEqual([]);
  expect(rolesOf(dev.roster, 'nobody')).toEqual([]);
});
