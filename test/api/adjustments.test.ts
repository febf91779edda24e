/** Correcting the ledger over the gateway and the command line: two people, on the real operations and database. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { customerMain, houseSuspense, openingBalance } from '#ledger/contract';
import { decodeBase64url } from '#policies';
import type { AdjustmentRequest, AdjustmentView } from '#workflows';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import { buildServer } from '../../api/server.ts';
import { accountOf, eth, ether } from '../ledger/fixture.ts';
import { assertionOf } from '../support/dev-roster.ts';
import { openBench, type TestBench } from '../workflows/fixture.ts';
import { withoutTrading } from './gateway.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'adjustments-'));
const tokens = { treasury: 'y'.repeat(43), auditor: 'a'.repeat(43) } as const;
const roles = ['treasury', 'auditor'] as const;
const alice = customerMain(accountOf('alice'));
const root = '/v1/adjustments';
let bench: TestBench;
let app: FastifyInstance;
let api = '';
let made = 0;

beforeAll(async () => {
  bench = await openBench();
  const { ledger, pool } = bench.deps;
  await ledger.openAccounts(
    pool,
    [alice, houseSuspense].map((account) => ({ path: account, asset: ether })),
  );
  await ledger.apply(
    openingBalance({ reference: 'start', account: alice, against: houseSuspense, amount: eth(100n) }),
  );
  app = await buildServer({
    operations: bench.operations,
    ...withoutTrading(
      createAuthenticate({
        tokens: roles.map((role) => ({ name: `${role}-desk`, role, sha256: tokenDigest(tokens[role]) })),
      }),
    ),
    assets: [],
    probes: {},
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  api = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  for (const role of roles) writeFileSync(path.join(folder, role), tokens[role]);
  for (const person of ['ana', 'ben'])
    writeFileSync(path.join(folder, person), JSON.stringify(bench.roster.passkeyOf(person).toFile(person)));
});
afterAll(async () => {
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(url: string, payload?: object, role: keyof typeof tokens = 'treasury') {
  const headers = { authorization: `Bearer ${tokens[role]}` };
  return await app.inject(
    payload === undefined ? { method: 'GET', url, headers } : { method: 'POST', url, headers, payload },
  );
}
const proposal = (units: string, proposedBy = 'ana') => ({
  proposedBy,
  reason: `credited twice, number ${++made}`,
  legs: [{ debit: alice, credit: houseSuspense, asset: ether, units }],
});
/** What the person's passkey says to a request of the api. */
function signed(person: string, { statement, challenge }: AdjustmentRequest) {
  const assertion = assertionOf(
    bench.roster.passkeyOf(person),
    decodeBase64url(challenge) ?? new Uint8Array(),
  );
  return { notAfter: statement.notAfter, assertion };
}
async function propose(units = '5') {
  const content = proposal(units);
  const request = (await ask(`${root}/proposal-request`, content)).json<AdjustmentRequest>();
  const answer = await ask(root, { ...content, ...signed('ana', request) });
  return { content, request, view: answer.json<AdjustmentView>() };
}
async function approve(id: string, approver: string, signer = approver, sent: object = {}) {
  const request = (await ask(`${root}/${id}/approval-request`, { approver })).json<AdjustmentRequest>();
  return await ask(`${root}/${id}/approvals`, { approver, ...signed(signer, request), ...sent });
}
const proposed = { person: 'ana', act: 'propose', defect: null };
const refusedWith = (defect: string) => ({ code: 'POLICY_APPROVAL_REFUSED', details: { defect } });

