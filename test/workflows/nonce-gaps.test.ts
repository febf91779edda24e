/** A reserved nonce whose payment does not come about: given back while nothing was built, else used up by a cancel. */
import { beforeAll, describe, expect, it } from 'vitest';
import { attemptsOf, outgoingOf } from '#chains';
import { StrongroomError } from '#core/errors';
import { type Id, newId } from '#core/ids';
import type { SignOrder } from '#custody/contract';
import { openCases } from '#infra/cases';
import { chainHot } from '#ledger/contract';
import { decodeBase64url } from '#policies';
import { createOperations } from '#workflows';
import { claimBatch, closeBatch } from '../../workflows/operations/batches.ts';
import type { OperationsDeps } from '../../workflows/operations/context.ts';
import { decide, review } from '../../workflows/operations/decide.ts';
import { follow } from '../../workflows/operations/follow.ts';
import { sendPayment, signPayment, trackPayment } from '../../workflows/operations/payments.ts';
import { startAnvil } from '../support/anvil.ts';
import { assertionOf } from '../support/dev-roster.ts';
import { rpc } from '../support/evm-proxy.ts';
import {
  chain,
  ether,
  oneEther,
  openBench,
  otherOutside,
  outside,
  policyOf,
  type TestBench,
} from './fixture.ts';

let bench: TestBench;
let nodeUrl: string;
let accountId: Id<'acc'>;
const rich = '0xf39Fd6e51aad88F6F4ce6aB8827279cfFFb92266';
const part = oneEther / 10n;

const mine = async (blocks = 1): Promise<void> => {
  for (let at = 0; at < blocks; at += 1) await rpc(nodeUrl, 'evm_mine');
};
const settle = async (): Promise<void> => {
  await mine(3);
  while ((await follow(bench.deps, chain)).kind !== 'idle');
};
const pay = async (to: string, units: bigint): Promise<void> => {
  await rpc(nodeUrl, 'eth_sendTransaction', [{ from: rich, to, value: `0x${units.toString(16)}` }]);
  await settle();
};
const received = async (address: string): Promise<bigint> =>
  BigInt(String(await rpc(nodeUrl, 'eth_getBalance', [address, 'latest'])));
const minedCount = async (): Promise<number> =>
  Number.parseInt(String(await rpc(nodeUrl, 'eth_getTransactionCount', [bench.hot, 'latest'])), 16);
const stateOf = async (id: string) => (await bench.operations.withdrawal(id)).state;
const eventsOf = async (id: string) =>
  (await bench.operations.withdrawal(id)).timeline.map((entry) => entry.event);
const nonceOf = async (id: string) =>
  (await outgoingOf(bench.deps.pool, (await bench.operations.withdrawal(id)).intentId))?.conflictSet.nonce;
const held = async () => (await bench.operations.balances(accountId))[0]?.held;
const kinds = async () => (await openCases(bench.deps.pool)).map((each) => each.kind);
const claim = async (deps = bench.deps) =>
  await claimBatch(deps, { batchId: newId('bat', deps.clock, deps.random), walletId: bench.walletId });
const pendingFees = async (): Promise<bigint> => {
  const { rows } = await bench.deps.pool.query<{ units: string }>(
    'SELECT coalesce(sum(fee_cap_units), 0)::text AS units FROM operations.withdrawal WHERE fee_reserved',
  );
  return BigInt(rows[0]?.units ?? '-1');
};
async function queued(address = outside): Promise<Id<'wd'>> {
  const id = bench.newWithdrawalId();
  await bench.operations.requestWithdrawal({ id, accountId, asset: ether, address, units: part.toString() });
  expect((await decide(bench.deps, id)).state).toBe('QUEUED');
  return id;
}
async function approve(id: string, approver: string, deps: OperationsDeps): Promise<void> {
  const operations = createOperations(deps);
  const ask = { withdrawalId: id, decision: 'approve' as const, group: 'treasury', approver };
  const { statement, challenge } = await operations.approvalRequest(ask);
  const signed = decodeBase64url(challenge) ?? new Uint8Array();
  const assertion = assertionOf(bench.roster.passkeyOf(approver), signed);
  await operations.submitApproval({ ...ask, notAfter: statement.notAfter, assertion });
}
/** Reserves the nonce and stops before anything is built, as a node that goes away does. */
async function reserveOnly(paymentId: string): Promise<void> {
  const adapter = bench.deps.chains.adapter(chain);
  const broken = { ...adapter, quoteFee: () => Promise.reject(new Error('the node is away')) };
  Object.setPrototypeOf(broken, adapter);
  const chains = { ...bench.deps.chains, adapter: () => broken };
  await expect(signPayment({ ...bench.deps, chains }, { paymentId, number: 0 })).rejects.toThrow('away');
}
const refusing = (): OperationsDeps => ({
  ...bench.deps,
  custody: {
    ...bench.deps.custody,
    sign: () => Promise.reject(new StrongroomError('CUSTODY_REFUSED', 'frozen', { kind: 'forbidden' })),
  },
});
async function signAndSend(paymentId: string, deps = bench.deps): Promise<void> {
  expect((await signPayment(deps, { paymentId, number: 0 })).outcome).toBe('signed');
  expect((await sendPayment(deps, { paymentId })).outcome).toBe('accepted');
}
const setExpired = async (id: string) =>
  await bench.deps.pool.query('UPDATE operations.withdrawal SET not_after_ms = 1 WHERE id = $1', [id]);
