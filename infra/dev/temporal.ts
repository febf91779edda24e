/** The Temporal server on PostgreSQL: its databases, its start, its namespace. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { isListening, isPortFree } from './ports.ts';
import type { RunningProcess, Supervisor } from './processes.ts';
import { checkoutRoot } from './state.ts';
import type { TemporalBinaries } from './temporal-build.ts';

const fail = errorsOf(infraErrors);
const run = promisify(execFile);
/** pgx: the other driver costs twice the database's processor time. */
const sqlPlugin = 'postgres12_pgx';
const role = 'strongroom_temporal';
const databases = [
  { name: 'strongroom_temporal', schema: 'postgresql/v12/temporal' },
  { name: 'strongroom_temporal_visibility', schema: 'postgresql/v12/visibility' },
] as const;
/** Can never change for a database; one machine needs no more. */
const historyShards = 16;
const retentionSeconds = 7 * 24 * 3600;
const readyTimeoutMs = 60_000;
const connectTimeoutMs = 2000;
export const strongroomNamespace = 'strongroom';
/** Four services with a gRPC and a membership port each, and HTTP. */
export const temporalPorts = 9;

export interface TemporalDatabase {
  /** A role that may create roles and databases. */
  readonly adminUrl: string;
  /** Of Temporal's own role. */
  readonly password: string;
}

async function createDatabases(database: TemporalDatabase): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl });
  await client.connect();
  try {
    const roles = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
    if (roles.rowCount === 0)
      await client.query(`CREATE ROLE ${role} LOGIN PASSWORD ${client.escapeLiteral(database.password)}`);
    for (const { name } of databases) {
      const existing = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
      if (existing.rowCount === 0) await client.query(`CREATE DATABASE ${name} OWNER ${role}`);
    }
  } finally {
    await client.end();
  }
}

/** Makes role, databases and schemas, or brings them up to date. @throws INFRA_TEMPORAL_SCHEMA_FAILED */
export async function prepareTemporalDatabases(
  binaries: TemporalBinaries,
  database: TemporalDatabase,
): Promise<void> {
  const { hostname, port } = new URL(database.adminUrl);
  const env = {
    PATH: process.env['PATH'] ?? '',
    SQL_PLUGIN: sqlPlugin,
    SQL_HOST: hostname,
    SQL_PORT: port === '' ? '5432' : port,
    SQL_USER: role,
    SQL_PASSWORD: database.password,
  };
  try {
    await createDatabases(database);
    for (const { name, schema } of databases) {
      // Version 0.0 makes the version tables only and leaves a newer version as it is.
      await run(binaries.sqlTool, ['--db', name, 'setup-schema', '-v', '0.0'], { env });
      await run(binaries.sqlTool, ['--db', name, 'update-schema', '--schema-name', schema], { env });
    }
  } catch (error) {
    throw fail('INFRA_TEMPORAL_SCHEMA_FAILED', `databases for Temporal: ${messageOf(error)}`, {}, error);
  }
}

/** The server's template reads some hundred generic names (DB_PORT, LOG_LEVEL ...), so nothing is inherited. */
function serverEnvironment(options: TemporalOptions): Record<string, string> {
  const { hostname, port } = new URL(options.database.adminUrl);
  const portAt = (offset: number): string => String(options.port + offset);
  const [history, visibility] = databases;
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: '/nonexistent',
    TZ: 'UTC',
    DB: sqlPlugin,
    POSTGRES_SEEDS: hostname,
    DB_PORT: port === '' ? '5432' : port,
    POSTGRES_USER: role,
    POSTGRES_PWD: options.database.password,
    DBNAME: history.name,
    VISIBILITY_DBNAME: visibility.name,
    SQL_MAX_CONNS: '20',
    SQL_MAX_IDLE_CONNS: '20',
    SQL_VIS_MAX_CONNS: '10',
    SQL_VIS_MAX_IDLE_CONNS: '10',
    NUM_HISTORY_SHARDS: String(historyShards),
    BIND_ON_IP: '127.0.0.1',
    TEMPORAL_BROADCAST_ADDRESS: '127.0.0.1',
    TEMPORAL_ALLOW_NO_AUTH: 'true',
    DYNAMIC_CONFIG_FILE_PATH: path.join(checkoutRoot, 'tools/temporal/dynamicconfig.yaml'),
    LOG_LEVEL: 'warn',
    FRONTEND_GRPC_PORT: portAt(0),
    HISTORY_GRPC_PORT: portAt(1),
    MATCHING_GRPC_PORT: portAt(2),
    WORKER_GRPC_PORT: portAt(3),
    FRONTEND_MEMBERSHIP_PORT: portAt(4),
    HISTORY_MEMBERSHIP_PORT: portAt(5),
    MATCHING_MEMBERSHIP_PORT: portAt(6),
    WORKER_MEMBERSHIP_PORT: portAt(7),
    FRONTEND_HTTP_PORT: portAt(8),
  };
}

/** SERVING, and the history service answers too: the port alone opens before the server can work. */
export async function isServing(address: string): Promise<boolean> {
  // Asked first because it costs nothing, every 25 ms.
  if (!(await isListening(Number.parseInt(new URL(`grpc://${address}`).port, 10)))) return false;
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
  try {
    const health = await connection.healthService.check({
      service: 'temporal.api.workflowservice.v1.WorkflowService',
    });
    if (health.status !== 1) return false; // 1 = SERVING, grpc.health.v1
    await connection.workflowService.describeNamespace({ namespace: 'temporal-system' });
    return true;
  } finally {
    await connection.close();
  }
}

function isAlreadyThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 6; // gRPC ALREADY_EXISTS
}

/** Registers the namespace if it is not there and returns when it can be used. */
export async function ensureNamespace(address: string, namespace: string): Promise<void> {
  const { Connection } = await import('@temporalio/client');
  const connection = await Connection.connect({ address, connectTimeout: connectTimeoutMs });
  try {
    await connection.workflowService
      .registerNamespace({
        namespace,
        // Typed as a 64-bit object; the encoder takes a number below 2^53 as well.
        workflowExecutionRetentionPeriod: { seconds: retentionSeconds as unknown as Long },
      })
      .catch((error: unknown) => {
        if (!isAlreadyThere(error)) throw error;
      });
    await connection.workflowService.describeNamespace({ namespace });
  } finally {
    await connection.close();
  }
}

export interface TemporalOptions {
  /** First of {@link temporalPorts} adjacent ports. */
  readonly port: number;
  readonly database: TemporalDatabase;
  readonly logFile: string;
}
export interface RunningTemporal {
  readonly process: RunningProcess;
  readonly address: string;
}

/** @throws INFRA_PORT_TAKEN, INFRA_PROCESS_NOT_READY */
export async function startTemporal(
  supervisor: Supervisor,
  binaries: TemporalBinaries,
  options: TemporalOptions,
): Promise<RunningTemporal> {
  for (let port = options.port; port < options.port + temporalPorts; port++)
    if (!(await isPortFree(port)))
      throw fail('INFRA_PORT_TAKEN', `port ${port}, meant for temporal, is taken`, { port });
  const address = `127.0.0.1:${options.port}`;
  const process = await supervisor.start({
    name: 'temporal',
    command: binaries.server,
    args: ['--allow-no-auth', 'start'],
    env: serverEnvironment(options),
    logFile: options.logFile,
    stopSignal: 'SIGTERM',
    ready: async () => await isServing(address),
    readyTimeoutMs,
  });
  await ensureNamespace(address, strongroomNamespace);
  return { process, address };
}
