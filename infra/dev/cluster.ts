/**
 * The local PostgreSQL cluster with what the suite needs in it: the role and database `strongroom`, and, once its binaries
 * are there, Temporal's databases. A new state starts as a copy of a template folder, which takes a tenth of making it.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { findFreePorts } from './ports.ts';
import {
  initialiseCluster,
  installPostgres,
  type PostgresBinaries,
  postgresUrl,
  publishFolder,
  type RunningPostgres,
  startPostgres,
} from './postgres.ts';
import { createSupervisor, type Supervisor } from './processes.ts';
import { localPassword, type StateFolder } from './state.ts';
import { prepareTemporalDatabases, type TemporalDatabase } from './temporal.ts';
import type { TemporalBinaries } from './temporal-build.ts';

const run = promisify(execFile);
/** Goes up when what a template holds changes. */
const templateVersion = 1;
/** The role and the database of the suite. Not a superuser, so that what is revoked from it stays revoked. */
export const suiteRole = 'strongroom';
const suiteDatabase = 'strongroom';

export interface RunningCluster {
  readonly postgres: RunningPostgres;
  /** As the suite's role. */
  readonly urlOf: (database?: string) => string;
  readonly temporalDatabase: TemporalDatabase;
}

async function createSuiteDatabase(adminUrl: string, password: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query(`CREATE ROLE ${suiteRole} LOGIN PASSWORD ${client.escapeLiteral(password)}`);
    await client.query(`CREATE DATABASE ${suiteDatabase} OWNER ${suiteRole}`);
  } finally {
    await client.end();
  }
}

function temporalDatabaseOf(postgres: RunningPostgres, state: StateFolder): TemporalDatabase {
  return { adminUrl: postgres.adminUrl(), password: localPassword(state, 'temporal') };
}

async function fillTemplate(
  folder: string,
  state: StateFolder,
  binaries: PostgresBinaries,
  temporal: TemporalBinaries | undefined,
): Promise<void> {
  const password = localPassword(state, 'postgres');
  const supervisor = createSupervisor();
  await initialiseCluster(binaries, folder, password);
  try {
    const postgres = await startPostgres(supervisor, binaries, {
      dataFolder: folder,
      port: await findFreePorts(),
      logFile: path.join(state.logs, 'postgres-template.log'),
      password,
      durable: false,
    });
    await createSuiteDatabase(postgres.adminUrl(), localPassword(state, 'strongroom'));
    if (temporal !== undefined) await prepareTemporalDatabases(temporal, temporalDatabaseOf(postgres, state));
  } finally {
    await supervisor.stopAll();
  }
}

function temporalMarker(state: StateFolder): string {
  return path.join(state.data, 'temporal-databases');
}

async function copyTemplate(
  dataFolder: string,
  state: StateFolder,
  binaries: PostgresBinaries,
  temporal: TemporalBinaries | undefined,
): Promise<void> {
  const name = `template-${templateVersion}-${binaries.version}-${temporal?.key ?? 'plain'}`;
  const template = path.join(state.cache, name);
  await publishFolder(template, async (folder) => {
    await fillTemplate(folder, state, binaries, temporal);
  });
  rmSync(temporalMarker(state), { force: true });
  await publishFolder(dataFolder, async (folder) => {
    await run('cp', ['-a', template, folder]);
  });
  if (temporal !== undefined) writeFileSync(temporalMarker(state), temporal.key);
}

export interface ClusterOptions {
  readonly port: number;
  /** False for tests: no fsync. */
  readonly durable: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** If there already; a new cluster then has Temporal's databases from the start. */
  readonly temporal?: TemporalBinaries | undefined;
}

/** @throws INFRA_POSTGRES_UNUSABLE, INFRA_PORT_TAKEN, INFRA_PROCESS_NOT_READY */
export async function startCluster(
  supervisor: Supervisor,
  state: StateFolder,
  options: ClusterOptions,
): Promise<RunningCluster> {
  const binaries = await installPostgres(state);
  const dataFolder = path.join(state.data, 'postgres');
  if (!existsSync(dataFolder)) await copyTemplate(dataFolder, state, binaries, options.temporal);
  const postgres = await startPostgres(supervisor, binaries, {
    dataFolder,
    port: options.port,
    logFile: path.join(state.logs, 'postgres.log'),
    password: localPassword(state, 'postgres'),
    durable: options.durable,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  });
  const password = localPassword(state, 'strongroom');
  return {
    postgres,
    urlOf: (database = suiteDatabase) => postgresUrl(suiteRole, password, options.port, database),
    temporalDatabase: temporalDatabaseOf(postgres, state),
  };
}

/** Temporal's databases at the version of these binaries. @throws INFRA_TEMPORAL_SCHEMA_FAILED */
export async function ensureTemporalDatabases(
  state: StateFolder,
  binaries: TemporalBinaries,
  database: TemporalDatabase,
): Promise<void> {
  const marker = temporalMarker(state);
  if (existsSync(marker) && readFileSync(marker, 'utf8') === binaries.key) return;
  await prepareTemporalDatabases(binaries, database);
  writeFileSync(marker, binaries.key);
}
