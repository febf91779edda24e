/** A real 2-of-3 key generation, and guard rails 1, 3 and 4 against party 2 lying to party 1 in it. */
import { createHash, randomBytes } from 'node:crypto';
import { HDKey } from '@scure/bip32';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDkls23Engine } from '#mpc';
import type { DkgResult, IncomingMessage, ThresholdEcdsaEngine } from '#mpc/contract';
import { abiCodes } from '../../custody/multi-party-ecdsa-wasm/instance.ts';
import { runDkgWithVictim, type VictimRun } from '../support/mpc-dkg-with-victim.ts';
import { drive } from '../support/mpc-drive.ts';

/** Nine seconds on a quiet machine with two cores. */
const dkgTimeoutMs = 180_000;
const liar = 2;

/** Places in the payloads: protocol and round tag, then postcard. A point has 1 + 33 bytes, a scalar 1 + 32. */
const tagBytes = 2;
const proofRounds = 64;
const pointBytes = 34;
const challengesAt = pointBytes + 1 + proofRounds * pointBytes + 1;
const proofRoundBytes = 1 + 4 + 33;
const proofBytes = challengesAt + proofRounds * proofRoundBytes;
const commitmentBytes = 32;
/** The byte before is the sender. */
const chainCodeCommitmentAt = tagBytes + commitmentBytes + 1;
const chainCodeAt = tagBytes + proofBytes + 1;
/** Behind the routing. */
const zeroShareCommitmentAt = tagBytes + 2;

let engine: ThresholdEcdsaEngine;
let run: VictimRun;

beforeAll(async () => {
  engine = await createDkls23Engine({ threads: 2, acceptUnaudited: true, dev: false });
  run = await runDkgWithVictim(engine);
}, dkgTimeoutMs);
afterAll(async () => {
  await engine.close();
});

describe('the honest run', () => {
  test('all parties have the same key, chain code and transcript, and different shares', () => {
    const { results } = run;
    expect(results.map(({ party }) => party)).toEqual([1, 2, 3]);
    const values = (pick: (result: DkgResult) => Uint8Array) =>
      new Set(results.map((result) => Buffer.from(pick(result)).toString('hex'))).size;
    expect(values(({ publicKey }) => publicKey)).toBe(1);
    expect(values(({ chainCode }) => chainCode)).toBe(1);
    expect(values(({ transcriptHash }) => transcriptHash)).toBe(1);
    expect(values(({ share }) => share)).toBe(3);
  });

  test.each([[[1, 2]], [[1, 3]], [[2, 3]]])('the quorum %j signs for a derived child', async (signers) => {
    const [root] = run.results;
    if (root === undefined) throw new Error('no result');
    const path = 'm/0/42';
    const digest = createHash('sha256').update(signers.join()).digest();
    const signId = randomBytes(32);
    const signatures = await drive(
      await Promise.all(
        signers.map(async (party) => {
          const share = run.results[party - 1]?.share ?? new Uint8Array();
          return [party, await engine.newSigning({ share, path, digest, signId, signers })] as const;
        }),
      ),
    );
    const parent = new HDKey({
      publicKey: Buffer.from(root.publicKey),
      chainCode: Buffer.from(root.chainCode),
    });
    for (const signature of signatures) {
      expect(Buffer.from(signature.publicKey)).toEqual(Buffer.from(parent.derive(path).publicKey ?? []));
    }
  });

  test('the transcript hash covers every broadcast of rounds 2 and 3 with sender and length', () => {
    const hash = createHash('sha256').update('strongroom/mpc/ecdsa-dkg-transcript/v1');
    const absorb = (bytes: Uint8Array) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(bytes.length);
      hash.update(length).update(bytes);
    };
    hash.update(Buffer.from([2, 3]));
    absorb(run.sessionId);
    const broadcasts = run.sent.filter(({ to }) => to === 0);
    for (const { round, from, payload } of broadcasts) {
      hash.update(Buffer.from([round, from]));
      absorb(payload);
    }
    const [first] = run.results;
    for (const part of [first?.publicKey, first?.chainCode]) {
      hash.update(Buffer.from([255, 0]));
      absorb(part ?? new Uint8Array());
    }
    expect(broadcasts.map(({ round, from }) => [round, from])).toEqual([
      [2, 1],
      [2, 2],
      [2, 3],
      [3, 1],
      [3, 2],
      [3, 3],
    ]);
    expect(Buffer.from(first?.transcriptHash ?? [])).toEqual(hash.digest());
  });
});