test('one proposes, another approves, and it is booked once', async () => {
  const before = (await bench.deps.ledger.balances({ paths: [alice] }))[0]?.balance ?? 0n;
  const { content, request, view } = await propose();
  expect(view).toMatchObject({
    ...content,
    id: request.adjustment.id,
    state: 'proposed',
    people: [proposed],
  });
  expect((await ask(`${root}?open=true`, undefined, 'auditor')).json()).toMatchObject({
    adjustments: [{ id: view.id }],
  });
  const approved = await approve(view.id, 'ben');
  expect(approved.json()).toMatchObject({
    state: 'booked',
    people: [proposed, { person: 'ben', act: 'approve', defect: null }],
    refused: null,
  });
  expect((await approve(view.id, 'ben')).json()).toEqual(approved.json());
  expect((await ask(`${root}/${view.id}`, undefined, 'auditor')).json()).toEqual(approved.json());
  expect((await bench.deps.ledger.balances({ paths: [alice] }))[0]?.balance).toBe(before - 5n);
  const { rows } = await bench.deps.pool.query<{ evidence: { statement: { approver: string } } }>(
    'SELECT v.evidence FROM ledger.adjustment_approval AS v JOIN ledger.adjustment AS j ON j.id = v.adjustment WHERE j.content = $1',
    [view.id],
  );
  expect(rows[0]?.evidence.statement).toMatchObject({ approver: 'ben', act: 'approve', adjustment: view.id });
});

test('nobody approves alone, for another, or what was signed for something else', async () => {
  const { content, request, view } = await propose();
  expect((await approve(view.id, 'ana')).json()).toMatchObject({ code: 'LEDGER_ADJUSTMENT_SAME_PERSON' });
  expect((await approve(view.id, 'ben', 'ana')).json()).toMatchObject(refusedWith('credential-unknown'));
  // A signature for proposing is none for approving; one for this adjustment is none for another.
  const own = signed('ana', request);
  expect((await ask(`${root}/${view.id}/approvals`, { approver: 'ana', ...own })).json()).toMatchObject(
    refusedWith('challenge-mismatch'),
  );
  expect((await ask(root, { ...content, reason: 'another', ...own })).json()).toMatchObject(
    refusedWith('challenge-mismatch'),
  );
  const far = { notAfter: Date.now() + 10 ** 12 };
  expect((await approve(view.id, 'ben', 'ben', far)).json()).toMatchObject(refusedWith('challenge-mismatch'));
  expect((await approve(view.id, 'ben', 'ben', { notAfter: 1 })).json()).toMatchObject(
    refusedWith('statement-expired'),
  );
  expect((await ask(`${root}/proposal-request`, proposal('5', 'nobody'))).json()).toMatchObject(
    refusedWith('approver-unknown'),
  );
  expect((await ask(`${root}/${view.id}`)).json()).toMatchObject({ state: 'proposed', people: [proposed] });
});

test('a name written past the operations has no signature: it is shown, and nothing is booked on it', async () => {
  const { view } = await propose();
  const { request: another, view: other } = await propose();
  const forge = async (person: string, evidence: object | null) =>
    await bench.deps.pool.query(
      'INSERT INTO ledger.adjustment_approval (adjustment, person, evidence) SELECT id, $2, $3 FROM ledger.adjustment WHERE content = $1',
      [view.id, person, evidence],
    );
  await forge('ben', null);
  // A good signature of ana's, for proposing the other one.
  const { statement } = another;
  await forge('cleo', { statement, assertion: signed('ana', another).assertion });
  expect((await ask(`${root}/${view.id}`)).json()).toMatchObject({
    state: 'approved',
    people: [
      proposed,
      { person: 'ben', act: 'approve', defect: 'malformed' },
      { person: 'cleo', act: 'approve', defect: expect.any(String) as string },
    ],
  });
  expect((await ask(`${root}/${view.id}/booking`, {})).json()).toMatchObject(refusedWith('malformed'));
  expect(await bench.deps.ledger.transfersByReference(view.id)).toEqual([]);
  expect((await ask(`${root}/${other.id}`)).json()).toMatchObject({ state: 'proposed' });
});

test('what cannot be booked stays approved and says why', async () => {
  const { view } = await propose('1000');
  const answer = (await approve(view.id, 'ben')).json<AdjustmentView>();
  expect(answer).toMatchObject({ state: 'approved', refused: { code: 'LEDGER_INSUFFICIENT_FUNDS' } });
  await bench.deps.ledger.apply(
    openingBalance({ reference: 'more', account: alice, against: houseSuspense, amount: eth(1_000n) }),
  );
  expect((await ask(`${root}/${view.id}/booking`, {})).json()).toMatchObject({
    state: 'booked',
    refused: null,
  });
});

