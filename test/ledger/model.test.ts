import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amount } from '#core/money';
import { openPool, type Pool, type Queryable } from '#infra/db';
import { createLedger, type Ledger, recompute } from '#ledger';
import { type MoveCommand, type TransferCommand, transferKinds, transferStatuses } from '#ledger/contract';
import { createAccountIds } from '../../ledger/account-ids.ts';
import { applyBatch } from '../../ledger/batch-call.ts';
import { databaseForThisFile } from '../support/database.ts';
import {
  accountsOf,
  commandOf,
  commandShape,
  compareBalances,
  fundOf,
  pathsOf,
  type Run,
  usualOf,
} from './command-shapes.ts';
import { atClock, ether, proposeAdjustment, wayOfNewestBatch } from './fixture.ts';
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
    await compareBalances(ledger, model, run.paths);
  }),
);
const usualBatch = fc.array(commandShape, { minLength: 1, maxLength: 8 }).map((shapes) =>
  stepOf(`apply at once ${showing(shapes)}`, async (model, run) => {
    const commands = shapes.map((shape) => usualOf(shape, run));
    run.sent.push(...commands);
    await sendBatch(model, commands);
    await compareBalances(ledger, model, run.paths);
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
      const run: Run = { number: ++number, paths: pathsOf(number), sent: [], fresh: 0 };
      clock.nowMs = clock.highestMs;
      const model = new LedgerModel(clock.nowMs);
      const accounts = accountsOf(run.paths);
      await ledger.openAccounts(pool, accounts);
      for (const { path, asset } of accounts) model.open(path, asset);
      await sendBatch(model, fundOf(number));
      await fc.asyncModelRun(() => ({ model, real: run }), commands);
      expect(await ledger.verify()).toEqual({ ok: true, problems: [] });
      expect((await recompute(pool)).problems).toEqual([]);
    }),
    { numRuns: 60 },
  );
  // The property means something only if every outcome occurred, and both ways to it often.
  expect([...seen.statuses.keys()].sort()).toEqual([...transferStatuses].sort());
  expect([...seen.kinds.keys()].sort()).toEqual([...transferKinds].sort());
  expect(seen.ways.get('at once')).toBeGreaterThan(50);
  expect(seen.ways.get('one by one')).toBeGreaterThan(50);
});
