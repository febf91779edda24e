/** The gateway itself: authentication, roles, validation, problem+json. Operations are a recorder: they have their own tests. */
import type { FastifyInstance } from 'fastify';
import { afterEach, expect, test } from 'vitest';
import { StrongroomError } from '#core/errors';
import type { WithdrawalView } from '#workflows/contract';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import { buildServer, type ServerOptions } from '../../api/server.ts';
import { withoutTrading } from './gateway.ts';

const uuid = '01890a5d-ac96-7000-8000-000000000001';
const accountId = `acc_${uuid}` as const;
const withdrawalId = `wd_${uuid}` as const;
const asset = 'eip155:31337/slip44:60';
const address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

const view: WithdrawalView = {
  id: withdrawalId,
  accountId,
  asset,
  address,
  units: '1',
  state: 'PENDING_APPROVAL',
  intentId: `int_${uuid}`,
  intentHash: `sha256:${'0'.repeat(64)}`,
  decision: {
    outcome: 'allow',
    rules: ['A1', 'R1'],
    obligations: { rules: ['R1'], approvals: { treasury: 2 }, delayMs: 0 },
  },
  missingApprovals: { treasury: 2 },
  txId: null,
  feeUnits: null,
  createdAt: 1,
  timeline: [{ at: 1, state: 'REQUESTED', event: 'requested', details: {} }],
};

const tokens = { trading: 't'.repeat(43), treasury: 'y'.repeat(43), auditor: 'a'.repeat(43) } as const;
const authenticate = createAuthenticate({
  tokens: (['trading', 'treasury', 'auditor'] as const).map((role) => ({
    name: `${role}-token`,
    role,
    sha256: tokenDigest(tokens[role]),
  })),
});

let app: FastifyInstance | undefined;
afterEach(async () => {
  await app?.close();
});

async function serve(
  operations: Partial<ServerOptions['operations']>,
  probe: () => Promise<void> = async () => undefined,
) {
  app = await buildServer({
    operations: operations as ServerOptions['operations'],
    ...withoutTrading(authenticate),
    assets: [{ asset, chain: 'eip155:31337', decimals: 18 }],
    probes: { database: probe },
  });
  return app;
}
const as = (role: keyof typeof tokens) => ({ authorization: `Bearer ${tokens[role]}` });
const body = { accountId, asset, address, units: '1' };

test('a request without or with an unknown token is 401 and reaches no operation', async () => {
  const server = await serve({});
  for (const headers of [
    {},
    { authorization: 'Bearer nope' },
    { authorization: `Basic ${tokens.trading}` },
  ]) {
    const answer = await server.inject({
      method: 'PUT',
      url: `/v1/withdrawals/${withdrawalId}`,
      headers,
      payload: body,
    });
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({ code: 'API_UNAUTHENTICATED', status: 401 });
  }
});

test('a stranger learns nothing: neither a bad body nor an unknown route is looked at without a token', async () => {
  const server = await serve({});
  for (const url of ['/v1/withdrawals/nonsense', '/v1/nothing']) {
    const answer = await server.inject({ method: 'PUT', url, payload: { nonsense: true } });
    expect(answer.statusCode).toBe(401);
  }
});

test('a token is looked at once for each request', async () => {
  let looked = 0;
  const counting: typeof authenticate = (request) => {
    looked += 1;
    return authenticate(request);
  };
  app = await buildServer({
    operations: {
      withdrawal: async () => await Promise.resolve(view),
    } as unknown as ServerOptions['operations'],
    ...withoutTrading(counting),
    assets: [],
    probes: {},
  });
  for (const url of [`/v1/withdrawals/${withdrawalId}`, '/v1/assets'])
    expect((await app.inject({ url, headers: as('trading') })).statusCode).toBe(200);
  expect(looked).toBe(2);
});

test('an error says what to do', async () => {
  const server = await serve({});
  const answer = await server.inject({ url: `/v1/withdrawals/${withdrawalId}` });
  expect(answer.json<{ whatToDo: string }>().whatToDo).toMatch(/Authorization: Bearer/);
});

test('each role does only what it may', async () => {
  const server = await serve({ requestWithdrawal: async () => view, withdrawal: async () => view });
  const put = { method: 'PUT' as const, url: `/v1/withdrawals/${withdrawalId}`, payload: body };
  expect((await server.inject({ ...put, headers: as('trading') })).statusCode).toBe(200);
  const refused = await server.inject({ ...put, headers: as('auditor') });
  expect(refused.json()).toMatchObject({
    code: 'API_FORBIDDEN',
    details: { role: 'auditor', needs: ['trading'] },
  });
  expect(
    (await server.inject({ url: `/v1/withdrawals/${withdrawalId}`, headers: as('auditor') })).statusCode,
  ).toBe(200);
});

test('the assets are listed for every role and for nobody else', async () => {
  const server = await serve({});
  for (const role of ['trading', 'treasury', 'auditor'] as const)
    expect((await server.inject({ url: '/v1/assets', headers: as(role) })).json()).toEqual({
      assets: [{ asset, chain: 'eip155:31337', decimals: 18 }],
    });
  expect((await server.inject({ url: '/v1/assets' })).statusCode).toBe(401);
});

