/** A small ledger in a database of this test file, and the command line in front of it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { afterAll } from 'vitest';
import { openPool, type Pool } from '#infra/db';
import { balanceAt, createLedger, type Ledger, newestBatch } from '#ledger';
import {
  type AccountRef,
  chainHot,
  customerMain,
  transferIdOf,
  withdrawalHold,
  withdrawalPaid,
} from '#ledger/contract';
import { createOutput } from '../../cli/output.ts';
import { makeHeadKey } from '../../ledger/head-key.ts';
import { accountOf, eth, ether, freshId, post, walletOf } from '../ledger/fixture.ts';
import { databaseForThisFile } from '../support/database.ts';

export const hot = chainHot(walletOf('cli'));
export const alice: AccountRef = { path: customerMain(accountOf('alice')), asset: ether };
export const withdrawalId = 'wd_0190a000-0000-7000-8000-000000000001';
export const holdId = transferIdOf(withdrawalId, 'hold');

/** Alice: 100 in, 30 held, 25 of them paid: 75. Returns the batch of the hold. */
export async function fill(pool: Pool): Promise<bigint> {
  const ledger = createLedger({ pool });
  await ledger.openAccounts(
    pool,
    [hot, alice.path].map((account) => ({ path: account, asset: ether })),
  );
  await ledger.apply([post(hot, alice.path, 100n, { reference: 'start' })]);
  const [accountId, walletId] = [accountOf('alice'), walletOf('cli')];
  await ledger.apply(withdrawalHold({ withdrawalId, accountId, walletId, amount: eth(30n) }));
  const { batch } = await balanceAt(pool, { account: alice, asOf: newestBatch });
  await ledger.apply(withdrawalPaid({ withdrawalId, amount: eth(25n) }));
  return batch;
}

/** What a command shows and prints. */
export function screen(json = false) {
  let text = '';
  const output = createOutput(json, (part) => (text += part));
  const to = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  return {
    output,
    to,
    text: () => text,
    lines: () => text.trimEnd().split('\n'),
    json: () => JSON.parse(text) as unknown,
  };
}

/** A line of an import: from outside to Alice unless told otherwise. */
export const transferLine = (units: string, extra: object = {}) => ({
  type: 'transfer',
  kind: 'post',
  id: freshId(),
  debit: hot,
  credit: alice.path,
  asset: ether,
  units,
  code: 'inflow',
  reference: 'import',
  ...extra,
});
export const linesOf = (values: readonly object[]): string =>
  values.map((value) => `${JSON.stringify(value)}\n`).join('');

/** The arguments of node for a ledger command. */
export const commandLine = (...args: string[]): string[] => [
  '--import',
  'tsx',
  'cli/main.ts',
  'ledger',
  ...args,
];

export interface LedgerBench {
  readonly connectionString: string;
  readonly pool: Pool;
  readonly ledger: Ledger;
  readonly heldBatch: bigint;
  /** Of a folder that ends with the test file; `ledger.pem` and `database-url` are in it. */
  file(name: string): string;
  /** The command as a process, on this database. */
  run(
    args: readonly string[],
    env?: Record<string, string>,
  ): Promise<{ code: number; out: string; err: string }>;
  balance(of?: AccountRef): Promise<bigint>;
}

export async function openLedgerBench(): Promise<LedgerBench> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'cli-ledger-'));
  const file = (name: string): string => path.join(folder, name);
  const connectionString = await databaseForThisFile();
  writeFileSync(file('database-url'), `${connectionString}\n`);
  writeFileSync(file('ledger.pem'), makeHeadKey(), { mode: 0o600 });
  const pool = openPool({ connectionString, applicationName: 'test-cli-ledger' });
  afterAll(async () => {
    await pool.end();
    rmSync(folder, { recursive: true, force: true });
  });
  const ledger = createLedger({ pool });
  return {
    connectionString,
    pool,
    ledger,
    heldBatch: await fill(pool),
    file,
    run: async (args, env = {}) =>
      await new Promise((resolve) => {
        const inherited = {
          PATH: process.env['PATH'],
          STRONGROOM_CONFIG_DATABASE_URL_FILE: file('database-url'),
        };
        const child = execFile(
          process.execPath,
          commandLine(...args),
          { env: { ...inherited, ...env } },
          (_error, out, err) => {
            resolve({ code: child.exitCode ?? -1, out, err });
          },
        );
      }),
    balance: async ({ path: of, asset } = alice) =>
      (await ledger.balances({ paths: [of], asset }))[0]?.balance ?? 0n,
  };
}
