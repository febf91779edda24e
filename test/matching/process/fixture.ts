/** The engine's process as a person starts it: its entry point, a file of configuration, a real PostgreSQL. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Id } from '#core/ids';
import { type AssetId, amount } from '#core/money';
import type { Pool } from '#infra/db';
import { createLedger, type Ledger } from '#ledger';
import { spotIn } from '#ledger/contract';
import { nodeProcess } from '../../../infra/dev/node-process.ts';
import { findFreePorts } from '../../../infra/dev/ports.ts';
import { answersOk, type ProcessExit, type Supervisor } from '../../../infra/dev/processes.ts';
import { coin, fundCustomers, gold, usd } from '../../support/spot-customers.ts';
import { config } from '../settlement/fixture.ts';

export const host = '127.0.0.1';
export const engineName = 'main';
export const assets = [coin, usd, gold] as const;
const readyTimeoutMs = 60_000;

export interface EngineSetup {
  readonly supervisor: Supervisor;
  /** Of this test; the journal and the files of the processes lie below. */
  readonly folder: string;
  readonly databaseUrl: string;
  readonly settlement?: {
    readonly reconcileEveryMs?: number;
    readonly tradesMax?: number;
    readonly lagEventsMax?: number;
  };
  readonly limits?: Readonly<Record<string, number>>;
}
export interface TestEngine {
  readonly name: string;
  readonly linkPort: number;
  readonly healthUrl: string;
  readonly takeOverUrl: string;
  readonly logFile: string;
  readonly token: string;
  readonly journalFolder: string;
  /** Starts it, in place of one that is gone; returns when it does what it is for, or as soon as its page says what is asked. */
  readonly start: (
    isUp?: (health: HealthAnswer) => boolean,
  ) => Promise<{ readonly exited: Promise<ProcessExit>; readonly pid: number }>;
}

const token = randomBytes(32).toString('base64url');

export async function prepareEngine(
  setup: EngineSetup,
  name: string,
  mode: 'primary' | 'standby' = 'primary',
): Promise<TestEngine> {
  const { folder, databaseUrl, settlement = {}, limits = {}, supervisor } = setup;
  mkdirSync(folder, { recursive: true });
  const linkPort = await findFreePorts(2);
  const journalFolder = path.join(folder, 'journal');
  const files = {
    config: path.join(folder, `${name}.json`),
    engine: path.join(folder, 'engine-config.json'),
    token: path.join(folder, 'link.token'),
    log: path.join(folder, `${name}.log`),
  };
  writeFileSync(files.engine, JSON.stringify(config));
  writeFileSync(files.token, `${token}\n`, { mode: 0o600 });
  writeFileSync(
    files.config,
    JSON.stringify({
      databaseUrl,
      mode,
      journalFolder,
      engineName,
      engineConfigFile: files.engine,
      link: { host, port: linkPort, tokenFile: files.token },
      host,
      healthPort: linkPort + 1,
      settlement: { reconcileEveryMs: 200, ...settlement },
      limits,
    }),
  );
  const healthUrl = `http://${host}:${linkPort + 1}/health`;
  const engine: TestEngine = {
    name,
    linkPort,
    healthUrl,
    takeOverUrl: `http://${host}:${linkPort + 1}/takeover`,
    logFile: files.log,
    token,
    journalFolder,
    start: async (isUp) =>
      await supervisor.start(
        nodeProcess({
          name,
          entry: 'matching/process/main.ts',
          args: ['--config', files.config],
          logFile: files.log,
          ready: async () => (isUp === undefined ? await answersOk(healthUrl) : isUp(await healthOf(engine))),
          readyTimeoutMs,
        }),
      ),
  };
  return engine;
}

export interface HealthAnswer {
  readonly ok: boolean;
  readonly role: string;
  readonly parts: {
    readonly journal: { readonly ok: boolean; readonly epoch?: number; readonly seq?: number };
    readonly settlement?: {
      readonly ok: boolean;
      readonly settledSeq?: number;
      readonly waitingEvents?: number;
      readonly problem?: string;
    };
    readonly feed?: { readonly ok: boolean; readonly problem?: string };
    readonly reconciliation?: {
      readonly ok: boolean;
      readonly seq?: number;
      readonly compared?: number;
      readonly differences?: number;
      readonly problem?: string;
    };
  };
}
export async function healthOf({ healthUrl }: TestEngine): Promise<HealthAnswer> {
  return (await (await fetch(healthUrl)).json()) as HealthAnswer;
}

/** Waits for what a process will do; the test's own limit ends it. */
export async function until<T>(read: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read();
    if (isDone(value)) return value;
    await delay(20);
  }
}

/** Customers 1 to `customers` with money in their main accounts, and half of it on its way to spot. */
export async function openCustomers(pool: Pool, customers: number): Promise<Ledger> {
  const ledger = createLedger({ pool });
  await fundCustomers(pool, ledger, { reference: 'start', customers });
  return ledger;
}

export async function moveToSpot(
  ledger: Pick<Ledger, 'apply'>,
  reference: string,
  accountId: Id<'acc'>,
  asset: AssetId,
  units: bigint,
): Promise<void> {
  const [result] = await ledger.apply(spotIn({ reference, accountId, amount: amount(asset, units) }));
  if (result?.status !== 'ok' && result?.status !== 'exists')
    throw new Error(`${reference}: ${result?.status ?? 'no answer'}`);
}
