/** Working on cases and lifting a halt, over the gateway and the command line, on the real operations and database. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { haltOf, openCase, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { decodeBase64url } from '#policies';
import { createOperations } from '#workflows';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import { buildServer } from '../../api/server.ts';
import { assertionOf } from '../support/dev-roster.ts';
import { caseId, openBench, type TestBench } from '../workflows/fixture.ts';
import { withoutTrading } from './gateway.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'case-work-'));
const tokens = { treasury: 'y'.repeat(43), auditor: 'a'.repeat(43) } as const;
type Role = keyof typeof tokens;
const scope = 'ledger';
const id = caseId('case-work');
let bench: TestBench;
let app: FastifyInstance;
let api = '';

const halt = async (reason: string): Promise<void> => {
  await inTransaction(bench.deps.pool, async (tx) => {
    await setHalt(tx, { scope, reason });
  });
};

beforeAll(async () => {
  bench = await openBench();
  app = await buildServer({
    operations: bench.operations,
    ...withoutTrading(
      createAuthenticate({
        tokens: (['treasury', 'auditor'] as const).map((role) => ({
          name: `${role}-desk`,
          role,
          sha256: tokenDigest(tokens[role]),
        })),
      }),
    ),
    assets: [],
    probes: {},
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  api = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  for (const role of ['treasury', 'auditor'] as const) writeFileSync(path.join(folder, role), tokens[role]);
  for (const person of ['ana', 'ben'])
    writeFileSync(path.join(folder, person), JSON.stringify(bench.roster.passkeyOf(person).toFile(person)));
  await inTransaction(bench.deps.pool, async (tx) => {
    await openCase(tx, { id, kind: 'ledger-invariant', subject: scope, details: { more: 0 } });
  });
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(role: Role, method: 'GET' | 'POST', url: string, payload?: object) {
  const headers = { authorization: `Bearer ${tokens[role]}` };
  return await app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
}
const act = async (payload: object, role: Role = 'treasury', of: string = id) =>
  await ask(role, 'POST', `/v1/cases/${of}/actions`, payload);
async function run(args: readonly string[], role: Role = 'treasury') {
  return await new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', 'cli/main.ts', ...args],
      {
        env: {
          PATH: process.env['PATH'],
          STRONGROOM_API: api,
          STRONGROOM_TOKEN_FILE: path.join(folder, role),
        },
      },
      (_error, out, err) => {
        resolve({ code: child.exitCode ?? -1, out, err });
      },
    );
  });
}
/** The person's signed wish; what is sent may differ from what was signed. */
async function lift(approver: string, sent: Readonly<Record<string, unknown>> = {}) {
  const said = { approver, reason: 'the sums were checked by hand' };
  const asked = await ask('treasury', 'POST', `/v1/halts/${scope}/lift-request`, said);
  const { statement, challenge } = asked.json<{ statement: { notAfter: number }; challenge: string }>();
  const assertion = assertionOf(
    bench.roster.passkeyOf(approver),
    decodeBase64url(challenge) ?? new Uint8Array(),
  );
  const body = { ...said, notAfter: statement.notAfter, assertion, ...sent };
  return { body, send: async () => await ask('treasury', 'POST', `/v1/halts/${scope}/lifts`, body) };
}
const refusedWith = (defect: string) => ({ code: 'POLICY_APPROVAL_REFUSED', details: { defect } });

test('a case is given to a person, noted and closed, with who did it; an auditor only looks', async () => {
  expect((await act({ action: 'assign', owner: 'nobody' })).json()).toMatchObject({
    code: 'CASE_OWNER_UNKNOWN',
  });
  expect((await act({ action: 'assign', owner: 'ana' }, 'auditor')).statusCode).toBe(403);
  expect((await act({ action: 'assign', owner: 'ana' })).json()).toMatchObject({
    owner: 'ana',
    closed: null,
  });
  expect((await act({ action: 'note', note: 'x' }, 'treasury', caseId('none'))).json()).toMatchObject({
    code: 'CASE_UNKNOWN',
  });
  expect((await act({ action: 'reopen' })).statusCode).toBe(400);
  for (const note of ['a\u0000b', 'a\u001b[2Kb', ''])
    expect((await act({ action: 'note', note })).statusCode).toBe(400);
  const listed = await ask('auditor', 'GET', '/v1/cases');
  expect(listed.json()).toMatchObject({ cases: [{ id, owner: 'ana' }] });
  await act({ action: 'note', note: 'asked the node' });
  const closed = (await act({ action: 'close', resolution: 'a wrong figure in a test' })).json<object>();
  expect(closed).toMatchObject({ closed: { by: 'treasury-desk', resolution: 'a wrong figure in a test' } });
  expect((await act({ action: 'note', note: 'late' })).json()).toMatchObject({ code: 'INFRA_CASE_NOT_OPEN' });
  const { history } = (await ask('auditor', 'GET', `/v1/cases/${id}`)).json<{
    history: { event: string }[];
  }>();
  expect(history.map(({ event }) => event)).toEqual(['opened', 'assigned', 'noted', 'closed']);
});

