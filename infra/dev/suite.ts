/**
 * The suite's own processes on one machine: for each its entry point, its configuration and the page that says it is
 * ready. A process started alone in production takes the same file.
 */
import path from 'node:path';
import { z } from 'zod';
import type { JsonValue } from '#core/canonical-json';
import { exitForPerson } from '../../matching/process/exit-codes.ts';
import { cacheRoot } from './state.ts';
import { booksOnlyUsd, hotVault, type ServiceId, type SuiteFiles, serviceKeyIdOf } from './suite-files.ts';

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
  /** Of the link to the engine; its health page has the port after it. */
  readonly enginePort: number;
}

/** What a process is told: where the others are, and which keys and documents it has. */
export interface SuiteSettings {
  readonly addresses: SuiteAddresses;
  readonly files: SuiteFiles;
}

export interface SuiteProcess {
  readonly name: string;
  /** Entry point, relative to the repository. `--config FILE` is added. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly config: { readonly [key: string]: JsonValue };
  /** On top of the few variables every process gets; for the failpoints of tests and demo. */
  readonly env?: Readonly<Record<string, string>>;
  /** Answers 200 when the process serves. */
  readonly healthUrl: string;
  /** Whether its page, also with 503, is of a process that does what it can without what is away. Default: with 200 only. */
  readonly isUp?: (page: unknown) => boolean;
  /** It ended with this because a person must decide before it is started again. */
  readonly finalExitCode?: number;
}

const host = '127.0.0.1';

const apiUpSchema = z.object({ parts: z.record(z.string(), z.string()) });
const engineUpSchema = z.object({ parts: z.object({ journal: z.object({ ok: z.literal(true) }) }) });

/** Where the demo and the tests arm failpoints of a process. */
export const failpointFolder = (dataFolder: string, name: string): string =>
  path.join(dataFolder, 'failpoints', name);

const failpointEnvironment = (addresses: SuiteAddresses, name: string) => ({
  STRONGROOM_FAILPOINT_DIR: failpointFolder(addresses.dataFolder, name),
});

export function signerUrl(addresses: SuiteAddresses, party: number): string {
  return `http://${host}:${addresses.signerPort + party - 1}`;
}

export function apiUrl(addresses: SuiteAddresses): string {
  return `http://${host}:${addresses.apiPort}`;
}

/** Where the api reaches the engine. */
export function engineLink(addresses: SuiteAddresses): { readonly host: string; readonly port: number } {
  return { host, port: addresses.enginePort };
}

export function engineHealthUrl(addresses: SuiteAddresses): string {
  return `http://${host}:${addresses.enginePort + 1}/health`;
}

function chainId(addresses: SuiteAddresses): string {
  return `eip155:${addresses.anvilChainId}`;
}

function wallets({ addresses, files }: SuiteSettings): JsonValue {
  return [{ id: files.walletId, vault: hotVault, tier: 'hot', chain: chainId(addresses) }];
}

/** @param party from 1 */
export function signerProcess(settings: SuiteSettings, party: number): SuiteProcess {
  const { addresses, files } = settings;
  const name = `signer-${party}`;
  return {
    name,
    entry: 'custody/signer/main.ts',
    args: ['--dev'],
    config: {
      party,
      committeeFile: files.committeeFile,
      dataDir: path.join(addresses.dataFolder, name),
      listen: { host, port: addresses.signerPort + party - 1 },
      keyEncryption: { file: files.keyEncryptionFileOf(party) },
      dev: true,
      acceptUnauditedEcdsaEngine: true,
      policyFile: files.policyFile,
      rosterFile: files.rosterFile,
      pins: files.pins,
      wallets: wallets(settings),
      ledgerPublicKey: files.ledgerPublicKey,
    },
    env: failpointEnvironment(addresses, name),
    healthUrl: `${signerUrl(addresses, party)}/health`,
  };
}

