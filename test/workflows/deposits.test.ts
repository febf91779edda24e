import { beforeAll, describe, expect, it } from 'vitest';
import { haltOf, openCases } from '#infra/cases';
import { chainDeposit, chainHot, chainPending, houseEquity, suspense } from '#ledger/contract';
import { ether, oneEther, openBench, outside, type TestBench } from './fixture.ts';

describe('deposits', () => {
  let bench: TestBench;
  beforeAll(async () => {
    bench = await openBench();
    await bench.chainOfBlocks.extend();
  });

  const units = 3n * oneEther;
  const mirror = async (path: Parameters<typeof chainHot>[0] | string): Promise<bigint> => {
    const [balance] = await bench.deps.ledger.balances({ pathPrefix: path, asset: ether });
    return balance?.balance ?? -1n;
  };
  const newDeposit = async () => {
    const accountId = await bench.newAccount();
    const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
    const transaction = bench.chainOfBlocks.transfer(address, units);
    const state = async () => (await bench.operations.deposits(accountId))[0]?.state;
    const balance = async () => (await bench.operations.balances(accountId))[0];
    return { accountId, address, transaction, state, balance };
  };

  it('are provisional when seen and spendable when final', async () => {
    const { transaction, state, balance } = await newDeposit();
    const before = await mirror(chainDeposit(bench.walletId));
    await bench.chainOfBlocks.extend([transaction]);
    expect(await state()).toBe('SEEN');
    expect(await balance()).toMatchObject({ available: '0', provisional: units.toString() });
    await bench.chainOfBlocks.finalise();
    expect(await state()).toBe('FINAL');
    expect(await balance()).toMatchObject({ available: units.toString(), provisional: '0' });
    expect((await mirror(chainDeposit(bench.walletId))) - before).toBe(units);
    expect(await mirror(chainPending(bench.walletId))).toBe(0n);
    await bench.ledgerIsSound();
  });

  it('become final by the block that raises finality, without an idle step', async () => {
    const { transaction, state } = await newDeposit();
    const block = await bench.chainOfBlocks.extend([transaction]);
    await bench.chainOfBlocks.extend([], block.height);
    expect(await state()).toBe('FINAL');
  });

  it('are reversed by a reorg, and booked anew when they are mined again', async () => {
    const { transaction, state, balance } = await newDeposit();
    const ancestor = await bench.chainOfBlocks.extend();
    const orphan = await bench.chainOfBlocks.extend([transaction]);
    await bench.chainOfBlocks.rollback(ancestor, [orphan]);
    expect(await state()).toBe('ORPHANED');
    expect(await balance()).toMatchObject({ available: '0', provisional: '0' });
    const again = await bench.chainOfBlocks.extend([transaction]);
    expect(await state()).toBe('SEEN');
    expect(await balance()).toMatchObject({ provisional: units.toString() });
    await bench.chainOfBlocks.rollback(ancestor, [again]);
    await bench.chainOfBlocks.extend([transaction]);
    await bench.chainOfBlocks.finalise();
    expect(await balance()).toMatchObject({ available: units.toString(), provisional: '0' });
    await bench.ledgerIsSound();
  });

  it('count once when a step is booked twice', async () => {
    const { address, transaction, balance } = await newDeposit();
    const twice = bench.chainOfBlocks.transfer(address, units);
    await bench.chainOfBlocks.extend([
      transaction,
      { ...twice, txId: transaction.txId, transfers: transaction.transfers },
    ]);
    await bench.chainOfBlocks.finalise();
    await bench.chainOfBlocks.finalise();
    expect(await balance()).toMatchObject({ available: units.toString() });
  });

  it('from our own addresses are moves, not deposits', async () => {
    const { accountId, address } = await newDeposit();
    await bench.chainOfBlocks.extend([
      { ...bench.chainOfBlocks.transfer(address, units, outside), transfers: [] },
    ]);
    expect(await bench.operations.deposits(accountId)).toEqual([]);
  });

  it('from outside to the hot address wait in suspense until somebody declares them', async () => {
    const transaction = bench.chainOfBlocks.transfer(bench.hot, 20n * oneEther);
    await bench.chainOfBlocks.extend([transaction]);
    const inflow = { chain: 'eip155:31337', txId: transaction.txId, index: 0 };
    await expect(bench.operations.declareHouseFloat(inflow)).rejects.toMatchObject({
      code: 'INFLOW_UNKNOWN',
    });
    await bench.chainOfBlocks.finalise();
    expect(await mirror(suspense(bench.walletId))).toBe(20n * oneEther);
    await bench.operations.declareHouseFloat(inflow);
    await bench.operations.declareHouseFloat(inflow);
    expect(await mirror(suspense(bench.walletId))).toBe(0n);
    expect(await mirror(houseEquity)).toBe(20n * oneEther);
    expect(await mirror(chainHot(bench.walletId))).toBe(20n * oneEther);
  });
});

describe('a deposit that leaves the chain after it was final', () => {
  it('is taken back as far as it is there, the rest is a loss in suspense, and the chain halts with a case', async () => {
    const bench = await openBench();
    const ancestor = await bench.chainOfBlocks.extend();
    const accountId = await bench.newAccount();
    const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
    const orphan = await bench.chainOfBlocks.extend([bench.chainOfBlocks.transfer(address, 5n * oneEther)]);
    await bench.chainOfBlocks.finalise();
    const id = bench.newWithdrawalId();
    const units = (oneEther / 2n).toString();
    await bench.operations.requestWithdrawal({ id, accountId, asset: ether, address: outside, units });
    await bench.chainOfBlocks.rollback(ancestor, [orphan], true);

    expect((await bench.operations.deposits(accountId))[0]?.state).toBe('ORPHANED_AFTER_FINAL');
    expect((await bench.operations.balances(accountId))[0]).toMatchObject({ available: '0', held: units });
    const [loss] = await bench.deps.ledger.balances({ paths: [suspense(bench.walletId)] });
    expect(loss?.balance).toBe(-oneEther / 2n);
    expect(await haltOf(bench.deps.pool, 'chain:eip155:31337')).toBeDefined();
    expect((await openCases(bench.deps.pool)).map((each) => each.kind)).toContain(
      'deposit-orphaned-after-final',
    );
    await bench.ledgerIsSound();
  });
});
