import { randomBytes } from 'node:crypto';
import { p256 } from '@noble/curves/nist.js';
import { verifyAuthenticationResponse } from '@simplewebauthn/server';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assertionDefect, decodeBase64url, encodeBase64url } from '#policies';
import type { ApprovalDefect, Assertion } from '#policies/contract';
import { assertionOf, devRelyingParty } from '../support/dev-roster.ts';
import { SoftwarePasskey } from '../support/software-passkey.ts';
import { type Forgery, forgeAssertion } from './forge-assertion.ts';

const origin = devRelyingParty.origins[0] ?? '';
const passkey = new SoftwarePasskey({ rpId: devRelyingParty.id, origin });
const challenge = randomBytes(32);

function ours(assertion: Assertion, key = passkey): ApprovalDefect | undefined {
  return assertionDefect(assertion, {
    challenge,
    relyingParty: devRelyingParty,
    publicKey: key.sec1PublicKey.toString('hex'),
  });
}

async function library(assertion: Assertion, key = passkey): Promise<boolean> {
  try {
    const { credentialId, ...response } = assertion;
    const { verified } = await verifyAuthenticationResponse({
      response: {
        id: credentialId,
        rawId: credentialId,
        type: 'public-key',
        clientExtensionResults: {},
        response,
      },
      expectedChallenge: challenge.toString('base64url'),
      expectedOrigin: [...devRelyingParty.origins],
      expectedRPID: devRelyingParty.id,
      credential: { id: credentialId, publicKey: new Uint8Array(key.cosePublicKey), counter: 0 },
      requireUserVerification: true,
    });
    return verified;
  } catch {
    return false;
  }
}

const forged = (change: Partial<Forgery>) => forgeAssertion(passkey, { challenge, ...change });

/** The same signature with s replaced by n - s: authenticators may send either. */
function otherS(assertion: Assertion): Assertion {
  const signature = p256.Signature.fromBytes(Buffer.from(assertion.signature, 'base64url'), 'der');
  const flipped = new p256.Signature(signature.r, p256.Point.Fn.ORDER - signature.s);
  return { ...assertion, signature: Buffer.from(flipped.toBytes('der')).toString('base64url') };
}

function flipBit(assertion: Assertion, field: keyof Assertion, at: number): Assertion {
  const bytes = Buffer.from(assertion[field], 'base64url');
  const bit = at % (bytes.length * 8);
  bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return { ...assertion, [field]: bytes.toString('base64url') };
}

test('good assertions are good, with high and with low s', () => {
  for (let i = 0; i < 8; i++) {
    const assertion = assertionOf(passkey, challenge);
    expect(ours(assertion)).toBeUndefined();
    expect(ours(otherS(assertion))).toBeUndefined();
  }
});

test('client data with fields a client added is good', () => {
  expect(ours(forged({ clientData: { other_keys_can_be_added_here: 'as the specification says' } }))).toBe(
    undefined,
  );
  expect(ours(forged({ clientData: { crossOrigin: undefined } }))).toBeUndefined();
  expect(ours(forged({ flags: 0x1d }))).toBeUndefined(); // synced passkey: BE and BS
});

describe('each defect by an attack, all of them signed by the right key unless the attack is the signature', () => {
  const attacks: [string, ApprovalDefect, () => Assertion][] = [
    ['made for a registration', 'type-mismatch', () => forged({ type: 'webauthn.create' })],
    ['payment type', 'type-mismatch', () => forged({ type: 'payment.get' })],
    ['another statement', 'challenge-mismatch', () => assertionOf(passkey, randomBytes(32))],
    [
      'padded challenge',
      'challenge-mismatch',
      () => forged({ clientData: { challenge: `${challenge.toString('base64url')}=` } }),
    ],
    ['a phishing page', 'origin-mismatch', () => forged({ origin: 'https://localhost.evil.example' })],
    ['another port', 'origin-mismatch', () => forged({ origin: 'http://localhost:7101' })],
    ['no origin', 'origin-mismatch', () => forged({ clientData: { origin: undefined } })],
    ['inside a foreign frame', 'origin-mismatch', () => forged({ clientData: { crossOrigin: true } })],
    ['crossOrigin as text', 'origin-mismatch', () => forged({ clientData: { crossOrigin: 'false' } })],
    ['a top origin', 'origin-mismatch', () => forged({ clientData: { topOrigin: origin } })],
    ['another relying party', 'relying-party-mismatch', () => forged({ rpId: 'evil.example' })],
    ['nobody touched it', 'user-not-present', () => forged({ flags: 0x04 })],
    ['no finger or code', 'user-not-verified', () => forged({ flags: 0x01 })],
    ['backed up but not eligible', 'malformed', () => forged({ flags: 0x15 })],
    ['attested data flag', 'malformed', () => forged({ flags: 0x45 })],
    ['extension flag', 'malformed', () => forged({ flags: 0x85 })],
    ['a byte too many', 'malformed', () => forged({ extra: Buffer.from([0]) })],
    ['extensions', 'malformed', () => forged({ flags: 0x85, extra: Buffer.from([0xa0]) })],
    ['client data is a list', 'malformed', () => forged({ clientDataText: '["webauthn.get"]' })],
    ['client data is null', 'malformed', () => forged({ clientDataText: 'null' })],
    ['client data is no JSON', 'malformed', () => forged({ clientDataText: '{"type":"webauthn.get"' })],
    ['byte order mark', 'malformed', () => forged({ clientDataText: '\ufeff{}' })],
    [
      'padded base64url',
      'malformed',
      () => {
        const good = assertionOf(passkey, challenge);
        return { ...good, authenticatorData: `${good.authenticatorData}=` };
      },
    ],
    [
      'too short authenticator data',
      'malformed',
      () => {
        const good = assertionOf(passkey, challenge);
        return { ...good, authenticatorData: good.authenticatorData.slice(0, 48) };
      },
    ],
    ['empty signature', 'signature-invalid', () => ({ ...assertionOf(passkey, challenge), signature: '' })],
    [
      'compact signature',
      'signature-invalid',
      () => {
        const good = assertionOf(passkey, challenge);
        const der = p256.Signature.fromBytes(Buffer.from(good.signature, 'base64url'), 'der');
        return { ...good, signature: Buffer.from(der.toBytes('compact')).toString('base64url') };
      },
    ],
    [
      "another person's key",
      'signature-invalid',
      () => assertionOf(new SoftwarePasskey({ rpId: devRelyingParty.id, origin }), challenge),
    ],
    [
      'a counter changed after signing',
      'signature-invalid',
      () => flipBit(assertionOf(passkey, challenge), 'authenticatorData', 36 * 8),
    ],
  ];
  test.each(attacks)('%s: %s', (_title, defect, attack) => {
    expect(ours(attack())).toBe(defect);
  });

  test('a public key that is not on the curve is signature-invalid, not a crash', () => {
    const publicKey = `04${'11'.repeat(64)}`;
    const expected = { challenge, relyingParty: devRelyingParty, publicKey };
    expect(assertionDefect(assertionOf(passkey, challenge), expected)).toBe('signature-invalid');
  });
});

