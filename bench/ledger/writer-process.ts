/** One of several processes that write at once. Arguments: database URL, accounts, callers, ms. Starts when told to. */
import { once } from 'node:events';
import { openPool } from '#infra/db';
import { pathsOf } from './database.ts';
import { groupCommit } from './subjects.ts';

/** Resolves when it is sent: disconnecting earlier would drop it. */
const tell = async (message: unknown): Promise<void> => {
  await new Promise((resolve) => process.send?.(message, resolve));
};

const [, , url = '', accounts = '', callers = '', forMs = ''] = process.argv;
const pool = openPool({ connectionString: url, applicationName: 'bench-writer' });
try {
  const paths = pathsOf(Number.parseInt(accounts, 10));
  // Connected and with the accounts' ids known, as a process that has run for a while.
  await groupCommit(pool, paths, 'random', Number.parseInt(callers, 10), 200);
  await tell('ready');
  await once(process, 'message');
  await tell(
    await groupCommit(pool, paths, 'random', Number.parseInt(callers, 10), Number.parseInt(forMs, 10)),
  );
} finally {
  await pool.end();
  process.disconnect();
}
