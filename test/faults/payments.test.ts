/** Payments while processes die, the node misbehaves and blocks are taken back: each is paid exactly once. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ether, waitForWithdrawal } from '../../infra/dev/demo/context.ts';
import type { FailpointName } from '../../infra/failpoint.ts';
import { startEvmProxy, type TransportFault } from '../support/evm-proxy.ts';
import { type DecodedTransaction, decodeTransaction } from '../support/rlp.ts';
import {
  ask,
  expectInvariants,
  expectPaidOnce,
  fund,
  type Paid,
  storedAttempts,
  suiteForThisFile,
  untilFinal,
  untilFinalThroughOutage,
  untilTrue,
  withdrawalEvents,
} from './suite.ts';

/** Long enough for a payment that nothing keeps up, short enough for one that is stuck. */
const stuckAfterMs = 2_000;
const nodeTimeoutMs = 1_500;
const scenarioTimeoutMs = 60_000;

// The node's address is known only while the environment boots; until then nothing calls the proxy.
const behindProxy = { nodeUrl: '' };
const proxy = await startEvmProxy(behindProxy);
const suite = await suiteForThisFile({
  adjust: (process) => {
    if (process.name !== 'worker') return process;
    const [chain] = process.config['chains'] as [{ url: string }];
    behindProxy.nodeUrl = chain.url;
    const intervals = { ...(process.config['intervals'] as object), stuckAfterMs };
    const chains = [{ ...chain, url: proxy.url, timeoutMs: nodeTimeoutMs }];
    return { ...process, config: { ...process.config, chains, intervals } };
  },
});
const { environment, node } = suite.context;

beforeAll(async () => {
  await fund(suite);
}, 120_000);
afterEach(async () => {
  await expectInvariants(suite);
}, scenarioTimeoutMs);
afterAll(async () => {
  await suite.pool.end();
  await proxy.close();
});

describe('the worker is killed', () => {
  const failpoints: readonly FailpointName[] = [
    'before-sign',
    'after-sign',
    'after-store',
    'after-broadcast',
    'after-mark',
    'after-track',
    'before-settle-commit',
  ];
  test.each(failpoints)(
    '%s: after the restart it is paid once',
    async (failpoint) => {
      const trap = environment.armFailpoint('worker', failpoint);
      const paid = await ask(suite, ether / 5n);
      await untilTrue(`the worker to die ${failpoint}`, async () => {
        if (failpoint === 'before-settle-commit') await node.mine(1);
        return trap.fired();
      });
      await environment.restart('worker');
      const final = await untilFinal(suite, paid);
      expect((await expectPaidOnce(suite, paid)).hash).toBe(final.txId);
    },
    scenarioTimeoutMs,
  );
});

const gwei = 10n ** 9n;
/** Fee cap of a withdrawal in the worker's default configuration. */
const feeCapUnits = 10n ** 16n;

async function mineAt(baseFeePerGas: bigint): Promise<void> {
  await node.call('anvil_setNextBlockBaseFeePerGas', [`0x${baseFeePerGas.toString(16)}`]);
  await node.mine(1);
}

async function signedAttempts(paid: Paid): Promise<readonly DecodedTransaction[]> {
  const attempts = await storedAttempts(suite, paid.id);
  return attempts.flatMap(({ raw }) => (raw === null ? [] : [decodeTransaction(raw)]));
}

/** Each replaces the one before by a real node's rules, none costs more than the cap. */
function expectReplacements(attempts: readonly DecodedTransaction[]): void {
  for (const [at, attempt] of attempts.entries()) {
    expect(attempt.maxFeePerGas * attempt.gasLimit).toBeLessThanOrEqual(feeCapUnits);
    const before = attempts[at - 1];
    if (before === undefined) continue;
    expect(attempt.maxFeePerGas * 10n).toBeGreaterThanOrEqual(before.maxFeePerGas * 11n);
    expect(attempt.maxPriorityFeePerGas * 10n).toBeGreaterThanOrEqual(before.maxPriorityFeePerGas * 11n);
  }
}

async function rawOfFirst(paid: Paid): Promise<string> {
  const [first] = await storedAttempts(suite, paid.id);
  return `0x${first?.raw ?? ''}`;
}