type Edit = (payload: Buffer, own: Buffer) => Uint8Array;
type Channel = 'broadcast' | 'direct';

/** Party 1's inbox with one of the liar's messages replaced; `own` is what party 1 itself sent there. */
function lied(round: number, channel: Channel, edit: Edit): IncomingMessage[] {
  const broadcast = channel === 'broadcast';
  const own = run.sent.find(
    (message) => message.round === round && message.from === 1 && message.to === (broadcast ? 0 : liar),
  );
  return run.inbox(round).map((message) => {
    if (message.from !== liar || message.broadcast !== broadcast) return message;
    return { ...message, payload: edit(Buffer.from(message.payload), Buffer.from(own?.payload ?? [])) };
  });
}

function expectRefused(round: number, inbox: IncomingMessage[], party: number, reason: RegExp): number {
  const outcome = run.attempt(round, inbox);
  if (outcome.ok || outcome.failure.kind !== 'refused')
    throw new Error(`not refused: ${JSON.stringify(outcome)}`);
  expect(outcome.failure.reason).toMatch(reason);
  expect(outcome.failure.party).toBe(party);
  return outcome.failure.code;
}

function paste(target: Buffer, source: Uint8Array, start: number, length: number): Buffer {
  target.set(source.subarray(start, start + length), start);
  return target;
}

/** Where the multiplication's proof begins: after the zero-share opening, whose parts have their own lengths. */
function setupProofAt(payload: Uint8Array): number {
  for (let at = tagBytes; at + proofBytes <= payload.length; at += 1) {
    const points =
      payload[at] === 33 && payload[at + pointBytes] === proofRounds && payload[at + pointBytes + 1] === 33;
    if (points && payload[at + challengesAt - 1] === proofRounds && payload[at + challengesAt] === 4)
      return at;
  }
  throw new Error('no proof found');
}

function zeroChallenge(payload: Buffer, proofAt: number, round: number): Buffer {
  const at = proofAt + challengesAt + round * proofRoundBytes;
  return payload.fill(0, at + 1, at + 5);
}
function shortChallenge(payload: Buffer, proofAt: number, round: number, length: number): Buffer {
  const at = proofAt + challengesAt + round * proofRoundBytes;
  const kept = payload.subarray(at + 1, at + 1 + length);
  return Buffer.concat([payload.subarray(0, at), Buffer.from([length]), kept, payload.subarray(at + 5)]);
}

describe('rail 1: weak proofs of discrete logarithm', () => {
  test.each<[string, Edit, RegExp]>([
    ['zero, first round', (p) => zeroChallenge(p, tagBytes, 0), /challenge is zero/],
    ['zero, last round', (p) => zeroChallenge(p, tagBytes, proofRounds - 1), /challenge is zero/],
    ['3 bytes', (p) => shortChallenge(p, tagBytes, 5, 3), /not 4 bytes/],
    ['1 byte', (p) => shortChallenge(p, tagBytes, 40, 1), /not 4 bytes/],
    ['no byte', (p) => shortChallenge(p, tagBytes, 63, 0), /not 4 bytes/],
  ])('key proof, challenge of %s', (_name, edit, reason) => {
    expect(expectRefused(3, lied(3, 'broadcast', edit), liar, reason)).toBe(abiCodes.guard);
  });

  test.each<[string, Edit, RegExp]>([
    ['zero', (p) => zeroChallenge(p, setupProofAt(p), 7), /challenge is zero/],
    ['2 bytes', (p) => shortChallenge(p, setupProofAt(p), 7, 2), /not 4 bytes/],
  ])('multiplication proof, challenge of %s', (_name, edit, reason) => {
    expect(expectRefused(3, lied(3, 'direct', edit), liar, reason)).toBe(abiCodes.guard);
  });
});

