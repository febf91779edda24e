import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BundleVerdict, verifyBundle } from '../../../ledger/liabilities/bundle.ts';
import { sumMax } from '../../../ledger/liabilities/encoding.ts';
import { statementHash } from '../../../ledger/liabilities/statement.ts';
import { customer, ledgerKey, makeSnapshot, signedWith, testKey } from './made-snapshot.ts';

const ether = 'eip155:1/slip44:60';
const gold = 'ledger:gold';
const balancesOf = (count: number) =>
  new Map(Array.from({ length: count }, (_, i) => [customer(i), BigInt(i * i)]));
const snapshot = makeSnapshot({ [ether]: balancesOf(1500), [gold]: balancesOf(3) });
/** Line 1 is the header, 2 names ether, 3 to 1502 are its leaves, 1503 names gold, 1504 to 1506 are its leaves. */
const lines = snapshot.bundle();

async function* pieces(text: string, length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
const verify = async (changed: readonly string[], publicKey = ledgerKey.publicKey): Promise<BundleVerdict> =>
  await verifyBundle(pieces(`${changed.join('\n')}\n`, 1000), publicKey);
const without = (at: number): string[] => lines.filter((_, i) => i !== at);
const replaced = (at: number, line: string): string[] => lines.map((old, i) => (i === at ? line : old));
const swapped = (a: number, b: number): string[] =>
  lines.map((line, i) => (i === a ? (lines[b] ?? '') : i === b ? (lines[a] ?? '') : line));
const leafAt = (at: number) => JSON.parse(lines[at] ?? '') as { commitment: string; balance: string };

describe('a good bundle', () => {
  test('gives the name of the statement it proves', async () => {
    expect(await verify(lines)).toEqual({
      ok: true,
      statementHash: statementHash(snapshot.signed.statement),
      signed: snapshot.signed,
    });
  });

  test.each([1, 7, 4096, 10_000_000])(
    'is read in pieces of %i bytes, with or without a last line break',
    async (length) => {
      const small = makeSnapshot({ [gold]: balancesOf(5) })
        .bundle()
        .join('\n');
      expect((await verifyBundle(pieces(small, length), ledgerKey.publicKey)).ok).toBe(true);
      expect((await verifyBundle(pieces(`${small}\n`, length), ledgerKey.publicKey)).ok).toBe(true);
    },
  );

  test('names no account', () => {
    expect(lines.join('\n')).not.toContain('acc_');
  });
});

describe('what is refused, with its reason and line', () => {
  const cases: readonly (readonly [string, readonly string[], string, number])[] = [
    ['a leaf left out', without(700), 'wrong-count', 1502],
    ['the last leaf left out', without(1505), 'wrong-count', 1506],
    ['a leaf twice', [...lines.slice(0, 700), lines[699] ?? '', ...lines.slice(700)], 'duplicate-leaf', 701],
    ['two leaves exchanged', swapped(700, 701), 'wrong-order', 702],
    ['two leaves in different subtrees exchanged', swapped(3, 1400), 'wrong-order', 5],
    ['a leaf of another tree added at the end', [...lines, lines[1505] ?? ''], 'wrong-count', 1507],
    [
      'the trees exchanged',
      [...lines.slice(0, 1), ...lines.slice(1502), ...lines.slice(1, 1502)],
      'wrong-tree',
      2,
    ],
    ['a tree left out', lines.slice(0, 1502), 'wrong-tree', 1503],
    [
      'a tree that was not published',
      [...lines, JSON.stringify({ tree: 'ledger:silver' })],
      'wrong-tree',
      1507,
    ],
    [
      'a balance changed',
      replaced(700, JSON.stringify({ ...leafAt(700), balance: '5' })),
      'wrong-total',
      1502,
    ],
    [
      'an overflow',
      replaced(700, JSON.stringify({ ...leafAt(700), balance: sumMax.toString() })),
      'sum-overflow',
      1027,
    ],
    [
      'a negative balance',
      replaced(700, JSON.stringify({ ...leafAt(700), balance: '-5' })),
      'malformed',
      701,
    ],
    [
      'an unknown field',
      replaced(700, JSON.stringify({ ...leafAt(700), account: 'acc_1' })),
      'malformed',
      701,
    ],
    ['a line that is no JSON', replaced(700, '{'), 'malformed', 701],
    ['an empty line', [...lines.slice(0, 700), '', ...lines.slice(700)], 'malformed', 701],
    ['no header', lines.slice(1), 'malformed', 1],
    ['nothing', [], 'malformed', 1],
    ['a line without end', replaced(700, 'x'.repeat(2_000_000)), 'malformed', 701],
  ];
  test.each(cases)('%s', async (_name, changed, reason, line) => {
    const verdict = await verify(changed);
    expect(verdict).toMatchObject({ ok: false, reason, line });
  });

  test('balances moved between two leaves, so that the total stays', async () => {
    const [a, b] = [leafAt(700), leafAt(701)];
    const moved = lines.map((line, i) =>
      i === 700
        ? JSON.stringify({ ...a, balance: b.balance })
        : i === 701
          ? JSON.stringify({ ...b, balance: a.balance })
          : line,
    );
    expect(await verify(moved)).toMatchObject({ reason: 'wrong-root' });
  });

  test('another key, or a statement changed afterwards', async () => {
    expect(await verify(lines, testKey().publicKey)).toMatchObject({ reason: 'other-key', line: 1 });
    const forged = { ...snapshot.signed, statement: { ...snapshot.signed.statement, takenAtMs: 5 } };
    const header = JSON.stringify({ format: 'strongroom/liabilities-bundle/v1', signed: forged });
    expect(await verify(replaced(0, header))).toMatchObject({ reason: 'bad-signature', line: 1 });
  });

  test('leaves of a statement with a lower total, signed by the ledger itself', async () => {
    const [first, second] = snapshot.signed.statement.trees;
    if (first === undefined || second === undefined) throw new Error('two trees');
    const signed = signedWith(ledgerKey, {
      ...snapshot.signed.statement,
      trees: [{ ...first, total: '1' }, second],
    });
    const header = JSON.stringify({ format: 'strongroom/liabilities-bundle/v1', signed });
    expect(await verify(replaced(0, header))).toMatchObject({ reason: 'wrong-total' });
  });

  test('bytes that are no UTF-8', async () => {
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(0x7b, 0xff, 0xfe);
    }
    expect(await verifyBundle(bytes(), ledgerKey.publicKey)).toMatchObject({ reason: 'malformed', line: 1 });
  });

  test('an error of the file itself is no verdict', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('{');
      throw new Error('disk');
    }
    await expect(verifyBundle(broken(), ledgerKey.publicKey)).rejects.toThrow('disk');
  });
});

test('any one character of a bundle changed is refused', async () => {
  const text = `${makeSnapshot({ [gold]: balancesOf(20) })
    .bundle()
    .join('\n')}\n`;
  const character = fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code));
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: text.length - 2 }), character, async (at, put) => {
      fc.pre(text[at] !== put);
      const verdict = await verifyBundle(
        pieces(text.slice(0, at) + put + text.slice(at + 1), 500),
        ledgerKey.publicKey,
      );
      expect(verdict.ok).toBe(false);
    }),
    { numRuns: 300 },
  );
});