describe('a transaction is stuck', () => {
  test(
    'while dearer blocks are mined it is replaced within the cap; the old one, let go later, pays nothing',
    async () => {
      await mineAt(1n);
      proxy.holdBelow(gwei);
      const paid = await ask(suite, ether / 5n);
      await untilTrue('the first attempt to be held back', () => proxy.held().length === 1);
      await untilTrue('a replacement that is mined', async () => {
        await mineAt(gwei);
        await delay(200);
        return (await withdrawalEvents(suite, paid.id)).includes('mined');
      });
      proxy.holdBelow(undefined);
      const final = await untilFinal(suite, paid);
      const attempts = await signedAttempts(paid);
      expect(attempts.length).toBeGreaterThanOrEqual(2);
      expectReplacements(attempts);
      expect(attempts.slice(1).map(({ txId }) => txId)).toContain(final.txId);
      await expect(node.call('eth_sendRawTransaction', [await rawOfFirst(paid)])).rejects.toThrow(/nonce/i);
      await node.mine(1);
      await expectPaidOnce(suite, paid);
    },
    scenarioTimeoutMs,
  );

  test(
    'nothing is signed above the cap; the old one, let go before its replacement, is the one that pays',
    async () => {
      await mineAt(1n);
      proxy.holdBelow(10_000n * gwei);
      const paid = await ask(suite, ether / 5n);
      await untilTrue('the first attempt to be held back', () => proxy.held().length === 1);
      // 21000 gas at 600 gwei are more than the cap.
      const end = performance.now() + 3 * stuckAfterMs;
      while (performance.now() < end) {
        await mineAt(600n * gwei);
        await delay(250);
      }
      expect(await signedAttempts(paid)).toHaveLength(1);
      await mineAt(1n);
      await untilTrue('a replacement', async () => (await signedAttempts(paid)).length === 2);
      const [first, second] = await signedAttempts(paid);
      await untilTrue('the replacement to be held', () => proxy.held().includes(second?.txId ?? ''));
      await node.call('eth_sendRawTransaction', [await rawOfFirst(paid)]);
      await node.mine(1);
      proxy.holdBelow(undefined);
      const final = await untilFinal(suite, paid);
      proxy.evict();
      expectReplacements(await signedAttempts(paid));
      expect(final.txId).toBe(first?.txId);
      await expectPaidOnce(suite, paid);
    },
    scenarioTimeoutMs,
  );
});

/** Few of each: every failure doubles the time to the next try, and what is tested is the payment and not the patience. */
const faultPlan: readonly (readonly [string, ...TransportFault[]])[] = [
  ['eth_feeHistory', 'throttled', 'hang'],
  ['eth_getTransactionCount', 'garbage', 'throttled'],
  ['eth_sendRawTransaction', 'unreachable', 'throttled', 'hang', 'lost'],
  ['eth_getTransactionByHash', 'hang', 'broken'],
  ['eth_getBlockByNumber', 'broken', 'throttled'],
  ['eth_getBlockByHash', 'hang'],
];

describe('the node misbehaves', () => {
  test(
    'the answer to the broadcast is lost after the node took it',
    async () => {
      const sentBefore = proxy.calls.filter(({ method }) => method === 'eth_sendRawTransaction').length;
      proxy.failNext('eth_sendRawTransaction', 'lost');
      const paid = await ask(suite, ether / 5n);
      await untilTrue(
        'the broadcast',
        () => proxy.calls.filter(({ method }) => method === 'eth_sendRawTransaction').length > sentBefore,
      );
      const final = await untilFinal(suite, paid);
      expect(await signedAttempts(paid)).toHaveLength(1);
      expect((await expectPaidOnce(suite, paid)).hash).toBe(final.txId);
    },
    scenarioTimeoutMs,
  );

  test(
    'calls hang, are throttled, cut off or refused, on every way to a payment',
    async () => {
      for (const [method, ...faults] of faultPlan) for (const fault of faults) proxy.failNext(method, fault);
      const paid = await ask(suite, ether / 5n);
      await untilFinal(suite, paid);
      await expectPaidOnce(suite, paid);
    },
    scenarioTimeoutMs,
  );
});

describe('blocks are taken back', () => {
  test(
    'a payment lost before finality goes back to BROADCAST, is sent again and paid once',
    async () => {
      const paid = await ask(suite, ether / 5n);
      await waitForWithdrawal(suite.context, paid.id, 'BROADCAST');
      await node.mine(1);
      const mined = await waitForWithdrawal(suite.context, paid.id, 'CONFIRMED');
      await node.call('anvil_reorg', [1, []]);
      expect(await node.receipt(mined.txId ?? '')).toBeUndefined();
      await waitForWithdrawal(suite.context, paid.id, 'BROADCAST');
      await untilFinal(suite, paid);
      const events = await withdrawalEvents(suite, paid.id);
      expect(events.filter((event) => event === 'reorganised')).toHaveLength(1);
      expect(events.filter((event) => event === 'mined')).toHaveLength(2);
      await expectPaidOnce(suite, paid);
    },
    scenarioTimeoutMs,
  );
});

describe('a server is killed in the middle of a withdrawal', () => {
  test.each(['temporal', 'postgres'])(
    '%s: after its restart the withdrawal completes, paid once',
    async (server) => {
      const paid = await ask(suite, ether / 5n);
      await untilTrue('the withdrawal to be under way', async () =>
        (await withdrawalEvents(suite, paid.id)).includes('claimed'),
      );
      await environment.kill(server, 'SIGKILL');
      await environment.restart(server);
      await untilFinalThroughOutage(suite, paid);
      await expectPaidOnce(suite, paid);
    },
    2 * scenarioTimeoutMs,
  );
});
