import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amount } from '#core/money';
import { openPool, type Pool, type Queryable } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import {
  type AccountPath,
  chainDeposit,
  chainHot,
  customerMain,
  customerSpot,
  type MoveCommand,
  suspense,
  type TransferCommand,
  transferKinds,
  transferStatuses,
} from '#ledger/contract';
import { createAccountIds } from '../../ledger/account-ids.ts';
import { applyBatch } from '../../ledger/batch-call.ts';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountOf,
  atClock,
  ether,
  gold,
  post,
  proposeAdjustment,
  transferOf,
  walletOf,
  wayOfNewestBatch,
} from './fixture.ts';
import { LedgerModel } from './model.ts';

let pool: Pool;
let ledger: Ledger;
let clocked: Queryable;
/** The clock of the database as the state machine moves it; a run starts where none was before. */
const clock = { nowMs: 1_000_000, highestMs: 1_000_000 };
const accountIds = createAccountIds();
beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-ledger-model' });
  ledger = createLedger({ pool });
  clocked = atClock(pool, () => clock.nowMs);
});
afterAll(async () => {
  await pool.end();
});

/** One wallet and two customers of the run; the last is never opened. */
const pathsOf = (run: number): AccountPath[] => [
  customerMain(accountOf(`${run} a`)),
  customerMain(accountOf(`${run} b`)),
  chainDeposit(walletOf(run)),
  chainHot(walletOf(run)),
  suspense(walletOf(run)),
  customerSpot(accountOf(`${run} a`)),
  customerMain(accountOf(`${run} unknown`)),
];
const opened = 6;
const idsOfRun = 25; // few, so that ids meet
const index = (below: number) => fc.nat({ max: below - 1 });
const oneIn = (many: number) => index(many).map((n) => n === 0);
const sometimes = <T>(many: number, arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: many - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

/** Indices instead of names: the names are those of the run. */
const commandShape = fc.noBias(
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

interface Run {
  readonly number: number;
  readonly paths: readonly AccountPath[];
  readonly sent: TransferCommand[];
  fresh: number;
}

function commandOf(shape: Shape, { number, paths, sent }: Run): TransferCommand {
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
function usualOf(shape: Shape, run: Run): TransferCommand {
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
function fundOf(run: number): TransferCommand[] {
  const [a, b] = [customerMain(accountOf(`${run} a`)), customerMain(accountOf(`${run} b`))];
  const [hot, source] = [chainHot(walletOf(run)), suspense(walletOf(run))];
  return [
    post(source, a, 15n),
    post(source, b, 15n),
    post(source, b, 9n, { asset: gold }),
    post(hot, source, 20n),
  ];
}

const seen = {
  statuses: new Map<string, number>(),
  kinds: new Map<string, number>(),
  ways: new Map<string, number>(),
};
const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

async function sendBatch(model: LedgerModel, commands: readonly TransferCommand[]): Promise<void> {
  const expected = model.apply(commands, clock.nowMs);
  const results = await applyBatch(clocked, commands, accountIds);
  expect(results.map(({ id: _id, ...result }) => result)).toEqual(expected);
  for (const [at, { status }] of results.entries()) {
    count(seen.statuses, status);
    if (status === 'ok') count(seen.kinds, commands[at]?.kind ?? '');
  }
  if (results.some(({ status }) => status === 'ok')) count(seen.ways, await wayOfNewestBatch(pool));
}

async function compareBalances(model: LedgerModel, paths: readonly AccountPath[]): Promise<void> {
  const stored = await ledger.balances({ paths });
  expect(stored).toHaveLength(opened * 2);
  for (const { path, asset, balance: _balance, available: _available, ...account } of stored)
    expect({ path, asset, ...account }).toEqual({ path, asset, ...model.account(path, asset) });
}

type Step = fc.AsyncCommand<LedgerModel, Run>;
const stepOf = (name: string, run: (model: LedgerModel, run: Run) => Promise<void>): Step => ({
  check: () => true,
  run,
  toString: () => name,
});
const showing = (value: unknown): string => fc.stringify(value);

const mixedBatch = fc.array(commandShape, { minLength: 1, maxLength: 14 }).map((shapes) =>
  stepOf(`apply ${showing(shapes)}`, async (model, run) => {
    const commands = shapes.map((shape) => {
      const command =
        (shape.repeats === undefined ? undefined : run.sent[shape.repeats]) ?? commandOf(shape, run);
      run.sent.push(command);
      return command;
    });
    await sendBatch(model, commands);
    await compareBalances(model, run.paths);
  }),
);
const usualBatch = fc.array(commandShape, { minLength: 1, maxLength: 8 }).map((shapes) =>
  stepOf(`apply at once ${showing(shapes)}`, async (model, run) => {
    const commands = shapes.map((shape) => usualOf(shape, run));
    run.sent.push(...commands);
    await sendBatch(model, commands);
    await compareBalances(model, run.paths);
  }),
);
const moveClock = fc.integer({ min: -20, max: 60 }).map((ms) =>
  stepOf(`clock ${ms} ms`, async () => {
    clock.nowMs += ms;
    clock.highestMs = Math.max(clock.highestMs, clock.nowMs);
    await Promise.resolve();
  }),
);
/** Proposes an adjustment, which a second person approves or nobody; the next batches may send it. */
const approveAdjustment = fc
  .record({ shape: commandShape, bySecond: fc.boolean() })
  .map(({ shape, bySecond }) =>
    stepOf(`approve ${showing([shape, bySecond])}`, async (model, run) => {
      const usual = usualOf(shape, run) as MoveCommand;
      const command = await proposeAdjustment(
        pool,
        { ...usual, kind: 'post', code: 'adjustment' },
        bySecond ? 'bob' : undefined,
      );
      if (bySecond) model.approve(command);
      await sendBatch(model, [{ ...command, amount: amount(ether, command.amount.units + 1n) }, command]);
      run.sent.push(command);
    }),
  );
test('any commands in any batches at any time give the results and balances of the plain model', {
  timeout: 120_000,
}, async () => {
  let number = 0;
  const steps = fc.commands([mixedBatch, mixedBatch, usualBatch, moveClock, approveAdjustment], {
    maxCommands: 40,
    size: 'max',
  });
  await fc.assert(
    fc.asyncProperty(steps, async (commands) => {
      const run: Run = { number: ++number, paths: pathsOf(number).slice(0, opened + 1), sent: [], fresh: 0 };
      clock.nowMs = clock.highestMs;
      const model = new LedgerModel(clock.nowMs);
      const accounts = run.paths
        .slice(0, opened)
        .flatMap((path) => [gold, ether].map((asset) => ({ path, asset })));
      await ledger.openAccounts(pool, accounts);
      for (const { path, asset } of accounts) model.open(path, asset);
      await sendBatch(model, fundOf(number));
      await fc.asyncModelRun(() => ({ model, real: run }), commands);
      expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
    }),
    { numRuns: 60 },
  );
  // The property means something only if every outcome occurred, and both ways to it often.
  expect([...seen.statuses.keys()].sort()).toEqual([...transferStatuses].sort());
  expect([...seen.kinds.keys()].sort()).toEqual([...transferKinds].sort());
  expect(seen.ways.get('at once')).toBeGreaterThan(50);
  expect(seen.ways.get('one by one')).toBeGreaterThan(50);
});
