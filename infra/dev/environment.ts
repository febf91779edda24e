/**
 * Boots the suite on one machine: servers, signers, worker, engine, api; shows what it does, names what fails, and stops all of it.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Listr, type ListrTask } from 'listr2';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { openPool } from '../db.ts';
import { armedFile, type FailpointName, firedFile } from '../failpoint.ts';
import { migrate } from '../migrations.ts';
import { anvilChainId, startAnvil } from './anvil.ts';
import { type RunningCluster, startCluster } from './cluster.ts';
import { ensureCommittee } from './committee.ts';
import { nodeProcess } from './node-process.ts';
import { planPorts } from './ports.ts';
import {
  answersAs,
  answersOk,
  createSupervisor,
  type ProcessExit,
  type StopSignal,
  type Supervisor,
} from './processes.ts';
import { type Keeper, keepRunning } from './restarts.ts';
import { emptyState, localPassword, lockState, makeFolder, openState, type StateFolder } from './state.ts';
import {
  apiProcess,
  apiUrl,
  engineHealthUrl,
  engineLink,
  engineProcess,
  failpointFolder,
  type SuiteAddresses,
  type SuiteProcess,
  type SuiteSettings,
  signerProcess,
  signerUrl,
  workerProcess,
} from './suite.ts';
import { ensureSuiteFiles, type SuiteFiles } from './suite-files.ts';
import { strongroomNamespace, temporalPorts } from './temporal.ts';
import { findTemporal, type Progress } from './temporal-build.ts';
import { resolveTemporal, startTemporalFrom, type TemporalSource } from './temporal-source.ts';

const fail = errorsOf(infraErrors);
const defaultSignerCount = 3;
const secretMode = 0o600;
/** tsx compiles on the first start, on a busy machine with cold disks. */
const suiteReadyTimeoutMs = 90_000;

export type PortName = 'postgres' | 'temporal' | 'anvil' | 'signer' | 'worker' | 'engine' | 'api';

export interface EnvironmentOptions {
  /** Co-signers: an odd number, n = 2t - 1. Default 3. */
  readonly signerCount?: number;
  /** `servers` stops after PostgreSQL, Temporal and anvil. Default `suite`. */
  readonly parts?: 'suite' | 'servers';
  /** Empties the state first; binaries and templates stay. */
  readonly fresh?: boolean;
  /** Default: the one of this checkout. Tests bring a throwaway one that shares binaries and templates. */
  readonly state?: StateFolder;
  readonly ports?: Partial<Record<PortName, number>>;
  /** No output; for tests. */
  readonly silent?: boolean;
  readonly anvil?: {
    readonly noMining?: boolean;
    readonly blockTimeSeconds?: number;
    readonly slotsInAnEpoch?: number;
  };
  /** Changes or adds to what a process is started with; for tests that put a proxy in between. */
  readonly adjust?: (process: SuiteProcess) => SuiteProcess;
  readonly onUnexpectedExit?: (name: string, exit: ProcessExit, logFile: string) => void;
  /** Given: a process of the suite that ends by itself is started again, and what becomes of it is told here. */
  readonly onRestart?: (text: string) => void;
  /** Told of the supervisor before anything starts, so that a signal can stop a boot half-way. */
  readonly onSupervisor?: (supervisor: Supervisor) => void;
}

