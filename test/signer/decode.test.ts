/** The own RLP and EIP-1559 decoder against published vectors and against ethers as the independent second opinion. */
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { computeAddress, encodeRlp as ethersRlp, getAddress, keccak256, Transaction } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addressAtPath,
  addressOfPublicKey,
  checksumAddress,
  parsePath,
} from '../../custody/signer/decode/address.ts';
import { decodeEip1559 } from '../../custody/signer/decode/eip1559.ts';
import { decodeRlp, type RlpItem } from '../../custody/signer/decode/rlp.ts';
import { encodeRlp, decodeRlp as testDecodeRlp } from '../support/rlp.ts';
import { eip1559Vectors, invalidRlp, validRlp } from './rlp-vectors.ts';

type Plain = string | readonly Plain[];
const plain = (item: RlpItem): Plain => (item instanceof Uint8Array ? bytesToHex(item) : item.map(plain));

describe('RLP', () => {
  it.each(validRlp)('decodes $name', ({ item, encoded }) => {
    expect(plain(decodeRlp(hexToBytes(encoded)))).toEqual(item);
  });

  it.each(invalidRlp)('refuses $name', ({ encoded }) => {
    expect(() => decodeRlp(hexToBytes(encoded))).toThrow(expect.objectContaining({ name: 'RlpDefect' }));
  });

  it('refuses an empty input, trailing bytes and a bomb of nested lists', () => {
    expect(() => decodeRlp(new Uint8Array())).toThrow(/missing/);
    expect(() => decodeRlp(hexToBytes('c000'))).toThrow(/1 bytes follow/);
    let nested: Uint8Array = hexToBytes('c0');
    for (let depth = 0; depth < 20; depth++) nested = Uint8Array.of(0xc0 + nested.length, ...nested);
    expect(() => decodeRlp(nested)).toThrow(/deeper/);
    expect(() => decodeRlp(encodeRlp(Array.from({ length: 5000 }, () => new Uint8Array())))).toThrow(
      /more than/,
    );
  });

  it('reads what ethers writes, and nothing else has the same meaning', () => {
    const leaf = fc.uint8Array({ maxLength: 80 }).map((bytes) => bytesToHex(bytes));
    const tree = fc.letrec<{ node: Plain }>((tie) => ({
      node: fc.oneof({ maxDepth: 4, depthSize: 'small' }, leaf, fc.array(tie('node'), { maxLength: 6 })),
    })).node;
    const prefixed = (item: Plain): string | object =>
      typeof item === 'string' ? `0x${item}` : item.map(prefixed);
    fc.assert(
      fc.property(tree, (item) => {
        const encoded = ethersRlp(prefixed(item) as Parameters<typeof ethersRlp>[0]);
        expect(plain(decodeRlp(hexToBytes(encoded.slice(2))))).toEqual(item);
      }),
      { numRuns: 300 },
    );
    // Whatever random bytes decode, encoding the result gives the very same bytes back: there is one form only.
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        let item: RlpItem;
        try {
          item = decodeRlp(bytes);
        } catch {
          return;
        }
        expect(bytesToHex(encodeRlp(item))).toBe(bytesToHex(bytes));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('EIP-1559', () => {
  it.each(eip1559Vectors)('decodes the unsigned part of the vector with nonce $nonce', (vector) => {
    const signed = testDecodeRlp(hexToBytes(vector.signed).subarray(1));
    if (signed instanceof Uint8Array) throw new Error('the vector is not a list');
    const unsigned = encodeRlp(signed.slice(0, 9));
    const decoded = decodeEip1559(Uint8Array.of(2, ...unsigned));
    expect(decoded).toMatchObject({
      ok: true,
      forbidden: [],
      transaction: {
        chainId: 7822n,
        nonce: vector.nonce,
        value: vector.value,
        gasLimit: vector.gasLimit,
        maxPriorityFeePerGas: vector.maxPriorityFeePerGas,
        maxFeePerGas: vector.maxFeePerGas,
        to: hexToBytes('000000000000000000000000000000000000aaaa'),
      },
    });
  });

  it('agrees with ethers on random transactions, fields, digest and recipient', () => {
    const word = fc.bigInt({ min: 0n, max: 2n ** 128n });
    const transactions = fc.record({
      chainId: fc.bigInt({ min: 1n, max: 2n ** 50n }),
      nonce: fc.integer({ min: 0, max: 2 ** 40 }),
      fee: word,
      tip: word,
      gasLimit: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      to: fc.uint8Array({ minLength: 20, maxLength: 20 }),
      value: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
      data: fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 40 })),
    });
    fc.assert(
      fc.property(transactions, ({ fee, tip, to, data, ...rest }) => {
        const [maxPriorityFeePerGas = 0n, maxFeePerGas = 0n] = fee > tip ? [tip, fee] : [fee, tip];
        const recipient = getAddress(`0x${bytesToHex(to)}`);
        const fields = { ...rest, maxFeePerGas, maxPriorityFeePerGas };
        const other = Transaction.from({ type: 2, ...fields, to: recipient, data: `0x${bytesToHex(data)}` });
        const decoded = decodeEip1559(hexToBytes(other.unsignedSerialized.slice(2)));
        if (!decoded.ok) throw new Error(decoded.message);
        expect(decoded.transaction).toEqual({ ...fields, nonce: BigInt(rest.nonce), to });
        expect(decoded.forbidden).toEqual(data.length > 0 ? ['contract-data'] : []);
        expect(checksumAddress(decoded.transaction.to)).toBe(recipient);
      }),
      { numRuns: 300 },
    );
  });

  const good = () =>
    [
      ['7a69', '80', '01', '02', '5208', '11'.repeat(20), '01', '', []] as (string | string[])[],
      (fields: readonly (string | string[])[]) =>
        decodeEip1559(
          Uint8Array.of(
            2,
            ...encodeRlp(
              fields.map((field) => (typeof field === 'string' ? hexToBytes(field) : field.map(hexToBytes))),
            ),
          ),
        ),
    ] as const;

  it.each([
    ['a leading zero in the value', 6, '0001', 'rlp-not-minimal'],
    ['a zero written as a zero byte', 1, '00', 'rlp-not-minimal'],
    ['a nonce of nine bytes', 1, '01'.repeat(9), 'field-out-of-range'],
    ['the last nonce, which EIP-2681 forbids', 1, 'ff'.repeat(8), 'field-out-of-range'],
    ['a value of 33 bytes', 6, '01'.repeat(33), 'field-out-of-range'],
    ['a recipient of 19 bytes', 5, '11'.repeat(19), 'field-malformed'],
    ['no recipient: a contract would be created', 5, '', 'contract-creation'],
    ['a tip above the fee', 2, '03', 'field-out-of-range'],
    ['a list where the value stands', 6, ['01'], 'field-malformed'],
    ['a string where the access list stands', 8, '', 'field-malformed'],
  ] as const)('refuses %s', (_title, index, field, reason) => {
    const [fields, decode] = good();
    expect(decode(fields)).toMatchObject({ ok: true });
    expect(decode(fields.with(index, typeof field === 'string' ? field : [...field]))).toMatchObject({
      ok: false,
      reason,
    });
  });

  it('refuses signed bytes, other types, legacy bytes and an empty input', () => {
    const [fields, decode] = good();
    expect(decode([...fields, '01', '01', '01'])).toMatchObject({ ok: false, reason: 'field-count' });
    expect(decodeEip1559(hexToBytes('01c0'))).toMatchObject({ ok: false, reason: 'transaction-type' });
    expect(decodeEip1559(hexToBytes('c0'))).toMatchObject({ ok: false, reason: 'transaction-type' });
    expect(decodeEip1559(new Uint8Array())).toMatchObject({ ok: false, reason: 'transaction-type' });
  });
});

describe('addresses', () => {
  // EIP-55, section "Test Cases".
  it.each([
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
    '0x52908400098527886E0F7030069857D2E4169EE7',
    '0xde709f2102306220921060314715629080e2fb77',
  ])('writes %s as EIP-55 does', (address) => {
    expect(checksumAddress(hexToBytes(address.slice(2).toLowerCase()))).toBe(address);
  });

  it('derives what BIP32 and ethers say', () => {
    // BIP32 test vector 2, chain m and m/0 (public derivation).
    const publicKey = '03cbcaa9c98c877a26977d00825c956a238e8dddfbd322cce4f74b0b5bd6ace4a7';
    const chainCode = '60499f801b896d83179a4374aeb7822aaeaceaa0db1f85ee3e904c4defbd9689';
    const child = '02fc9e5af0ac8d9b3cecfe2a888e2117ba3d089d8585886c9c826b6b22a98d12ea';
    expect(addressAtPath(publicKey, chainCode, 'm')).toBe(computeAddress(`0x${publicKey}`));
    expect(addressAtPath(publicKey, chainCode, 'm/0')).toBe(computeAddress(`0x${child}`));
    expect(addressOfPublicKey(hexToBytes(child))).toBe(computeAddress(`0x${child}`));
    expect(keccak256(utf8ToBytes(''))).toMatch(/^0xc5d2/);
  });

  it.each(["m/0'", 'm/2147483648', 'm/+1', 'm/01', 'm/', 'm//1', '0/1', 'm/-1', 'm/1e3', 'M/0'])(
    'has no public path %s',
    (path) => {
      expect(parsePath(path)).toBeUndefined();
    },
  );
});
