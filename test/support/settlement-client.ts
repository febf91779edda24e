/**
 * Engine and settler as one process that may be killed at any time: it reads the engine's journal from its beginning and
 * settles what is not settled. Arguments: database URL, file of commands, trades in a portion at most.
 */
import { readFileSync } from 'node:fs';
import { openPool } from '#infra/db';
import { createLedger } from '#ledger';
import { commandBytes, commandSlots } from '../../matching/commands.ts';
import { createEngine } from '../../matching/engine/index.ts';
import { openEngine, startSettler } from '../../matching/settlement/index.ts';
import { config } from '../matching/settlement/fixture.ts';

/** As if the commands came in over time: portions grow with what waits. */
const commandsPerTurn = 100;

const [, , url = '', file = '', tradesMax = ''] = process.argv;
const bytes = readFileSync(file);
const commands = commandSlots(new Uint8Array(bytes).buffer);
const pool = openPool({ connectionString: url, applicationName: 'settlement-client' });
const settledEngine = await openEngine(pool, 'main', config);
const settler = await startSettler({
  pool,
  ledger: createLedger({ pool }),
  engine: settledEngine,
  tradesMax: Number.parseInt(tradesMax, 10),
  onRefused: ({ error }) => {
    process.stdout.write(`refused: ${error.message}\n`);
    process.exitCode = 1;
    return Promise.resolve();
  },
  onOutage: (error) => {
    process.stdout.write(`outage: ${String(error)}\n`);
  },
});
process.stdout.write(`started ${process.pid}\n`);
const engine = createEngine(config);
for (let at = 0; at < bytes.length / commandBytes; at++) {
  engine.submit(commands, at);
  engine.drainEvents((events, count) => {
    settler.offer(events, 0, count);
  });
  if (at % commandsPerTurn === 0) await new Promise(setImmediate);
}
await settler.drain(engine.seq);
await pool.end();
process.stdout.write('settled\n');
