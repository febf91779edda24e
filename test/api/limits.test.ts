/** How many requests are taken: of a key, of a token, of an address nobody is known behind. On gateways that listen. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StreamTrading } from '../../api/stream/channels.ts';
import { attachStream } from '../../api/stream/index.ts';
import { streamPath } from '../../api/stream/limits.ts';
import type { TradingAuth } from '../../api/trading-auth.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type Answer, type Holder, newAccount, newHolder, nextMs, send, signedBy } from './signing.ts';
import { type Gateway, openGateway } from './trading-gateway.ts';

const account = newAccount();
const assets = { method: 'GET', url: '/v1/assets' };
let databaseUrl = '';
let gateway: Gateway;
beforeAll(async () => {
  databaseUrl = await databaseForThisFile();
  gateway = await openGateway({ databaseUrl, probes: { database: async () => await Promise.resolve() } });
});
afterAll(async () => {
  await gateway.close();
});

/** Sends until one is refused, which it is after at most two windows of the rate. */
async function untilRefused(rate: number, ask: () => Promise<Answer>): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  while (answers.every(({ status }) => status !== 429)) {
    expect(answers.length).toBeLessThan(20 * rate);
    answers.push(...(await Promise.all(Array.from({ length: rate + 1 }, ask))));
  }
  return answers;
}
const problem = { code: 'API_RATE_LIMITED', status: 429, retryable: true };

test('a key sends what its tier allows, told in headers; then 429 and when to come again; others go on', async () => {
  const slow = await gateway.holder({ accounts: [account], rateTier: 'standard' });
  const other = await gateway.holder({ accounts: [account], rateTier: 'standard' });
  const first = await gateway.by(slow, assets);
  expect(first.headers).toMatchObject({
    'ratelimit-limit': '100',
    'ratelimit-remaining': '99',
    'ratelimit-reset': '1',
  });
  const answers = await untilRefused(100, async () => await gateway.by(slow, assets));
  const refused = answers.filter(({ status }) => status === 429);
  for (const { headers, json } of refused) {
    expect(json).toMatchObject(problem);
    expect(headers['content-type']).toContain('application/problem+json');
  }
  expect(
    refused.some(({ headers }) => headers['retry-after'] === '1' && headers['ratelimit-remaining'] === '0'),
  ).toBe(true);
  expect((await gateway.by(other, assets)).status).toBe(200);
  await expect.poll(async () => (await gateway.by(slow, assets)).status, { timeout: 10_000 }).toBe(200);
});

test('a token has the rate of its role', async () => {
  const trading = await gateway.as('trading', assets);
  expect(trading.headers['ratelimit-limit']).toBe('10000');
  const desk = async () => await gateway.as('auditor', assets);
  const answers = await untilRefused(100, desk);
  expect(answers.at(-1)?.headers['ratelimit-limit']).toBe('100');
  expect((await gateway.as('treasury', assets)).status).toBe(200);
});

test('a signature that is not good costs its holder nothing of the rate', async () => {
  const holder = await gateway.holder({ accounts: [account], rateTier: 'standard' });
  const forged: Holder = { ...newHolder(), id: holder.id };
  for (let sent = 0; sent < 30; sent++) await gateway.by(forged, assets);
  await expect
    .poll(async () => (await gateway.by(holder, assets)).headers['ratelimit-remaining'], { timeout: 10_000 })
    .toBe('99');
});

/** How many signatures of the gateway are looked at from now on. */
function countChecks(own: Gateway): () => number {
  let checked = 0;
  const find = own.keys.find.bind(own.keys);
  Object.assign(own.keys, {
    find: async (id: Holder['id']) => {
      checked += 1;
      return await find(id);
    },
  });
  return () => checked;
}

test('an address nobody is known behind is limited before a signature is checked; a good token passes all the same', async () => {
  const own = await openGateway({ databaseUrl });
  try {
    const stranger = async () => await send(own.port, assets, { authorization: 'Bearer nobody' });
    await untilRefused(50, stranger);
    // In the same window: what is refused now has not been looked at.
    const holder = await own.holder({ accounts: [account] });
    const checks = countChecks(own);
    let limited: Answer | undefined;
    while (limited === undefined) {
      await untilRefused(50, stranger);
      const before = checks();
      const answer = await own.by(holder, assets);
      if (answer.status === 429) {
        expect(checks()).toBe(before);
        limited = answer;
      }
    }
    expect(limited.json).toMatchObject(problem);
    expect(limited.headers['retry-after']).toBe('1');
    await untilRefused(50, stranger);
    expect((await own.as('trading', assets)).status).toBe(200);
    expect((await send(own.port, { method: 'GET', url: '/health' })).status).toBe(200);
    await expect.poll(async () => (await own.by(holder, assets)).status, { timeout: 10_000 }).toBe(200);
  } finally {
    await own.close();
  }
});

test('forgeries that come at once are not checked beyond the limit of their address', async () => {
  const own = await openGateway({ databaseUrl });
  try {
    const checks = countChecks(own);
    const forger = newHolder();
    const startedAtMs = performance.now();
    const answers = await Promise.all(Array.from({ length: 600 }, async () => await own.by(forger, assets)));
    const windows = Math.ceil((performance.now() - startedAtMs) / 1_000) + 1;
    expect(checks()).toBeGreaterThan(0);
    expect(checks()).toBeLessThanOrEqual(50 * windows);
    const codes = (wanted: string) => answers.filter(({ json }) => json['code'] === wanted).length;
    expect(codes('API_SIGNATURE_INVALID')).toBe(checks());
    expect(codes('API_RATE_LIMITED')).toBe(600 - checks());
    for (const { status, headers } of answers.filter(({ status }) => status !== 401))
      expect([status, headers['retry-after']]).toEqual([429, '1']);
  } finally {
    await own.close();
  }
});

