import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConflictSet, FeeQuote, SignedTransaction } from '#chains/contract';
import type { EthereumAdapter } from '../../chains/ethereum/adapter.ts';
import { startAnvil } from '../support/anvil.ts';
import { type EvmProxy, RpcFault, rpc, startEvmProxy } from '../support/evm-proxy.ts';
import {
  capUnits,
  devChain,
  fundedPayer,
  makeAdapter,
  mine,
  type Payer,
  recipient,
  signPayment,
} from './setup.ts';

let proxy: EvmProxy;
let nodeUrl: string;
let adapter: EthereumAdapter;
let fee: FeeQuote;
let payers = 200;

beforeAll(async () => {
  nodeUrl = (await startAnvil({ noMining: true })).url;
  proxy = await startEvmProxy({ nodeUrl });
  adapter = makeAdapter(proxy.url);
  await mine(nodeUrl, 3);
  fee = await adapter.quoteFee({ capUnits });
});
afterAll(async () => {
  adapter.close();
  await proxy.close();
});

interface Case {
  readonly payer: Payer;
  readonly set: ConflictSet;
  readonly signed: SignedTransaction;
}
async function newCase(): Promise<Case> {
  const payer = await fundedPayer(adapter, nodeUrl, payers++);
  const set = { chain: devChain, sender: payer.address, nonce: 0 };
  return { payer, set, signed: signPayment(adapter, payer, { nonce: 0, fee }) };
}
const balanceOf = async (address: string): Promise<bigint> =>
  await adapter.balanceAt(address, (await adapter.head()).height);

describe('track', () => {
  it('is lost before it was ever sent, pending in the pool, mined, then final', async () => {
    const { set, signed } = await newCase();
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'lost' });
    await adapter.broadcast(signed);
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [signed.txId] });
    await mine(nodeUrl);
    const head = await adapter.head();
    const mined = await adapter.track(set, [signed.txId]);
    expect(mined).toMatchObject({
      state: 'mined',
      txId: signed.txId,
      succeeded: true,
      final: false,
      block: head,
    });
    if (mined.state !== 'mined') throw new Error(mined.state);
    expect(mined.feeUnits).toBeGreaterThan(0n);
    expect(mined.feeUnits).toBeLessThanOrEqual(fee.maxCostUnits);
    await mine(nodeUrl, 2);
    expect(await adapter.track(set, [signed.txId])).toMatchObject({ state: 'mined', final: true });
  });

  it('finds the one of several attempts that was mined', async () => {
    const { payer, set, signed } = await newCase();
    const bumped = signPayment(adapter, payer, { nonce: 0, fee: await adapter.bumpFee(fee, { capUnits }) });
    await adapter.broadcast(signed);
    await adapter.broadcast(bumped);
    await mine(nodeUrl);
    expect(await adapter.track(set, [signed.txId, bumped.txId])).toMatchObject({
      state: 'mined',
      txId: bumped.txId,
    });
  });

  it('is lost after a reorg that dropped the transaction, and sending the same bytes again pays once', async () => {
    const { payer, set, signed } = await newCase();
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
    await rpc(nodeUrl, 'anvil_reorg', [1, []]);
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'lost' });
    expect((await adapter.broadcast(signed)).outcome).toBe('accepted');
    await mine(nodeUrl);
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
    expect(await adapter.minedNonce(payer.address)).toBe(1);
  });

  it('is foreign only with the other transaction in hand', async () => {
    const { payer, set, signed } = await newCase();
    const thief = signPayment(adapter, payer, { nonce: 0, fee, units: 5n });
    await adapter.broadcast(thief);
    await mine(nodeUrl, 3);
    const outcome = await adapter.track(set, [signed.txId]);
    expect(outcome.state).toBe('foreign');
    if (outcome.state === 'foreign') expect(outcome.detail).toContain(thief.txId);
    expect((await adapter.track(set, [thief.txId])).state).toBe('mined');
  });

  it('is pending, not foreign, while the node has lost the receipt of our own transaction', async () => {
    const { set, signed } = await newCase();
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    const stop = proxy.lie(
      'eth_getTransactionReceipt',
      () => true,
      () => null,
    );
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [] });
    stop();
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
  });

  it('is pending, not foreign, while the node has pruned the states that would show who used the nonce', async () => {
    const { payer, set, signed } = await newCase();
    await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee, units: 7n }));
    await mine(nodeUrl);
    const stop = proxy.lie(
      'eth_getTransactionCount',
      ([, at]) => at !== 'latest',
      () => {
        throw new RpcFault(-32_000, 'missing trie node');
      },
    );
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [] });
    stop();
    expect((await adapter.track(set, [signed.txId])).state).toBe('foreign');
  });

  it('takes a receipt that names a block off the chain for none', async () => {
    const { set, signed } = await newCase();
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    const receipt = (await rpc(nodeUrl, 'eth_getTransactionReceipt', [signed.txId])) as Record<
      string,
      unknown
    >;
    const stop = proxy.lie(
      'eth_getTransactionReceipt',
      () => true,
      () => ({ ...receipt, blockHash: `0x${'5'.repeat(64)}` }),
    );
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [] });
    stop();
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
  });

  it('is unavailable, not lost, when the node refuses to look', async () => {
    const { set, signed } = await newCase();
    proxy.refuseNext('eth_getTransactionByHash', 'transaction indexing is in progress');
    await expect(adapter.track(set, [signed.txId])).rejects.toMatchObject({
      code: 'CHAINS_NODE_UNAVAILABLE',
    });
  });

  it('says a lagging node has it pending although the chain has it mined', async () => {
    const { set, signed } = await newCase();
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    proxy.setLag(1);
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [signed.txId] });
    proxy.setLag(0);
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
  });

  it('reports a reverted transaction with the fee it paid', async () => {
    const { payer, set } = await newCase();
    // PUSH1 0 PUSH1 0 REVERT
    const refuser = adapter.parseAddress('0x00000000000000000000000000000000000000fd');
    await rpc(nodeUrl, 'anvil_setCode', [refuser, '0x60006000fd']);
    const more = { ...fee, gasLimit: 50_000n, maxCostUnits: 50_000n * fee.maxFeePerGas };
    const signed = signPayment(adapter, payer, { nonce: 0, fee: more, to: refuser });
    const before = await balanceOf(payer.address);
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    const outcome = await adapter.track(set, [signed.txId]);
    if (outcome.state !== 'mined') throw new Error(outcome.state);
    expect(outcome.succeeded).toBe(false);
    expect(before - (await balanceOf(payer.address))).toBe(outcome.feeUnits);
    const block = await adapter.block(outcome.block.hash);
    expect(block?.transactions).toMatchObject([{ txId: signed.txId, succeeded: false, transfers: [] }]);
  });
});

