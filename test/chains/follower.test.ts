import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  attemptsOf,
  type Chains,
  createChains,
  cursorOf,
  haltScopeOf,
  markBroadcast,
  outgoingOf,
  recordMined,
  recordStep,
  reserveConflictSet,
  saveBuilt,
  saveSigned,
} from '#chains';
import type { Block, ChainTransfer, FollowStep } from '#chains/contract';
import { haltOf, liftHalt } from '#infra/cases';
import { inTransaction, openPool, type Pool } from '#infra/db';
import { startAnvil } from '../support/anvil.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type EvmProxy, rpc, startEvmProxy } from '../support/evm-proxy.ts';
import { signUnsigned } from '../support/rlp.ts';
import { capUnits, devChain, fundedPayer, makeAdapter, mine, recipient, signPayment } from './setup.ts';

let pool: Pool;
let proxy: EvmProxy;
let nodeUrl: string;
let chains: Chains;
let payers = 300;

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test-follower' });
  nodeUrl = (await startAnvil({ noMining: true })).url;
  proxy = await startEvmProxy({ nodeUrl });
  chains = createChains({
    configs: [
      { name: 'ethereum', chain: devChain, url: proxy.url, startHeight: 'final', finality: { kind: 'tag' } },
    ],
  });
  await chains.check();
});
afterAll(async () => {
  chains.close();
  await proxy.close();
  await pool.end();
});
beforeEach(async () => {
  proxy.setLag(0);
  await inTransaction(pool, async (tx) => {
    await liftHalt(tx, { scope: haltScopeOf(devChain), reason: 'test', people: ['ana', 'ben'] });
    await tx.query('DELETE FROM chains.cursor');
    await tx.query('DELETE FROM chains.block');
  });
  await mine(nodeUrl, 4);
});

const next = async (): Promise<FollowStep> => await chains.nextStep(devChain, pool);

/** Follows until nothing is new; returns the steps and the heights that became final. */
async function follow(): Promise<{ steps: FollowStep[]; final: number[] }> {
  const steps: FollowStep[] = [];
  const final: number[] = [];
  for (let i = 0; i < 100; i++) {
    const step = await next();
    const { newlyFinal } = await inTransaction(pool, async (tx) => await recordStep(tx, devChain, step));
    final.push(...newlyFinal.map(({ height }) => height));
    steps.push(step);
    if (step.kind === 'idle') return { steps, final };
  }
  throw new Error('the follower does not come to rest');
}
const blocksOf = (steps: readonly FollowStep[]): Block[] =>
  steps.flatMap((step) => (step.kind === 'extend' ? [step.block] : []));
const transfersOf = (steps: readonly FollowStep[]): ChainTransfer[] =>
  blocksOf(steps).flatMap(({ transactions }) => transactions.flatMap(({ transfers }) => transfers));

