/**
 * The worker process: Temporal worker, chain watchers, coordinator, outbox relay.
 *
 *   worker --config FILE [--dev]
 *
 * `--dev` accepts development wallets and rosters and lets failpoints be armed in STRONGROOM_FAILPOINT_DIR.
 */
import { parseArgs } from 'node:util';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { messageOf } from '#core/errors';
import { loadConfig } from '#infra/config';
import { armFailpoints } from '#infra/failpoint';
import { createLogger } from '#infra/log';
import { startWorker } from './start-worker.ts';
import { workerConfigSchema } from './worker-config.ts';

const log = createLogger('worker');

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' }, dev: { type: 'boolean' } } });
  const read = loadConfig(workerConfigSchema, {
    ...(values.config === undefined ? {} : { file: values.config }),
    env: process.env,
  });
  const config = workerConfigSchema.parse({ ...read, dev: read.dev || values.dev === true });
  if (config.dev) armFailpoints(process.env);
  // Signals are ours: the relay and the pool must end after the workers.
  Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => {
        log.info({ signal }, 'worker.stopping');
        stopping.abort();
        resolve();
      });
  });
  const worker = await startWorker(config, log, stopping.signal);
  await Promise.race([stopped, worker.failed]);
  await worker.stop();
  await Runtime.instance().shutdown();
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    log.fatal({ err: error }, 'worker.failed');
    process.stderr.write(`worker stopped: ${messageOf(error)}\n`);
    process.exit(1);
  },
);