describe('a stuck transaction', () => {
  it('is replaced by a real node’s rules, and exactly one of both pays', async () => {
    const { payer, set, signed } = await newCase();
    const paidBefore = await balanceOf(recipient);
    proxy.holdBelow(fee.maxFeePerGas + 1n);
    expect((await adapter.broadcast(signed)).outcome).toBe('accepted');
    await mine(nodeUrl, 3);
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'pending', known: [signed.txId] });
    expect(proxy.held()).toEqual([signed.txId]);

    const bumped = signPayment(adapter, payer, { nonce: 0, fee: await adapter.bumpFee(fee, { capUnits }) });
    expect((await adapter.broadcast(bumped)).outcome).toBe('accepted');
    expect(proxy.held()).toEqual([]);
    await mine(nodeUrl);
    proxy.holdBelow(undefined);
    await proxy.release();
    expect((await adapter.broadcast(signed)).outcome).toBe('maybe');
    await mine(nodeUrl, 2);

    expect(await adapter.track(set, [signed.txId, bumped.txId])).toMatchObject({
      state: 'mined',
      txId: bumped.txId,
    });
    expect((await balanceOf(recipient)) - paidBefore).toBe(1000n);
    expect(await adapter.minedNonce(payer.address)).toBe(1);
  });

  it('can be mined late in its first form after all; the replacement then does not pay', async () => {
    const { payer, set, signed } = await newCase();
    const paidBefore = await balanceOf(recipient);
    proxy.holdBelow(10n ** 18n);
    await adapter.broadcast(signed);
    const bumped = signPayment(adapter, payer, { nonce: 0, fee: await adapter.bumpFee(fee, { capUnits }) });
    proxy.failNext('eth_sendRawTransaction', 'unreachable');
    expect((await adapter.broadcast(bumped)).outcome).toBe('maybe');
    proxy.holdBelow(undefined);
    await proxy.release();
    await mine(nodeUrl);
    expect(await adapter.track(set, [signed.txId, bumped.txId])).toMatchObject({
      state: 'mined',
      txId: signed.txId,
    });
    expect((await adapter.broadcast(bumped)).outcome).toBe('maybe');
    await mine(nodeUrl);
    expect((await balanceOf(recipient)) - paidBefore).toBe(1000n);
  });

  it('that the pool evicted is lost, and is sent again', async () => {
    const { set, signed } = await newCase();
    proxy.holdBelow(10n ** 18n);
    await adapter.broadcast(signed);
    proxy.evict();
    proxy.holdBelow(undefined);
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'lost' });
    expect((await adapter.broadcast(signed)).outcome).toBe('accepted');
    await mine(nodeUrl);
    expect((await adapter.track(set, [signed.txId])).state).toBe('mined');
  });
});