describe('following', () => {
  it('starts at the final block, records every block once, and marks what is final', async () => {
    const adapter = chains.adapter(devChain);
    const finalized = await adapter.finalizedHeight();
    const head = await adapter.head();
    expect(head.height - finalized).toBe(2);
    const { steps, final } = await follow();
    expect(blocksOf(steps).map(({ height }) => height)).toEqual([finalized, head.height - 1, head.height]);
    expect(final).toEqual([finalized]);
    expect(await cursorOf(pool, devChain)).toEqual({ head, finalizedHeight: finalized });
    await mine(nodeUrl);
    expect((await follow()).final).toEqual([finalized + 1]);
  });

  it('sees a transfer with its amount, sender and recipient', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const payer = await fundedPayer(adapter, nodeUrl, payers++);
    const fee = await adapter.quoteFee({ capUnits });
    const paying = signPayment(adapter, payer, { nonce: 0, fee, units: 12_345n });
    const toItself = signPayment(adapter, payer, { nonce: 1, fee, to: payer.address });
    await adapter.broadcast(paying);
    await adapter.broadcast(toItself);
    await mine(nodeUrl);
    const { steps } = await follow();
    expect(transfersOf(steps)).toEqual([
      {
        chain: devChain,
        txId: paying.txId,
        index: 0,
        asset: adapter.nativeAsset,
        from: payer.address,
        to: recipient,
        units: 12_345n,
      },
    ]);
    const transactions = blocksOf(steps).flatMap((block) => block.transactions);
    expect(transactions.map(({ nonce, succeeded }) => [nonce, succeeded])).toEqual([
      [0, true],
      [1, true],
    ]);
    adapter.close();
  });

  it('reads receipts one by one from a node that cannot give a block’s at once', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const payer = await fundedPayer(adapter, nodeUrl, payers++);
    const fee = await adapter.quoteFee({ capUnits });
    await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee, units: 77n }));
    await mine(nodeUrl);
    proxy.refuseNext('eth_getBlockReceipts', 'the method does not exist', 1, -32_601);
    expect(transfersOf((await follow()).steps).map(({ units }) => units)).toEqual([77n]);
    adapter.close();
  });

  it('refuses a block whose receipts are missing or belong to another block', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const payer = await fundedPayer(adapter, nodeUrl, payers++);
    const fee = await adapter.quoteFee({ capUnits });
    await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee }));
    await mine(nodeUrl);
    const { hash } = await adapter.head();
    const receipts = (await rpc(nodeUrl, 'eth_getBlockReceipts', [hash])) as Record<string, unknown>[];
    const answers: unknown[] = [
      null,
      [],
      receipts.map((receipt) => ({ ...receipt, blockHash: `0x${'1'.repeat(64)}` })),
      receipts.map((receipt) => ({ ...receipt, transactionHash: `0x${'2'.repeat(64)}` })),
    ];
    for (const answer of answers) {
      const stop = proxy.lie(
        'eth_getBlockReceipts',
        () => true,
        () => answer,
      );
      await expect(next()).rejects.toMatchObject({ code: 'CHAINS_NODE_INCONSISTENT', retryable: true });
      stop();
    }
    expect((await next()).kind).toBe('extend');
    adapter.close();
  });

  it('waits for a node that lags, and does not take it for a reorg', async () => {
    await follow();
    const before = await cursorOf(pool, devChain);
    proxy.setLag(2);
    const step = await next();
    expect(step).toMatchObject({ kind: 'idle', head: { height: (before?.head.height ?? 0) - 2 } });
    await inTransaction(pool, async (tx) => await recordStep(tx, devChain, step));
    expect(await cursorOf(pool, devChain)).toEqual(before);
  });

  it('does not follow a node on another chain', async () => {
    const other = createChains({
      configs: [
        { name: 'ethereum', chain: 'eip155:1', url: proxy.url, startHeight: 0, finality: { kind: 'tag' } },
      ],
    });
    const [adapter] = other.list;
    if (adapter === undefined) throw new Error('no adapter');
    await expect(other.check()).rejects.toMatchObject({ code: 'CHAINS_NODE_WRONG_CHAIN' });
    await expect(other.nextStep(adapter.chain, pool)).rejects.toMatchObject({
      code: 'CHAINS_NODE_WRONG_CHAIN',
    });
    other.close();
  });
});

