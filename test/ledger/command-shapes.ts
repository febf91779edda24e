/** Commands of any kind over few accounts, ids and holds, so that they meet: what the property tests send. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { amount } from '#core/money';
import type { Ledger } from '#ledger';
import {
  type AccountPath,
  type AccountRef,
  chainDeposit,
  chainHot,
  customerMain,
  customerSpot,
  suspense,
  type TransferCommand,
  transferKinds,
} from '#ledger/contract';
import { accountOf, ether, gold, post, transferOf, walletOf } from './fixture.ts';
import type { LedgerModel } from './model.ts';

/** One wallet and two customers of the run; the last is never opened. */
export const pathsOf = (run: number): AccountPath[] => [
  customerMain(accountOf(`${run} a`)),
  customerMain(accountOf(`${run} b`)),
  chainDeposit(walletOf(run)),
  chainHot(walletOf(run)),
  suspense(walletOf(run)),
  customerSpot(accountOf(`${run} a`)),
  customerMain(accountOf(`${run} unknown`)),
];
const opened = 6;
export const accountsOf = (paths: readonly AccountPath[]): AccountRef[] =>
  paths.slice(0, opened).flatMap((path) => [gold, ether].map((asset) => ({ path, asset })));
const idsOfRun = 25; // few, so that ids meet
const index = (below: number) => fc.nat({ max: below - 1 });
const oneIn = (many: number) => index(many).map((n) => n === 0);
const sometimes = <T>(many: number, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: many - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** Indices instead of names: the names are those of the run. */
export const commandShape = fc.noBias(
  fc.record({
    id: index(idsOfRun),
    kind: fc.constantFrom(
      ...transferKinds,
      'post' as const,
      'pending' as const,
      'pending' as const,
      'post-pending' as const,
      'expire-pending' as const,
    ),
    debit: fc.oneof({ weight: 19, arbitrary: index(opened) }, { weight: 1, arbitrary: fc.constant(opened) }),
    /** From the debit's; 0 is the same account. */
    creditOffset: fc.oneof(
      { weight: 19, arbitrary: fc.integer({ min: 1, max: opened }) },
      { weight: 1, arbitrary: fc.constant(0) },
    ),
    units: fc.oneof(
      { weight: 9, arbitrary: fc.bigInt({ min: 0n, max: 7n }) },
      { weight: 1, arbitrary: fc.bigInt({ min: 1n, max: 7n }).map((n) => 10n ** 78n - n) },
    ),
    isGold: oneIn(10),
    isAdjustment: oneIn(20),
    /** Which of the holds that were sent. */
    pendingId: fc.nat({ max: 100 }),
    linked: oneIn(5),
    timeoutMs: sometimes(2, fc.integer({ min: 0, max: 20 })),
    balancing: sometimes(4, fc.constantFrom('debit' as const, 'credit' as const)),
    /** Sends an earlier command of the run again instead. */
    repeats: sometimes(4, fc.nat({ max: 30 })),
  }),
);
type Shape = typeof commandShape extends fc.Arbitrary<infer T> ? T : never;

export interface Run {
  readonly number: number;
  readonly paths: readonly AccountPath[];
  readonly sent: TransferCommand[];
  fresh: number;
}

export function commandOf(shape: Shape, { number, paths, sent }: Run): TransferCommand {
  const base = {
    id: transferOf(`${number} ${shape.id}`),
    code: shape.isAdjustment ? 'adjustment' : 'inflow',
    reference: `run-${number}`,
    linked: shape.linked,
  } as const;
  const holds = sent.filter(({ kind }) => kind === 'pending');
  const pendingId = holds[shape.pendingId % (holds.length + 1)]?.id ?? transferOf(`${number} none`);
  const asset = shape.isGold ? gold : ether;
  const [debit = 'house:equity', credit = 'house:equity'] = [
    paths[shape.debit],
    paths[(shape.debit + shape.creditOffset) % paths.length],
  ];
  switch (shape.kind) {
    case 'post-pending':
      return { ...base, kind: shape.kind, pendingId, amount: amount(asset, shape.units) };
    case 'void-pending':
    case 'expire-pending':
      return { ...base, kind: shape.kind, pendingId };
    case 'close-account':
    case 'reopen-account':
      // Of gold most accounts are empty.
      return { ...base, kind: shape.kind, account: debit, asset: shape.linked ? asset : gold };
    case 'post':
    case 'pending':
      return {
        ...base,
        kind: shape.kind,
        debit,
        credit,
        amount: amount(asset, shape.units),
        ...(shape.kind === 'pending' && shape.timeoutMs !== undefined ? { timeoutMs: shape.timeoutMs } : {}),
        ...(shape.balancing === undefined ? {} : { balancing: shape.balancing }),
      };
  }
}
/** What a running exchange sends nearly always: new posts and holds of what there is. */
export function usualOf(shape: Shape, run: Run): TransferCommand {
  const { balancing: _balancing, timeoutMs, ...plain } = shape;
  const debit = shape.debit % opened;
  const credit = (debit + 1 + (shape.creditOffset % (opened - 1))) % opened;
  return {
    ...commandOf(
      {
        ...plain,
        timeoutMs: timeoutMs === undefined ? undefined : timeoutMs + 1,
        balancing: undefined,
        kind: shape.kind === 'pending' ? 'pending' : 'post',
        debit,
        creditOffset: credit - debit + (credit < debit ? opened + 1 : 0),
        units: 1n + (shape.units % 2n),
        isGold: false,
        isAdjustment: false,
        linked: false,
      },
      run,
    ),
    id: transferOf(`${run.number} fresh ${++run.fresh}`),
  };
}

/** Something to spend: on the customers' accounts in both assets, and on the hot mirror. */
export function fundOf(run: number): TransferCommand[] {
  const [a, b] = [customerMain(accountOf(`${run} a`)), customerMain(accountOf(`${run} b`))];
  const [hot, source] = [chainHot(walletOf(run)), suspense(walletOf(run))];
  return [
    post(source, a, 15n),
    post(source, b, 15n),
    post(source, b, 9n, { asset: gold }),
    post(hot, source, 20n),
  ];
}

/** Every account of the run has the sums that the model says. */
export async function compareBalances(
  ledger: Ledger,
  model: LedgerModel,
  paths: readonly AccountPath[],
): Promise<void> {
  const stored = await ledger.balances({ paths });
  expect(stored).toHaveLength(accountsOf(paths).length);
  for (const { path, asset, balance: _balance, available: _available, ...account } of stored)
    expect({ path, asset, ...account }).toEqual({ path, asset, ...model.account(path, asset) });
}