describe('rail 3: copies and reflections', () => {
  test.each<[string, number, Channel, Edit, RegExp]>([
    [
      'proof commitment',
      2,
      'broadcast',
      (p, own) => paste(p, own, tagBytes, commitmentBytes),
      /duplicate proof commitment/,
    ],
    [
      'chain code commitment',
      2,
      'broadcast',
      (p, own) => paste(p, own, chainCodeCommitmentAt, commitmentBytes),
      /duplicate chain code commitment/,
    ],
    [
      'zero-share commitment',
      2,
      'direct',
      (p, own) => paste(p, own, zeroShareCommitmentAt, commitmentBytes),
      /zero-share commitment came back/,
    ],
    ['key proof', 3, 'broadcast', (p, own) => paste(p, own, tagBytes, proofBytes), /duplicate public point/],
    [
      'key proof under another point',
      3,
      'broadcast',
      (p, own) => paste(p, own, tagBytes + pointBytes, proofBytes - pointBytes),
      /duplicate proof/,
    ],
    ['chain code', 3, 'broadcast', (p, own) => paste(p, own, chainCodeAt, 32), /duplicate chain code/],
    [
      'multiplication proof',
      3,
      'direct',
      (p, own) => paste(p, own, setupProofAt(p), proofBytes),
      /multiplication proof came back/,
    ],
  ])('our own %s is sent back', (_name, round, channel, edit, reason) => {
    expect(expectRefused(round, lied(round, channel, edit), liar, reason)).toBe(abiCodes.guard);
  });

  test('a copy between two others is refused, though nobody can be named', () => {
    const third = run.sent.find(({ round, from, to }) => round === 3 && from === 3 && to === 0);
    const inbox = lied(3, 'broadcast', (p) => paste(p, third?.payload ?? p, tagBytes, proofBytes));
    expectRefused(3, inbox, 0, /duplicate public point: parties 2 and 3/);
  });

  test('no proof leaves before every commitment is held', () => {
    const incomplete = run.inbox(2).filter(({ from }) => from !== 3);
    expectRefused(2, incomplete, 3, /missing/);
    const sizes = run.sent.filter(({ round }) => round < 3).map(({ payload }) => payload.length);
    expect(Math.max(...sizes)).toBeLessThan(proofBytes);
  });
});

describe('rail 4, the part of the module: an altered message ends the run of whoever got it', () => {
  test.each([
    ['empty', Buffer.alloc(0)],
    ['short', Buffer.from([1])],
    ['a tag only', Buffer.from([1, 3])],
  ])('a round-3 broadcast that is %s', (_name, payload) => {
    expectRefused(
      3,
      lied(3, 'broadcast', () => payload),
      liar,
      /tag|undecodable/,
    );
  });

  test.each<Channel>(['broadcast', 'direct'])('%s: another round, one byte more, one less', (channel) => {
    expectRefused(
      3,
      lied(3, channel, (p) => p.fill(2, 1, 2)),
      liar,
      /tag/,
    );
    expectRefused(
      3,
      lied(3, channel, (p) => Buffer.concat([p, Buffer.from([0])])),
      liar,
      /trailing/,
    );
    expectRefused(
      3,
      lied(3, channel, (p) => p.subarray(0, -1)),
      liar,
      /undecodable/,
    );
  });

  test('a stranger, a message twice, another sender inside', () => {
    const honest = run.inbox(3);
    const [first] = honest;
    if (first === undefined) throw new Error('no message');
    expectRefused(3, [...honest, { ...first, from: 9 }], 9, /unexpected sender/);
    expectRefused(3, [...honest, first], first.from, /duplicate message/);
    const foreign = lied(3, 'broadcast', (p) => p.fill(3, chainCodeAt - 1, chainCodeAt));
    expectRefused(3, foreign, liar, /embedded sender/);
  });

  test('one flipped bit in an opened proof', () => {
    const last = tagBytes + proofBytes - 1;
    const flipped = lied(3, 'broadcast', (p) => p.fill((p[last] ?? 0) ^ 1, last, last + 1));
    expect(expectRefused(3, flipped, liar, /proof verification failed/)).toBe(abiCodes.abort);
  });
});
