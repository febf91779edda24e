import { hexToBytes } from '@noble/hashes/utils.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { addressOfCompressedKey, parseEthereumAddress } from '../../chains/ethereum/address.ts';

/** EIP-55, section "Test Cases". */
const eip55 = {
  allCaps: ['0x52908400098527886E0F7030069857D2E4169EE7', '0x8617E340B3D01FA5F11F306F4090FD50E238070D'],
  allLower: ['0xde709f2102306220921060314715629080e2fb77', '0x27b1fdb04752bbc536007a920d24acb045561c26'],
  normal: [
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  ],
};

function refusalOf(text: string): unknown {
  try {
    parseEthereumAddress(text);
  } catch (error) {
    return isStrongroomError(error) ? `${error.code}/${String(error.details['reason'])}` : error;
  }
  return 'accepted';
}

describe('parseEthereumAddress', () => {
  it.each([...eip55.allCaps, ...eip55.allLower, ...eip55.normal])('accepts %s of EIP-55', (text) => {
    expect(parseEthereumAddress(text)).toBe(text);
  });

  it('accepts all lower and all upper case, which carry no checksum, and returns the checksummed form', () => {
    for (const text of eip55.normal) {
      expect(parseEthereumAddress(text.toLowerCase())).toBe(text);
      expect(parseEthereumAddress(`0x${text.slice(2).toUpperCase()}`)).toBe(text);
    }
  });

  it('refuses every address with the case of one letter changed', () => {
    fc.assert(
      fc.property(fc.constantFrom(...eip55.normal), fc.nat(39), (text, index) => {
        const at = index + 2;
        const letter = text.charAt(at);
        fc.pre(/[a-zA-Z]/.test(letter));
        const swapped = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
        expect(refusalOf(text.slice(0, at) + swapped + text.slice(at + 1))).toBe(
          'CHAINS_ADDRESS_INVALID/checksum',
        );
      }),
    );
  });

  it.each([
    ['ICAN', 'XE7338O073KYGTWWZN0F2WZ0R8PX5ZPPZS', 'alphabet'],
    ['no 0x', '5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed', 'alphabet'],
    ['0X', '0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed', 'alphabet'],
    ['one digit short', '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe', 'length'],
    ['one digit long', '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed0', 'length'],
    ['white space', ' 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed', 'alphabet'],
    ['a letter beyond f', '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg', 'alphabet'],
    ['a name', 'vitalik.eth', 'alphabet'],
    ['nothing', '', 'alphabet'],
    ['the zero address', `0x${'0'.repeat(40)}`, 'zero'],
  ])('refuses %s', (_name, text, reason) => {
    expect(refusalOf(text)).toBe(`CHAINS_ADDRESS_INVALID/${reason}`);
  });
});

describe('addressOfCompressedKey', () => {
  it('gives the known address of the generator point (private key 1)', () => {
    const generator = '0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798';
    expect(addressOfCompressedKey(hexToBytes(generator))).toBe('0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf');
  });

  it('refuses an uncompressed key and bytes that are no point', () => {
    expect(() => addressOfCompressedKey(new Uint8Array(65))).toThrow(/33 bytes/);
    expect(() => addressOfCompressedKey(new Uint8Array(33).fill(5))).toThrow(/no point/);
  });
});