test('malformed proposals, unknown ids and the wrong role are refused', async () => {
  expect((await ask(root, proposal('5'))).statusCode).toBe(400);
  expect((await ask(`${root}/proposal-request`, proposal('-5'))).json()).toMatchObject({
    code: 'CORE_AMOUNT_INVALID',
  });
  for (const reason of ['a\u0000b', 'credited twice\u001b[2K', ''])
    expect((await ask(`${root}/proposal-request`, { ...proposal('5'), reason })).statusCode).toBe(400);
  expect((await ask(`${root}/proposal-request`, proposal('5'), 'auditor')).statusCode).toBe(403);
  expect((await ask(`${root}/sha256:${'0'.repeat(64)}`)).json()).toMatchObject({
    code: 'LEDGER_ADJUSTMENT_UNKNOWN',
  });
  expect((await ask(`${root}/other`)).statusCode).toBe(400);
});

async function run(args: readonly string[]) {
  return await new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      ['--import', 'tsx', 'cli/main.ts', 'adjustments', ...args],
      {
        env: {
          PATH: process.env['PATH'],
          STRONGROOM_API: api,
          STRONGROOM_TOKEN_FILE: path.join(folder, 'treasury'),
        },
      },
      (_error, out, err) => {
        resolve({ code: child.exitCode ?? -1, out, err });
      },
    );
  });
}
const passkey = (person: string) => ['--passkey', path.join(folder, person)];

test('the command line proposes, approves and lists', async () => {
  const { proposedBy: _proposedBy, ...content } = proposal('7');
  const file = path.join(folder, 'proposal.json');
  writeFileSync(file, JSON.stringify(content));
  const proposed = await run(['propose', file, ...passkey('ana'), '--json']);
  expect(proposed).toMatchObject({ code: 0, err: '' });
  const { id } = JSON.parse(proposed.out) as AdjustmentView;
  expect((await run(['list', '--open'])).out).toContain(content.reason);
  const alone = await run(['approve', id, ...passkey('ana')]);
  expect(alone).toMatchObject({ code: 1 });
  expect(alone.err).toContain('LEDGER_ADJUSTMENT_SAME_PERSON');
  const approved = await run(['approve', id, ...passkey('ben')]);
  expect(approved).toMatchObject({ code: 0, err: '' });
  expect(approved.out).toMatch(/booked.*\n.*ana: credited twice/);
  expect(await run(['book', id])).toMatchObject({ code: 0 });
}, 60_000);

test('the command line signs nothing but what it is shown', async () => {
  const { view } = await propose('3');
  app.server.removeAllListeners('request');
  // An api that shows a small correction and asks to sign another one.
  const other = `sha256:${'1'.repeat(64)}`;
  let asked = other;
  app.server.on('request', (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        adjustment: view,
        statement: { act: 'approve', approver: 'ben', adjustment: asked },
        challenge: '',
      }),
    );
  });
  for (const id of [view.id, other]) {
    const lied = await run(['approve', id, ...passkey('ben')]);
    expect(lied.code).toBe(1);
    expect(lied.err).toContain('CLI_SHOWN_OTHERWISE');
  }
  // The statement is the one shown, the challenge is not its.
  asked = view.id;
  expect((await run(['approve', view.id, ...passkey('ben')])).err).toContain('CLI_SHOWN_OTHERWISE');
  // What is looked up before approving: the small correction under the name of another one.
  app.server.removeAllListeners('request');
  app.server.on('request', ({ url }, response) => {
    const shown = { adjustments: [view, { ...view, id: other }] };
    const content = url?.startsWith('/v1/assets') === true ? { assets: [] } : shown;
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(content));
  });
  const listed = await run(['list']);
  expect(listed.code).toBe(1);
  expect(listed.out).toContain(view.reason);
  expect(listed.out.split('\n').filter((line) => line.startsWith(other))).toEqual([
    expect.stringContaining('NOT SHOWN') as string,
  ]);
  expect(listed.out.split(view.reason)).toHaveLength(2);
}, 60_000);