test('of forgeries among good requests that come at once, the good ones that are looked at pass; alone all of them do', async () => {
  const own = await openGateway({ databaseUrl });
  try {
    const holder = await own.holder({ accounts: [account] });
    const good = await Promise.all(Array.from({ length: 600 }, async () => await own.by(holder, assets)));
    expect(good.filter(({ status }) => status !== 200)).toEqual([]);
    const forger = newHolder();
    const mixed = await Promise.all(
      Array.from({ length: 60 }, async (_, at) => await own.by(at % 2 === 0 ? holder : forger, assets)),
    );
    expect(mixed.map(({ status }) => status)).toEqual(mixed.map((_, at) => (at % 2 === 0 ? 200 : 401)));
  } finally {
    await own.close();
  }
});

test('an upgrade counts with the requests of its address, and is refused before its signature is checked', async () => {
  let checked = 0;
  const trustedProxies = ['127.0.0.1'];
  const own = await openGateway({ databaseUrl, trustedProxies });
  const auth: TradingAuth = {
    ...own.auth,
    caller: async (request) => {
      checked++;
      return await own.auth.caller(request);
    },
  };
  const stream = attachStream(own.app.server, {
    trading: { onEngineStatus: () => () => undefined } as unknown as StreamTrading,
    auth,
    strangers: own.app.upgradeLimits,
  });
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const asked = { method: 'GET', url: streamPath };
  const upgrade = async (headers: Record<string, string>, address = '203.0.113.1') =>
    await send(own.port, asked, { ...handshake, 'x-forwarded-for': address, ...headers });
  const forger = newHolder();
  const forged = async () => await upgrade(signedBy(forger, asked, nextMs()));
  try {
    const startedAtMs = performance.now();
    const first = await Promise.all(Array.from({ length: 400 }, forged));
    const windows = Math.ceil((performance.now() - startedAtMs) / 1_000) + 1;
    expect(checked).toBeLessThanOrEqual(50 * windows);
    expect(first.filter(({ json }) => json['code'] === 'API_SIGNATURE_INVALID')).toHaveLength(checked);
    const answers = await untilRefused(50, forged);
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.json).toMatchObject(problem);
    expect(refused?.headers['retry-after']).toBe('1');
    // In the same window: what is refused now has not been looked at.
    let before: number;
    do {
      await untilRefused(50, forged);
      before = checked;
    } while ((await forged()).status !== 429);
    expect(checked).toBe(before);
    // One count for both: of the upgrades, a request of the address is refused.
    let route: Answer;
    do {
      await untilRefused(50, forged);
      route = await send(own.port, { method: 'GET', url: '/nothing' }, { 'x-forwarded-for': '203.0.113.1' });
    } while (route.status !== 429);
    expect(route.json).toMatchObject(problem);
    expect((await upgrade(signedBy(forger, asked, nextMs()), '203.0.113.2')).json).toMatchObject({
      code: 'API_SIGNATURE_INVALID',
    });
    await untilRefused(50, async () => await upgrade({ authorization: 'Bearer nobody' }));
  } finally {
    await stream.close();
    await own.close();
  }
});

test('open routes are limited by address too, but for /health', async () => {
  const own = await openGateway({ databaseUrl });
  try {
    const health = await Promise.all(
      Array.from({ length: 200 }, async () => await send(own.port, { method: 'GET', url: '/health?deep=1' })),
    );
    expect(health.every(({ status }) => status === 200)).toBe(true);
    const answers = await untilRefused(
      50,
      async () => await send(own.port, { method: 'GET', url: '/nothing' }),
    );
    expect(answers.find(({ status }) => status === 429)?.json).toMatchObject(problem);
  } finally {
    await own.close();
  }
});

test('behind a proxy that is trusted each address counts for itself; a stranger names no address of its own', async () => {
  for (const trustedProxies of [['127.0.0.1'], []]) {
    const own = await openGateway({ databaseUrl, trustedProxies });
    try {
      let number = 0;
      const from = async (address: string) =>
        await send(own.port, { method: 'GET', url: '/nothing' }, { 'x-forwarded-for': address });
      await untilRefused(50, async () => await from('203.0.113.1'));
      const others = async () => await from(`198.51.100.${(number++ % 200) + 1}`);
      const answers =
        trustedProxies.length > 0
          ? await Promise.all(Array.from({ length: 200 }, others))
          : await untilRefused(50, others);
      expect(answers.some(({ status }) => status === 429)).toBe(trustedProxies.length === 0);
    } finally {
      await own.close();
    }
  }
});

test('a key that signs far more than it may fills no more than its own part of what is remembered', async () => {
  const greedy = await gateway.holder({ accounts: [account], rateTier: 'standard' });
  const start = nextMs() + 2_000;
  const second = Math.ceil(start / 1_000) * 1_000;
  const codes = new Map<string, number>();
  for (let part = 0; part < 5; part++) {
    const answers = await Promise.all(
      Array.from(
        { length: 50 },
        async (_, place) =>
          await send(gateway.port, assets, signedBy(greedy, assets, second + part * 50 + place)),
      ),
    );
    for (const { status, json } of answers) {
      const code =
        status === 200
          ? 'ok'
          : String(json['detail']).includes('of one second')
            ? 'signed'
            : String(json['code']);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  // 250 signed for one second: 200 are remembered at most, whatever the rate let through.
  expect(codes.get('signed')).toBe(50);
});
