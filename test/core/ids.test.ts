import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derivedId, idPrefixes, isId, newId, parseId, uuidOf, uuidV7 } from '#core/ids';

const clockAt = (ms: number) => ({ nowMs: () => ms });
const hex = (text: string) => ({ bytes: () => Uint8Array.from(Buffer.from(text, 'hex')) });
const zeros = hex('00'.repeat(16));
const sampleBytes = fc.uint8Array({ minLength: 16, maxLength: 16 });

test('RFC 9562 appendix A.6: UUIDv7 of 2022-02-22T19:22:22Z', () => {
  // rand_a 0xcc3, rand_b 0x18c4dc0c0c07398f as printed there; our source gives whole bytes.
  const random = hex(`${'00'.repeat(6)}0cc3${'18c4dc0c0c07398f'}`);
  expect(uuidV7(clockAt(1_645_557_742_000), random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
});

test('RFC 9562 section 5.8: version 8 and variant over SHA-256, rebuilt here by hand', () => {
  const digest = createHash('sha256').update('strongroom/id/v1\ntr\ndeposit 1').digest().subarray(0, 16);
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x80, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  const text = digest.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  expect(derivedId('tr', 'deposit 1')).toBe(`tr_${text}`);
});

describe('new ids', () => {
  test('have version 7, the variant, and the time in front', () => {
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 47 }), sampleBytes, (ms, bytes) => {
        const id = uuidV7(clockAt(ms), { bytes: () => bytes });
        expect(id[14]).toBe('7');
        expect('89ab').toContain(id[19]);
        expect(BigInt(`0x${id.replaceAll('-', '').slice(0, 12)}`)).toBe(BigInt(ms));
      }),
    );
  });
  test('sort by time', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), sampleBytes, (a, b, bytes) => {
        const [first, second] = [a, a + b + 1].map((ms) => uuidV7(clockAt(ms), { bytes: () => bytes }));
        expect((first ?? '') < (second ?? '')).toBe(true);
      }),
    );
  });
  test('every prefix parses as itself and as no other', () => {
    const prefixes = Object.keys(idPrefixes) as (keyof typeof idPrefixes)[];
    for (const prefix of prefixes) {
      const id = newId(prefix, clockAt(1), zeros);
      expect(prefixes.filter((other) => isId(other, id))).toEqual([prefix]);
      expect(parseId(prefix, id)).toBe(id);
      expect(`${prefix}_${uuidOf(id)}`).toBe(id);
    }
  });
  test('do not change the source of randomness', () => {
    const bytes = new Uint8Array(16);
    uuidV7(clockAt(5), { bytes: () => bytes });
    expect(bytes).toEqual(new Uint8Array(16));
  });
});

describe('derived ids', () => {
  test('the same name gives the same id; another name or prefix another', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(derivedId('tr', a)).toBe(derivedId('tr', a));
        expect(derivedId('tr', a) === derivedId('tr', b)).toBe(a === b);
        expect(uuidOf(derivedId('tr', a))).not.toBe(uuidOf(derivedId('dep', a)));
        expect(isId('tr', derivedId('tr', a))).toBe(true);
      }),
    );
  });
});

test.each([
  ['', 'empty'],
  ['wd_', 'no uuid'],
  ['int_017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'another prefix'],
  ['wd_017F22E2-79B0-7CC3-98C4-DC0C0C07398F', 'upper case'],
  ['wd_017f22e2-79b0-4cc3-98c4-dc0c0c07398f', 'version 4'],
  ['wd_017f22e2-79b0-7cc3-18c4-dc0c0c07398f', 'wrong variant'],
  ['wd_017f22e279b07cc398c4dc0c0c07398f', 'no hyphens'],
  ['wd_017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n', 'a line feed behind it'],
  [' wd_017f22e2-79b0-7cc3-98c4-dc0c0c07398f', 'white space'],
])('"%s" is no withdrawal id: %s', (text) => {
  expect(() => parseId('wd', text)).toThrow(expect.objectContaining({ code: 'CORE_ID_INVALID' }));
});
