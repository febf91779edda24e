import { createHash, randomBytes } from 'node:crypto';
import { secp256k1 } from '@noble/curves/secp256k1.js';
import { HDKey } from '@scure/bip32';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDkls23Engine, normaliseSignature, verifySignature } from '#mpc';
import type { EcdsaSignature, ThresholdEcdsaEngine } from '#mpc/contract';
import { drive, driveToOutcomes, type Seat } from '../support/mpc-drive.ts';
import { fixtureShares } from '../support/mpc-shares.ts';

const { shares, publicKey, chainCode } = fixtureShares();
const order = secp256k1.Point.Fn.ORDER;
let engine: ThresholdEcdsaEngine;

beforeAll(async () => {
  engine = await createDkls23Engine({ threads: 2, acceptUnaudited: false, dev: true });
});
afterAll(async () => {
  await engine.close();
});

function shareOf(party: number): Uint8Array {
  const share = shares[party - 1];
  if (share === undefined) throw new Error(`no fixture share of party ${party}`);
  return share;
}

async function seats(
  signers: readonly number[],
  options: { path?: string; digest?: Uint8Array } = {},
): Promise<Seat<EcdsaSignature>[]> {
  const { path = 'm/0/7', digest = randomBytes(32) } = options;
  const signId = randomBytes(32);
  return await Promise.all(
    signers.map(
      async (party) =>
        [party, await engine.newSigning({ share: shareOf(party), path, digest, signId, signers })] as const,
    ),
  );
}

describe('signing with each quorum of 2-of-3', () => {
  test.each([
    { signers: [1, 2], path: 'm' },
    { signers: [1, 3], path: 'm/0/7' },
    { signers: [2, 3], path: 'm/1/2147483647' },
  ])('$signers at $path', async ({ signers, path }) => {
    const digest = createHash('sha256').update(path).digest();
    const signatures = await drive(await seats(signers, { path, digest }));
    const child = new HDKey({ publicKey, chainCode }).derive(path).publicKey;
    for (const signature of signatures) {
      expect(Buffer.from(signature.publicKey)).toEqual(Buffer.from(child ?? []));
      expect(signature.compact).toEqual(signatures[0]?.compact);
      const parsed = secp256k1.Signature.fromBytes(signature.compact);
      expect(parsed.hasHighS()).toBe(false);
      expect(secp256k1.verify(signature.compact, digest, signature.publicKey, { prehash: false })).toBe(true);
      const recovered = parsed.addRecoveryBit(signature.recoveryId).recoverPublicKey(digest);
      expect(recovered.toBytes(true)).toEqual(child);
    }
  });

  test('the public facts of a share equal BIP-32', async () => {
    const info = await engine.shareInfo({ share: shareOf(2), path: 'm/5/9' });
    const child = new HDKey({ publicKey, chainCode }).derive('m/5/9');
    expect(info).toMatchObject({ threshold: 2, parties: 3, party: 2 });
    expect(Buffer.from(info.publicKey)).toEqual(Buffer.from(child.publicKey ?? []));
    expect(Buffer.from(info.chainCode)).toEqual(Buffer.from(child.chainCode ?? []));
  });

  test('many sessions at once share the threads', async () => {
    const runs = Array.from({ length: 6 }, async () => await drive(await seats([1, 2])));
    for (const signatures of await Promise.all(runs)) expect(signatures).toHaveLength(2);
  });
});

describe('what ends a session', () => {
  test('two signers with different digests', async () => {
    const signId = randomBytes(32);
    const signers = [1, 2];
    const mixed = await Promise.all(
      signers.map(async (party) => {
        const digest = new Uint8Array(32).fill(party);
        const share = shareOf(party);
        return [party, await engine.newSigning({ share, path: 'm', digest, signId, signers })] as const;
      }),
    );
    for (const { party, error } of await driveToOutcomes(mixed)) {
      expect(error).toMatchObject({ code: 'MPC_ABORTED', details: { party: party === 1 ? 2 : 1 } });
    }
  });

  test('an ended session takes no further step', async () => {
    const [[, session] = [0, undefined]] = await seats([1, 2]);
    if (session === undefined) throw new Error('no session');
    await expect(session.step([])).rejects.toMatchObject({ code: 'MPC_ABORTED', details: { party: 2 } });
    await expect(session.step([])).rejects.toMatchObject({ code: 'MPC_INPUT' });
  });

  test('two steps at once', async () => {
    const [[, session] = [0, undefined]] = await seats([1, 2]);
    if (session === undefined) throw new Error('no session');
    const first = session.step([]);
    await expect(session.step([])).rejects.toMatchObject({ code: 'MPC_INPUT' });
    await expect(first).rejects.toMatchObject({ code: 'MPC_ABORTED' });
  });
});

describe('rail 9: the final check', () => {
  const digest = createHash('sha256').update('rail 9').digest();
  const secret = createHash('sha256').update('a key of this test').digest();
  const ours = secp256k1.getPublicKey(secret);
  const raw = (): { compact: Uint8Array; recoveryId: number; publicKey: Uint8Array } => {
    const bytes = secp256k1.sign(digest, secret, { prehash: false, format: 'recovered' });
    return { compact: bytes.slice(1), recoveryId: bytes[0] ?? 0, publicKey: ours };
  };
  const withS = (compact: Uint8Array, s: bigint) =>
    Buffer.concat([compact.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')]);
  const scalar = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString('hex')}`);

  test('a high s is lowered and the recovery id flipped with it', () => {
    const low = raw();
    const high = {
      ...low,
      compact: withS(low.compact, order - scalar(low.compact.subarray(32))),
      recoveryId: 1 - low.recoveryId,
    };
    const normal = normaliseSignature(high);
    expect(Buffer.from(normal.compact)).toEqual(Buffer.from(low.compact));
    expect(normal.recoveryId).toBe(low.recoveryId);
    expect(() => verifySignature(normal, digest)).not.toThrow();
  });

  test.each([
    ['s = 0', (compact: Uint8Array) => withS(compact, 0n)],
    ['s = n', (compact: Uint8Array) => withS(compact, order)],
    ['r = 0', (compact: Uint8Array) => Buffer.concat([Buffer.alloc(32), compact.subarray(32)])],
    ['r > n', (compact: Uint8Array) => Buffer.concat([Buffer.alloc(32, 255), compact.subarray(32)])],
    ['63 bytes', (compact: Uint8Array) => compact.subarray(1)],
  ])('%s is refused', (_name, change) => {
    const signature = raw();
    const changed = { ...signature, compact: change(signature.compact) };
    expect(() => normaliseSignature(changed)).toThrowError(expect.objectContaining({ code: 'MPC_ABORTED' }));
  });

  test('recovery id 2 is refused', () => {
    expect(() => normaliseSignature({ ...raw(), recoveryId: 2 })).toThrowError(/recovery id/);
  });

  test('another digest, key, recovery id or a high s does not verify', () => {
    const good = normaliseSignature(raw());
    expect(() => verifySignature(good, createHash('sha256').update('other').digest())).toThrowError(/verify/);
    const stranger = secp256k1.getPublicKey(createHash('sha256').update('other').digest());
    expect(() => verifySignature({ ...good, publicKey: stranger }, digest)).toThrowError(/verify/);
    const flipped = { ...good, recoveryId: good.recoveryId === 0 ? (1 as const) : (0 as const) };
    expect(() => verifySignature(flipped, digest)).toThrowError(/recovers another key/);
    const high = { ...good, compact: withS(good.compact, order - scalar(good.compact.subarray(32))) };
    expect(() => verifySignature(high, digest)).toThrowError(/verify/);
  });
});
