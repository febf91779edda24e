import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { startCluster } from '../../infra/dev/cluster.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor } from '../../infra/dev/processes.ts';
import { throwawayState } from '../support/environment.ts';

test('PostgreSQL that was killed starts again although a session of it has not noticed yet', {
  timeout: 60_000,
}, async () => {
  const supervisor = createSupervisor();
  try {
    const cluster = await startCluster(supervisor, throwawayState(), {
      port: await findFreePorts(),
      durable: false,
    });
    const session = new pg.Client({ connectionString: cluster.urlOf() });
    session.on('error', () => undefined);
    await session.connect();
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const pid = rows[0]?.pid ?? 0;
    // Stopped, it cannot see that its server is gone, and keeps the shared memory.
    process.kill(pid, 'SIGSTOP');
    await cluster.postgres.process.kill('SIGKILL');
    const restarted = supervisor.restart('postgres');
    await delay(500);
    process.kill(pid, 'SIGKILL');
    expect((await restarted).wasReady).toBe(true);
    const again = new pg.Client({ connectionString: cluster.urlOf() });
    await again.connect();
    expect((await again.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    await again.end();
  } finally {
    await supervisor.stopAll();
  }
});
