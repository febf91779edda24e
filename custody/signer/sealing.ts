/**
 * Encryption at rest: AES-256-GCM under the co-signer's key-encryption key, which lives outside the data folder. The
 * associated data says what a sealed value is for, so that it cannot be put in another one's place.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  scryptSync,
  timingSafeEqual,
} from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalJson, type JsonValue } from '#core/canonical-json';
import { errorsOf, messageOf } from '#core/errors';
import { custodyErrors } from '#custody/protocol';
import type { SignerConfig } from './config.ts';
import type { SignerStore } from './store.ts';

const fail = errorsOf(custodyErrors);

const keyBytes = 32;
const nonceBytes = 12; // NIST SP 800-38D: random 96-bit nonces are safe for 2^32 values; a co-signer seals a few
const saltBytes = 16;
/** Shorter passphrases fall to guessing however slow the derivation is. */
const passphraseLengthMin = 12;
/** RFC 7914 parameters: 128 MiB and about half a second per guess, once per start. */
const scryptCost = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 } as const;
const sharedModeBits = 0o077;

export interface SealedValue {
  readonly nonce: string;
  /** Ciphertext and tag. */
  readonly data: string;
}

export interface Sealer {
  seal(plaintext: Uint8Array, associated: JsonValue): SealedValue;
  /** @throws CUSTODY_STORE_CORRUPT when key, associated data or ciphertext is not the one sealed */
  open(sealed: SealedValue, associated: JsonValue): Uint8Array;
  /** Authenticates a value that is not secret, hex. */
  tag(value: JsonValue): string;
  /** @throws CUSTODY_STORE_CORRUPT */
  checkTag(value: JsonValue, tag: string): void;
}

function readSecretFile(file: string, dev: boolean): string {
  let text: string;
  try {
    if (!dev && (statSync(file).mode & sharedModeBits) !== 0)
      throw fail('CUSTODY_CONFIG_INVALID', `${file} can be read by others; allow its owner only (chmod 600)`);
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw fail('CUSTODY_CONFIG_INVALID', `the key file ${file}: ${messageOf(error)}`, { file }, error);
  }
  return text;
}

function parseKey(text: string, file: string): Buffer {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw fail('CUSTODY_CONFIG_INVALID', `${file} must hold ${keyBytes} bytes as lower case hex`, { file });
  return Buffer.from(text, 'hex');
}

function keyFromPassphrase(file: string, store: SignerStore, dev: boolean): Buffer {
  const passphrase = readSecretFile(file, dev);
  if (passphrase.length < passphraseLengthMin)
    throw fail(
      'CUSTODY_CONFIG_INVALID',
      `the passphrase in ${file} has under ${passphraseLengthMin} characters`,
    );
  const meta = store.table<{ salt: string }>('meta');
  const salt = store.transact(() => {
    const known = meta.get('passphrase-salt') ?? { salt: randomBytes(saltBytes).toString('hex') };
    meta.put('passphrase-salt', known);
    return known.salt;
  });
  return scryptSync(passphrase.normalize('NFKC'), Buffer.from(salt, 'hex'), keyBytes, scryptCost);
}

/** Development only: a key beside the data protects nothing, and the configuration says `plain`. */
function plainKey(dataDir: string): Buffer {
  const file = join(dataDir, 'plain-key');
  if (!existsSync(file))
    writeFileSync(file, randomBytes(keyBytes).toString('hex'), { mode: 0o600, flag: 'wx' });
  return parseKey(readSecretFile(file, true), file);
}

function keyEncryptionKey(config: SignerConfig, store: SignerStore): Buffer {
  const source = config.keyEncryption;
  if ('file' in source) return parseKey(readSecretFile(source.file, config.dev), source.file);
  if ('passphraseFile' in source) return keyFromPassphrase(source.passphraseFile, store, config.dev);
  if (!config.dev) throw fail('CUSTODY_CONFIG_INVALID', 'plain keys are for development only');
  return plainKey(config.dataDir);
}

/** @throws CUSTODY_CONFIG_INVALID for a missing, weak or readable key file; CUSTODY_STORE_CORRUPT for the wrong key */
export function openSealer(config: SignerConfig, store: SignerStore): Sealer {
  const kek = keyEncryptionKey(config, store);
  // A key of its own, so that no key has two uses; RFC 5869.
  const tagKey = Buffer.from(hkdfSync('sha256', kek, Buffer.alloc(0), 'strongroom/store-tag/v1', keyBytes));

  const sealer: Sealer = {
    seal(plaintext, associated) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', kek, nonce);
      cipher.setAAD(Buffer.from(canonicalJson(associated)));
      const data = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
      return { nonce: nonce.toString('base64'), data: data.toString('base64') };
    },
    open(sealed, associated) {
      const data = Buffer.from(sealed.data, 'base64');
      try {
        const decipher = createDecipheriv('aes-256-gcm', kek, Buffer.from(sealed.nonce, 'base64'), {
          authTagLength: 16,
        });
        decipher.setAAD(Buffer.from(canonicalJson(associated)));
        decipher.setAuthTag(data.subarray(-16));
        // One buffer, the caller's to zero: GCM is a stream, so `update` gives all of it and `final` only checks the tag.
        const plaintext = decipher.update(data.subarray(0, -16));
        decipher.final();
        return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
      } catch {
        throw fail(
          'CUSTODY_STORE_CORRUPT',
          `the sealed value for ${canonicalJson(associated)} does not open`,
        );
      }
    },
    tag: (value) => createHmac('sha256', tagKey).update(canonicalJson(value)).digest('hex'),
    checkTag(value, tag) {
      const expected = Buffer.from(sealer.tag(value), 'hex');
      const given = Buffer.from(tag, 'hex');
      if (given.length !== expected.length || !timingSafeEqual(given, expected))
        throw fail('CUSTODY_STORE_CORRUPT', 'a stored value was changed outside this co-signer');
    },
  };
  assertSameKey(sealer, store);
  return sealer;
}

/** A wrong key file must be found at the start and not at the first signature. */
function assertSameKey(sealer: Sealer, store: SignerStore): void {
  const meta = store.table<{ tag: string }>('meta');
  const value = { domain: 'strongroom/key-check/v1' };
  const known = meta.get('key-check');
  if (known === undefined) store.transact(() => meta.put('key-check', { tag: sealer.tag(value) }));
  else if (known.tag !== sealer.tag(value))
    throw fail('CUSTODY_STORE_CORRUPT', 'the key-encryption key is not the one this store was made with');
}
