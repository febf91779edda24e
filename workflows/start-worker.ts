/** The worker as a library, so that a test can run it in its own process: activities, workflows, relay, health page. */

import { createServer, type Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { invariant, messageOf } from '#core/errors';
import { chainId } from '#core/money';
import { createCustody, createHeadWitnesses } from '#custody';
import type { CommitteeFile, Custody } from '#custody/contract';
import type { Logger } from '#infra/log';
import { migrate } from '#infra/migrations';
import { exportHead, openHeadKey, verifyAllHeads, verifyHeads } from '#ledger';
import {
  createChainActivities,
  createDecisionActivities,
  createLedgerActivities,
  createSigningActivities,
} from './activities/index.ts';
import { workflowBundle } from './bundle.ts';
import { taskQueues } from './contract.ts';
import { type OpenedDeps, openDeps, readCommittee, readServiceKey } from './deps.ts';
import { openHouseAccounts } from './operations/accounts.ts';
import type { OperationsDeps } from './operations/context.ts';
import { startRelay, startStandingWorkflows } from './relay.ts';
import type { WorkerConfig } from './worker-config.ts';

/** Slots of the signing queue: one signature keeps about half a core of three co-signers busy. */
const signingSlots = 4;
/** A worker that stops waits this long for activities under way; one takes at most a signing session. */
const shutdownGraceMs = 10_000;
/** The SDK holds heartbeats back by default; a dead worker shall be noticed within the heartbeat timeout of seconds. */
const heartbeatThrottleMs = 1_000;
/** A killed worker costs a workflow at most this before another picks it up. */
const stickyTimeoutMs = 2_000;
/** Between two tries to reach co-signers or node at the start. */
const startRetryMs = 1000;

export interface RunningWorker {
  readonly deps: OperationsDeps;
  /** Stops taking work, ends what is under way, closes everything. */
  stop(): Promise<void>;
  /** Rejects when a part of the worker fails for good. */
  readonly failed: Promise<never>;
}

/** Undefined for a worker without the ledger's key. @throws LEDGER_HEAD_KEY_INVALID */
function headKeeping(
  config: WorkerConfig,
  committee: CommitteeFile,
  { pool, clock, random }: OperationsDeps,
): { ports: Required<Pick<OperationsDeps, 'exportHead' | 'verifyHeads'>>; close(): void } | undefined {
  if (config.ledgerKeyFile === undefined) return undefined;
  const key = openHeadKey(config.ledgerKeyFile);
  const witnesses = createHeadWitnesses({ committee, random });
  return {
    ports: {
      exportHead: () => exportHead({ pool, key, witnesses, clock }),
      verifyHeads: (which) =>
        (which === 'all' ? verifyAllHeads : verifyHeads)(pool, { publicKey: key.publicKey, witnesses }),
    },
    close: () => {
      witnesses.close();
    },
  };
}

function openWithCustody(config: WorkerConfig, log: Logger): OpenedDeps & { custody: Custody } {
  const committee = readCommittee(config.committeeFile);
  let custody: Custody | undefined;
  const opened = openDeps(config, {
    applicationName: 'worker',
    sweepSigner: readServiceKey(config.sweepKey),
    custody: ({ pool, chains, clock, random }) => {
      custody = createCustody({
        pool,
        committee,
        dev: config.dev,
        addressOfPublicKey: (chain) => (publicKey) =>
          chains.adapter(chainId(chain)).addressOfPublicKey(publicKey),
        signing: { log, clock, random },
      });
      return custody;
    },
  });
  invariant(custody !== undefined, 'custody was not made');
  const heads = headKeeping(config, committee, opened.deps);
  return {
    ...opened,
    deps: { ...opened.deps, ...heads?.ports },
    custody,
    close: async () => {
      heads?.close();
      await opened.close();
    },
  };
}

/** Repeats until it works or the worker is told to stop: at a start of everything the others may come up later. */
async function untilDone(
  name: string,
  log: Logger,
  stopping: AbortSignal,
  work: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      stopping.throwIfAborted();
      log.warn({ err: error, step: name, reason: messageOf(error) }, 'worker.waiting');
    }
    await delay(startRetryMs, undefined, { signal: stopping });
  }
}