test('a halt is lifted by two different people and by nothing less', async () => {
  await halt('zero sum');
  expect(
    (await ask('auditor', 'POST', `/v1/halts/${scope}/lift-request`, { approver: 'ana', reason: 'x' }))
      .statusCode,
  ).toBe(403);
  const unknown = await ask('treasury', 'POST', '/v1/halts/chain:eip155:1/lift-request', {
    approver: 'ana',
    reason: 'x',
  });
  expect(unknown.json()).toMatchObject({ code: 'HALT_UNKNOWN' });
  const stranger = await ask('treasury', 'POST', `/v1/halts/${scope}/lift-request`, {
    approver: 'eve',
    reason: 'x',
  });
  expect(stranger.json()).toMatchObject(refusedWith('approver-unknown'));

  const ana = await lift('ana');
  expect((await (await lift('ana', { reason: 'another reason' })).send()).json()).toMatchObject(
    refusedWith('challenge-mismatch'),
  );
  expect((await (await lift('ana', { approver: 'ben' })).send()).json()).toMatchObject(
    refusedWith('credential-unknown'),
  );
  expect((await (await lift('ana', { notAfter: 1 })).send()).json()).toMatchObject(
    refusedWith('statement-expired'),
  );
  const first = { scope, lifted: false, people: ['ana'], missing: 1 };
  expect((await ana.send()).json()).toEqual(first);
  // Also with a new signature she is one person.
  expect((await ana.send()).json()).toEqual(first);
  expect((await (await lift('ana')).send()).json()).toEqual(first);
  expect(await haltOf(bench.deps.pool, scope)).toBeDefined();
  const ben = await lift('ben');
  expect((await ben.send()).json()).toEqual({ scope, lifted: true, people: ['ana', 'ben'], missing: 0 });
  expect(await haltOf(bench.deps.pool, scope)).toBeUndefined();
  const { rows } = await bench.deps.pool.query("SELECT people FROM infra.halt_event WHERE event = 'lifted'");
  expect(rows).toEqual([{ people: ['ana', 'ben'] }]);
  expect((await ben.send()).json()).toMatchObject({ code: 'HALT_UNKNOWN' });

  // Halted again: what was signed for the first halt says nothing of this one.
  await halt('zero sum');
  for (const old of [ana, ben])
    expect((await old.send()).json()).toMatchObject(refusedWith('challenge-mismatch'));
  expect(await haltOf(bench.deps.pool, scope)).toBeDefined();
});

test('a reason that comes after a signature is not lifted by it', async () => {
  const ana = await lift('ana');
  expect((await ana.send()).json()).toMatchObject({ people: ['ana'] });
  const ben = await lift('ben');
  await halt('value is missing');
  // What both have seen is the first reason only.
  expect((await ben.send()).json()).toMatchObject(refusedWith('challenge-mismatch'));
  expect((await (await lift('ben')).send()).json()).toMatchObject({ lifted: false, people: ['ben'] });
  expect(await haltOf(bench.deps.pool, scope)).toMatchObject({ reason: 'zero sum; value is missing' });
  expect((await (await lift('ana')).send()).json()).toMatchObject({ lifted: true, people: ['ana', 'ben'] });
  await halt('zero sum');
});

test('a first signature that has lapsed meanwhile does not count, and is given anew', async () => {
  expect((await (await lift('ana')).send()).json()).toMatchObject({ lifted: false, missing: 1 });
  const operations = createOperations({ ...bench.deps, clock: { nowMs: () => Date.now() + 86_400_001 } });
  const signLater = async (approver: string) => {
    const said = { scope, approver, reason: 'late' };
    const { statement, challenge } = await operations.haltLiftRequest(said);
    const signed = decodeBase64url(challenge) ?? new Uint8Array();
    const assertion = assertionOf(bench.roster.passkeyOf(approver), signed);
    return await operations.submitHaltLift({ ...said, notAfter: statement.notAfter, assertion });
  };
  expect(await signLater('cleo')).toMatchObject({ lifted: false, people: ['cleo'] });
  expect(await signLater('ana')).toMatchObject({ lifted: true, people: ['ana', 'cleo'] });
});

