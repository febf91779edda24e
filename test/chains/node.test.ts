import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createChains } from '#chains';
import { assetId, chainId } from '#core/money';
import { createEthereumAdapter, type EthereumAdapter } from '../../chains/ethereum/adapter.ts';
import { startAnvil } from '../support/anvil.ts';
import { type EvmProxy, RpcFault, rpc, startEvmProxy } from '../support/evm-proxy.ts';
import { capUnits, devChain, ether, makeAdapter, mine, recipient } from './setup.ts';

let proxy: EvmProxy;
let nodeUrl: string;
let adapter: EthereumAdapter;

beforeAll(async () => {
  nodeUrl = (await startAnvil({ noMining: true })).url;
  proxy = await startEvmProxy({ nodeUrl });
  adapter = makeAdapter(proxy.url, 500);
  await mine(nodeUrl, 12);
});
afterAll(async () => {
  adapter.close();
  await proxy.close();
});
const callsOf = (method: string): number => proxy.calls.filter((call) => call.method === method).length;

describe('the connection to a node', () => {
  it.each(['unreachable', 'lost', 'hang', 'throttled', 'broken', 'garbage'] as const)(
    'reports a failed call (%s) once as unavailable and repeats nothing by itself',
    async (fault) => {
      await adapter.head();
      proxy.failNext('eth_getBlockByNumber', fault);
      const before = callsOf('eth_getBlockByNumber');
      await expect(adapter.head()).rejects.toMatchObject({
        code: 'CHAINS_NODE_UNAVAILABLE',
        retryable: true,
      });
      expect(callsOf('eth_getBlockByNumber') - before).toBe(1);
      expect((await adapter.head()).height).toBe(12);
    },
  );

  it('asks for the chain id at the first call and again after a failure, and not in between', async () => {
    await adapter.head();
    const before = callsOf('eth_chainId');
    await adapter.head();
    expect(callsOf('eth_chainId')).toBe(before);
    proxy.failNext('eth_getBlockByNumber', 'unreachable');
    await expect(adapter.head()).rejects.toMatchObject({ code: 'CHAINS_NODE_UNAVAILABLE' });
    const stop = proxy.lie(
      'eth_chainId',
      () => true,
      () => '0x1',
    );
    await expect(adapter.head()).rejects.toMatchObject({ code: 'CHAINS_NODE_WRONG_CHAIN' });
    stop();
    expect((await adapter.head()).height).toBe(12);
  });

  it('never caches: a new block is seen by the next call', async () => {
    const before = await adapter.head();
    await mine(nodeUrl);
    expect((await adapter.head()).parentHash).toBe(before.hash);
  });

  it('keeps the key in a provider URL out of its errors', async () => {
    const secret = makeAdapter('http://user:hunter2@127.0.0.1:9/v3/0123456789abcdef', 300);
    const error: unknown = await secret.head().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'CHAINS_NODE_UNAVAILABLE' });
    const { message, details } = error as { message: string; details: unknown };
    expect(message + JSON.stringify(details)).not.toMatch(/hunter2|0123456789abcdef/);
    secret.close();
  });

  it('refuses answers of another form', async () => {
    for (const answer of [
      { number: 1 },
      'x',
      { number: '0x01', hash: '0x', parentHash: '0x', timestamp: '0x1' },
    ]) {
      const stop = proxy.lie(
        'eth_getBlockByNumber',
        () => true,
        () => answer,
      );
      await expect(adapter.head()).rejects.toMatchObject({ code: 'CHAINS_NODE_INCONSISTENT' });
      stop();
    }
  });
});

