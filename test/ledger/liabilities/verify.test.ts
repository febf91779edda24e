import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ledgerIdOf } from '../../../ledger/heads.ts';
import {
  hashBytes,
  nodeBytes,
  parentBytes,
  sumMax,
  writeUnits,
} from '../../../ledger/liabilities/encoding.ts';
import { bytesOfHash, hashText } from '../../../ledger/liabilities/fields.ts';
import {
  type SignedStatement,
  statementHash,
  verifyStatements,
} from '../../../ledger/liabilities/statement.ts';
import { nodeSha256 } from '../../../ledger/liabilities/tree.ts';
import {
  type ExpectedLiability,
  type InclusionProof,
  type InclusionVerdict,
  verifyInclusion,
} from '../../../ledger/liabilities/verify.ts';
import { customer, ledgerKey, makeSnapshot, signedWith, testKey } from './made-snapshot.ts';

const ether = 'eip155:1/slip44:60';
const gold = 'ledger:gold';
const balances = new Map(Array.from({ length: 6 }, (_, i) => [customer(i), BigInt(i) * 10n ** 18n + 7n]));
const snapshot = makeSnapshot({ [ether]: balances, [gold]: balances });
const alice = customer(3);
const expected: ExpectedLiability = {
  publicKey: ledgerKey.publicKey,
  account: alice,
  asset: ether,
  balance: '3000000000000000007',
};
const proof = snapshot.proof(alice, ether);

const reasonOf = (verdict: InclusionVerdict): string => (verdict.ok ? 'ok' : verdict.reason);
const judge = (changed: unknown, told: Partial<ExpectedLiability> = {}): string =>
  reasonOf(verifyInclusion(changed, { ...expected, ...told }));
/** The proof after its way over the wire, so that a change reaches nothing else. */
const copy = (): { -readonly [K in keyof InclusionProof]: InclusionProof[K] } =>
  JSON.parse(JSON.stringify(proof)) as InclusionProof;
const withPath = (path: InclusionProof['path']): InclusionProof => ({ ...copy(), path });

describe('a good proof', () => {
  test('shows balance, total, time and the name of the statement', () => {
    expect(verifyInclusion(JSON.parse(JSON.stringify(proof)), expected)).toEqual({
      ok: true,
      statementHash: statementHash(snapshot.signed.statement),
      snapshotId: snapshot.signed.statement.snapshotId,
      takenAtMs: 1_750_000_000_123,
      balance: expected.balance,
      total: (15n * 10n ** 18n + 42n).toString(),
    });
  });

  test('of every customer and asset', () => {
    for (const asset of [ether, gold])
      for (const [account, units] of balances)
        expect(judge(snapshot.proof(account, asset), { account, asset, balance: units.toString() })).toBe(
          'ok',
        );
  });

  test('of the only customer has an empty path', () => {
    const alone = makeSnapshot({ [gold]: new Map([[alice, 5n]]) }).proof(alice, gold);
    expect(alone.path).toEqual([]);
    expect(judge(alone, { asset: gold, balance: '5' })).toBe('ok');
  });

  test('names the ledger as its signed heads do', () => {
    expect(snapshot.signed.statement.ledger).toBe(ledgerIdOf(ledgerKey.publicKey));
  });
});

