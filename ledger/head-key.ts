/** The ledger's own Ed25519 key (RFC 8032), from a file: PKCS#8 PEM (RFC 8410), readable by its owner only. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Sha256 } from '#core/canonical-json';
import { errorsOf, messageOf } from '#core/errors';
import { ledgerErrors } from './errors.ts';
import { headSigningBytes, type LedgerHead, ledgerIdOf, type SignedHead } from './heads.ts';

const fail = errorsOf(ledgerErrors);
const sharedModeBits = 0o077;
/** An Ed25519 key as PEM has 119 bytes. */
const fileBytesMax = 1024;
const rawKeyBytes = 32;

export interface HeadKey {
  /** Ed25519, 32 bytes hex: what every witness pins. */
  readonly publicKey: string;
  readonly ledger: Sha256;
  sign(statement: LedgerHead): SignedHead;
  /** Over bytes that name a domain of their own, such as a statement of liabilities. */
  readonly signBytes: (bytes: Uint8Array) => Buffer;
}

/** Mode and content of the same open file: nobody can put another in its place between the two. */
function readSecret(file: string): string {
  const handle = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const { mode, size } = fstatSync(handle);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw new Error('is not a file');
    if ((mode & sharedModeBits) !== 0)
      throw new Error('can be read by others; allow its owner only (chmod 600)');
    if (size > fileBytesMax) throw new Error(`has more than ${fileBytesMax} bytes`);
    const bytes = Buffer.alloc(fileBytesMax);
    const text = bytes.subarray(0, readSync(handle, bytes, 0, fileBytesMax, 0)).toString('latin1');
    bytes.fill(0);
    return text;
  } finally {
    closeSync(handle);
  }
}

function parsePem(pem: string): KeyObject {
  if (!pem.startsWith('-----BEGIN PRIVATE KEY-----'))
    throw new Error('is not PKCS#8 PEM without a passphrase');
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    // The parser's message is dropped: it may quote the text.
    throw new Error('does not parse');
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`is a ${key.asymmetricKeyType ?? 'secret'} key`);
  return key;
}

/** @throws LEDGER_HEAD_KEY_INVALID */
export function openHeadKey(file: string): HeadKey {
  let key: KeyObject;
  try {
    key = parsePem(readSecret(file));
  } catch (error) {
    throw fail('LEDGER_HEAD_KEY_INVALID', `the ledger's key file ${file}: ${messageOf(error)}`, { file });
  }
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = spki.subarray(-rawKeyBytes).toString('hex');
  const signBytes = (bytes: Uint8Array): Buffer => sign(null, bytes, key);
  return {
    publicKey,
    ledger: ledgerIdOf(publicKey),
    sign: (statement) => ({
      statement,
      signature: signBytes(headSigningBytes(statement)).toString('base64'),
    }),
    signBytes,
  };
}

/** A fresh key as {@link openHeadKey} reads it; the same as `openssl genpkey -algorithm ed25519`. */
export function makeHeadKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}
