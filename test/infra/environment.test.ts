import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, inject, test, vi } from 'vitest';
import { bootEnvironment, type RunningEnvironment } from '../../infra/dev/environment.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { installPostgres, startPostgres } from '../../infra/dev/postgres.ts';
import { createSupervisor } from '../../infra/dev/processes.ts';
import { tryLock } from '../../infra/dev/state.ts';
import { throwawayState } from '../support/environment.ts';
import { askForServer } from '../support/servers.ts';

const state = throwawayState('environment-test');
const scratch = path.join(inject('runFolder'), 'scratch');
let environment: RunningEnvironment | undefined;
const boot = async (fresh = false): Promise<RunningEnvironment> => {
  environment = await bootEnvironment({ parts: 'servers', state, silent: true, fresh });
  return environment;
};
afterEach(async () => {
  vi.unstubAllEnvs();
  await environment?.stop();
  environment = undefined;
});

async function query(url: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}
async function height(url: string, mine = 0): Promise<string> {
  const call = async (method: string, params: unknown[]): Promise<string> => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    return ((await response.json()) as { result: string }).result;
  };
  if (mine > 0) await call('anvil_mine', [mine]);
  return await call('eth_blockNumber', []);
}

describe('the servers of an environment', () => {
  // A first template on a busy machine takes longer than the usual limit of a test.
  const timeoutMs = 120_000;

  test(
    'come up with one call, and their state and addresses survive a restart; --fresh empties it',
    async () => {
      const first = await boot();
      const role = await query(
        first.postgresUrl,
        'SELECT rolsuper FROM pg_roles WHERE rolname = current_user',
      );
      expect(role).toEqual([{ rolsuper: false }]);
      await query(first.postgresUrl, 'CREATE TABLE kept (n int)');
      expect(await height(first.anvilUrl, 3)).toBe('0x3');
      await expect(bootEnvironment({ parts: 'servers', state, silent: true })).rejects.toMatchObject({
        code: 'INFRA_STATE_IN_USE',
      });
      await first.kill('anvil', 'SIGKILL');
      await first.restart('anvil');
      expect(await height(first.anvilUrl, 4)).toMatch(/^0x[0-9]$/);
      const heightBefore = await height(first.anvilUrl);
      await first.stop();

      // The rest is about data; the run's own Temporal spares two starts.
      vi.stubEnv('TEMPORAL_ADDRESS', (await askForServer('temporal'))['address']);
      const second = await boot();
      expect(second.addresses).toEqual({ ...first.addresses, temporalAddress: second.temporalAddress });
      expect(await query(second.postgresUrl, 'SELECT * FROM kept')).toEqual([]);
      expect(await height(second.anvilUrl)).toBe(heightBefore);
      await second.stop();

      const third = await boot(true);
      await expect(query(third.postgresUrl, 'SELECT * FROM kept')).rejects.toThrow(/does not exist/);
      expect(await height(third.anvilUrl)).toBe('0x0');
    },
    timeoutMs,
  );
});

test('postgres says that its port is taken, and starts nothing', async () => {
  const thief = createServer().listen(await findFreePorts(), '127.0.0.1');
  await once(thief, 'listening');
  const address = thief.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const supervisor = createSupervisor();
  const started = startPostgres(supervisor, await installPostgres(state), {
    dataFolder: '/nowhere',
    port,
    logFile: path.join(scratch, 'never.log'),
    password: '',
    durable: false,
  });
  await expect(started).rejects.toMatchObject({ code: 'INFRA_PORT_TAKEN', details: { port } });
  expect(supervisor.find('postgres')).toBeUndefined();
  thief.close();
});

test('a lock is held by one, and passes on from a process that is gone', async () => {
  mkdirSync(scratch, { recursive: true });
  const file = path.join(scratch, 'test-lock');
  const first = tryLock(file);
  expect(tryLock(file)).toEqual({ heldBy: process.pid });
  if ('release' in first) first.release();
  writeFileSync(file, '4194305 1'); // above the kernel's highest process id
  expect(tryLock(file)).toHaveProperty('release');
});