test('the command line shows, works on and lifts', async () => {
  const next = caseId('case-work-2');
  await inTransaction(bench.deps.pool, async (tx) => {
    await openCase(tx, { id: next, kind: 'reconciliation-hot', subject: 'x', details: { difference: '-1' } });
  });
  expect((await run(['cases', 'assign', next, 'ben'])).out).toContain('owner ben');
  expect((await run(['cases'])).out).toMatch(new RegExp(`${next} +reconciliation-hot +x +ben +\\d+s`));
  expect((await run(['cases', 'note', next, 'looking'])).out).toContain('noted by treasury-desk  looking');
  expect((await run(['cases', 'close', next, 'found'], 'auditor')).err).toContain('API_FORBIDDEN');
  expect(JSON.parse((await run(['cases', 'close', next, 'found', '--json'])).out)).toMatchObject({
    closed: { resolution: 'found' },
  });
  expect((await run(['cases', 'show', next])).out).toContain('closed by treasury-desk: found');
  const args = ['halts', 'lift', scope, '--reason', 'checked', '--passkey'];
  await halt('again');
  const first = await run([...args, path.join(folder, 'ana')]);
  expect([first.code, first.out]).toEqual([0, expect.stringContaining('1 more of the roster must sign')]);
  const second = await run([...args, path.join(folder, 'ben')]);
  expect([second.code, second.out]).toEqual([0, expect.stringContaining('ledger goes on')]);
  const again = await run([...args, path.join(folder, 'ana')]);
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('HALT_UNKNOWN')]);
}, 120_000);

test('what reconciliation found is there for those who watch', async () => {
  const { pool } = bench.deps;
  const empty = await ask('auditor', 'GET', '/v1/reconciliation');
  expect(empty.json()).toEqual({ chains: [{ chain: 'eip155:31337', runs: [], lines: [], breaks: [] }] });
  expect(await run(['reconciliation'], 'auditor')).toMatchObject({
    code: 1,
    out: expect.stringContaining('no run yet') as string,
  });
  const line = {
    check: 'hot',
    subject: 'x',
    unit: 'y',
    walletId: null,
    booked: '10',
    observed: '8',
    unposted: '1',
    difference: '-3',
  };
  await pool.query(
    `INSERT INTO operations.reconciliation_run (chain, books_height, height, report)
     VALUES ('eip155:31337', 5, 7, $1)`,
    [JSON.stringify({ lines: [line], breaks: [], breaksFound: 0 })],
  );
  expect(await run(['reconciliation'], 'auditor')).toMatchObject({
    code: 0,
    out: expect.stringContaining('no breaks') as string,
  });
  await pool.query(
    `INSERT INTO operations.reconciliation_break (chain, key, check_name, subject, unit, difference, at_stake, problem, runs)
     VALUES ('eip155:31337', 'hot/x/y', 'hot', 'x', 'y', -3, 3, 'less is there', 2)`,
  );
  const shown = await run(['reconciliation'], 'auditor');
  expect(shown.code).toBe(1);
  expect(shown.out).toMatch(/hot +x +-3 base units +3 base units +2 .* -\n/);
  expect(shown.out).toMatch(/hot +x +10 base units +8 base units +1 base units +-3 base units/);
  await pool.query(
    `INSERT INTO operations.reconciliation_run (chain, not_judged, report) VALUES ('eip155:31337', 'the node is away', '{}')`,
  );
  const answer = await ask('auditor', 'GET', '/v1/reconciliation');
  const silent = { notJudged: 'the node is away', booksHeight: null, height: null, breaks: 0 };
  expect(answer.json()).toMatchObject({
    chains: [
      {
        chain: 'eip155:31337',
        runs: [silent, { notJudged: null, booksHeight: 5, height: 7, breaks: 0 }],
        // Of the run that could say something.
        lines: [line],
        breaks: [{ difference: '-3', atStake: '3', runs: 2 }],
      },
    ],
  });
  await pool.query('DELETE FROM operations.reconciliation_break');
  // No break, but nobody has looked.
  expect(await run(['reconciliation'], 'auditor')).toMatchObject({
    code: 1,
    out: expect.stringContaining('not judged: the node is away') as string,
  });
}, 120_000);
