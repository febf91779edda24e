/** Where the Temporal server of an environment comes from: an address, our own build, or the SDK's download. */
import path from 'node:path';
import { errorsOf, messageOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { ensureTemporalDatabases } from './cluster.ts';
import { nodeProcess } from './node-process.ts';
import type { Supervisor } from './processes.ts';
import type { StateFolder } from './state.ts';
import {
  ensureNamespace,
  isServing,
  startTemporal,
  strongroomNamespace,
  type TemporalDatabase,
} from './temporal.ts';
import { buildTemporal, goVersionNeeded, type Progress, type TemporalBinaries } from './temporal-build.ts';

const fail = errorsOf(infraErrors);
/** The download is some 50 MB. */
const downloadTimeoutMs = 5 * 60_000;

export type TemporalSource =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'built'; readonly binaries: TemporalBinaries }
  | { readonly kind: 'download' };

/** Settles where the server comes from, building it if need be. @throws INFRA_TEMPORAL_BUILD_FAILED */
export async function resolveTemporal(progress?: Progress): Promise<TemporalSource> {
  const address = process.env['TEMPORAL_ADDRESS'];
  if (address !== undefined && address !== '') return { kind: 'address', address };
  const binaries = await buildTemporal(progress);
  return binaries === undefined ? { kind: 'download' } : { kind: 'built', binaries };
}

export interface TemporalPlace {
  readonly supervisor: Supervisor;
  readonly state: StateFolder;
  readonly port: number;
  readonly database: TemporalDatabase;
}

async function startDownloaded(place: TemporalPlace): Promise<string> {
  const address = `127.0.0.1:${place.port}`;
  const databaseFile = path.join(place.state.data, 'temporal.sqlite');
  try {
    await place.supervisor.start(
      nodeProcess({
        name: 'temporal',
        entry: 'infra/dev/temporal-download.ts',
        args: [String(place.port), strongroomNamespace, databaseFile],
        logFile: path.join(place.state.logs, 'temporal.log'),
        ready: async () => await isServing(address),
        readyTimeoutMs: downloadTimeoutMs,
      }),
    );
  } catch (error) {
    const needed = goVersionNeeded();
    throw fail(
      'INFRA_TEMPORAL_MISSING',
      `no Temporal server: there is no Go to build it with, and the SDK's download failed. Install Go ${needed} or newer, so that "go version" works, or set TEMPORAL_ADDRESS to a running server`,
      { goVersion: needed },
      error,
    );
  }
  return address;
}

async function useGiven(address: string): Promise<void> {
  try {
    await ensureNamespace(address, strongroomNamespace);
  } catch (error) {
    throw fail(
      'INFRA_TEMPORAL_UNREACHABLE',
      `TEMPORAL_ADDRESS=${address} cannot be used: ${messageOf(error)}`,
      { address },
      error,
    );
  }
}

/**
 * A serving Temporal with the namespace `strongroom`; returns its address.
 * @throws INFRA_TEMPORAL_MISSING, INFRA_TEMPORAL_UNREACHABLE, INFRA_TEMPORAL_SCHEMA_FAILED, INFRA_PROCESS_NOT_READY
 */
export async function startTemporalFrom(source: TemporalSource, place: TemporalPlace): Promise<string> {
  switch (source.kind) {
    case 'address':
      await useGiven(source.address);
      return source.address;
    case 'built': {
      await ensureTemporalDatabases(place.state, source.binaries, place.database);
      const logFile = path.join(place.state.logs, 'temporal.log');
      const { port, database } = place;
      const server = await startTemporal(place.supervisor, source.binaries, { port, database, logFile });
      return server.address;
    }
    case 'download':
      return await startDownloaded(place);
  }
}
