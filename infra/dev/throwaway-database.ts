/** A database for one run of a tool or a bench, dropped afterwards. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { startCluster } from './cluster.ts';
import { findFreePorts } from './ports.ts';
import { createSupervisor } from './processes.ts';
import { openState } from './state.ts';

export interface Database {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** The journal is append-only, so what is tried out has no place in a real one. */
async function createDatabase(serverUrl: string, url: URL): Promise<Database> {
  const name = `strongroom_throwaway_${process.pid}`;
  const run = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: serverUrl });
    await client.connect();
    try {
      await client.query(statement);
    } finally {
      await client.end();
    }
  };
  await run(`CREATE DATABASE ${name} OWNER ${url.username}`);
  url.pathname = `/${name}`;
  return { url: url.href, close: async () => await run(`DROP DATABASE ${name} WITH (FORCE)`) };
}

/** DATABASE_URL's server, else one of our own for this run. @param settings of a server of our own */
export async function openThrowawayDatabase(
  settings: Readonly<Record<string, string>> = {},
): Promise<Database> {
  const outside = process.env['DATABASE_URL'];
  if (outside !== undefined && outside !== '') return await createDatabase(outside, new URL(outside));
  const supervisor = createSupervisor();
  const state = openState(`tests-${process.pid}`);
  const stop = async (): Promise<void> => {
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  };
  try {
    const cluster = await startCluster(supervisor, state, {
      port: await findFreePorts(),
      durable: true,
      settings,
    });
    const database = await createDatabase(cluster.postgres.adminUrl(), new URL(cluster.urlOf()));
    return { url: database.url, close: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
