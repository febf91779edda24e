/** Claiming, paying and settling on anvil, with one key of the test behind custody; no Temporal, so each step can be repeated. */
import { beforeAll, describe, expect, it } from 'vitest';
import { attemptsOf, outgoingOf } from '#chains';
import { StrongroomError } from '#core/errors';
import { type Id, newId } from '#core/ids';
import { liftHalt, openCases, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { chainHot, houseNetworkFee } from '#ledger/contract';
import { claimBatch, closeBatch } from '../../workflows/operations/batches.ts';
import { decide, review } from '../../workflows/operations/decide.ts';
import { follow } from '../../workflows/operations/follow.ts';
import { sendPayment, signPayment, trackPayment } from '../../workflows/operations/payments.ts';
import { planSweeps } from '../../workflows/operations/sweeps.ts';
import { startAnvil } from '../support/anvil.ts';
import { rpc } from '../support/evm-proxy.ts';
import { chain, ether, oneEther, openBench, outside, type TestBench } from './fixture.ts';

let bench: TestBench;
let nodeUrl: string;
const rich = '0xf39Fd6e51aad88F6F4ce6aB8827279cfFFb92266';

const mine = async (blocks = 1): Promise<void> => {
  for (let at = 0; at < blocks; at += 1) await rpc(nodeUrl, 'evm_mine');
};
const pay = async (to: string, units: bigint): Promise<void> => {
  await rpc(nodeUrl, 'eth_sendTransaction', [{ from: rich, to, value: `0x${units.toString(16)}` }]);
  await mine();
};
const followAll = async (): Promise<void> => {
  while ((await follow(bench.deps, chain)).kind !== 'idle');
};
const settle = async (): Promise<void> => {
  await mine(3);
  await followAll();
};
const newBatchId = (): Id<'bat'> => newId('bat', bench.deps.clock, bench.deps.random);
const claim = async (batchId = newBatchId()) =>
  await claimBatch(bench.deps, { batchId, walletId: bench.walletId });
const stateOf = async (id: string) => (await bench.operations.withdrawal(id)).state;
const hotBalance = async (): Promise<bigint> =>
  (await bench.deps.ledger.balances({ paths: [chainHot(bench.walletId)] }))[0]?.balance ?? -1n;
const received = async (height: 'latest' = 'latest'): Promise<bigint> =>
  BigInt(String(await rpc(nodeUrl, 'eth_getBalance', [outside, height])));

async function customer(units: bigint): Promise<Id<'acc'>> {
  const accountId = await bench.newAccount();
  const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
  await pay(address, units);
  await settle();
  return accountId;
}
async function queued(accountId: string, units: bigint): Promise<Id<'wd'>> {
  const id = bench.newWithdrawalId();
  await bench.operations.requestWithdrawal({
    id,
    accountId,
    asset: ether,
    address: outside,
    units: units.toString(),
  });
  expect((await decide(bench.deps, id)).state).toBe('QUEUED');
  return id;
}

beforeAll(async () => {
  const anvil = await startAnvil({ noMining: true });
  nodeUrl = anvil.url;
  bench = await openBench({ nodeUrl });
  await mine(3);
  await followAll();
  await pay(bench.hot, 10n * oneEther);
  await settle();
});

describe('paying a batch', () => {
  it('pays each row once, however often every step is repeated, and settles with the certificate', async () => {
    const accountId = await customer(oneEther);
    const ids = [await queued(accountId, oneEther / 10n), await queued(accountId, oneEther / 5n)];
    const before = { hot: await hotBalance(), outside: await received() };
    const batchId = newBatchId();
    const claimed = await claim(batchId);
    expect(claimed).toEqual({ batchId, withdrawalIds: ids });
    expect(await claim(batchId)).toEqual(claimed);
    // One batch at a time: another claim finds the open one.
    expect((await claim()).batchId).toBe(batchId);
    for (const paymentId of ids) {
      const first = await signPayment(bench.deps, { paymentId, number: 0 });
      expect(first.outcome).toBe('signed');
      expect(await signPayment(bench.deps, { paymentId, number: 0 })).toEqual(first);
      expect((await sendPayment(bench.deps, { paymentId })).outcome).toBe('accepted');
      expect((await sendPayment(bench.deps, { paymentId })).outcome).not.toBe('rejected');
      expect(await stateOf(paymentId)).toBe('BROADCAST');
      expect((await trackPayment(bench.deps, { paymentId })).status).toBe('pending');
    }
    await expect(bench.operations.cancelWithdrawal(ids[0] ?? '')).rejects.toMatchObject({
      code: 'WITHDRAWAL_STATE',
    });
    await mine();
    await followAll();
    expect(await stateOf(ids[0] ?? '')).toBe('CONFIRMED');
    expect(await closeBatch(bench.deps, batchId)).toBe(false);
    await expect(bench.operations.certificate(ids[0] ?? '')).rejects.toMatchObject({
      code: 'WITHDRAWAL_NOT_FINAL',
    });
    await settle();
    expect(await stateOf(ids[0] ?? '')).toBe('FINAL');
    expect(await closeBatch(bench.deps, batchId)).toBe(true);
    const paid = oneEther / 10n + oneEther / 5n;
    expect((await received()) - before.outside).toBe(paid);
    const fees = (
      await Promise.all(
        ids.map(async (id) => BigInt((await bench.operations.withdrawal(id)).feeUnits ?? '0')),
      )
    ).reduce((a, b) => a + b);
    expect(before.hot - (await hotBalance())).toBe(paid + fees);
    const certificate = await bench.operations.certificate(ids[0] ?? '');
    expect(certificate.journal.map((line) => line.code).sort()).toEqual([
      'network-fee',
      'network-fee',
      'withdrawal-hold',
      'withdrawal-paid',
    ]);
    expect(await bench.operations.certificate(ids[0] ?? '')).toEqual(certificate);
    const timeline = (await bench.operations.withdrawal(ids[0] ?? '')).timeline.map((entry) => entry.event);
    expect(timeline).toEqual([
      'requested',
      'screened',
      'decided',
      'allowed-by-policy',
      'queued',
      'claimed',
      'nonce-reserved',
      'signed',
      'broadcast',
      'mined',
      'final',
    ]);
    await bench.ledgerIsSound();
  });

  it('sends the stored bytes again when a reorg takes the block away', async () => {
    const accountId = await customer(oneEther);
    const id = await queued(accountId, oneEther / 10n);
    const { batchId } = await claim();
    await signPayment(bench.deps, { paymentId: id, number: 0 });
    await sendPayment(bench.deps, { paymentId: id });
    await mine();
    await followAll();
    expect(await stateOf(id)).toBe('CONFIRMED');
    await rpc(nodeUrl, 'anvil_reorg', [1, []]);
    await mine();
    await followAll();
    expect(await stateOf(id)).toBe('BROADCAST');
    expect((await trackPayment(bench.deps, { paymentId: id })).status).toBe('lost');
    expect((await sendPayment(bench.deps, { paymentId: id })).outcome).toBe('accepted');
    await settle();
    expect(await stateOf(id)).toBe('FINAL');
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    await bench.ledgerIsSound();
  });

  it('replaces a stuck payment under the same nonce, and one of the two pays', async () => {
    const accountId = await customer(oneEther);
    const id = await queued(accountId, oneEther / 10n);
    const { batchId } = await claim();
    const before = await received();
    await signPayment(bench.deps, { paymentId: id, number: 0 });
    await sendPayment(bench.deps, { paymentId: id });
    const bumped = await signPayment(bench.deps, { paymentId: id, number: 1 });
    expect(bumped.outcome).toBe('signed');
    await sendPayment(bench.deps, { paymentId: id });
    const intentId = (await bench.operations.withdrawal(id)).intentId;
    const attempts = await attemptsOf(bench.deps.pool, intentId);
    expect(attempts.map((each) => each.unsigned.nonce)).toEqual([
      attempts[0]?.unsigned.nonce,
      attempts[0]?.unsigned.nonce,
    ]);
    await settle();
    const view = await bench.operations.withdrawal(id);
    expect(view.state).toBe('FINAL');
    expect(view.txId).toBe(attempts[1]?.signed?.txId);
    expect((await received()) - before).toBe(oneEther / 10n);
    await closeBatch(bench.deps, batchId ?? '');
  });
});

describe('a payment that is mined and fails', () => {
  it('gives the money back, books the fee and ends FAILED', async () => {
    const accountId = await customer(oneEther);
    const contract = '0x00000000000000000000000000000000000c0de5';
    // PUSH1 0 PUSH1 0 REVERT: takes no ether.
    await rpc(nodeUrl, 'anvil_setCode', [contract, '0x60006000fd']);
    const id = bench.newWithdrawalId();
    const units = (oneEther / 10n).toString();
    await bench.operations.requestWithdrawal({ id, accountId, asset: ether, address: contract, units });
    await decide(bench.deps, id);
    const before = await hotBalance();
    const { batchId } = await claim();
    await signPayment(bench.deps, { paymentId: id, number: 0 });
    await sendPayment(bench.deps, { paymentId: id });
    await settle();
    const view = await bench.operations.withdrawal(id);
    expect(view.state).toBe('FAILED');
    expect(view.timeline.at(-1)?.event).toBe('reverted-on-chain');
    expect((await bench.operations.balances(accountId))[0]).toMatchObject({
      available: oneEther.toString(),
      held: '0',
    });
    expect(before - (await hotBalance())).toBe(BigInt(view.feeUnits ?? '0'));
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    await bench.ledgerIsSound();
  });
});

describe('claiming', () => {
  it('takes no row twice, and no more than the hot address can pay with its fees', async () => {
    const hot = await hotBalance();
    const part = hot / 4n;
    const accountId = await customer(hot * 2n);
    const ids: string[] = [];
    for (let at = 0; at < 6; at += 1)
      ids.push(await queued(accountId, part > oneEther ? oneEther - 1n : part));
    const claims = await Promise.all(Array.from({ length: 6 }, () => claim()));
    const batches = new Set(claims.map((each) => each.batchId));
    expect(batches.size).toBe(1);
    const rows = claims[0]?.withdrawalIds ?? [];
    expect(new Set(rows).size).toBe(rows.length);
    const inFlight = await bench.deps.pool.query<{ units: string }>(
      "SELECT sum(units + fee_cap_units)::text AS units FROM operations.withdrawal WHERE state = 'SIGNING'",
    );
    expect(BigInt(inFlight.rows[0]?.units ?? '0')).toBeLessThanOrEqual(hot);
    for (const paymentId of rows) {
      await signPayment(bench.deps, { paymentId, number: 0 });
      await sendPayment(bench.deps, { paymentId });
    }
    await settle();
    expect(await closeBatch(bench.deps, claims[0]?.batchId ?? '')).toBe(true);
    for (const id of ids)
      if (!rows.includes(id)) {
        expect(await stateOf(id)).toBe('QUEUED');
        await bench.operations.cancelWithdrawal(id);
      }
    await bench.ledgerIsSound();
  }, 60_000);

  it('claims nothing while the chain is halted or a refused row keeps its nonce', async () => {
    const accountId = await customer(oneEther);
    const id = await queued(accountId, oneEther / 10n);
    for (const scope of [`chain:${chain}`, `wallet:${bench.walletId}`, 'ledger']) {
      await inTransaction(bench.deps.pool, async (tx) => {
        await setHalt(tx, { scope, reason: 'test' });
      });
      expect((await claim()).batchId).toBeNull();
      expect(await planSweeps(bench.deps, { walletId: bench.walletId })).toEqual([]);
      await inTransaction(bench.deps.pool, async (tx) => {
        await liftHalt(tx, { scope, reason: 'test', people: ['ana', 'ben'] });
      });
    }
    const { batchId } = await claim();
    const refusing = {
      ...bench.deps,
      custody: {
        ...bench.deps.custody,
        sign: () =>
          Promise.reject(new StrongroomError('CUSTODY_REFUSED', 'policy denied', { kind: 'forbidden' })),
      },
    };
    expect(await signPayment(refusing, { paymentId: id, number: 0 })).toEqual({ outcome: 'refused' });
    expect(await stateOf(id)).toBe('PENDING_APPROVAL');
    expect((await openCases(bench.deps.pool)).map((each) => each.kind)).toContain('signing-refused');
    expect(await closeBatch(bench.deps, batchId ?? '')).toBe(true);
    const other = await queued(accountId, oneEther / 10n);
    expect((await claim()).batchId).toBeNull();
    await expect(bench.operations.cancelWithdrawal(id)).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });
    // Back in the queue after the wait, it is claimed before those without a nonce.
    await bench.deps.pool.query('UPDATE operations.withdrawal SET not_before_ms = 0 WHERE id = $1', [id]);
    expect((await review(bench.deps, id)).state).toBe('QUEUED');
    expect((await claim()).withdrawalIds).toEqual([id, other]);
  });
});

