import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Envelope } from '#custody/protocol';
import { loadSignerConfig } from '../../custody/signer/config.ts';
import { type ChannelOptions, EnvelopeChannel, type Expectation } from '../../custody/signer/envelope.ts';
import { type Identity, type Member, openIdentity, publicKeyOf } from '../../custody/signer/identity.ts';
import { openSealer } from '../../custody/signer/sealing.ts';
import { openSignerStore } from '../../custody/signer/store.ts';
import { prepareCoSigners } from '../support/co-signers.ts';

const session = 'ses_01900000-0000-7000-8000-000000000001';
const otherSession = 'ses_01900000-0000-7000-8000-000000000002';
const jointId = randomBytes(32);
const direct: Expectation = { round: 1, kind: 'mpc', places: ['direct'], payloadBytesMax: 1000 };
const broadcast: Expectation = { round: 1, kind: 'mpc', places: ['broadcast'], payloadBytesMax: 1000 };
const secret = Buffer.from('a secret of two parties');

const identities = new Map<number, Identity>();
let members: ReadonlyMap<number, Member>;

beforeAll(async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'strongroom-envelope-'));
  const coSigners = await prepareCoSigners({ folder, shares: 'ceremony' });
  for (const { party } of coSigners.committee.members) {
    const config = loadSignerConfig(coSigners.configFile(party));
    const store = openSignerStore(config.dataDir);
    const file = path.join(config.dataDir, 'identity.json');
    identities.set(party, openIdentity({ file, party, sealer: openSealer(config, store) }));
    await store.close();
  }
  members = new Map(
    coSigners.committee.members.map(({ party, signingKey, encryptionKey }) => [
      party,
      {
        party,
        signingKey: publicKeyOf('ed25519', Buffer.from(signingKey, 'hex')),
        encryptionKey: publicKeyOf('x25519', Buffer.from(encryptionKey, 'hex')),
      },
    ]),
  );
});

function channel(party: number, options: Partial<ChannelOptions> = {}): EnvelopeChannel {
  const identity = identities.get(party);
  if (identity === undefined) throw new Error(`no identity ${party}`);
  return new EnvelopeChannel({
    session,
    jointId,
    epoch: 0,
    participants: [1, 2],
    members,
    identity,
    ...options,
  });
}
const refusal = (reason: string): unknown =>
  expect.objectContaining({
    code: 'CUSTODY_ENVELOPE_INVALID',
    details: expect.objectContaining({ reason }) as unknown,
  });

function refused(envelope: Envelope, expected: Expectation = direct): unknown {
  try {
    channel(2).openAll([envelope], expected);
  } catch (error) {
    return error;
  }
  return 'accepted';
}

describe('envelopes between co-signers', () => {
  it('carries a direct message that only its receiver can read', () => {
    const envelope = channel(1).seal('mpc', 1, 2, secret);
    expect(Buffer.from(envelope.payload, 'base64').includes(secret)).toBe(false);
    const [opened] = channel(2).openAll([envelope], direct);
    expect(Buffer.from(opened?.payload ?? [])).toEqual(secret);
    // A third member of the committee holds the envelope and its own keys, and learns nothing.
    const onlooker = channel(3, { participants: [1, 2, 3] });
    const redirected = { ...envelope, to: 3 };
    expect(() => onlooker.openAll([redirected], direct)).toThrow('the signature does not verify');
  });

  it('refuses an envelope in which any field was changed', () => {
    const good = channel(1).seal('mpc', 1, 2, secret);
    expect(refused({ ...good, session: otherSession })).toEqual(refusal('another session'));
    expect(refused({ ...good, epoch: 1 })).toEqual(refusal('another epoch'));
    expect(refused({ ...good, round: 2 })).toEqual(refusal('another round'));
    expect(refused({ ...good, kind: 'echo' })).toEqual(refusal('another kind'));
    expect(refused({ ...good, seq: 7 })).toEqual(refusal('the signature does not verify'));
    expect(refused({ ...good, from: 3 })).toEqual(refusal('sender or receiver is not in the session'));
    expect(refused({ ...good, to: 1 })).toEqual(refusal('addressed to another party'));
    expect(refused({ ...good, to: 0 }, broadcast)).toEqual(refusal('the signature does not verify'));
    const forged = Buffer.from(good.signature, 'base64');
    forged[0] = (forged[0] ?? 0) ^ 1;
    expect(refused({ ...good, signature: forged.toString('base64') })).toEqual(
      refusal('the signature does not verify'),
    );
    expect(refused(good)).toBe('accepted');
  });

  it('notices every flipped bit of a payload', () => {
    const good = channel(1).seal('mpc', 1, 2, secret);
    const bits = Buffer.from(good.payload, 'base64').length * 8;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bits - 1 }), (bit) => {
        const payload = Buffer.from(good.payload, 'base64');
        payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(refused({ ...good, payload: payload.toString('base64') })).toEqual(
          refusal('the signature does not verify'),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('is worthless in a later session that uses the same session id', () => {
    const old = channel(1, { jointId: randomBytes(32) }).seal('mpc', 1, 2, secret);
    expect(refused(old)).toEqual(refusal('the signature does not verify'));
  });

  it('refuses an envelope sealed for another epoch even when the header says this one', () => {
    const old = channel(1, { epoch: 1 }).seal('mpc', 1, 2, secret);
    expect(refused({ ...old, epoch: 0 })).toEqual(refusal('the signature does not verify'));
  });

  it('takes each message once, in the order it was sent, and only what belongs to the round', () => {
    const sender = channel(1);
    const first = sender.seal('mpc', 1, 0, secret);
    const second = sender.seal('mpc', 2, 0, secret);
    const receiver = channel(2);
    receiver.openAll([first], broadcast);
    expect(() => receiver.openAll([first], broadcast)).toThrow('replayed or out of order');
    receiver.openAll([second], { ...broadcast, round: 2 });
    expect(() => channel(2).openAll([first, first], broadcast)).toThrow('two messages for one place');
    expect(() => channel(2).openAll([first], direct)).toThrow('no broadcast message belongs here');
    expect(() => channel(2).openAll([], direct)).toThrow('a message is missing');
    const own = channel(2).seal('mpc', 1, 0, secret);
    expect(() => channel(2).openAll([own], broadcast)).toThrow('our own message came back');
  });

  it('refuses a payload above the limit of its round', () => {
    const large = channel(1).seal('mpc', 1, 2, randomBytes(1001));
    expect(refused(large)).toEqual(refusal('too large for its round'));
    expect(refused(channel(1).seal('mpc', 1, 2, randomBytes(1000)))).toBe('accepted');
  });
});
