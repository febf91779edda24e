import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FeeQuote } from '#chains/contract';
import type { EthereumAdapter } from '../../chains/ethereum/adapter.ts';
import { classifyRefusal } from '../../chains/ethereum/broadcast.ts';
import { startAnvil } from '../support/anvil.ts';
import { type EvmProxy, startEvmProxy } from '../support/evm-proxy.ts';
import { capUnits, fundedPayer, makeAdapter, mine, type Payer, signPayment } from './setup.ts';

let proxy: EvmProxy;
let nodeUrl: string;
let adapter: EthereumAdapter;
let fee: FeeQuote;
let payers = 100;

beforeAll(async () => {
  nodeUrl = (await startAnvil({ noMining: true })).url;
  proxy = await startEvmProxy({ nodeUrl });
  adapter = makeAdapter(proxy.url, 500);
  await mine(nodeUrl);
  fee = await adapter.quoteFee({ capUnits });
});
afterAll(async () => {
  adapter.close();
  await proxy.close();
});
const newPayer = async (): Promise<Payer> => await fundedPayer(adapter, nodeUrl, payers++);
const broadcastCalls = (): number =>
  proxy.calls.filter(({ method }) => method === 'eth_sendRawTransaction').length;

describe('broadcast', () => {
  it('is accepted, and accepted again as already known', async () => {
    const signed = signPayment(adapter, await newPayer(), { nonce: 0, fee });
    expect(await adapter.broadcast(signed)).toMatchObject({
      outcome: 'accepted',
      detail: 'taken by the node',
    });
    expect(await adapter.broadcast(signed)).toMatchObject({ outcome: 'accepted', detail: 'already known' });
  });

  it('is maybe when the answer is lost after the node took it, then accepted', async () => {
    const payer = await newPayer();
    const signed = signPayment(adapter, payer, { nonce: 0, fee });
    proxy.failNext('eth_sendRawTransaction', 'lost');
    expect((await adapter.broadcast(signed)).outcome).toBe('maybe');
    expect(await adapter.broadcast(signed)).toMatchObject({ outcome: 'accepted', detail: 'already known' });
    await mine(nodeUrl);
    expect(await adapter.minedNonce(payer.address)).toBe(1);
  });

  it.each(['unreachable', 'hang', 'throttled', 'broken', 'garbage'] as const)(
    'is maybe when the connection fails (%s), asked once, and sent again with the same bytes',
    async (fault) => {
      const signed = signPayment(adapter, await newPayer(), { nonce: 0, fee });
      proxy.failNext('eth_sendRawTransaction', fault);
      const before = broadcastCalls();
      expect((await adapter.broadcast(signed)).outcome).toBe('maybe');
      expect(broadcastCalls() - before).toBe(1);
      expect(await adapter.broadcast(signed)).toMatchObject({
        outcome: 'accepted',
        detail: 'taken by the node',
      });
    },
  );

  it('is maybe when the nonce is used, whoever used it', async () => {
    const payer = await newPayer();
    const signed = signPayment(adapter, payer, { nonce: 0, fee });
    await adapter.broadcast(signed);
    await mine(nodeUrl);
    const again = await adapter.broadcast(signed);
    expect(again.outcome).toBe('maybe');
    expect(again.detail).toMatch(/nonce too low/);
  });

  it('is maybe for a replacement that bumps too little, accepted from +10 % on both fees', async () => {
    const payer = await newPayer();
    await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee }));
    const raise = (max: bigint, tip: bigint): FeeQuote => {
      const maxFeePerGas = (fee.maxFeePerGas * max) / 100n;
      const maxPriorityFeePerGas = (fee.maxPriorityFeePerGas * tip) / 100n;
      return { ...fee, maxFeePerGas, maxPriorityFeePerGas, maxCostUnits: fee.gasLimit * maxFeePerGas };
    };
    for (const low of [raise(105n, 105n), raise(110n, 100n), raise(100n, 110n)])
      expect(await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee: low }))).toMatchObject({
        outcome: 'maybe',
        detail: 'replacement transaction underpriced',
      });
    const bumped = await adapter.bumpFee(fee, { capUnits });
    expect((await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee: bumped }))).outcome).toBe(
      'accepted',
    );
  });

  it('is maybe without the funds: they may come', async () => {
    const payer = await newPayer();
    const signed = signPayment(adapter, payer, { nonce: 0, fee, units: 10n ** 30n });
    const answer = await adapter.broadcast(signed);
    expect(answer.outcome).toBe('maybe');
    expect(answer.detail).toMatch(/insufficient funds/i);
  });

  it('is rejected when the bytes can never be mined', async () => {
    const low = { ...fee, gasLimit: 20_999n, maxCostUnits: 20_999n * fee.maxFeePerGas };
    const signed = signPayment(adapter, await newPayer(), { nonce: 0, fee: low });
    const answer = await adapter.broadcast(signed);
    expect(answer.outcome).toBe('rejected');
    expect(answer.detail).toMatch(/intrinsic gas/i);
  });

  it('refuses to send bytes under an id that is not theirs', async () => {
    const signed = signPayment(adapter, await newPayer(), { nonce: 0, fee });
    const before = broadcastCalls();
    await expect(adapter.broadcast({ ...signed, txId: `0x${'0'.repeat(64)}` })).rejects.toThrow(/another id/);
    expect(broadcastCalls()).toBe(before);
  });

  it('sends nothing to a node on another chain', async () => {
    const other = await startAnvil({ noMining: true, chainId: 1337 });
    const wrong = makeAdapter(other.url);
    const signed = signPayment(adapter, await newPayer(), { nonce: 0, fee });
    await expect(wrong.check()).rejects.toMatchObject({ code: 'CHAINS_NODE_WRONG_CHAIN', kind: 'invariant' });
    await expect(wrong.broadcast(signed)).rejects.toMatchObject({ code: 'CHAINS_NODE_WRONG_CHAIN' });
    wrong.close();
  });
});

describe('classifyRefusal', () => {
  it.each([
    ['already known', 'accepted'],
    ['known transaction: 0xabc', 'accepted'],
    ['transaction already imported', 'accepted'],
    ['AlreadyKnown', 'accepted'],
    ['unknown transaction', 'maybe'],
    ['nonce too low: next nonce 5, tx nonce 4', 'maybe'],
    ['nonce too high', 'maybe'],
    ['replacement transaction underpriced', 'maybe'],
    ['transaction underpriced: gas tip cap 0, minimum needed 1', 'maybe'],
    ['max fee per gas less than block base fee', 'maybe'],
    ['insufficient funds for gas * price + value', 'maybe'],
    ['tx fee (1.20 ether) exceeds the configured cap (1.00 ether)', 'maybe'],
    ['txpool is full', 'maybe'],
    ['something nobody has seen before', 'maybe'],
    ['intrinsic gas too low: gas 20999, minimum needed 21000', 'rejected'],
    ['invalid chain id for signer: have 1 want 31337', 'rejected'],
    ['invalid sender', 'rejected'],
    ['rlp: expected input list for types.DynamicFeeTx', 'rejected'],
    ['failed to decode signed transaction', 'rejected'],
  ] as const)('%s is %s', (message, outcome) => {
    expect(classifyRefusal(message)).toBe(outcome);
  });
});
