/** Guard rails 2, 5, 8 and 9 at signing, and the part of 4 that is the module's: altered messages never trap. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDkls23Engine } from '#mpc';
import { type EcdsaSignature, payloadBytesMax, type ThresholdEcdsaEngine } from '#mpc/contract';
import { decodeOutbox } from '../../custody/multi-party-ecdsa-wasm/frames.ts';
import { driveToOutcomes, type Seat } from '../support/mpc-drive.ts';
import { BareParty } from '../support/mpc-module.ts';
import { fixtureShares } from '../support/mpc-shares.ts';

const { shares } = fixtureShares();
const [share1 = new Uint8Array(), share2 = new Uint8Array()] = shares;
const liar = 2;
let engine: ThresholdEcdsaEngine;

beforeAll(async () => {
  engine = await createDkls23Engine({ threads: 2, acceptUnaudited: false, dev: true });
});
afterAll(async () => {
  await engine.close();
});

const options = () => ({
  share: share1,
  path: 'm/0/1',
  digest: randomBytes(32),
  signId: randomBytes(32),
  signers: [1, 2],
});

async function pair(): Promise<Seat<EcdsaSignature>[]> {
  const common = options();
  return [
    [1, await engine.newSigning(common)],
    [2, await engine.newSigning({ ...common, share: share2 })],
  ];
}

describe('rail 2: committees are n = 2t - 1', () => {
  const sessionId = randomBytes(32);
  test.each([
    [2, 3, 3],
    [3, 5, 5],
    [4, 7, 1],
  ])('%i of %i is accepted', async (threshold, parties, party) => {
    const session = await engine.newDkg({ committee: { threshold, parties }, party, sessionId });
    expect(session.messages).toHaveLength(parties - 1);
    session.dispose();
  });

  test.each([
    [2, 2, 1],
    [3, 3, 1],
    [2, 4, 1],
    [3, 4, 1],
    [1, 1, 1],
    [0, 0, 0],
    [2, 3, 0],
    [2, 3, 4],
    [2, 3, 257],
    [258, 515, 1],
    [2, 259, 1],
    [129, 257, 1],
    [2 ** 32 + 2, 2 ** 32 + 3, 1],
    [2.5, 4, 1],
    [-2, -5, 1],
  ])('%d of %d, party %d is refused', async (threshold, parties, party) => {
    const refused = engine.newDkg({ committee: { threshold, parties }, party, sessionId });
    await expect(refused).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });

  test.each([
    [258, 515, 1],
    [2, 259, 1],
    [2, 3, 257],
    [4_294_967_295, 3, 1],
  ])('the module itself refuses %d of %d, party %d before narrowing', (threshold, parties, party) => {
    const open = () => new BareParty(party, 'ecdsa_dkg_new', [threshold, parties, party, sessionId]);
    expect(open).toThrowError(/above 255|outside the committee/);
  });
});

describe('rail 9: one spelling per path', () => {
  test.each(['m', 'm/0', 'm/0/7', 'm/2147483647', 'm/1/2/3/4/5/6/7/8'])('%s is accepted', async (path) => {
    await expect(engine.shareInfo({ share: share1, path })).resolves.toMatchObject({ party: 1 });
  });

  test.each([
    '',
    'M/0',
    '0/1',
    '/0',
    'm/',
    'm//1',
    'm/1/',
    'm/+1',
    'm/01',
    'm/-1',
    'm/ 1',
    'm/1 ',
    'm/0x1',
    'm/1e1',
    'm/1h',
    "m/0'",
    'm/2147483648',
    'm/4294967296',
    'm/18446744073709551617',
    'm/\u0661',
    'm/1/2/3/4/5/6/7/8/9',
    'm/1\u0000',
  ])('%j is refused', async (path) => {
    await expect(engine.shareInfo({ share: share1, path })).rejects.toMatchObject({ code: 'MPC_INPUT' });
    await expect(engine.newSigning({ ...options(), path })).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });
});

describe('inputs of a signing that are refused before anything is sent', () => {
  test.each<[string, Partial<ReturnType<typeof options>>]>([
    ['a digest of 31 bytes', { digest: randomBytes(31) }],
    ['a sign id of 31 bytes', { signId: randomBytes(31) }],
    ['one signer', { signers: [1] }],
    ['three signers', { signers: [1, 2, 3] }],
    ['a signer twice', { signers: [1, 1] }],
    ['descending signers', { signers: [2, 1] }],
    ['signers without this party', { signers: [2, 3] }],
    ['a signer outside the committee', { signers: [1, 4] }],
    ['signer 258, which is 2 in a byte', { signers: [1, 258] }],
    ['a share cut short', { share: share1.subarray(0, -1) }],
    ['a share with a byte more', { share: Buffer.concat([share1, Buffer.from([0])]) }],
    ['a share of another version', { share: Buffer.concat([Buffer.from([9]), share1.subarray(1)]) }],
    ['no share', { share: new Uint8Array() }],
  ])('%s', async (_name, change) => {
    const refused = engine.newSigning({ ...options(), ...change });
    await expect(refused).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });
});

describe('rail 8: payload sizes', () => {
  test.each([
    [1, payloadBytesMax.sign[0]],
    [2, payloadBytesMax.sign[1]],
    [3, payloadBytesMax.sign[2]],
  ])('round %i: one byte above %i names the sender and ends the session', async (atRound, bytesMax) => {
    const seats = await pair();
    const outcomes = await driveToOutcomes(seats, ({ round, from, payload }) =>
      round === atRound && from === liar ? new Uint8Array(bytesMax + 1) : payload,
    );
    const victim = outcomes.find(({ party }) => party === 1);
    expect(victim?.error).toMatchObject({
      code: 'MPC_ABORTED',
      details: {
        party: liar,
        ban: false,
        reason: expect.stringContaining(`limit of this round is ${bytesMax}`) as unknown,
      },
    });
    await expect(seats[0]?.[1].step([])).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });

  test('too many messages', async () => {
    const [[, session] = [0, undefined]] = await pair();
    const inbox = Array.from({ length: 509 }, () => ({
      from: 2,
      broadcast: false,
      payload: new Uint8Array(),
    }));
    await expect(session?.step(inbox)).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });
});

describe('rail 5, the part of the engine: who must be banned', () => {
  const flipLast = (payload: Uint8Array) => {
    const changed = payload.slice();
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    return changed;
  };

  test('a message that fails the OT check bans its sender', async () => {
    const outcomes = await driveToOutcomes(await pair(), ({ round, from, payload }) =>
      round === 1 && from === liar ? flipLast(payload) : payload,
    );
    const victim = outcomes.find(({ party }) => party === 1);
    expect(victim?.error).toMatchObject({ code: 'MPC_ABORTED', details: { party: liar, ban: true } });
  });

  test('an altered last round blames nobody and bans nobody', async () => {
    const outcomes = await driveToOutcomes(await pair(), ({ round, from, payload }) =>
      round === 3 && from === liar ? flipLast(payload) : payload,
    );
    const victim = outcomes.find(({ party }) => party === 1);
    expect(victim?.error).toMatchObject({ code: 'MPC_ABORTED', details: { party: 0, ban: false } });
  });
});

describe('rail 4, the part of the module: altered signing messages', () => {
  interface Point {
    readonly state: Uint8Array;
    readonly payload: Uint8Array;
    readonly broadcast: boolean;
  }
  let victim: BareParty;
  const rounds: Point[] = [];

  beforeAll(() => {
    const args = (share: Uint8Array) => [share, Buffer.from('m/0/1'), digest, signId, Uint8Array.of(1, 2)];
    const { digest, signId } = options();
    victim = new BareParty(1, 'ecdsa_sign_new', args(share1));
    const other = new BareParty(2, 'ecdsa_sign_new', args(share2));
    let [toVictim, toOther] = [other.messages[0], victim.messages[0]];
    for (const broadcast of [false, false, true]) {
      if (toVictim === undefined || toOther === undefined) throw new Error('no message');
      rounds.push({ state: victim.snapshot(), payload: toVictim.payload, broadcast });
      const mine = victim.step([{ from: 2, broadcast, payload: toVictim.payload }]);
      const theirs = other.step([{ from: 1, broadcast, payload: toOther.payload }]);
      if (!mine.ok || !theirs.ok) throw new Error('the honest run failed');
      if (mine.value === 1) {
        toOther = decodeOutbox(mine.output)[0];
        toVictim = decodeOutbox(theirs.output)[0];
      }
    }
  });

  test.each([0, 1, 2])('round %#: 60 random changes are all refused, and none traps', (index) => {
    const point = rounds[index];
    if (point === undefined) throw new Error('no round');
    const { state, payload, broadcast } = point;
    // A commitment is only held against what it commits to when that comes: a round later, before there is a signature.
    const later = rounds.slice(index + 1).map((next) => [{ from: 2, ...next }]);
    const change = fc.oneof(
      fc
        .record({ at: fc.nat(payload.length - 1), xor: fc.integer({ min: 1, max: 255 }) })
        .map(({ at, xor }) => {
          const changed = payload.slice();
          changed[at] = (changed[at] ?? 0) ^ xor;
          return changed;
        }),
      fc.nat(payload.length - 1).map((length) => payload.slice(0, length)),
      fc.uint8Array({ minLength: 1, maxLength: 40 }).map((tail) => Buffer.concat([payload, tail])),
      fc.uint8Array({ maxLength: 200 }).map((body) => Buffer.concat([payload.subarray(0, 2), body])),
    );
    fc.assert(
      fc.property(change, (changed) => {
        const outcome = victim.attempt(state, [{ from: 2, broadcast, payload: changed }], later);
        expect(outcome).toMatchObject({ ok: false, failure: { kind: 'refused' } });
        if (!outcome.ok && outcome.failure.kind === 'refused')
          expect([0, 2]).toContain(outcome.failure.party);
      }),
      { numRuns: 60 },
    );
  });

  test('a message of the right round on the wrong channel', () => {
    for (const { state, payload, broadcast } of rounds) {
      const outcome = victim.attempt(state, [{ from: 2, broadcast: !broadcast, payload }]);
      expect(outcome).toMatchObject({ ok: false, failure: { kind: 'refused', party: 2 } });
    }
  });
});