/** The pending part of the fee line must be what the rows say is reserved. */
async function feesMatchTheLedger(): Promise<void> {
  const { rows } = await bench.deps.pool.query<{ units: string }>(
    `SELECT coalesce(sum(p.amount), 0)::text AS units FROM ledger.transfer p
      WHERE p.kind = 'pending' AND p.code = 'network-fee'
        AND NOT EXISTS (SELECT 1 FROM ledger.transfer r WHERE r.pending_id = p.id)`,
  );
  expect(BigInt(rows[0]?.units ?? '-1')).toBe(await pendingFees());
  await bench.ledgerIsSound();
}

beforeAll(async () => {
  const anvil = await startAnvil({ noMining: true });
  nodeUrl = anvil.url;
  bench = await openBench({ nodeUrl });
  await settle();
  await pay(bench.hot, 10n * oneEther);
  accountId = await bench.newAccount();
  await pay((await bench.operations.depositAddress({ accountId, asset: ether })).address, 5n * oneEther);
});

describe('a nonce for which nothing was built', () => {
  it('goes back when the row goes back to people; another is paid, then it is, once', async () => {
    const id = await queued();
    const first = await claim();
    await reserveOnly(id);
    const nonce = await nonceOf(id);
    expect(nonce).toBe(await minedCount());
    // People have to approve from now on.
    const stricter = bench.withPolicy(
      policyOf(2, [
        {
          id: 'R9',
          title: 'all by one of treasury',
          effect: 'require',
          when: { action: 'withdraw', destination: 'external' },
          require: { approvals: { treasury: 1 } },
        },
      ]),
    );
    expect(await signPayment(stricter, { paymentId: id, number: 0 })).toEqual({ outcome: 'refused' });
    expect(await stateOf(id)).toBe('PENDING_APPROVAL');
    expect(await nonceOf(id)).toBeUndefined();
    expect((await eventsOf(id)).at(-1)).toBe('policy-changed');
    expect(await pendingFees()).toBe(0n);
    await feesMatchTheLedger();
    expect(await closeBatch(bench.deps, first.batchId ?? '')).toBe(true);

    const other = await queued(otherOutside);
    const beforeOther = await received(otherOutside);
    const second = await claim();
    expect(second.withdrawalIds).toEqual([other]);
    await signAndSend(other);
    expect(await nonceOf(other)).toBe(nonce);
    await settle();
    expect(await stateOf(other)).toBe('FINAL');
    expect((await received(otherOutside)) - beforeOther).toBe(part);
    expect(await closeBatch(bench.deps, second.batchId ?? '')).toBe(true);

    const before = await received(outside);
    expect((await review(stricter, id)).state).toBe('PENDING_APPROVAL');
    await approve(id, 'ana', stricter);
    expect((await review(stricter, id)).state).toBe('QUEUED');
    const third = await claim(stricter);
    await signAndSend(id, stricter);
    expect(await signPayment(stricter, { paymentId: id, number: 0 })).toMatchObject({ outcome: 'signed' });
    await settle();
    expect(await stateOf(id)).toBe('FINAL');
    expect((await received(outside)) - before).toBe(part);
    expect(await nonceOf(id)).toBe((nonce ?? 0) + 1);
    expect(await minedCount()).toBe((nonce ?? 0) + 2);
    expect(await closeBatch(bench.deps, third.batchId ?? '')).toBe(true);
    await feesMatchTheLedger();
  }, 30_000);

  it('ends either given back or built when a lapse and a signature come at once', async () => {
    const lapsed = bench.withPolicy(policyOf(3));
    for (let round = 0; round < 6; round += 1) {
      const id = await queued();
      const { batchId } = await claim();
      const runs = [bench.deps, lapsed].map((deps) => signPayment(deps, { paymentId: id, number: 0 }));
      await Promise.allSettled(runs);
      const { intentId } = await bench.operations.withdrawal(id);
      const attempts = await attemptsOf(bench.deps.pool, intentId);
      expect((await nonceOf(id)) === undefined).toBe(attempts.length === 0);
      if ((await stateOf(id)) === 'PENDING_APPROVAL') {
        expect(await review(bench.deps, id)).toMatchObject({ state: 'QUEUED' });
        await closeBatch(bench.deps, batchId ?? '');
        expect((await claim()).withdrawalIds).toEqual([id]);
      }
      const before = await received(outside);
      await signAndSend(id);
      await settle();
      expect((await received(outside)) - before).toBe(part);
      const { rows } = await bench.deps.pool.query<{ id: string }>(
        "SELECT id FROM operations.batch WHERE state = 'OPEN'",
      );
      for (const open of rows) expect(await closeBatch(bench.deps, open.id)).toBe(true);
    }
    await feesMatchTheLedger();
  }, 60_000);

  it('is filled by the next payment when its row expired, and both of a batch are mined in order', async () => {
    const id = await queued();
    const first = await claim();
    await reserveOnly(id);
    const nonce = (await nonceOf(id)) ?? -1;
    await setExpired(id);
    expect((await signPayment(bench.deps, { paymentId: id, number: 0 })).outcome).toBe('refused');
    expect((await review(bench.deps, id)).state).toBe('EXPIRED');
    expect(await held()).toBe('0');
    await closeBatch(bench.deps, first.batchId ?? '');
    const next = [await queued(), await queued()];
    const second = await claim();
    expect(second.withdrawalIds).toEqual(next);
    for (const each of next) await signAndSend(each);
    expect([await nonceOf(next[0] ?? ''), await nonceOf(next[1] ?? '')]).toEqual([nonce, nonce + 1]);
    await settle();
    for (const each of next) expect(await stateOf(each)).toBe('FINAL');
    await closeBatch(bench.deps, second.batchId ?? '');
    await feesMatchTheLedger();
  }, 30_000);
});

