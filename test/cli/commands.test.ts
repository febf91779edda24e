/** The command line as a person runs it: a process, its two streams, its exit code; against a small stand-in for the api. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const folder = mkdtempSync(path.join(os.tmpdir(), 'cli-'));
const tokenFile = path.join(folder, 'token');
const requested: string[] = [];
let server: Server;
let api = '';

const problem = {
  title: 'not found',
  code: 'WITHDRAWAL_UNKNOWN',
  detail: 'there is no withdrawal x',
  whatToDo: 'Correct the id.',
  retryable: false,
};
beforeAll(async () => {
  writeFileSync(tokenFile, 'secret\n');
  server = createServer((request, response) => {
    requested.push(request.url ?? '');
    if (request.url === '/health') {
      response.writeHead(503).end(JSON.stringify({ ok: false, parts: { database: 'down' } }));
      return;
    }
    response.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  api = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(args: readonly string[], env: Record<string, string> = {}) {
  return await new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', 'cli/main.ts', ...args],
      { env: { PATH: process.env['PATH'], STRONGROOM_API: api, STRONGROOM_TOKEN_FILE: tokenFile, ...env } },
      (_error, out, err) => {
        resolve({ code: child.exitCode ?? -1, out, err });
      },
    );
  });
}

test('an error of the api is told with its code and what to do, and nothing goes to standard output', async () => {
  expect(await run(['withdrawals', 'x'])).toEqual({
    code: 1,
    out: '',
    err: 'WITHDRAWAL_UNKNOWN: there is no withdrawal x\nCorrect the id.\n',
  });
  const { out, err } = await run(['withdrawals', 'x', '--json']);
  expect(out).toBe('');
  expect(JSON.parse(err)).toEqual({
    code: 'WITHDRAWAL_UNKNOWN',
    message: 'there is no withdrawal x',
    whatToDo: 'Correct the id.',
  });
});

test('an id cannot lead to another route', async () => {
  await run(['balances', '../../health']);
  expect(requested.at(-1)).toBe('/v1/accounts/..%2F..%2Fhealth/balances');
});

test('status names the part that is down, and its exit code says so too', async () => {
  const { code, out } = await run(['status', '--json']);
  expect(JSON.parse(out)).toEqual({ ok: false, parts: { database: 'down' } });
  expect(code).toBe(1);
});

test.each([
  [
    'no api',
    { STRONGROOM_API: 'http://127.0.0.1:9' },
    /127\.0\.0\.1:9 does not answer.*(ECONNREFUSED|bad port)/,
  ],
  ['no address', { STRONGROOM_API: '' }, /--api URL or set STRONGROOM_API/],
  ['no token file', { STRONGROOM_TOKEN_FILE: '/nowhere' }, /token file \/nowhere cannot be read/],
])('%s: one sentence that names it, and the remedy', async (_name, env, sentence) => {
  const { code, out, err } = await run(['status'], env);
  expect(err).toMatch(sentence);
  expect(err).toMatch(/^CLI_NOT_CONNECTED: [^\n]+\nSet STRONGROOM_API and STRONGROOM_TOKEN_FILE/);
  expect([code, out]).toEqual([1, '']);
});

/** Path m/1/0 of the wallet in payout-certificate.json. */
const hotAddress = '0xd87B6C5eD73a6C6464508D5a447de1A87a8E78D9';
const verify = async (address: string, statements: string, derivationPath = 'm/1/0') =>
  await run([
    'address',
    'verify',
    address,
    '--path',
    derivationPath,
    '--statements',
    statements,
    '--committee',
    'test/cli/committee.json',
    '--json',
  ]);

test("an address is recomputed from the co-signers' statements, in whatever case it is written", async () => {
  const certificate = 'test/cli/payout-certificate.json';
  const list = path.join(folder, 'statements.json');
  const { keyStatements } = JSON.parse(readFileSync(certificate, 'utf8')) as { keyStatements: unknown };
  writeFileSync(list, JSON.stringify(keyStatements));
  for (const [address, statements] of [
    [hotAddress, certificate],
    [hotAddress.toLowerCase(), list],
  ] as const) {
    const { code, out } = await verify(address, statements);
    expect([code, JSON.parse(out)]).toMatchObject([0, { holds: true, address: hotAddress }]);
  }
  const other = await verify(hotAddress, certificate, 'm/0/0');
  expect([other.code, JSON.parse(other.out)]).toMatchObject([
    1,
    { holds: false, code: 'CUSTODY_STATEMENT_INVALID' },
  ]);
  const mistyped = await verify(hotAddress.replace('d8', 'D8'), certificate);
  expect([mistyped.code, JSON.parse(mistyped.err)]).toMatchObject([1, { code: 'CHAINS_ADDRESS_INVALID' }]);
}, 60_000);