/** One Temporal worker per queue; none runs yet. */
export async function createWorkers(
  deps: OperationsDeps,
  options: {
    readonly connection: NativeConnection;
    readonly namespace: string;
    /** Where bundled definitions are kept between starts; without it they are bundled each time. */
    readonly bundleCacheFolder?: string | undefined;
    /** 0 makes every task replay its history; for tests. */
    readonly maxCachedWorkflows?: number;
  },
): Promise<readonly Worker[]> {
  const { connection, namespace, maxCachedWorkflows, bundleCacheFolder } = options;
  const shared = {
    connection,
    namespace,
    shutdownGraceTime: shutdownGraceMs,
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
  } as const;
  const workflows = await Worker.create({
    ...shared,
    ...(maxCachedWorkflows === undefined ? {} : { maxCachedWorkflows }),
    taskQueue: taskQueues.workflows,
    workflowBundle: await workflowBundle(bundleCacheFolder),
    stickyQueueScheduleToStartTimeout: stickyTimeoutMs,
    activities: { ...createDecisionActivities(deps), ...createLedgerActivities(deps) },
  });
  const signing = await Worker.create({
    ...shared,
    taskQueue: taskQueues.signing,
    activities: { ...createSigningActivities(deps) },
    maxConcurrentActivityTaskExecutions: signingSlots,
  });
  const chains: Worker[] = [];
  for (const { chain } of deps.chainSettings)
    chains.push(
      await Worker.create({
        ...shared,
        taskQueue: taskQueues.chain(chain),
        activities: { ...createChainActivities(deps) },
      }),
    );
  return [workflows, signing, ...chains];
}

/** 200 once everything runs, 503 before. */
async function serveHealth(config: WorkerConfig, isReady: () => boolean): Promise<Server> {
  const server = createServer((_request, response) => {
    const ok = isReady();
    response.writeHead(ok ? 200 : 503, { 'content-type': 'application/json' }).end(JSON.stringify({ ok }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(config.healthPort, config.host, resolve);
  });
  return server;
}

/** Comes up step by step; {@link RunningWorker.stop} also ends a start under way. */
export async function startWorker(
  config: WorkerConfig,
  log: Logger,
  stopping: AbortSignal = new AbortController().signal,
): Promise<RunningWorker> {
  let isReady = false;
  const health = await serveHealth(config, () => isReady);
  const opened = openWithCustody(config, log);
  const { deps, pool, custody } = opened;
  const closing: (() => Promise<unknown>)[] = [
    () => opened.close(),
    () => new Promise((resolve) => health.close(resolve)),
  ];
  const closeAll = async (): Promise<void> => {
    health.closeAllConnections();
    for (const close of closing.splice(0).reverse()) await close();
  };
  try {
    const applied = await migrate(pool);
    if (applied.length > 0) log.info({ applied }, 'migrations.applied');
    await untilDone('chains', log, stopping, () => deps.chains.check());
    for (const wallet of deps.wallets)
      await untilDone('wallet', log, stopping, () => custody.ensureWallet(wallet));
    await openHouseAccounts(deps);
    const native = await NativeConnection.connect({ address: config.temporalAddress });
    closing.push(() => native.close());
    const connection = await Connection.connect({ address: config.temporalAddress });
    closing.push(() => connection.close());
    const client = new Client({ connection, namespace: config.temporalNamespace });
    const workers = await createWorkers(deps, {
      connection: native,
      namespace: config.temporalNamespace,
      bundleCacheFolder: config.bundleCacheFolder,
    });
    const runs = workers.map((worker) => worker.run());
    const targets = { client, intervals: config.intervals, wallets: deps.wallets };
    closing.push(async () => {
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.allSettled(runs);
    });
    await untilDone('workflows', log, stopping, () => startStandingWorkflows(targets));
    const relay = startRelay(pool, targets, log);
    closing.push(() => relay.stop());
    isReady = true;
    log.info({ chains: config.chains.map((each) => each.chain) }, 'worker.ready');
    const failed = Promise.race(
      runs.map(async (run): Promise<never> => {
        await run;
        return await new Promise<never>(() => undefined);
      }),
    );
    failed.catch(() => undefined);
    return { deps, stop: closeAll, failed };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
