/**
 * `drill-process.ts FILE`: a primary or standby for the drill, in a process of its own. It is the engine's process without the
 * books: there is no PostgreSQL in a drill, and what is measured has none in it. Prints one line of JSON when it is there, and one
 * when it ends by itself.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { isStrongroomError, messageOf } from '#core/errors';
import { createLogger } from '#infra/log';
import { readEngineConfig } from './config.ts';
import { startEngineProcess } from './engine-process.ts';

const host = '127.0.0.1';

const drillProcessConfigSchema = z.strictObject({
  mode: z.enum(['primary', 'standby']),
  folder: z.string(),
  engineConfigFile: z.string(),
  token: z.string(),
  linkPort: z.number().int(),
});
export type DrillProcessConfig = z.output<typeof drillProcessConfigSchema>;
const drillEngineName = 'drill';

const say = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`);
};

const { mode, folder, engineConfigFile, token, linkPort } = drillProcessConfigSchema.parse(
  JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')),
);
const running = await startEngineProcess({
  mode,
  folder,
  config: readEngineConfig(engineConfigFile),
  engineName: drillEngineName,
  token,
  link: { host, port: linkPort },
  health: { host, port: 0 },
  // The drill replays everything from the first command on.
  limits: { snapshotEvery: 0 },
  books: undefined,
  clock: { nowMs: () => Date.now() },
  log: createLogger('engine', { level: 'silent' }),
  onFailed: (error) => {
    say({ ended: isStrongroomError(error) ? error.code : messageOf(error) });
    process.exit(1);
  },
});
say({ healthPort: running.healthPort });
const end = (): void => {
  void running.stop().then(() => process.exit(0));
};
process.once('SIGTERM', end);
// However the drill ends, nothing of it stays.
process.stdin.on('close', () => process.exit(1)).resume();