describe('sweeping', () => {
  it('brings final deposits to the hot address, which pay their own gas', async () => {
    const accountId = await customer(2n * oneEther);
    const { address } = await bench.operations.depositAddress({ accountId, asset: ether });
    const planned = await planSweeps(bench.deps, { walletId: bench.walletId });
    expect(await planSweeps(bench.deps, { walletId: bench.walletId })).toEqual(planned);
    const sweep = (await bench.operations.sweeps(bench.walletId)).find((each) => each.address === address);
    expect(planned).toContain(sweep?.id);
    const before = await hotBalance();
    const paymentId = sweep?.id ?? '';
    expect((await signPayment(bench.deps, { paymentId, number: 0 })).outcome).toBe('signed');
    await sendPayment(bench.deps, { paymentId });
    await settle();
    const done = (await bench.operations.sweeps(bench.walletId)).find((each) => each.id === paymentId);
    expect(done).toMatchObject({ state: 'FINAL' });
    expect((await hotBalance()) - before).toBe(BigInt(done?.units ?? '0'));
    const left = BigInt(String(await rpc(nodeUrl, 'eth_getBalance', [address, 'latest'])));
    expect(left).toBe(2n * oneEther - BigInt(done?.units ?? '0') - BigInt(done?.feeUnits ?? '0'));
    const [fees] = await bench.deps.ledger.balances({ paths: [houseNetworkFee] });
    expect(fees?.balance).toBeGreaterThan(0n);
    await bench.ledgerIsSound();
  });
});

