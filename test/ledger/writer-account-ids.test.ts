/** Several batches of one process are under way at once, and one of them may have everything forgotten. */
import { expect, test } from 'vitest';
import type { Queryable } from '#infra/db';
import { customerMain } from '#ledger/contract';
import { type AccountName, accountKey, createAccountIds } from '../../ledger/account-ids.ts';
import { accountOf, ether } from './fixture.ts';

const named = (...numbers: number[]) =>
  new Map(
    numbers.map((number): [string, AccountName] => {
      const path = customerMain(accountOf(number));
      return [accountKey(path, ether), { path, asset: ether }];
    }),
  );
const keyOf = (number: number): string => accountKey(customerMain(accountOf(number)), ether);

type Question = {
  readonly values: [paths: string[], assets: string[], mark: number, markHash: Buffer | null];
};
/** A register where account n has the id n and the hash n; it answers when told to. */
function slowRegister(last = 3) {
  const questions: (() => void)[] = [];
  const query = async ({ values: [paths, , mark, markHash] }: Question) => {
    await new Promise<void>((resolve) => questions.push(resolve));
    const isMarked = mark === 0 || (mark <= last && markHash?.equals(Buffer.of(mark)) === true);
    const rows = Array.from({ length: last }, (_, at) => at + 1).flatMap((id) => {
      const path = customerMain(accountOf(id));
      return isMarked && paths.includes(path)
        ? [{ id: String(id), path, asset: ether, hash: Buffer.of(id) }]
        : [];
    });
    return { rows };
  };
  return {
    queryable: { query } as unknown as Queryable,
    answer: () => questions.shift()?.(),
    asked: () => questions.length,
  };
}

test('what a batch knew stays with it, and with the mark that vouches for it', async () => {
  const accounts = createAccountIds();
  const { queryable, answer } = slowRegister();
  const first = accounts.resolve(queryable, named(1, 3));
  answer();
  expect((await first).mark).toEqual({ id: 3, hash: Buffer.of(3) });

  const second = accounts.resolve(queryable, named(1, 2, 3));
  accounts.forget();
  answer();
  const known = await second;
  expect([1, 2, 3].map((number) => known.ids.get(keyOf(number)))).toEqual([1, 2, 3]);
  expect(known.mark).toEqual({ id: 3, hash: Buffer.of(3) });

  // The next one knows nothing of it.
  const third = accounts.resolve(queryable, named(1));
  answer();
  expect((await third).mark).toEqual({ id: 1, hash: Buffer.of(1) });
  expect((await third).ids.has(keyOf(3))).toBe(false);
});

test('an account that is not open is asked for again each time', async () => {
  const accounts = createAccountIds();
  const { queryable, answer } = slowRegister();
  for (let round = 0; round < 2; round++) {
    const asked = accounts.resolve(queryable, named(9));
    answer();
    expect(await asked).toEqual({ ids: new Map(), mark: { id: 0, hash: null } });
  }
});

test('what another server answered meanwhile is not believed without its mark', async () => {
  const accounts = createAccountIds();
  const [before, after] = [slowRegister(3), slowRegister(4)];
  const first = accounts.resolve(before.queryable, named(1));
  before.answer();
  await first;
  const early = accounts.resolve(before.queryable, named(1, 3));
  const late = accounts.resolve(after.queryable, named(1, 4));
  after.answer();
  expect((await late).mark).toEqual({ id: 4, hash: Buffer.of(4) });
  before.answer();
  await expect.poll(before.asked).toBe(1);
  before.answer();
  expect(await early).toMatchObject({ mark: { id: 4 } });
  expect((await early).ids.has(keyOf(3))).toBe(false);
});