describe('what is refused, with its reason', () => {
  test.each([0, 1, 2])('a sum changed at level %i', (level) => {
    const path = proof.path.map((node, i) =>
      i === level ? { ...node, sum: (BigInt(node.sum) + 1n).toString() } : node,
    );
    expect(judge(withPath(path))).toBe('wrong-total');
  });

  test.each([0, 1, 2])('a hash changed at level %i', (level) => {
    const path = proof.path.map((node, i) =>
      i === level ? { ...node, hash: hashText(nodeSha256(bytesOfHash(node.hash))) } : node,
    );
    expect(judge(withPath(path))).toBe('wrong-root');
  });

  test('sums moved between two siblings, so that the total stays', () => {
    const path = proof.path.map((node, i) => {
      const moved = i === 0 ? -1n : i === 1 ? 1n : 0n;
      return { ...node, sum: (BigInt(node.sum) + moved).toString() };
    });
    expect(judge(withPath(path))).toBe('wrong-root');
  });

  test('siblings in another order', () => {
    expect(judge(withPath(proof.path.toReversed()))).toBe('wrong-root');
  });

  test('left and right swapped: another index below the same path', () => {
    expect(judge({ ...copy(), index: proof.index ^ 1 })).toBe('wrong-root');
  });

  test('an index beyond the leaves', () => {
    expect(judge({ ...copy(), index: 6 })).toBe('wrong-index');
    expect(judge({ ...copy(), index: proof.index + 8 })).toBe('wrong-index');
  });

  test('a path that is too short or too long', () => {
    expect(judge(withPath(proof.path.slice(1)))).toBe('wrong-path-length');
    expect(judge(withPath(proof.path.slice(0, -1)))).toBe('wrong-path-length');
    expect(judge(withPath([...proof.path, { hash: hashText(new Uint8Array(32)), sum: '0' }]))).toBe(
      'wrong-path-length',
    );
  });

  test('a sum that no longer fits into 32 bytes on the way', () => {
    const path = proof.path.map((node, i) => (i === 1 ? { ...node, sum: sumMax.toString() } : node));
    expect(judge(withPath(path))).toBe('sum-overflow');
  });

  test.each([['-1'], ['1.0'], ['01'], ['1e3'], [''], [5], [null], [(sumMax + 1n).toString()]])(
    'a sum written as %j',
    (sum) => {
      expect(judge({ ...copy(), path: proof.path.map((node) => ({ ...node, sum })) })).toBe('malformed');
      expect(judge({ ...copy(), balance: sum })).toBe('malformed');
    },
  );

  test('a balance off by one, on either side', () => {
    expect(judge(proof, { balance: '3000000000000000008' })).toBe('wrong-balance');
    expect(judge({ ...copy(), balance: '3000000000000000008' })).toBe('wrong-balance');
    expect(judge({ ...copy(), balance: '3000000000000000008' }, { balance: '3000000000000000008' })).toBe(
      'wrong-total',
    );
  });

  test("another customer's proof, also under the own name", () => {
    const other = snapshot.proof(customer(4), ether);
    expect(judge(other)).toBe('other-account');
    expect(judge({ ...other, account: alice, balance: expected.balance })).not.toBe('ok');
    expect(judge({ ...other, account: alice }, { balance: other.balance })).toBe('wrong-root');
  });

  test('a proof of another asset, also under the name of this one', () => {
    const other = snapshot.proof(alice, gold);
    expect(judge(other)).toBe('other-asset');
    // Same balances, so the sums agree; only the hashes know the asset.
    expect(judge({ ...other, asset: ether })).toBe('wrong-root');
    expect(judge({ ...copy(), asset: 'ledger:none' }, { asset: 'ledger:none' })).toBe('asset-not-published');
  });

  test('a path of another snapshot with the same balances', () => {
    const other = makeSnapshot(
      { [ether]: balances, [gold]: balances },
      { snapshotId: '01900000-0000-7000-8000-000000000002' },
    );
    expect(judge({ ...other.proof(alice, ether), signed: proof.signed })).toBe('wrong-root');
    expect(
      judge(other.proof(alice, ether), { statementHash: statementHash(snapshot.signed.statement) }),
    ).toBe('other-statement');
  });

  test('a statement signed by another key, whatever ledger it names', () => {
    const key = testKey();
    expect(judge(makeSnapshot({ [ether]: balances }, {}, key).proof(alice, ether))).toBe('other-key');
    const forged = signedWith(key, snapshot.signed.statement);
    expect(judge({ ...copy(), signed: forged })).toBe('bad-signature');
    expect(judge(proof, { publicKey: 'not a key' })).toBe('malformed');
  });

  test('a signature in another text that decodes to the same bytes', () => {
    // 64 bytes leave 4 bits of the last letter unused.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const { signature } = proof.signed;
    const last = letters.indexOf(signature[85] ?? '');
    const other = `${signature.slice(0, 85)}${letters[last ^ 1] ?? ''}==`;
    expect(Buffer.from(other, 'base64')).toEqual(Buffer.from(signature, 'base64'));
    expect(judge({ ...copy(), signed: { ...proof.signed, signature: other } })).toBe('malformed');
  });

  test('an omitted leaf: the customer without a leaf cannot be given a proof that holds', () => {
    const without = makeSnapshot({
      [ether]: new Map([...balances].filter(([account]) => account !== alice)),
    });
    for (const [account] of balances) {
      if (account === alice) continue;
      const stolen = { ...without.proof(account, ether), account: alice, balance: expected.balance };
      expect(judge(stolen)).not.toBe('ok');
      expect(judge({ ...stolen, salt: proof.salt })).not.toBe('ok');
    }
    expect(judge({ ...copy(), signed: without.signed })).toBe('wrong-total');
  });

  test('a parent shown as a leaf', () => {
    // The leaf's hash has its own first byte, so no path may begin one level higher.
    const [first, ...rest] = proof.path;
    expect(first).toBeDefined();
    expect(judge({ ...withPath(rest), index: proof.index >> 1 })).toBe('wrong-path-length');
  });

  test('an expectation of another type, as a page without types may hand in', () => {
    const wrong = (told: object) => judge(proof, told as Partial<ExpectedLiability>);
    expect(wrong({ balance: 3 })).toBe('wrong-balance');
    expect(wrong({ balance: undefined })).toBe('wrong-balance');
    expect(wrong({ account: null })).toBe('other-account');
    expect(wrong({ asset: 1 })).toBe('other-asset');
    expect(wrong({ statementHash: null })).toBe('other-statement');
    expect(wrong({ publicKey: undefined })).toBe('malformed');
  });

  test('fields that are missing or unknown, at every place', () => {
    expect(judge({ ...copy(), note: 'x' })).toBe('malformed');
    expect(judge({ ...copy(), signed: { ...proof.signed, note: 1 } })).toBe('malformed');
    for (const key of Object.keys(proof))
      expect(judge(Object.fromEntries(Object.entries(proof).filter(([k]) => k !== key)))).toBe('malformed');
    for (const value of [null, undefined, 1, 'proof', [], [proof]]) expect(judge(value)).toBe('malformed');
  });
});

