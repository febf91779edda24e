/**
 * A co-signer's two long-term keys: Ed25519 signs its messages, X25519 receives them. Made once, kept in the data folder
 * sealed under the key-encryption key, never exported. RFC 8032, RFC 7748.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { type CommitteeFile, custodyErrors } from '#custody/protocol';
import type { Sealer } from './sealing.ts';

const fail = errorsOf(custodyErrors);
const identityDomain = 'strongroom/identity/v1';

export interface Identity {
  readonly party: number;
  /** Hex, as in the committee file. */
  readonly signingKey: string;
  readonly encryptionKey: string;
  readonly sign: (message: Uint8Array) => Buffer;
  readonly decryptionKey: KeyObject;
}
/** The public keys of one member, ready for use. */
export interface Member {
  readonly party: number;
  readonly signingKey: KeyObject;
  readonly encryptionKey: KeyObject;
}

/** The DER that stands before the 32 bytes of a public key (RFC 8410, section 4). */
const spkiPrefix = {
  ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  x25519: Buffer.from('302a300506032b656e032100', 'hex'),
} as const;
const rawKeyBytes = 32;

/** A raw 32-byte public key as a key object. @throws CUSTODY_CONFIG_INVALID */
export function publicKeyOf(curve: keyof typeof spkiPrefix, raw: Uint8Array): KeyObject {
  if (raw.length !== rawKeyBytes)
    throw fail('CUSTODY_CONFIG_INVALID', `a public key must have ${rawKeyBytes} bytes`);
  return createPublicKey({ key: Buffer.concat([spkiPrefix[curve], raw]), format: 'der', type: 'spki' });
}

export function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-rawKeyBytes);
}

export function verifyWith(key: KeyObject, message: Uint8Array, signature: string): boolean {
  return verify(null, message, key, Buffer.from(signature, 'base64'));
}

/** The platform's Ed25519 (RFC 8032), for signatures of the roster's services. */
export const verifyEd25519 = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean =>
  verify(null, message, publicKeyOf('ed25519', publicKey), signature);

const sealedFileSchema = z.strictObject({ nonce: z.string(), data: z.string() });
const keysSchema = z.strictObject({ signing: z.string(), encryption: z.string() });

function makeKeys(): string {
  const pkcs8 = (key: KeyObject): string => key.export({ format: 'der', type: 'pkcs8' }).toString('base64');
  return JSON.stringify({
    signing: pkcs8(generateKeyPairSync('ed25519').privateKey),
    encryption: pkcs8(generateKeyPairSync('x25519').privateKey),
  });
}

/** Written once and synced; `wx` so that two processes started at once cannot have different keys. */
function writeNew(file: string, text: string): void {
  const handle = openSync(file, 'wx', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function readSealed(file: string): z.output<typeof sealedFileSchema> {
  try {
    return sealedFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw fail('CUSTODY_STORE_CORRUPT', `${file} is not a sealed identity`, { file }, error);
  }
}

/**
 * The keys in `file`, made if there is none.
 * @throws CUSTODY_STORE_CORRUPT when the file was changed or belongs to another party or key-encryption key
 */
export function openIdentity(options: {
  readonly file: string;
  readonly party: number;
  readonly sealer: Sealer;
}): Identity {
  const { file, party, sealer } = options;
  const associated = { domain: identityDomain, party };
  if (!existsSync(file))
    writeNew(file, JSON.stringify(sealer.seal(Buffer.from(makeKeys(), 'utf8'), associated)));
  const plain = Buffer.from(sealer.open(readSealed(file), associated));
  const keys = keysSchema.parse(JSON.parse(plain.toString('utf8')));
  plain.fill(0);
  const privateKey = (text: string): KeyObject =>
    createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' });
  const signingKey = privateKey(keys.signing);
  const decryptionKey = privateKey(keys.encryption);
  return {
    party,
    signingKey: rawPublicKey(createPublicKey(signingKey)).toString('hex'),
    encryptionKey: rawPublicKey(createPublicKey(decryptionKey)).toString('hex'),
    sign: (message) => sign(null, message, signingKey),
    decryptionKey,
  };
}

/**
 * The committee as this co-signer uses it; its own row must hold its own keys.
 * @throws CUSTODY_CONFIG_INVALID
 */
export function openCommittee(committee: CommitteeFile, identity: Identity): ReadonlyMap<number, Member> {
  const parties = committee.members.map((member) => member.party);
  const expected = committee.members.map((_, index) => index + 1);
  if (JSON.stringify(parties) !== JSON.stringify(expected))
    throw fail('CUSTODY_CONFIG_INVALID', 'the committee file must list the parties 1..n in order');
  if (parties.length !== 2 * committee.threshold - 1)
    throw fail('CUSTODY_CONFIG_INVALID', 'a committee has n = 2t - 1 members (2-of-3, 3-of-5)');
  const keys = committee.members.flatMap((member) => [member.signingKey, member.encryptionKey]);
  if (new Set(keys).size !== keys.length)
    throw fail('CUSTODY_CONFIG_INVALID', 'two rows of the committee file hold the same key');
  const own = committee.members[identity.party - 1];
  if (own?.signingKey !== identity.signingKey || own.encryptionKey !== identity.encryptionKey)
    throw fail('CUSTODY_CONFIG_INVALID', `the committee file lists other keys for party ${identity.party}`);
  return new Map(
    committee.members.map((member) => [
      member.party,
      {
        party: member.party,
        signingKey: publicKeyOf('ed25519', Buffer.from(member.signingKey, 'hex')),
        encryptionKey: publicKeyOf('x25519', Buffer.from(member.encryptionKey, 'hex')),
      },
    ]),
  );
}