export interface RunningEnvironment {
  readonly postgresUrl: string;
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly anvilUrl: string;
  readonly apiUrl: string;
  /** `host:port` of the link, and the health page. */
  readonly engine: { readonly link: string; readonly healthUrl: string };
  readonly signers: readonly { readonly index: number; readonly name: string; readonly url: string }[];
  readonly state: StateFolder;
  /** Addresses the configurations were made from. */
  readonly addresses: SuiteAddresses;
  /** Keys, documents and tokens of the suite; undefined if only the servers were booted. */
  readonly files: SuiteFiles | undefined;
  readonly logFileOf: (name: string) => string;
  /** Stops the process if it runs, and starts it again as before; returns when it is ready. */
  readonly restart: (name: string) => Promise<void>;
  /** Lets a process die at a named point, once; it need not be restarted for it. Nobody but `restart` starts it again then. */
  readonly armFailpoint: (name: string, failpoint: FailpointName) => { readonly fired: () => boolean };
  /** Returns when the process has ended. @throws INFRA_PROCESS_UNKNOWN */
  readonly kill: (name: string, signal: StopSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What the steps of a boot hand on to each other. */
interface Boot {
  readonly options: EnvironmentOptions;
  readonly state: StateFolder;
  readonly supervisor: Supervisor;
  readonly keeper: Keeper | undefined;
  readonly ports: Readonly<Record<PortName, number>>;
  cluster?: RunningCluster;
  files?: SuiteFiles;
  postgresUrl: string;
  temporalAddress: string;
  anvilUrl: string;
}

function fromEnvironment(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === '' ? undefined : value;
}

function signerCountOf(options: EnvironmentOptions): number {
  return options.signerCount ?? defaultSignerCount;
}

function addressesOf(boot: Boot): SuiteAddresses {
  return {
    dataFolder: boot.state.data,
    postgresUrl: boot.postgresUrl,
    temporalAddress: boot.temporalAddress,
    temporalNamespace: strongroomNamespace,
    anvilUrl: boot.anvilUrl,
    anvilChainId,
    signerPort: boot.ports.signer,
    signerCount: signerCountOf(boot.options),
    workerHealthPort: boot.ports.worker,
    apiPort: boot.ports.api,
    enginePort: boot.ports.engine,
  };
}

async function bootPostgres(boot: Boot): Promise<string> {
  const given = fromEnvironment('DATABASE_URL');
  if (given === undefined) {
    const temporal = await findTemporal();
    boot.cluster = await startCluster(boot.supervisor, boot.state, {
      port: boot.ports.postgres,
      durable: true,
      temporal,
    });
  }
  boot.postgresUrl = given ?? boot.cluster?.urlOf() ?? '';
  const pool = openPool({ connectionString: boot.postgresUrl, applicationName: 'migrate' });
  try {
    const applied = await migrate(pool);
    return `${given === undefined ? `127.0.0.1:${boot.ports.postgres}` : 'DATABASE_URL'}, ${applied.length} migrations applied`;
  } finally {
    await pool.end();
  }
}

async function bootAnvil(boot: Boot): Promise<string> {
  const folder = path.join(boot.state.data, 'anvil');
  const anvil = await startAnvil(boot.supervisor, {
    slotsInAnEpoch: 1,
    ...boot.options.anvil,
    port: boot.ports.anvil,
    folder,
    stateFile: path.join(folder, 'state.json'),
    logFile: path.join(boot.state.logs, 'anvil.log'),
  });
  boot.anvilUrl = anvil.url;
  return anvil.url;
}

async function bootTemporal(boot: Boot, source: TemporalSource): Promise<string> {
  boot.temporalAddress = await startTemporalFrom(source, {
    supervisor: boot.supervisor,
    state: boot.state,
    port: boot.ports.temporal,
    database: boot.cluster?.temporalDatabase ?? {
      adminUrl: boot.postgresUrl,
      password: localPassword(boot.state, 'temporal'),
    },
  });
  return `${boot.temporalAddress} (${source.kind})`;
}

function settingsOf(boot: Boot): SuiteSettings {
  if (boot.files === undefined) throw new TypeError('the suite has no files before its co-signers');
  return { addresses: addressesOf(boot), files: boot.files };
}

/** Writes the configuration of a process; returns it as it is after the caller's changes. */
function configure(
  boot: Boot,
  make: (settings: SuiteSettings) => SuiteProcess,
): SuiteProcess & { readonly configFile: string } {
  const made = make(settingsOf(boot));
  const adjusted = boot.options.adjust?.(made) ?? made;
  const folder = makeFolder(path.join(boot.state.data, 'config'));
  const configFile = path.join(folder, `${adjusted.name}.json`);
  writeFileSync(configFile, `${JSON.stringify(adjusted.config, null, 2)}\n`, { mode: secretMode });
  return { ...adjusted, configFile };
}

async function bootSuiteProcess(
  boot: Boot,
  make: (settings: SuiteSettings) => SuiteProcess,
): Promise<string> {
  const { name, entry, args, configFile, env = {}, healthUrl, isUp, finalExitCode } = configure(boot, make);
  const { wasReady } = await boot.supervisor.start(
    nodeProcess({
      name,
      entry,
      args: ['--config', configFile, ...args],
      env,
      logFile: path.join(boot.state.logs, `${name}.log`),
      ready: async () => await answersOk(healthUrl),
      ...(isUp === undefined ? {} : { up: async () => await answersAs(healthUrl, isUp) }),
      readyTimeoutMs: suiteReadyTimeoutMs,
    }),
  );
  boot.keeper?.keep(name, finalExitCode);
  return wasReady ? healthUrl : `${healthUrl} (says what is missing)`;
}

function parties(boot: Boot): number[] {
  return Array.from({ length: signerCountOf(boot.options) }, (_, at) => at + 1);
}

/** Keys, roster, policy, tokens, and who the co-signers are: made at the first start, found again later. */
async function prepareSuite(boot: Boot): Promise<string> {
  const count = signerCountOf(boot.options);
  boot.files = ensureSuiteFiles(makeFolder(path.join(boot.state.data, 'keys')), count);
  const addresses = addressesOf(boot);
  const members = parties(boot).map((party) => {
    const { entry, configFile } = configure(boot, (settings) => signerProcess(settings, party));
    return { party, url: signerUrl(addresses, party), entry, configFile };
  });
  const threshold = (count + 1) / 2;
  await ensureCommittee(boot.files.committeeFile, threshold, members);
  return `${threshold} of ${count}`;
}

type Step = (report: Progress) => Promise<string>;

/** A line of the progress list: what is started, then where it is. */
function task(title: string, step: Step): ListrTask {
  return {
    title,
    task: async (_context, line) => {
      const report: Progress = (text) => {
        line.output = text;
      };
      line.title = `${title}: ${await step(report)}`;
    },
  };
}

function signerTask(boot: Boot): ListrTask {
  return {
    title: 'Co-signers',
    task: (_context, line) =>
      line.newListr(
        parties(boot).map((party) =>
          task(
            `signer-${party}`,
            async () => await bootSuiteProcess(boot, (settings) => signerProcess(settings, party)),
          ),
        ),
        { concurrent: true },
      ),
  };
}

async function runTasks(boot: Boot): Promise<void> {
  const wholeSuite = boot.options.parts !== 'servers';
  let source: TemporalSource | undefined;
  const postgres = task('PostgreSQL', async () => await bootPostgres(boot));
  const anvil = task('anvil', async () => await bootAnvil(boot));
  const committee = task('committee', async () => await prepareSuite(boot));
  const withoutTemporal = [postgres, anvil, ...(wholeSuite ? [committee, signerTask(boot)] : [])];
  const tasks: ListrTask[] = [
    {
      title: 'Servers',
      task: (_context, line) =>
        line.newListr(
          [
            task('Temporal server program', async (report) => {
              source = await resolveTemporal(report);
              return source.kind;
            }),
            {
              title: 'Everything that needs no Temporal',
              task: (_inner, row) => row.newListr(withoutTemporal, { concurrent: false }),
            },
          ],
          // The build takes minutes the first time; the rest goes on beside it.
          { concurrent: true },
        ),
    },
    task('Temporal', async () => await bootTemporal(boot, source ?? { kind: 'download' })),
    ...(wholeSuite
      ? [
          task('worker', async () => await bootSuiteProcess(boot, workerProcess)),
          task('engine', async () => await bootSuiteProcess(boot, engineProcess)),
          task('api', async () => await bootSuiteProcess(boot, apiProcess)),
        ]
      : []),
  ];
  const list = new Listr(tasks, {
    renderer: boot.options.silent === true ? 'silent' : 'default',
    // Plain lines where the output is no terminal.
    fallbackRenderer: 'simple',
    rendererOptions: { collapseSubtasks: false },
    registerSignalListeners: false,
  });
  await list.run();
}

function linkText(addresses: SuiteAddresses): string {
  const { host, port } = engineLink(addresses);
  return `${host}:${port}`;
}

function handleOf(boot: Boot, release: () => void): RunningEnvironment {
  const addresses = addressesOf(boot);
  const { supervisor, state, keeper } = boot;
  return {
    postgresUrl: boot.postgresUrl,
    temporalAddress: boot.temporalAddress,
    temporalNamespace: strongroomNamespace,
    anvilUrl: boot.anvilUrl,
    apiUrl: apiUrl(addresses),
    engine: { link: linkText(addresses), healthUrl: engineHealthUrl(addresses) },
    signers: Array.from({ length: addresses.signerCount }, (_, at) => ({
      index: at + 1,
      name: `signer-${at + 1}`,
      url: signerUrl(addresses, at + 1),
    })),
    state,
    addresses,
    files: boot.files,
    logFileOf: (name) => path.join(state.logs, `${name}.log`),
    restart: async (name) => {
      await supervisor.restart(name);
      keeper?.resume(name);
    },
    armFailpoint: (name, failpoint) => {
      keeper?.leave(name);
      const folder = failpointFolder(addresses.dataFolder, name);
      mkdirSync(folder, { recursive: true });
      rmSync(firedFile(folder, failpoint), { force: true });
      writeFileSync(armedFile(folder, failpoint), '');
      return { fired: () => existsSync(firedFile(folder, failpoint)) };
    },
    kill: async (name, signal) => {
      const target = supervisor.find(name);
      if (target === undefined)
        throw fail('INFRA_PROCESS_UNKNOWN', `no process ${name} is running`, { name });
      await target.kill(signal);
    },
    stop: async () => {
      await supervisor.stopAll();
      release();
    },
  };
}

/**
 * Boots what `options` ask for and returns when all of it serves. If one part does not come up, everything is stopped and
 * its error thrown.
 * @throws INFRA_STATE_IN_USE, INFRA_PORT_TAKEN, INFRA_PROCESS_NOT_READY, INFRA_TEMPORAL_MISSING and others of infraErrors
 */
export async function bootEnvironment(options: EnvironmentOptions = {}): Promise<RunningEnvironment> {
  const state = options.state ?? openState();
  const release = lockState(state);
  const supervisor = createSupervisor();
  options.onSupervisor?.(supervisor);
  supervisor.onUnexpectedExit(({ spec }, exit) => {
    options.onUnexpectedExit?.(spec.name, exit, spec.logFile);
  });
  const keeper =
    options.onRestart === undefined ? undefined : keepRunning(supervisor, { tell: options.onRestart });
  try {
    if (options.fresh === true) emptyState(state);
    const needs = {
      postgres: 1,
      temporal: temporalPorts,
      anvil: 1,
      signer: signerCountOf(options),
      worker: 1,
      // Link and health page.
      engine: 2,
      api: 1,
    };
    const file = path.join(path.dirname(state.data), 'ports.json');
    const ports = await planPorts(needs, { file, wanted: options.ports ?? {} });
    const boot: Boot = {
      options,
      state,
      supervisor,
      keeper,
      ports,
      postgresUrl: '',
      temporalAddress: '',
      anvilUrl: '',
    };
    await runTasks(boot);
    return handleOf(boot, release);
  } catch (error) {
    await supervisor.stopAll();
    release();
    throw error;
  }
}