describe('a dishonest exchange', () => {
  /** Two customers under one parent that binds `total`; https://eprint.iacr.org/2018/1139 */
  test('cannot show each child a different sum of the other (the flaw of a parent that binds the total only)', () => {
    const two = makeSnapshot({
      [ether]: new Map([
        [customer('a'), 70n],
        [customer('b'), 100n],
      ]),
    });
    const [a, b] = [two.proof(customer('a'), ether), two.proof(customer('b'), ether)];
    const told = (account: string, balance: string) => ({ account, balance });
    expect(judge(a, told(customer('a'), '70'))).toBe('ok');
    // With a total of 100 instead of 170, each side would be shown what is left for the other.
    const lower = signedWith(ledgerKey, {
      ...two.signed.statement,
      trees: two.signed.statement.trees.map((tree) => ({ ...tree, total: '100' })),
    });
    const shown = (from: InclusionProof, sum: string) => ({
      ...from,
      signed: lower,
      path: from.path.map((node) => ({ ...node, sum })),
    });
    expect(judge(shown(a, '30'), told(customer('a'), '70'))).toBe('wrong-root');
    expect(judge(shown(b, '0'), told(customer('b'), '100'))).toBe('wrong-root');
  });

  test('cannot publish a total below the sums, even with a root of its own', () => {
    const lower = signedWith(ledgerKey, {
      ...snapshot.signed.statement,
      trees: snapshot.signed.statement.trees.map((tree) => ({ ...tree, total: '1' })),
    });
    expect(judge({ ...copy(), signed: lower })).toBe('wrong-total');
  });

  test('cannot let a sum run over: a root over 2^256 is refused below the root', () => {
    const whole = nodeOf(proof.path.at(-1)?.hash ?? hashText(new Uint8Array(32)), sumMax);
    const root = hashText(nodeSha256(parentBytes(Buffer.concat([whole, whole]))));
    const signed = signedWith(ledgerKey, {
      ...snapshot.signed.statement,
      trees: snapshot.signed.statement.trees.map((tree) => ({ ...tree, root, total: '0' })),
    });
    const path = proof.path.map((node, i) => (i === 2 ? { ...node, sum: sumMax.toString() } : node));
    expect(judge({ ...withPath(path), signed })).toBe('sum-overflow');
  });

  test.each([
    ['a depth that does not fit the leaves', { depth: 4 }],
    ['no leaves', { leafCount: 0, depth: 0 }],
    ['a negative total', { total: '-1' }],
    ['a total beyond 32 bytes', { total: (sumMax + 1n).toString() }],
    ['a root in capitals', { root: `sha256:${'A'.repeat(64)}` }],
  ])('cannot sign %s', (_name, changed) => {
    const [tree] = snapshot.signed.statement.trees;
    if (tree === undefined) throw new Error('no tree');
    const signed = signedWith(ledgerKey, {
      ...snapshot.signed.statement,
      trees: [{ ...tree, ...changed } as typeof tree],
    });
    expect(judge({ ...copy(), signed })).toBe('malformed');
  });

  test('cannot name an asset twice', () => {
    const [tree] = snapshot.signed.statement.trees;
    if (tree === undefined) throw new Error('no tree');
    expect(
      judge({
        ...copy(),
        signed: signedWith(ledgerKey, { ...snapshot.signed.statement, trees: [tree, tree] }),
      }),
    ).toBe('malformed');
  });
});