describe('finality', () => {
  const of = (finality: Parameters<typeof createEthereumAdapter>[0]['finality']): EthereumAdapter =>
    createEthereumAdapter({ chain: devChain, url: proxy.url, finality });

  it('goes by the tag', async () => {
    const { height } = await adapter.head();
    expect(await adapter.finalizedHeight()).toBe(height - 2);
    expect(adapter.capabilities.finality).toEqual({ kind: 'tag' });
  });

  it('goes by depth, and never below the genesis block', async () => {
    const { height } = await adapter.head();
    const byDepth = of({ kind: 'depth', depth: 5 });
    expect(await byDepth.finalizedHeight()).toBe(height - 5);
    expect(byDepth.capabilities.finality).toEqual({ kind: 'depth', depth: 5 });
    expect(await of({ kind: 'depth', depth: 10_000 }).finalizedHeight()).toBe(0);
  });

  it('falls back to the depth when the node does not know the tag, and without one takes nothing as final', async () => {
    const { height } = await adapter.head();
    for (const answer of [
      () => null,
      () => {
        throw new RpcFault(-39_001, 'finalized block not found');
      },
    ]) {
      const stop = proxy.lie('eth_getBlockByNumber', ([tag]) => tag === 'finalized', answer);
      expect(await of({ kind: 'tag', fallbackDepth: 4 }).finalizedHeight()).toBe(height - 4);
      expect(await of({ kind: 'tag' }).finalizedHeight()).toBe(0);
      stop();
    }
  });

  it('is unavailable, not zero, when the node does not answer', async () => {
    proxy.failNext('eth_getBlockByNumber', 'broken');
    await expect(adapter.finalizedHeight()).rejects.toMatchObject({ code: 'CHAINS_NODE_UNAVAILABLE' });
  });
});

describe('balances and fees of the node', () => {
  it('reads a balance at a height, exactly', async () => {
    const units = 123n * ether + 1n;
    await rpc(nodeUrl, 'anvil_setBalance', [recipient, `0x${units.toString(16)}`]);
    await mine(nodeUrl);
    const { height } = await adapter.head();
    expect(await adapter.balanceAt(recipient, height)).toBe(units);
  });

  it('quotes above the next base fee and under the cap, and refuses when the market is above it', async () => {
    const base = 50n * 10n ** 9n;
    await rpc(nodeUrl, 'anvil_setNextBlockBaseFeePerGas', [`0x${base.toString(16)}`]);
    await mine(nodeUrl);
    const fee = await adapter.quoteFee({ capUnits });
    expect(fee.maxFeePerGas).toBeGreaterThan((base * 7n) / 8n);
    expect(fee.maxCostUnits).toBeLessThanOrEqual(capUnits);
    await expect(adapter.quoteFee({ capUnits: 21_000n * 10n ** 9n })).rejects.toMatchObject({
      code: 'CHAINS_FEE_ABOVE_CAP',
      kind: 'limited',
    });
    await expect(adapter.bumpFee(fee, { capUnits: fee.maxCostUnits })).rejects.toMatchObject({
      code: 'CHAINS_FEE_ABOVE_CAP',
    });
  });
});

describe('createChains', () => {
  it('finds adapters by chain and by asset, and names what it does not know', () => {
    const chains = createChains({
      configs: [
        { name: 'ethereum', chain: devChain, url: proxy.url, startHeight: 0, finality: { kind: 'tag' } },
      ],
    });
    const found = chains.adapter(devChain);
    expect(chains.adapterForAsset(assetId('eip155:31337/slip44:60'))).toBe(found);
    expect(found.decimalsOf(found.nativeAsset)).toBe(18);
    expect(() => chains.adapterForAsset(assetId('eip155:1/slip44:60'))).toThrow(/no configured chain/);
    expect(() => chains.adapter(chainId('eip155:1'))).toThrow(/not configured/);
    expect(() => found.decimalsOf(assetId('eip155:1/slip44:60'))).toThrow(/not carried/);
    chains.close();
  });

  it('refuses a chain twice and one of another family', () => {
    const config = { name: 'ethereum', url: proxy.url, startHeight: 0, finality: { kind: 'tag' } } as const;
    const twice = [
      { ...config, chain: devChain },
      { ...config, chain: devChain },
    ];
    expect(() => createChains({ configs: twice })).toThrow(/twice/);
    expect(() =>
      createChains({ configs: [{ ...config, chain: 'bip122:000000000019d6689c085ae165831e93' }] }),
    ).toThrow(/not an EVM chain/);
  });
});