function serviceKey(files: SuiteFiles, service: ServiceId): JsonValue {
  return { serviceId: service, keyId: serviceKeyIdOf(service), file: files.serviceKeyFileOf(service) };
}

/** What worker and api both need to know. */
function shared(settings: SuiteSettings): Record<string, JsonValue> {
  const { addresses, files } = settings;
  return {
    databaseUrl: addresses.postgresUrl,
    committeeFile: files.committeeFile,
    policyFile: files.policyFile,
    rosterFile: files.rosterFile,
    chains: [{ name: 'ethereum', chain: chainId(addresses), url: addresses.anvilUrl }],
    wallets: wallets(settings),
    ledgerAssets: [{ asset: booksOnlyUsd.asset, decimals: booksOnlyUsd.decimals }],
    dev: true,
  };
}

/** Short looks at everything: on one machine nobody pays for them, and a demo is watched. */
const intervals = {
  chainPollMs: 200,
  withdrawalPollMs: 1000,
  batcherPollMs: 500,
  sweeperPollMs: 500,
  paymentPollMs: 250,
  stuckAfterMs: 30_000,
  outboxPollMs: 100,
  ledgerPollMs: 1000,
  reconcileEveryMs: 2000,
  verifyEveryMs: 30_000,
  exportHeadEveryMs: 2000,
  verifyHeadsEveryMs: 5000,
} as const;

export function workerProcess(settings: SuiteSettings): SuiteProcess {
  const { addresses, files } = settings;
  return {
    name: 'worker',
    entry: 'workflows/worker.ts',
    args: [],
    config: {
      ...shared(settings),
      temporalAddress: addresses.temporalAddress,
      temporalNamespace: addresses.temporalNamespace,
      sweepKey: serviceKey(files, 'sweeper'),
      ledgerKeyFile: files.ledgerKeyFile,
      host,
      healthPort: addresses.workerHealthPort,
      intervals,
      bundleCacheFolder: path.join(cacheRoot(), 'workflow-bundle'),
    },
    env: failpointEnvironment(addresses, 'worker'),
    healthUrl: `http://${host}:${addresses.workerHealthPort}/health`,
  };
}

/** Name under which the engine is settled; of its journal. */
const engineName = 'main';

export function engineProcess({ addresses, files }: SuiteSettings): SuiteProcess {
  return {
    name: 'engine',
    entry: 'matching/process/main.ts',
    args: [],
    config: {
      databaseUrl: addresses.postgresUrl,
      mode: 'primary',
      journalFolder: path.join(addresses.dataFolder, 'engine'),
      engineName,
      engineConfigFile: files.engineConfigFile,
      link: { ...engineLink(addresses), tokenFile: files.engineLinkTokenFile },
      host,
      healthPort: addresses.enginePort + 1,
      settlement: { reconcileEveryMs: 2000 },
    },
    healthUrl: engineHealthUrl(addresses),
    // Without PostgreSQL, or with a settlement that has stopped, cancels go on.
    isUp: (page) => engineUpSchema.safeParse(page).success,
    // Fenced by a standby that somebody has started beside us, it would fence that one in turn.
    finalExitCode: exitForPerson,
  };
}

export function apiProcess(settings: SuiteSettings): SuiteProcess {
  const { addresses, files } = settings;
  return {
    name: 'api',
    entry: 'api/main.ts',
    args: [],
    config: {
      ...shared(settings),
      listen: { host, port: addresses.apiPort },
      tokensFile: files.tokensFile,
      withdrawalKey: serviceKey(files, 'withdrawals-api'),
      engine: {
        url: `ws://${host}:${addresses.enginePort}`,
        tokenFile: files.engineLinkTokenFile,
        configFile: files.engineConfigFile,
        name: engineName,
      },
    },
    healthUrl: `${apiUrl(addresses)}/health`,
    // Without an engine it has all but trading, and without its database it says so.
    isUp: (page) => apiUpSchema.safeParse(page).success,
  };
}