function nodeOf(hash: Parameters<typeof bytesOfHash>[0], sum: bigint): Uint8Array {
  const node = new Uint8Array(nodeBytes);
  node.set(bytesOfHash(hash));
  writeUnits(node, hashBytes, sum);
  return node;
}

describe('laws', () => {
  const units = fc.oneof(fc.bigInt({ min: 0n, max: 1000n }), fc.bigInt({ min: 0n, max: 2n ** 250n }));
  const anyBalances = fc
    .uniqueArray(fc.nat(), { minLength: 1, maxLength: 40 })
    .chain((names) =>
      fc.tuple(...names.map((name) => units.map((value) => [customer(name), value] as const))),
    )
    .map((entries) => new Map(entries));

  test('any set of balances: every proof holds, and the total is their sum', () => {
    fc.assert(
      fc.property(anyBalances, (set) => {
        const made = makeSnapshot({ [ether]: set });
        const total = [...set.values()].reduce((a, b) => a + b, 0n).toString();
        for (const [account, value] of [...set].slice(0, 8)) {
          const verdict = verifyInclusion(made.proof(account, ether), {
            ...expected,
            account,
            balance: value.toString(),
          });
          expect(verdict).toMatchObject({ ok: true, total, balance: value.toString() });
        }
      }),
      { numRuns: 25 },
    );
  });

  test('any proof with any one character changed is refused', () => {
    const character = fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code));
    fc.assert(
      fc.property(anyBalances, fc.nat(), fc.nat(), character, (set, who, where, put) => {
        const made = makeSnapshot({ [ether]: set });
        const [account, value] = [...set][who % set.size] ?? [alice, 0n];
        const text = JSON.stringify(made.proof(account, ether));
        const at = where % text.length;
        fc.pre(text[at] !== put);
        let changed: unknown;
        try {
          changed = JSON.parse(text.slice(0, at) + put + text.slice(at + 1));
        } catch {
          return;
        }
        expect(judge(changed, { account, balance: value.toString() })).not.toBe('ok');
      }),
      { numRuns: 400 },
    );
  });
});

describe('a row of statements', () => {
  const row: SignedStatement[] = [];
  for (const number of [1, 2, 3]) {
    const before = row.at(-1);
    const previous = before === undefined ? null : statementHash(before.statement);
    row.push(makeSnapshot({ [gold]: balances }, { number, previous }).signed);
  }

  test('holds when each names the one before it', () => {
    expect(verifyStatements(row, ledgerKey.publicKey)).toEqual({ ok: true });
  });

  test('one left out, exchanged, in another order, or unsigned is named', () => {
    const [first, second, third] = row as [SignedStatement, SignedStatement, SignedStatement];
    const other = signedWith(ledgerKey, { ...second.statement, takenAtMs: 1 });
    const verdictOf = (list: readonly unknown[]) => verifyStatements(list, ledgerKey.publicKey);
    expect(verdictOf([first, third])).toMatchObject({ reason: 'broken-sequence' });
    expect(verdictOf([second, first, third])).toMatchObject({ reason: 'broken-sequence' });
    expect(verdictOf([first, other, third])).toMatchObject({ reason: 'broken-sequence' });
    expect(verdictOf([first, { ...second, statement: other.statement }])).toMatchObject({
      reason: 'bad-signature',
    });
    expect(verdictOf([{ ...second, statement: { ...second.statement, previous: null } }])).toMatchObject({
      reason: 'malformed',
    });
  });
});
