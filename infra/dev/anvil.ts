/** anvil, the development Ethereum node, run directly from the binary of its platform package. */
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { errorsOf } from '#core/errors';
import { infraErrors } from '../contract.ts';
import { isPortFree } from './ports.ts';
import type { RunningProcess, Supervisor } from './processes.ts';

const fail = errorsOf(infraErrors);
/** Ready in under half a second; loading a long state takes longer. */
const readyTimeoutMs = 30_000;
const stateIntervalSeconds = 5;
export const anvilChainId = 31_337;

export interface AnvilOptions {
  readonly port: number;
  readonly logFile: string;
  /** Where it may keep what it needs while running. */
  readonly folder: string;
  /** Keeps the chain here: loaded at start, written at the end and in an interval, so that a kill loses little. */
  readonly stateFile?: string;
  readonly chainId?: number;
  /** Blocks only when asked for (`anvil_mine`). Default: one block per transaction. */
  readonly noMining?: boolean;
  readonly blockTimeSeconds?: number;
  /** `safe` trails the head by one epoch, `finalized` by two. anvil's own default is 32. */
  readonly slotsInAnEpoch?: number;
}
export interface RunningAnvil {
  readonly process: RunningProcess;
  readonly url: string;
}

/** @throws INFRA_ANVIL_MISSING */
function anvilBinary(): string {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const platform = process.platform === 'win32' ? 'win32' : process.platform;
  const name = `@foundry-rs/anvil-${platform}-${architecture}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const binary = path.join(path.dirname(manifest), 'bin', 'anvil');
    if (existsSync(binary)) return binary;
  } catch {
    // reported below, with what to do
  }
  throw fail('INFRA_ANVIL_MISSING', `the package ${name} is not installed`, { package: name });
}

async function hasChainId(url: string, chainId: number): Promise<boolean> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}',
    signal: AbortSignal.timeout(2000),
  });
  const answer: unknown = await response.json();
  const expected = `0x${chainId.toString(16)}`;
  return typeof answer === 'object' && answer !== null && 'result' in answer && answer.result === expected;
}

function argumentsOf(options: AnvilOptions): string[] {
  const state =
    options.stateFile === undefined
      ? []
      : [
          '--state',
          options.stateFile,
          '--state-interval',
          String(stateIntervalSeconds),
          // Balances at older blocks must still be answered after a restart.
          '--preserve-historical-states',
        ];
  return [
    '--host',
    '127.0.0.1',
    '--port',
    String(options.port),
    '--chain-id',
    String(options.chainId ?? anvilChainId),
    '--quiet',
    ...(options.noMining === true ? ['--no-mining'] : []),
    ...(options.blockTimeSeconds === undefined ? [] : ['--block-time', String(options.blockTimeSeconds)]),
    ...(options.slotsInAnEpoch === undefined ? [] : ['--slots-in-an-epoch', String(options.slotsInAnEpoch)]),
    ...state,
  ];
}

/** @throws INFRA_ANVIL_MISSING, INFRA_PORT_TAKEN, INFRA_PROCESS_NOT_READY */
export async function startAnvil(supervisor: Supervisor, options: AnvilOptions): Promise<RunningAnvil> {
  const url = `http://127.0.0.1:${options.port}`;
  if (!(await isPortFree(options.port)))
    throw fail('INFRA_PORT_TAKEN', `port ${options.port}, meant for anvil, is taken`, { port: options.port });
  mkdirSync(options.folder, { recursive: true });
  const process = await supervisor.start({
    name: 'anvil',
    command: anvilBinary(),
    args: argumentsOf(options),
    // Its home is where it swaps old states to; not the user's own.
    env: { HOME: options.folder, TMPDIR: options.folder },
    cwd: options.folder,
    logFile: options.logFile,
    stopSignal: 'SIGINT', // writes its state
    ready: async () => await hasChainId(url, options.chainId ?? anvilChainId),
    readyTimeoutMs,
  });
  return { process, url };
}
