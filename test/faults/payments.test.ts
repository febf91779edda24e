/** Payments while processes die, the node misbehaves and blocks are taken back: each is paid exactly once. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ether } from '../../infra/dev/demo/context.ts';
import type { FailpointName } from '../../infra/failpoint.ts';
import { startEvmProxy } from '../support/evm-proxy.ts';
import {
  ask,
  expectInvariants,
  expectPaidOnce,
  fund,
  suiteForThisFile,
  untilFinal,
  untilTrue,
} from './suite.ts';

/** Long enough for a payment that nothing keeps up, short enough for one that is stuck. */
const stuckAfterMs = 4_000;
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
const { environment } = suite.context;

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
        if (failpoint === 'before-settle-commit') await suite.context.node.mine(1);
        return trap.fired();
      });
      await environment.restart('worker');
      const final = await untilFinal(suite, paid);
      expect((await expectPaidOnce(suite, paid)).hash).toBe(final.txId);
    },
    scenarioTimeoutMs,
  );
});
