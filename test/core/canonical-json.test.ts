import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, hashJson, hashJsonBytes } from '#core/canonical-json';

const refused: unknown = expect.objectContaining({ code: 'CORE_JSON_NOT_CANONICAL' });

describe('RFC 8785', () => {
  test('section 3.2.3: members sort by UTF-16 code units', () => {
    const input = JSON.parse(
      '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew Letter Dalet With Dagesh",' +
        '"1":"One","\\ud83d\\ude00":"Emoji: Grinning Face","\\u0080":"Control","\\u00f6":"Latin Small Letter O With Diaeresis"}',
    ) as unknown;
    const order = [...canonicalJson(input).matchAll(/:"([^"]+)"/g)].map((match) => match[1]);
    expect(order).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ]);
  });

  test('section 3.2.2: literals and strings, without its floating point numbers', () => {
    const input = JSON.parse(
      '{"string":"\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/","literals":[null,true,false]}',
    ) as unknown;
    expect(canonicalJson(input)).toBe(
      '{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
  });

  test('appendix B: whole numbers up to 2^53 - 1, and minus zero as zero', () => {
    expect(canonicalJson([0, -0, 9007199254740991, -9007199254740991])).toBe(
      '[0,0,9007199254740991,-9007199254740991]',
    );
  });

  test('section 3.2.2.2: a lone surrogate has no form', () => {
    expect(() => canonicalJson('\ud800')).toThrow(refused);
    expect(() => canonicalJson({ '\udead': 1 })).toThrow(refused);
  });
});

describe('what is not a document', () => {
  const looped: Record<string, unknown> = {};
  looped['self'] = looped;
  const deep = Array.from({ length: 40 }).reduce<unknown>((inner) => [inner], 1);
  const holes: unknown[] = [];
  holes[1] = 1;
  test.each<[string, unknown]>([
    ['a float', 1.5],
    ['the first float of appendix B', JSON.parse('333333333.33333329')],
    ['2^53', 2 ** 53],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a bigint', 1n],
    ['undefined', undefined],
    ['undefined in a field', { a: undefined }],
    ['undefined in a list', [undefined]],
    ['a list with a hole', holes],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a date', new Date(0)],
    ['a map', new Map([['a', 1]])],
    ['bytes', new Uint8Array(2)],
    ['an instance', new (class Thing {})()],
    ['a loop', looped],
    ['too deep', deep],
  ])('%s', (_title, value) => {
    expect(() => canonicalJson(value)).toThrow(refused);
    expect(() => hashJson({ nested: [value] })).toThrow(refused);
  });
});

/** Documents as ours are: texts, whole numbers, lists, records. */
const document = fc
  .jsonValue({ noUnicodeString: false, maxDepth: 5 })
  .map(
    (value) =>
      JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
        typeof item === 'number' ? Math.trunc(item % 2 ** 53) : item,
      ) as unknown,
  );

test('parsing gives the document back, and the order of fields does not matter', () => {
  const reversed = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(reversed)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .toReversed()
              .map(([key, item]) => [key, reversed(item)]),
          )
        : value;
  fc.assert(
    fc.property(document, (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
      expect(canonicalJson(reversed(value))).toBe(text);
      expect(text).not.toMatch(/[\t\n]/);
    }),
  );
});

test('the hash is SHA-256 over the text as UTF-8', () => {
  fc.assert(
    fc.property(document, (value) => {
      const digest = createHash('sha256').update(canonicalJson(value), 'utf8').digest();
      expect(hashJson(value)).toBe(`sha256:${digest.toString('hex')}`);
      expect(Buffer.from(hashJsonBytes(value)).equals(digest)).toBe(true);
    }),
  );
});
