/** The ledger's key file and what a signature under it covers. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { makeHeadKey, openHeadKey } from '../../ledger/head-key.ts';
import { type LedgerHead, ledgerHeadDomain, verifyHead } from '../../ledger/heads.ts';

const folder = mkdtempSync(join(tmpdir(), 'strongroom-head-key-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
let made = 0;
function fileOf(text: string, mode = 0o600): string {
  const file = join(folder, `${++made}.pem`);
  writeFileSync(file, text, { mode });
  chmodSync(file, mode);
  return file;
}
const pem = (type: 'rsa' | 'ed448' | 'x25519'): string => {
  const pair =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 1024 })
      : type === 'ed448'
        ? generateKeyPairSync('ed448')
        : generateKeyPairSync('x25519');
  return pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
};
const statementOf = (ledger: LedgerHead['ledger']): LedgerHead => ({
  domain: ledgerHeadDomain,
  ledger,
  batch: '7',
  lastSeq: '70',
  hash: `sha256:${'7'.repeat(64)}`,
  recordedMs: 1,
  signedMs: 2,
});

describe('a key file', () => {
  test('as RFC 8410 writes it is read, also through a link, as secrets are mounted', () => {
    // Section 10.3, the key without attributes, and the public key of section 10.1.
    const file = fileOf(
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n',
    );
    const key = openHeadKey(file);
    expect(key.publicKey).toBe('19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1');
    symlinkSync(file, join(folder, 'link.pem'));
    expect(openHeadKey(join(folder, 'link.pem')).ledger).toBe(key.ledger);
    expect(openHeadKey(fileOf(makeHeadKey(), 0o400)).ledger).not.toBe(key.ledger);
  });

  test.each<[string, () => string, RegExp]>([
    ['that others can read', () => fileOf(makeHeadKey(), 0o644), /chmod 600/],
    ['that its group can read', () => fileOf(makeHeadKey(), 0o640), /chmod 600/],
    ['that others can write', () => fileOf(makeHeadKey(), 0o602), /chmod 600/],
    ['that is not there', () => join(folder, 'nothing.pem'), /ENOENT/],
    ['that is a folder', () => folder, /not a file/],
    ['that is empty', () => fileOf(''), /not PKCS#8 PEM/],
    ['that is hex', () => fileOf('11'.repeat(32)), /not PKCS#8 PEM/],
    ['that is cut off', () => fileOf(makeHeadKey().slice(0, 60)), /does not parse/],
    ['that is long', () => fileOf(makeHeadKey() + ' '.repeat(2000)), /more than 1024 bytes/],
    ['of RSA', () => fileOf(pem('rsa')), /is a rsa key|more than 1024/],
    ['of Ed448', () => fileOf(pem('ed448')), /is a ed448 key/],
    ['of X25519', () => fileOf(pem('x25519')), /is a x25519 key/],
  ])('%s is refused, without a word of its content', (_title, file, expected) => {
    const name = file();
    expect(() => openHeadKey(name)).toThrow(
      expect.objectContaining({
        code: 'LEDGER_HEAD_KEY_INVALID',
        message: expect.stringMatching(expected) as unknown,
      }),
    );
    expect(() => openHeadKey(name)).not.toThrow(/MC4|1111/);
  });
});

describe('a signature', () => {
  const key = openHeadKey(fileOf(makeHeadKey()));
  const signed = key.sign(statementOf(key.ledger));

  test('verifies under this key and under no other', () => {
    expect(verifyHead(signed, key.publicKey)).toEqual(signed);
    const other = openHeadKey(fileOf(makeHeadKey()));
    expect(() => verifyHead(signed, other.publicKey)).toThrow(/another ledger/);
    expect(() => verifyHead(other.sign(signed.statement), key.publicKey)).toThrow(/did not sign/);
  });

  test.each<[string, object]>([
    ['batch', { batch: '8' }],
    ['lastSeq', { lastSeq: '71' }],
    ['hash', { hash: `sha256:${'8'.repeat(64)}` }],
    ['recordedMs', { recordedMs: 2 }],
    ['signedMs', { signedMs: 3 }],
    ['domain', { domain: 'strongroom/ledger-head/v2' }],
    ['number form', { batch: '07' }],
    ['number size', { batch: (2n ** 63n).toString() }],
    ['an added field', { more: 1 }],
  ])('covers %s', (_title, change) => {
    expect(() =>
      verifyHead({ ...signed, statement: { ...signed.statement, ...change } }, key.publicKey),
    ).toThrow(expect.objectContaining({ code: 'LEDGER_HEAD_INVALID' }));
  });

  test.each([null, {}, { ...signed, signature: '' }, { ...signed, signature: `${'!'.repeat(86)}==` }])(
    'is refused malformed %#',
    (value) => {
      expect(() => verifyHead(value, key.publicKey)).toThrow(
        expect.objectContaining({ code: 'LEDGER_HEAD_INVALID' }),
      );
    },
  );
});
