/**
 * The suite's own processes on one machine: for each its entry point, its configuration and the page that says it is
 * ready. A process started alone in production takes the same file.
 */
import path from 'node:path';
import type { JsonValue } from '#core/canonical-json';

/** Addresses and folders the configurations are made from. */
export interface SuiteAddresses {
  /** Everything durable that the processes write lies below; one folder each. */
  readonly dataFolder: string;
  readonly postgresUrl: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly anvilUrl: string;
  readonly anvilChainId: number;
  /** First of the adjacent ports of the signers. */
  readonly signerPort: number;
  readonly signerCount: number;
  readonly workerHealthPort: number;
  readonly apiPort: number;
}

export interface SuiteProcess {
  readonly name: string;
  /** Entry point, relative to the repository. `--config FILE` is added. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly config: { readonly [key: string]: JsonValue };
  /** On top of the few variables every process gets; for the tests' failpoints. */
  readonly env?: Readonly<Record<string, string>>;
  /** Answers 200 when the process serves. */
  readonly healthUrl: string;
}

const host = '127.0.0.1';

export function signerUrl(addresses: SuiteAddresses, index: number): string {
  return `http://${host}:${addresses.signerPort + index - 1}`;
}

export function apiUrl(addresses: SuiteAddresses): string {
  return `http://${host}:${addresses.apiPort}`;
}

/** @param index party number, from 1 */
export function signerProcess(addresses: SuiteAddresses, index: number): SuiteProcess {
  const name = `signer-${index}`;
  return {
    name,
    entry: 'custody/signer/main.ts',
    args: ['--dev'],
    config: {
      name,
      party: index,
      host,
      port: addresses.signerPort + index - 1,
      dataFolder: path.join(addresses.dataFolder, name),
    },
    healthUrl: `${signerUrl(addresses, index)}/health`,
  };
}

function signerList(addresses: SuiteAddresses): JsonValue {
  return Array.from({ length: addresses.signerCount }, (_, at) => ({
    party: at + 1,
    url: signerUrl(addresses, at + 1),
  }));
}

export function workerProcess(addresses: SuiteAddresses): SuiteProcess {
  return {
    name: 'worker',
    entry: 'workflows/worker.ts',
    args: [],
    config: {
      host,
      healthPort: addresses.workerHealthPort,
      databaseUrl: addresses.postgresUrl,
      temporalAddress: addresses.temporalAddress,
      temporalNamespace: addresses.temporalNamespace,
      ethereumUrl: addresses.anvilUrl,
      ethereumChainId: addresses.anvilChainId,
      signers: signerList(addresses),
    },
    healthUrl: `http://${host}:${addresses.workerHealthPort}/health`,
  };
}

export function apiProcess(addresses: SuiteAddresses): SuiteProcess {
  return {
    name: 'api',
    entry: 'api/main.ts',
    args: [],
    config: {
      host,
      port: addresses.apiPort,
      databaseUrl: addresses.postgresUrl,
      temporalAddress: addresses.temporalAddress,
      temporalNamespace: addresses.temporalNamespace,
      ethereumUrl: addresses.anvilUrl,
      ethereumChainId: addresses.anvilChainId,
      signers: signerList(addresses),
    },
    healthUrl: `${apiUrl(addresses)}/health`,
  };
}
