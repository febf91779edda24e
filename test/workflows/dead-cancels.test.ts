/** A cancel whose nonce somebody else used: the row ends, its hold stays, and the wallet goes on once people lift the halt. */
import { expect, it } from 'vitest';
import { outgoingOf } from '#chains';
import { StrongroomError } from '#core/errors';
import { liftHalt, listHalts, openCases } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { closeBatch } from '../../workflows/operations/batches.ts';
import { review } from '../../workflows/operations/decide.ts';
import { signPayment, trackPayment } from '../../workflows/operations/payments.ts';
import { rpc } from '../support/evm-proxy.ts';
import { openAnvilBench } from './anvil-bench.ts';
import { oneEther } from './fixture.ts';

it('ends the row with its hold kept, closes the batch, and does not hold up the wallet', async () => {
  const bench = await openAnvilBench();
  const { deps } = bench;
  await bench.pay(bench.hot, 10n * oneEther);
  const { accountId } = await bench.customer(oneEther);
  const id = await bench.queued(accountId, oneEther / 10n);
  const first = await bench.claim();
  const custody = {
    ...deps.custody,
    sign: () => Promise.reject(new StrongroomError('CUSTODY_REFUSED', 'frozen', { kind: 'forbidden' })),
  };
  expect(await signPayment({ ...deps, custody }, { paymentId: id, number: 0 })).toEqual({
    outcome: 'refused',
  });
  expect(await closeBatch(deps, first.batchId ?? '')).toBe(true);
  await deps.pool.query('UPDATE operations.withdrawal SET not_after_ms = 1 WHERE id = $1', [id]);
  await review(deps, id);
  const cancels = await bench.claim();
  expect(cancels.withdrawalIds).toEqual([id]);
  await bench.signAndSend(id);
  const { intentId } = await bench.operations.withdrawal(id);
  const nonce = (await outgoingOf(deps.pool, intentId))?.conflictSet.nonce;

  // The node forgets our cancel and mines another transaction under its nonce.
  await dropAll(bench.nodeUrl);
  await bench.steal(bench.hot, 1n, nonce);
  expect((await trackPayment(deps, { paymentId: id })).status).toBe('ended');
  expect(await bench.operations.withdrawal(id)).toMatchObject({ state: 'EXPIRED' });
  expect((await bench.operations.balances(accountId))[0]?.held).toBe((oneEther / 10n).toString());
  expect((await openCases(deps.pool)).map((each) => each.kind)).toContain('conflict-set-dead');
  expect(await closeBatch(deps, cancels.batchId ?? '')).toBe(true);
  expect((await bench.claim()).batchId).toBeNull();

  for (const { scope } of await listHalts(deps.pool))
    await inTransaction(deps.pool, async (tx) => {
      await liftHalt(tx, { scope, reason: 'looked at', people: ['ana', 'ben'] });
    });
  const next = await bench.queued(accountId, oneEther / 10n);
  expect((await bench.claim()).withdrawalIds).toEqual([next]);
  await bench.signAndSend(next);
  await bench.ledgerIsSound();
}, 30_000);

async function dropAll(nodeUrl: string): Promise<void> {
  await rpc(nodeUrl, 'anvil_dropAllTransactions');
}