test('open cases and halts are shown to those who watch, not to the trading service', async () => {
  const since = new Date(1_000);
  const server = await serve({
    incidents: async () => ({
      cases: [
        {
          id: 'case_1',
          kind: 'reorg',
          subject: 'dep_1',
          details: { units: '5' },
          openedAt: since,
          ageMs: 5,
          owner: null,
        },
      ],
      halts: [{ scope: 'chain:eip155:31337', reason: 'a credited deposit left the chain', setAt: since }],
    }),
  });
  expect((await server.inject({ url: '/v1/cases', headers: as('auditor') })).json()).toEqual({
    cases: [
      {
        id: 'case_1',
        kind: 'reorg',
        subject: 'dep_1',
        details: { units: '5' },
        openedAt: 1_000,
        ageMs: 5,
        owner: null,
      },
    ],
    halts: [{ scope: 'chain:eip155:31337', reason: 'a credited deposit left the chain', setAt: 1_000 }],
  });
  expect((await server.inject({ url: '/v1/cases', headers: as('trading') })).statusCode).toBe(403);
});

test('a malformed request names each field and is not passed on', async () => {
  let calls = 0;
  const server = await serve({
    requestWithdrawal: async () => {
      calls += 1;
      return view;
    },
  });
  const ask = async (url: string, payload: object) =>
    await server.inject({ method: 'PUT', url, headers: as('trading'), payload });
  const numeric = await ask(`/v1/withdrawals/${withdrawalId}`, { ...body, units: 1 });
  expect(numeric.json()).toMatchObject({ code: 'API_REQUEST_INVALID', errors: [{ field: 'body.units' }] });
  const extra = await ask(`/v1/withdrawals/${withdrawalId}`, { ...body, fee: '0' });
  expect(extra.statusCode).toBe(400);
  expect(extra.json()).toMatchObject({ errors: [{ field: 'body' }] });
  const upper = await ask(`/v1/withdrawals/WD_${uuid}`, body);
  expect(upper.json()).toMatchObject({
    code: 'API_REQUEST_INVALID',
    errors: [{ field: 'params.withdrawalId' }],
  });
  expect(calls).toBe(0);
});

test('a typed error keeps its code, details and retryability; an unknown one says nothing about the inside', async () => {
  const server = await serve({
    withdrawal: async (id) => {
      if (id === withdrawalId)
        throw new StrongroomError('LEDGER_INSUFFICIENT_FUNDS', 'only 5 of 7 units are available', {
          kind: 'conflict',
          details: { available: '5' },
        });
      throw new Error('password=hunter2');
    },
  });
  const typed = await server.inject({ url: `/v1/withdrawals/${withdrawalId}`, headers: as('auditor') });
  expect(typed.statusCode).toBe(409);
  expect(typed.json()).toMatchObject({
    code: 'LEDGER_INSUFFICIENT_FUNDS',
    details: { available: '5' },
    retryable: false,
  });
  const other = await server.inject({
    url: `/v1/withdrawals/wd_${uuid.replace('0001', '0002')}`,
    headers: as('auditor'),
  });
  expect(other.statusCode).toBe(500);
  expect(other.body).not.toContain('hunter2');
});

test('an unknown route is a problem too, and a body over the limit is refused', async () => {
  const server = await serve({ requestWithdrawal: async () => view });
  expect((await server.inject({ url: '/v1/nothing', headers: as('auditor') })).json()).toMatchObject({
    code: 'API_NOT_FOUND',
  });
  const huge = await server.inject({
    method: 'PUT',
    url: `/v1/withdrawals/${withdrawalId}`,
    headers: as('trading'),
    payload: { ...body, address: 'x'.repeat(70_000) },
  });
  expect(huge.statusCode).toBe(413);
});

test('a path that the router cannot read is a problem too', async () => {
  const server = await serve({});
  const headers = { authorization: `Bearer ${tokens.trading}` };
  for (const [url, status] of [
    ['/v1/accounts/%zz', 400],
    [`/v1/accounts/${'a'.repeat(200)}`, 414],
  ] as const) {
    const answer = await server.inject({ method: 'GET', url, headers });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.json()).toMatchObject({ code: 'API_REQUEST_INVALID', status, retryable: false });
  }
});

test('health is 503 and names the part that is down, without saying why to strangers', async () => {
  const up = await serve({});
  expect((await up.inject({ url: '/health' })).json()).toEqual({ ok: true, parts: { database: 'ok' } });
  await up.close();
  const down = await serve({}, async () => {
    throw new Error('connect ECONNREFUSED 10.1.2.3');
  });
  const answer = await down.inject({ url: '/health' });
  expect(answer.statusCode).toBe(503);
  expect(answer.json()).toEqual({ ok: false, parts: { database: 'down' } });
});

test('a part that says nothing is down too, and is not asked again while it is silent', async () => {
  let asked = 0;
  let answer: () => void = () => undefined;
  const silent = await serve({}, async () => {
    asked++;
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
  });
  const looks = await Promise.all([1, 2, 3].map(async () => await silent.inject({ url: '/health' })));
  expect(looks.map(({ statusCode }) => statusCode)).toEqual([503, 503, 503]);
  expect(asked).toBe(1);
  answer();
  const again = silent.inject({ url: '/health' });
  await expect.poll(() => asked).toBe(2);
  answer();
  expect((await again).json()).toEqual({ ok: true, parts: { database: 'ok' } });
});
