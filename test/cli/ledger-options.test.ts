/** `strongroom ledger`: proofs of liabilities from end to end, and what each wrong thing that is given is answered. */
import { statSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import type pg from 'pg';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { openHeadKey } from '#ledger';
import { ledgerConfig, withLedgerDatabase } from '../../cli/commands/ledger-connection.ts';
import { exportFile, importFile, showEvents } from '../../cli/commands/ledger-files.ts';
import { showBalanceAt, showExplanation, showStatement } from '../../cli/commands/ledger-reads.ts';
import { showLedgerVerification } from '../../cli/commands/ledger-verify.ts';
import { registerLedger } from '../../cli/ledger.ts';
import { accountOf, ether } from '../ledger/fixture.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import {
  alice,
  type LedgerBench,
  linesOf,
  openLedgerBench,
  screen,
  transferLine,
  withdrawalId,
} from './ledger-bench.ts';

let bench: LedgerBench;
let emptyUrl = '';
let superuser: pg.Client;
beforeAll(async () => {
  bench = await openLedgerBench();
  emptyUrl = await databaseForThisFile({ migrated: false });
  superuser = await superuserOf(bench.connectionString);
});

/** The command as it is parsed, in this process. */
const parse = async (args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> => {
  const program = new Command().exitOverride();
  registerLedger(program);
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  try {
    await program.parseAsync(['ledger', ...args], { from: 'user' });
  } finally {
    vi.unstubAllEnvs();
  }
};

test('liabilities: published, proven, verified and audited as processes; never twice into one file', async () => {
  const key = openHeadKey(bench.file('ledger.pem'));
  const files = ['--out', bench.file('statement.json'), '--bundle', bench.file('bundle.jsonl')];
  const published = await bench.run([
    'liabilities',
    'publish',
    '--ledger-key',
    bench.file('ledger.pem'),
    ...files,
  ]);
  expect([published.code, published.err]).toEqual([0, '']);
  expect(published.out).toMatch(/^statement 1, snapshot /);
  expect(statSync(bench.file('bundle.jsonl')).mode & 0o777).toBe(0o600);
  const env = { STRONGROOM_CONFIG_DATABASE_URL: bench.connectionString };
  const publish = ['liabilities', 'publish'];
  await expect(
    parse([...publish, '--ledger-key', bench.file('ledger.pem'), ...files], env),
  ).rejects.toMatchObject({
    code: 'CLI_FILE_INVALID',
    message: expect.stringMatching(/statement\.json exists/) as string,
  });
  await expect(parse(publish, env)).rejects.toMatchObject({ code: 'CLI_OPTION_INVALID' });
  // Refused before anything was published.
  const { rows } = await bench.pool.query('SELECT FROM ledger.liabilities_snapshot');
  expect(rows).toHaveLength(1);

  const proof = bench.file('proof.json');
  const proved = await bench.run([
    'liabilities',
    'prove',
    accountOf('alice'),
    '--asset',
    ether,
    '--out',
    proof,
  ]);
  expect([proved.code, statSync(proof).mode & 0o777]).toEqual([0, 0o600]);
  const [balance] = await bench.ledger.balances({ paths: [alice.path] });
  const expected = ['--account', accountOf('alice'), '--asset', ether, '--public-key', key.publicKey];
  const verify = async (units: string) =>
    await bench.run(['liabilities', 'verify', proof, ...expected, '--balance', units]);
  const [right, wrong, audited] = await Promise.all([
    verify(`${balance?.balance ?? 0n}`),
    verify('1'),
    bench.run(['liabilities', 'audit', bench.file('bundle.jsonl'), '--public-key', key.publicKey, '--json']),
  ]);
  expect(right).toMatchObject({ code: 0, err: '' });
  expect([wrong.code, wrong.out]).toEqual([1, expect.stringContaining('wrong-balance')]);
  expect([audited.code, JSON.parse(audited.out)]).toMatchObject([0, { ok: true }]);
}, 120_000);

describe('what is given wrongly', () => {
  const absent = { STRONGROOM_CONFIG_DATABASE_URL: 'postgres://nobody:hunter2@localhost:1/x' };
  const account = ['--asset', ether] as const;
  test.each<[string, string[], Record<string, string>, string, RegExp]>([
    [
      'no database',
      ['verify'],
      {},
      'INFRA_CONFIG_INVALID',
      /databaseUrl: give --database-url-file FILE, or set/,
    ],
    [
      'a file with no URL',
      ['verify', '--database-url-file', 'package.json'],
      {},
      'INFRA_CONFIG_INVALID',
      /databaseUrl: the URL of a database: postgres:/,
    ],
    [
      'no such file',
      ['verify', '--database-url-file', 'nowhere'],
      {},
      'INFRA_CONFIG_INVALID',
      /nowhere cannot be read/,
    ],
    ['a server that does not answer', ['verify'], absent, 'INFRA_DATABASE_UNREACHABLE', /ECONNREFUSED/],
    ['an account', ['balance', 'alice', ...account], absent, 'LEDGER_ACCOUNT_PATH_INVALID', /"alice"/],
    ['an asset', ['statement', alice.path, '--asset', 'ETH'], absent, 'CORE_ASSET_INVALID', /"ETH"/],
    [
      'a number',
      ['statement', alice.path, ...account, '--limit', '0'],
      absent,
      'CLI_OPTION_INVALID',
      /--limit is/,
    ],
    [
      'a format',
      ['export', '--format', 'xml'],
      absent,
      'CLI_OPTION_INVALID',
      /--format is csv or jsonl, not "xml"/,
    ],
    [
      'half an account',
      ['export', '--account', alice.path],
      absent,
      'CLI_OPTION_INVALID',
      /--account and --asset/,
    ],
    ['a position', ['events', '--after', '-1'], absent, 'CLI_OPTION_INVALID', /--after is a whole number/],
    [
      'a key',
      ['verify', '--public-key', 'abc'],
      absent,
      'INFRA_CONFIG_INVALID',
      /ledgerPublicKey: .*64 hexadecimal/,
    ],
  ])('%s', async (_name, args, env, code, sentence) => {
    const error: unknown = await parse(args, env).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code,
      message: expect.stringMatching(sentence) as string,
      whatToDo: expect.stringMatching(/\w/) as string,
    });
    expect((error as Error).message).not.toContain('hunter2');
  });

  test('as a process: one line with the code, one with what to do, and nothing on standard output', async () => {
    const { code, out, err } = await bench.run(['balance', 'alice', '--asset', ether]);
    expect(err).toMatch(/^LEDGER_ACCOUNT_PATH_INVALID: [^\n]+\nName it as [^\n]+\n$/);
    expect([code, out]).toEqual([1, '']);
  }, 60_000);

  test("settings of the suite's processes in the environment are no mistake", () => {
    const env = {
      STRONGROOM_CONFIG_DATABASE_URL: 'postgres://u:p@h/d',
      STRONGROOM_CONFIG_LEDGER_PUBLIC_KEY: 'a'.repeat(64),
      STRONGROOM_CONFIG_TEMPORAL_ADDRESS: 'temporal:7233',
      STRONGROOM_CONFIG_HEALTH_PORT: '8080',
    };
    expect(ledgerConfig({}, env)).toEqual({
      databaseUrl: 'postgres://u:p@h/d',
      ledgerPublicKey: 'a'.repeat(64),
    });
    const other = {
      databaseUrlFile: bench.file('database-url'),
      publicKey: 'b'.repeat(64),
      committee: 'c.json',
    };
    expect(ledgerConfig(other, env)).toEqual({
      databaseUrl: bench.connectionString,
      ledgerPublicKey: 'b'.repeat(64),
      committeeFile: 'c.json',
    });
  });

  test('a database without a ledger, and a user without the rights', async () => {
    await expect(withLedgerDatabase({ databaseUrl: emptyUrl }, async () => true)).rejects.toMatchObject({
      code: 'CLI_LEDGER_MISSING',
    });
    const [reader, stranger] = ['reader', 'stranger'].map((name) => `cli_${name}_${process.pid}`) as [
      string,
      string,
    ];
    await superuser.query(
      `CREATE ROLE ${reader} LOGIN PASSWORD 'x'; CREATE ROLE ${stranger} LOGIN PASSWORD 'x'`,
    );
    await bench.pool.query(`SELECT ledger.grant_reader('${reader}')`);
    const as = (role: string) => {
      const url = new URL(bench.connectionString);
      [url.username, url.password] = [role, 'x'];
      return { databaseUrl: url.href };
    };
    writeFileSync(bench.file('one.jsonl'), linesOf([transferLine('1')]));
    const shown = screen();
    try {
      // An auditor's user can see and prove everything, and import nothing.
      await withLedgerDatabase(as(reader), async (own) => {
        await showBalanceAt(own, alice, { batch: '1' }, shown.output);
        await showStatement(own, alice, { limit: 5 }, shown.output);
        expect(await showExplanation(own, withdrawalId, {}, shown.output)).toBe(0);
        expect(await showLedgerVerification(own, as(reader), {}, shown.output)).toBe(0);
        await showEvents(own, { after: 0n, limit: 1 }, shown.to);
        await exportFile(own, { format: 'csv', to: 2n }, shown.output, shown.to);
      });
      await expect(
        withLedgerDatabase(
          as(reader),
          async (own) => await importFile(own, bench.file('one.jsonl'), {}, shown.output, shown.to),
        ),
      ).rejects.toMatchObject({ code: 'CLI_LEDGER_FORBIDDEN', kind: 'forbidden' });
      await expect(
        withLedgerDatabase(as(stranger), async (own) => {
          await showBalanceAt(own, alice, {}, shown.output);
        }),
      ).rejects.toMatchObject({ code: 'CLI_LEDGER_FORBIDDEN' });
      const elsewhere = new URL(bench.connectionString);
      elsewhere.pathname = '/no_such_database';
      await expect(
        withLedgerDatabase({ databaseUrl: elsewhere.href }, async () => true),
      ).rejects.toMatchObject({ code: 'INFRA_DATABASE_UNREACHABLE' });
    } finally {
      await superuser.query(`DROP OWNED BY ${reader}; DROP ROLE ${reader}; DROP ROLE ${stranger}`);
    }
  });

  test('a server that goes away in the middle is told as such', async () => {
    await expect(
      withLedgerDatabase({ databaseUrl: bench.connectionString }, async (own) => {
        const { rows } = await own.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        // Waited for together: the one may end before the other has answered.
        await Promise.all([
          own.query('SELECT pg_sleep(30)'),
          superuser.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]),
        ]);
      }),
    ).rejects.toMatchObject({ code: 'INFRA_DATABASE_UNREACHABLE', retryable: true });
  });
});