describe('a nonce with a stored attempt', () => {
  it('is never handed over; later rows of its batch wait; a cancel uses it up before the hold is released', async () => {
    const [id, behind] = [await queued(), await queued()];
    const first = await claim();
    expect(await signPayment(refusing(), { paymentId: id, number: 0 })).toEqual({ outcome: 'refused' });
    const nonce = (await nonceOf(id)) ?? -1;
    // A later row must not get a nonce above the one that waits: the batch would never end.
    expect(await signPayment(bench.deps, { paymentId: behind, number: 0 })).toEqual({ outcome: 'refused' });
    expect(await nonceOf(behind)).toBeUndefined();
    expect((await eventsOf(behind)).at(-1)).toBe('behind-a-waiting-nonce');
    expect(await closeBatch(bench.deps, first.batchId ?? '')).toBe(true);
    expect((await review(bench.deps, behind)).state).toBe('QUEUED');
    expect((await claim()).batchId).toBeNull();

    await setExpired(id);
    expect((await review(bench.deps, id)).state).toBe('EXPIRED');
    expect((await review(bench.deps, id)).state).toBe('EXPIRED');
    expect(await stateOf(id)).toBe('PENDING_APPROVAL');
    expect(await nonceOf(id)).toBe(nonce);
    expect(await held()).toBe((2n * part).toString());
    await expect(approve(id, 'ana', bench.deps)).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });
    await expect(bench.operations.cancelWithdrawal(id)).rejects.toMatchObject({ code: 'WITHDRAWAL_STATE' });

    const cancels = await claim();
    expect(cancels.withdrawalIds).toEqual([id]);
    // Refused: it stands still with one case, and nobody gets the nonce.
    expect(await signPayment(refusing(), { paymentId: id, number: 0 })).toEqual({ outcome: 'refused' });
    expect(await signPayment(refusing(), { paymentId: id, number: 0 })).toEqual({ outcome: 'refused' });
    expect((await kinds()).filter((kind) => kind === 'cancel-refused')).toHaveLength(1);
    expect((await trackPayment(bench.deps, { paymentId: id })).status).toBe('unsigned');
    expect(await closeBatch(bench.deps, cancels.batchId ?? '')).toBe(false);
    expect((await claim()).batchId).toBe(cancels.batchId);

    const before = await received(outside);
    await signAndSend(id);
    const order = (bench.deps.custody as unknown as { orders: { purpose: string }[] }).orders.at(-1);
    expect(order).toMatchObject({ purpose: 'cancel', approvals: [] });
    expect((await signPayment(bench.deps, { paymentId: id, number: 1 })).outcome).toBe('signed');
    await sendPayment(bench.deps, { paymentId: id });
    expect(await trackPayment(bench.deps, { paymentId: id })).toMatchObject({
      status: 'pending',
      attempts: 2,
    });
    await mine();
    while ((await follow(bench.deps, chain)).kind !== 'idle');
    expect(await held()).toBe((2n * part).toString());
    await settle();
    expect(await stateOf(id)).toBe('EXPIRED');
    expect((await eventsOf(id)).at(-1)).toBe('cancelled-on-chain');
    expect((await trackPayment(bench.deps, { paymentId: id })).status).toBe('ended');
    expect(await received(outside)).toBe(before);
    expect(await held()).toBe(part.toString());
    const { intentId } = await bench.operations.withdrawal(id);
    expect((await attemptsOf(bench.deps.pool, intentId)).map(({ unsigned }) => unsigned.nonce)).toEqual([
      nonce,
      nonce,
      nonce,
    ]);
    expect(await closeBatch(bench.deps, cancels.batchId ?? '')).toBe(true);
    await feesMatchTheLedger();

    const last = await claim();
    expect(last.withdrawalIds).toEqual([behind]);
    await signAndSend(behind);
    expect(await nonceOf(behind)).toBe(nonce + 1);
    await settle();
    expect(await stateOf(behind)).toBe('FINAL');
    await closeBatch(bench.deps, last.batchId ?? '');
    expect((await bench.deps.ledger.balances({ paths: [chainHot(bench.walletId)] }))[0]?.balance).toBe(
      await received(bench.hot),
    );
    await feesMatchTheLedger();
  }, 30_000);

  it('is not taken back by a refusal that comes after another run stored the signature', async () => {
    const id = await queued();
    const { batchId } = await claim();
    const late = {
      ...bench.deps,
      custody: {
        ...bench.deps.custody,
        sign: async () => {
          await signPayment(bench.deps, { paymentId: id, number: 0 });
          throw new StrongroomError('CUSTODY_REFUSED', 'frozen', { kind: 'forbidden' });
        },
      },
    };
    expect((await signPayment(late, { paymentId: id, number: 0 })).outcome).toBe('refused');
    expect(await stateOf(id)).toBe('SIGNING');
    await sendPayment(bench.deps, { paymentId: id });
    await settle();
    expect(await stateOf(id)).toBe('FINAL');
    await closeBatch(bench.deps, batchId ?? '');
  });

  it('halts the chain and keeps the hold when somebody sends its bytes while it waits for people', async () => {
    const id = await queued();
    await claim();
    const late = {
      ...bench.deps,
      custody: {
        ...bench.deps.custody,
        sign: async (order: SignOrder) => {
          await signPayment(refusing(), { paymentId: id, number: 0 });
          return await bench.deps.custody.sign(order);
        },
      },
    };
    expect((await signPayment(late, { paymentId: id, number: 0 })).outcome).toBe('signed');
    expect(await stateOf(id)).toBe('PENDING_APPROVAL');
    expect((await sendPayment(bench.deps, { paymentId: id })).outcome).toBe('not-needed');
    const { intentId } = await bench.operations.withdrawal(id);
    const signed = (await attemptsOf(bench.deps.pool, intentId))[0]?.signed;
    if (signed === undefined) throw new Error('the late signature was not stored');
    const before = await held();
    await bench.deps.chains.adapter(chain).broadcast(signed);
    await expect(settle()).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    expect(await kinds()).toContain('payment-not-under-way');
    expect(await held()).toBe(before);
    expect(await stateOf(id)).toBe('PENDING_APPROVAL');
  });
});
