/**
 * The engine process: sequencer, journal, matching engine, settlement, deposits to spot, and the link the api connects to.
 *
 *   engine --config FILE
 *
 * Ends when it may or can go on no longer: with exit code 1 what may be started again (journal not writable, engine failed), with 2
 * what a person decides about first (fenced by another primary, a mistake).
 */
import { parseArgs } from 'node:util';
import { isStrongroomError, messageOf } from '#core/errors';
import { loadConfig } from '#infra/config';
import { createLogger } from '#infra/log';
import { engineProcessConfigSchema, readEngineConfig, readLinkToken } from './config.ts';
import { startEngineProcess } from './engine-process.ts';
import { exitCodeOf } from './exit-codes.ts';

const log = createLogger('engine');

let knownMode: 'primary' | 'standby' | undefined;

function end(error: unknown): never {
  const { code, whatToDo } = isStrongroomError(error) ? error : {};
  log.fatal({ err: error, code, whatToDo }, 'engine.failed');
  const advice = whatToDo === undefined ? '' : ` ${whatToDo}`;
  // The last line of the log: what a supervisor shows.
  process.stderr.write(
    `engine stopped: ${code === undefined ? '' : `${code}: `}${messageOf(error)}.${advice}\n`,
  );
  process.exit(exitCodeOf(error, knownMode));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { config: { type: 'string' } } });
  const config = engineProcessConfigSchema.parse(
    loadConfig(engineProcessConfigSchema, {
      ...(values.config === undefined ? {} : { file: values.config }),
      env: process.env,
    }),
  );
  const { databaseUrl, settlement, link, mode } = config;
  knownMode = mode;
  const stopped = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
  const started = startEngineProcess({
    mode,
    folder: config.journalFolder,
    config: readEngineConfig(config.engineConfigFile),
    engineName: config.engineName,
    token: readLinkToken(link.tokenFile),
    link: { host: link.host, port: link.port },
    health: { host: config.host, port: config.healthPort },
    limits: config.limits,
    books: { databaseUrl, settlement },
    clock: { nowMs: () => Date.now() },
    log,
    onFailed: end,
  });
  const engine = await started;
  log.info({ mode }, 'engine.started');
  log.info({ signal: await stopped }, 'engine.stopping');
  await engine.stop();
}

main().then(() => process.exit(0), end);