describe('the same verdict as @simplewebauthn/server', () => {
  /** Mostly the good value, so that a case has one defect or none and not always the same first one. */
  const mostly = <T>(good: T, ...bad: readonly T[]): fc.Arbitrary<T> =>
    fc.oneof({ arbitrary: fc.constant(good), weight: 9 }, { arbitrary: fc.constantFrom(...bad), weight: 2 });
  const forgeries: fc.Arbitrary<Partial<Forgery>> = fc.record({
    type: mostly('webauthn.get', 'webauthn.create'),
    origin: mostly(origin, 'https://evil.example'),
    rpId: mostly('localhost', 'evil.example'),
    flags: mostly(0x05, 0x1d, 0x0d, 0x15, 0x04, 0x01, 0x00, 0x07),
    challenge: mostly<Uint8Array>(challenge, randomBytes(32)),
  });
  // The two bytes that open a DER sequence are left to the next test: the library reads other BER forms too.
  const derHeaderBits = 16;
  const flips = fc.oneof(
    fc.record({
      field: fc.constantFrom('authenticatorData' as const, 'clientDataJSON' as const),
      at: fc.nat({ max: 4000 }),
    }),
    fc.record({ field: fc.constant('signature' as const), at: fc.integer({ min: derHeaderBits, max: 500 }) }),
  );
  const mutations = fc.record({
    highS: fc.boolean(),
    flip: fc.oneof({ arbitrary: fc.constant(null), weight: 2 }, { arbitrary: flips, weight: 1 }),
  });

  test('300 forged and mutated assertions', async () => {
    const seen = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(forgeries, mutations, async (forgery, { highS, flip }) => {
        let assertion = forged(forgery);
        if (highS) assertion = otherS(assertion);
        if (flip !== null) assertion = flipBit(assertion, flip.field, flip.at);
        const accepted = ours(assertion) === undefined;
        expect(accepted).toBe(await library(assertion));
        seen[accepted ? 'accepted' : 'refused']++;
      }),
      { numRuns: 300 },
    );
    expect(seen.accepted).toBeGreaterThan(50);
    expect(seen.refused).toBeGreaterThan(100);
  });

  test('where we are stricter, the library accepts and we do not', async () => {
    for (const assertion of [
      forged({ clientData: { crossOrigin: true } }),
      forged({ clientData: { topOrigin: 'https://evil.example' } }),
      forged({ flags: 0x85, extra: Buffer.from([0xa0]) }),
      flipBit(assertionOf(passkey, challenge), 'signature', 7), // tag 0xb0 instead of 0x30: BER, not DER
    ]) {
      expect(await library(assertion)).toBe(true);
      expect(ours(assertion)).toBeDefined();
    }
  });
});

describe('base64url', () => {
  test('round trip, and the same text as the platform', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64url');
        expect(encodeBase64url(bytes)).toBe(text);
        expect(decodeBase64url(text)).toEqual(bytes);
      }),
    );
  });
  // RFC 4648 section 10
  test.each([
    ['', ''],
    ['f', 'Zg'],
    ['fo', 'Zm8'],
    ['foo', 'Zm9v'],
    ['foob', 'Zm9vYg'],
    ['fooba', 'Zm9vYmE'],
    ['foobar', 'Zm9vYmFy'],
  ])('vector "%s"', (plain, encoded) => {
    expect(encodeBase64url(Buffer.from(plain))).toBe(encoded);
  });
  test.each(['A', 'Zg==', 'Zh', 'Zm9', 'Zm 8', 'Zm+v', 'Zm/v', 'Zmö8'])('refused: "%s"', (text) => {
    expect(decodeBase64url(text)).toBeUndefined();
  });
});