describe('a dead conflict set', () => {
  it('fails the withdrawal, keeps the hold, opens a case and halts the chain', async () => {
    const { rows } = await bench.deps.pool.query<{ id: string; intent_id: string; account_id: string }>(
      "SELECT id, intent_id, account_id FROM operations.withdrawal WHERE state = 'SIGNING' AND nonce IS NOT NULL LIMIT 1",
    );
    const row = rows[0];
    if (row === undefined) throw new Error('the claimed row of the test before is missing');
    await signPayment(bench.deps, { paymentId: row.id, number: 0 });
    const held = (await bench.operations.balances(row.account_id))[0]?.held;
    // Somebody else who has the key uses the nonce.
    await rpc(nodeUrl, 'anvil_impersonateAccount', [bench.hot]);
    const outgoing = await outgoingOf(bench.deps.pool, row.intent_id);
    await rpc(nodeUrl, 'eth_sendTransaction', [
      {
        from: bench.hot,
        to: rich,
        value: '0x1',
        nonce: `0x${(outgoing?.conflictSet.nonce ?? 0).toString(16)}`,
      },
    ]);
    await mine();
    expect((await trackPayment(bench.deps, { paymentId: row.id })).status).toBe('ended');
    expect(await stateOf(row.id)).toBe('FAILED');
    expect((await bench.operations.balances(row.account_id))[0]?.held).toBe(held);
    expect((await openCases(bench.deps.pool)).map((each) => each.kind)).toContain('conflict-set-dead');
    await expect(follow(bench.deps, chain)).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
  });
});