describe('a reorg', () => {
  it('goes back to the common ancestor, orphans what is above, and reads the new branch', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const payer = await fundedPayer(adapter, nodeUrl, payers++);
    const fee = await adapter.quoteFee({ capUnits });
    await adapter.broadcast(signPayment(adapter, payer, { nonce: 0, fee, units: 5n }));
    await mine(nodeUrl);
    expect(transfersOf((await follow()).steps)).toHaveLength(1);
    const orphan = await adapter.head();
    const ancestor = await adapter.blockRefAt(orphan.height - 1);
    await rpc(nodeUrl, 'anvil_reorg', [1, []]);

    const { steps } = await follow();
    expect(steps[0]).toEqual({ kind: 'rollback', ancestor, orphaned: [orphan], belowFinal: false });
    expect(transfersOf(steps)).toEqual([]);
    expect((await cursorOf(pool, devChain))?.head).toEqual(await adapter.head());
    const { rows } = await pool.query<{ canonical: boolean }>(
      'SELECT canonical FROM chains.block WHERE height = $1 ORDER BY canonical',
      [orphan.height],
    );
    expect(rows).toEqual([{ canonical: false }, { canonical: true }]);
    expect(await haltOf(pool, haltScopeOf(devChain))).toBeUndefined();
    adapter.close();
  });

  it('puts our own payment back to broadcast in the same transaction, and it is mined again by the same bytes', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const payer = await fundedPayer(adapter, nodeUrl, payers++);
    const fee = await adapter.quoteFee({ capUnits });
    const intentId = 'int_of-a-reorged-payment';
    const id = 'att_01900000-0000-7000-8000-000000000001';
    const set = await inTransaction(pool, async (tx) => {
      return await reserveConflictSet(tx, {
        chain: devChain,
        sender: payer.address,
        intentId,
        chainNonce: 0,
      });
    });
    const unsigned = adapter.buildTransfer({ conflictSet: set, to: recipient, units: 9n, fee });
    const signed = adapter.attach(unsigned, signUnsigned(payer.key, unsigned.unsigned));
    await inTransaction(pool, async (tx) => {
      await saveBuilt(tx, { id, intentId, unsigned });
      await saveSigned(tx, id, signed);
    });
    const answer = await adapter.broadcast(signed);
    await inTransaction(pool, async (tx) => {
      await markBroadcast(tx, id, answer);
    });
    await mine(nodeUrl);
    await follow();
    const record = async (): Promise<void> => {
      const outcome = await adapter.track(set, [signed.txId]);
      if (outcome.state !== 'mined') throw new Error(outcome.state);
      await inTransaction(pool, async (tx) => {
        await recordMined(tx, intentId, outcome);
      });
    };
    await record();
    await rpc(nodeUrl, 'anvil_reorg', [1, []]);
    const step = await next();
    const recorded = await inTransaction(pool, async (tx) => await recordStep(tx, devChain, step));
    expect(recorded.unminedIntents).toEqual([intentId]);
    expect((await outgoingOf(pool, intentId))?.state).toBe('broadcast');
    expect(await adapter.track(set, [signed.txId])).toEqual({ state: 'lost' });
    const stored = (await attemptsOf(pool, intentId))[0]?.signed;
    if (stored === undefined) throw new Error('the bytes were not stored');
    expect((await adapter.broadcast(stored)).outcome).toBe('accepted');
    await mine(nodeUrl);
    await record();
    expect((await outgoingOf(pool, intentId))?.mined?.txId).toBe(signed.txId);
    expect(await adapter.minedNonce(payer.address)).toBe(1);
    adapter.close();
  });

  it('of blocks that were final halts the chain', async () => {
    await follow();
    await mine(nodeUrl, 3);
    const { final } = await follow();
    expect(final).toHaveLength(3);
    const before = await cursorOf(pool, devChain);
    await rpc(nodeUrl, 'anvil_reorg', [4, []]);
    const step = await next();
    expect(step).toMatchObject({ kind: 'rollback', belowFinal: true });
    if (step.kind !== 'rollback') throw new Error(step.kind);
    expect(step.orphaned).toHaveLength(4);
    expect(step.ancestor.height).toBeLessThan(before?.finalizedHeight ?? 0);
    await inTransaction(pool, async (tx) => await recordStep(tx, devChain, step));
    await expect(next()).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    expect((await haltOf(pool, haltScopeOf(devChain)))?.reason).toMatch(/left the chain/);
    const evidence = await pool.query('SELECT 1 FROM chains.block WHERE final AND NOT canonical');
    expect(evidence.rowCount).toBe(2);
  });

  it('that leaves no recorded block on the node’s chain halts', async () => {
    await follow();
    const head = await chains.adapter(devChain).head();
    const stop = proxy.lie(
      'eth_getBlockByNumber',
      () => true,
      ([at]) => ({
        number: typeof at === 'string' && at.startsWith('0x') ? at : `0x${head.height.toString(16)}`,
        hash: `0x${'3'.repeat(64)}`,
        parentHash: `0x${'4'.repeat(64)}`,
        timestamp: '0x1',
      }),
    );
    await expect(next()).rejects.toMatchObject({ code: 'CHAINS_HALTED' });
    stop();
    expect((await next()).kind).toBe('idle');
  });

  it('step is recorded once; beside an older cursor it is refused', async () => {
    await follow();
    await mine(nodeUrl, 2);
    const first = await next();
    await inTransaction(pool, async (tx) => await recordStep(tx, devChain, first));
    const again = await inTransaction(pool, async (tx) => await recordStep(tx, devChain, first));
    expect(again.newlyFinal).toEqual([]);
    const second = await next();
    await inTransaction(pool, async (tx) => await recordStep(tx, devChain, second));
    await expect(
      inTransaction(pool, async (tx) => await recordStep(tx, devChain, first)),
    ).rejects.toMatchObject({
      code: 'CHAINS_CURSOR_MOVED',
      retryable: true,
    });
  });

  it('that is undone brings the old block back', async () => {
    await follow();
    const adapter = makeAdapter(nodeUrl);
    const old = await adapter.block((await adapter.head()).hash);
    if (old === undefined) throw new Error('no head');
    await rpc(nodeUrl, 'anvil_reorg', [1, []]);
    const { steps } = await follow();
    const [away] = steps;
    const [replacing] = blocksOf(steps);
    if (away?.kind !== 'rollback' || replacing === undefined) throw new Error('no rollback');
    const back: FollowStep[] = [
      { ...away, orphaned: [replacing] },
      { kind: 'extend', block: old, finalizedHeight: 0 },
    ];
    for (const step of back) await inTransaction(pool, async (tx) => await recordStep(tx, devChain, step));
    expect((await cursorOf(pool, devChain))?.head.hash).toBe(old.hash);
    // The node is still on the other branch, so the next step leaves the old block again.
    expect(await next()).toMatchObject({ kind: 'rollback', orphaned: [{ hash: old.hash }] });
    adapter.close();
  });
});
