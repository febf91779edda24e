/**
 * `ledger-client.ts <name> <connection string> <file>`: books batch after batch, each until it is acknowledged, and then
 * writes its lane and number as a line to the file. Goes on after what is in the file already. `started <pid>` says that
 * SIGTERM ends it when what is on its way is acknowledged.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '#core/errors';
import { openPool } from '#infra/db';
import { createLedger } from '#ledger';
import { lanesPerClient, loadBatch } from './ledger-load.ts';

/** While PostgreSQL is away. */
const retryAfterMs = 20;

const [, , client = '', connectionString = '', file = ''] = process.argv;
const pool = openPool({ connectionString, applicationName: `test-crash-${client}`, connectionsMax: 4 });
const ledger = createLedger({ pool });
let isEnding = false;
process.on('SIGTERM', () => {
  isEnding = true;
});
process.stdout.write(`started ${process.pid}\n`);

function nextSerials(): number[] {
  const serials = Array.from({ length: lanesPerClient }, () => 0);
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  // The last line is the empty one behind the line end, or one that a kill cut off: that batch is sent again.
  for (const line of lines.slice(0, -1)) {
    const [lane, serial] = line.split(' ').map((word) => Number.parseInt(word, 10));
    if (lane !== undefined && serial !== undefined) serials[lane] = serial + 1;
  }
  return serials;
}

async function bookUntilAcknowledged(lane: number, serial: number): Promise<void> {
  for (;;)
    try {
      const results = await ledger.apply(loadBatch({ client, lane, serial }));
      const refused = results.filter(({ status }) => status !== 'ok' && status !== 'exists');
      if (refused.length > 0) throw new RangeError(`refused: ${JSON.stringify(refused)}`);
      return;
    } catch (error) {
      if (error instanceof RangeError) throw error;
      process.stdout.write(`${lane} ${serial}: ${messageOf(error)}\n`);
      await delay(retryAfterMs);
    }
}

async function runLane(lane: number, first: number): Promise<void> {
  for (let serial = first; !isEnding; serial++) {
    await bookUntilAcknowledged(lane, serial);
    appendFileSync(file, `${lane} ${serial}\n`);
  }
}

await Promise.all(nextSerials().map((first, lane) => runLane(lane, first)));
await pool.end();
