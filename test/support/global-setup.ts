/**
 * Starts PostgreSQL and Temporal for a test run. A run of everything starts both at once and fails if one does not come
 * up; a run of some files starts what these ask for, when they ask (`servers.ts`). Nothing is ever skipped.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import path from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { messageOf } from '#core/errors';
import { openPool } from '#infra/db';
import {
  ensureTemporalDatabases,
  type RunningCluster,
  startCluster,
  suiteRole,
} from '../../infra/dev/cluster.ts';
import { findFreePorts } from '../../infra/dev/ports.ts';
import { createSupervisor, type Supervisor } from '../../infra/dev/processes.ts';
import { openState, removeDeadTestRuns, type StateFolder } from '../../infra/dev/state.ts';
import { startTemporal, temporalPorts } from '../../infra/dev/temporal.ts';
import { buildTemporal, findTemporal, goVersionNeeded } from '../../infra/dev/temporal-build.ts';
import { migrate } from '../../infra/migrations.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where `servers.ts` asks for a server. */
    readonly serversUrl: string;
    /** Logs and throwaway files of this run. */
    readonly runFolder: string;
  }
}

/** What every test database is copied from: our migrations applied, nothing else. */
const templateDatabase = 'template_strongroom';

interface TestServers {
  readonly cluster: () => Promise<{ adminUrl: string; suiteUrl: string }>;
  /** The name of the migrated database to copy. */
  readonly template: () => Promise<{ template: string }>;
  readonly temporal: () => Promise<{ address: string }>;
}

/** Runs `work` at the first call; every call gets that one outcome. */
function onceOnly<T>(work: () => Promise<T>): () => Promise<T> {
  let outcome: Promise<T> | undefined;
  return async () => {
    outcome ??= work();
    return await outcome;
  };
}

async function makeTemplate(cluster: RunningCluster): Promise<void> {
  const admin = new pg.Client({ connectionString: cluster.postgres.adminUrl() });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${templateDatabase} OWNER ${suiteRole}`);
    const pool = openPool({ connectionString: cluster.urlOf(templateDatabase), applicationName: 'migrate' });
    try {
      await migrate(pool);
    } finally {
      await pool.end();
    }
    await admin.query(`ALTER DATABASE ${templateDatabase} WITH is_template true allow_connections false`);
  } finally {
    await admin.end();
  }
}

function serversOf(supervisor: Supervisor, state: StateFolder): TestServers {
  const cluster = onceOnly(
    async () =>
      await startCluster(supervisor, state, {
        port: await findFreePorts(),
        durable: false,
        temporal: await findTemporal(),
      }),
  );
  const template = onceOnly(async () => {
    await makeTemplate(await cluster());
    return { template: templateDatabase };
  });
  const temporal = onceOnly(async () => {
    const { temporalDatabase } = await cluster();
    const binaries = await buildTemporal();
    if (binaries === undefined)
      throw new Error(
        `the tests need a Temporal server: install Go ${goVersionNeeded()} or newer, or set TEMPORAL_ADDRESS`,
      );
    await ensureTemporalDatabases(state, binaries, temporalDatabase);
    const port = await findFreePorts(temporalPorts);
    const logFile = path.join(state.logs, 'temporal.log');
    const server = await startTemporal(supervisor, binaries, { port, database: temporalDatabase, logFile });
    return { address: server.address };
  });
  return {
    cluster: async () => {
      const { postgres, urlOf } = await cluster();
      return { adminUrl: postgres.adminUrl(), suiteUrl: urlOf() };
    },
    template,
    temporal: async () => {
      const address = process.env['TEMPORAL_ADDRESS'];
      return address === undefined || address === '' ? await temporal() : { address };
    },
  };
}

async function listen(servers: TestServers): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    const name = request.url?.slice(1);
    const wanted: Promise<object> =
      name === 'cluster' || name === 'template' || name === 'temporal'
        ? servers[name]()
        : Promise.reject(new Error(`there is no server ${name ?? ''}`));
    wanted.then(
      (addresses) => response.writeHead(200).end(JSON.stringify(addresses)),
      (error: unknown) => response.writeHead(500).end(messageOf(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the servers page has no port');
  return { server, url: `http://127.0.0.1:${address.port}` };
}

/** Without file names on the command line. vitest keeps these in a property its types leave out. */
function isRunOfEverything(project: TestProject): boolean {
  const filter = (project.vitest as { readonly filenamePattern?: readonly string[] }).filenamePattern;
  return filter === undefined || filter.length === 0;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  removeDeadTestRuns();
  const state = openState(`tests-${process.pid}`);
  const supervisor = createSupervisor();
  const servers = serversOf(supervisor, state);
  const page = await listen(servers);
  const stop = async (): Promise<void> => {
    page.server.close();
    page.server.closeAllConnections();
    await supervisor.stopAll();
    rmSync(path.dirname(state.data), { recursive: true, force: true });
  };
  try {
    project.provide('serversUrl', page.url);
    project.provide('runFolder', state.data);
    if (isRunOfEverything(project)) await Promise.all([servers.template(), servers.temporal()]);
    return stop;
  } catch (error) {
    // Else what has started already would keep the run from ending.
    await stop();
    throw error;
  }
}
