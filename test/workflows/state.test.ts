import { beforeAll, describe, expect, it } from 'vitest';
import { inTransaction } from '#infra/db';
import {
  type DepositState,
  depositStates,
  type WithdrawalState,
  withdrawalStates,
  withdrawalTransitions,
} from '#workflows/contract';
import {
  type DepositRow,
  readWithdrawal,
  type SweepRow,
  sweepStates,
} from '../../workflows/operations/rows.ts';
import {
  depositTransitions,
  moveDeposit,
  moveSweep,
  moveWithdrawal,
  sweepTransitions,
} from '../../workflows/operations/state.ts';
import { ether, oneEther, openBench, outside, type TestBench } from './fixture.ts';

const event = { event: 'test', atMs: 1 };
let bench: TestBench;
let accountId: string;
beforeAll(async () => {
  bench = await openBench();
  accountId = await bench.fundedAccount(oneEther);
});

async function newWithdrawal(on: TestBench, owner: string): Promise<string> {
  const id = on.newWithdrawalId();
  await on.operations.requestWithdrawal({ id, accountId: owner, asset: ether, address: outside, units: '1' });
  return id;
}

describe('states of a withdrawal', () => {
  it('change only along the permitted transitions, each with its event', async () => {
    const id = await newWithdrawal(bench, accountId);
    const { pool } = bench.deps;
    for (const from of withdrawalStates)
      for (const to of withdrawalTransitions[from]) {
        await pool.query('UPDATE operations.withdrawal SET state = $2 WHERE id = $1', [id, from]);
        const moved = await inTransaction(
          pool,
          async (tx) => await moveWithdrawal(tx, await readWithdrawal(tx, id, 'FOR UPDATE'), to, event),
        );
        expect(moved.state).toBe(to);
      }
    const { rows } = await pool.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM operations.withdrawal_event WHERE withdrawal_id = $1',
      [id],
    );
    expect(rows[0]?.n).toBe(1 + Object.values(withdrawalTransitions).flat().length);
  });

  it('refuse every other change before anything is written', async () => {
    const row = await readWithdrawal(bench.deps.pool, await newWithdrawal(bench, accountId));
    let refused = 0;
    await inTransaction(bench.deps.pool, async (tx) => {
      for (const from of withdrawalStates)
        for (const to of withdrawalStates) {
          if (withdrawalTransitions[from].includes(to)) continue;
          await expect(moveWithdrawal(tx, { ...row, state: from }, to, event)).rejects.toMatchObject({
            code: 'CORE_INVARIANT',
          });
          refused += 1;
        }
    });
    expect(refused).toBe(withdrawalStates.length ** 2 - Object.values(withdrawalTransitions).flat().length);
    expect(await readWithdrawal(bench.deps.pool, row.id)).toEqual(row);
  });

  it('are changed by one of two writers that read the same version', async () => {
    const id = await newWithdrawal(bench, accountId);
    const { pool } = bench.deps;
    const seen = await readWithdrawal(pool, id);
    const outcomes = await Promise.allSettled(
      (['SCREENED', 'REJECTED', 'CANCELLED'] satisfies WithdrawalState[]).map(
        async (to) => await inTransaction(pool, async (tx) => await moveWithdrawal(tx, seen, to, event)),
      ),
    );
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    for (const each of outcomes)
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'WITHDRAWAL_STATE' });
  });

  it('leave a history that nobody can change', async () => {
    await newWithdrawal(bench, accountId);
    for (const statement of [
      "UPDATE operations.withdrawal_event SET event = 'other'",
      'DELETE FROM operations.withdrawal_event',
      "UPDATE operations.intent SET canonical = '{}'",
      'DELETE FROM operations.intent',
    ])
      await expect(bench.deps.pool.query(statement)).rejects.toThrow(/never changed/);
  });
});

describe('states of deposits and sweeps', () => {
  it('change only along the permitted transitions', async () => {
    const { pool } = bench.deps;
    const deposit = (state: DepositState) => ({ id: 'dep_none', state, version: 1 }) as unknown as DepositRow;
    for (const from of depositStates)
      for (const to of depositStates) {
        const move = inTransaction(pool, async (tx) => await moveDeposit(tx, deposit(from), to));
        const code = depositTransitions[from].includes(to) ? 'WITHDRAWAL_STATE' : 'CORE_INVARIANT';
        // A permitted change fails only because there is no such row.
        await expect(move).rejects.toMatchObject({ code });
      }
    for (const from of sweepStates)
      for (const to of sweepStates) {
        const row = { id: 'swp_none', state: from, version: 1 } as unknown as SweepRow;
        const move = inTransaction(pool, async (tx) => await moveSweep(tx, row, to));
        const code = sweepTransitions[from].includes(to) ? 'WITHDRAWAL_STATE' : 'CORE_INVARIANT';
        await expect(move).rejects.toMatchObject({ code });
      }
  });
});
