/** Signed requests: what is accepted, once, and that nothing else is. Keys are in a real database. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isStrongroomError } from '#core/errors';
import { openPool, type Pool } from '#infra/db';
import { createAuthenticate, tokenDigest } from '../../api/auth.ts';
import { createSeenRequests } from '../../api/keys/seen-requests.ts';
import { type ApiKeys, createApiKeys } from '../../api/keys/store.ts';
import { createTradingAuth, type RequestOfCaller } from '../../api/trading-auth.ts';
import { databaseForThisFile } from '../support/database.ts';
import { type Holder, newAccount, newHolder, signedBy, type Unsigned } from './signing.ts';

const token = 't'.repeat(43);
const authenticate = createAuthenticate({
  tokens: [
    { name: 'backend', role: 'trading', sha256: tokenDigest(token) },
    { name: 'audit', role: 'auditor', sha256: tokenDigest('a'.repeat(43)) },
  ],
});
const account = newAccount();
const alice = newHolder();
const startMs = 1_780_000_000_000;
let nowMs = startMs;
let pool: Pool;
let keys: ApiKeys;

beforeAll(async () => {
  pool = openPool({ connectionString: await databaseForThisFile(), applicationName: 'test' });
  keys = createApiKeys({ pool });
  await registered(alice);
});
afterAll(async () => {
  await pool.end();
});

async function registered(holder: Holder): Promise<Holder> {
  const { id, publicKey } = holder;
  await keys.register(
    { id, name: 'of a test', publicKey, accounts: [account], permissions: ['trade'], rateTier: 'standard' },
    'backend',
  );
  return holder;
}
/** A process that started before everything in the test. */
function process(at: number = startMs) {
  nowMs = at - 60_000;
  const auth = createTradingAuth({ authenticate, keys, clock: { nowMs: () => nowMs } });
  nowMs = at;
  return auth;
}
const ask = (request: Unsigned, headers: Record<string, string>): RequestOfCaller => ({
  method: request.method,
  url: request.url,
  headers,
  rawBody: Buffer.from(request.body ?? ''),
});
const signed = (request: Unsigned, atMs = nowMs, holder = alice) =>
  ask(request, signedBy(holder, request, atMs));
async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'accepted';
  } catch (error) {
    if (isStrongroomError(error)) return error.code;
    throw error;
  }
}
const order: Unsigned = {
  method: 'POST',
  url: '/v1/orders?a=1&b=%20',
  body: '{"market":"ETH-USD","side":"buy","size":"1.5"}',
};

test('a key is a caller for its accounts, with its permissions', async () => {
  const caller = await process().caller(signed(order));
  expect(caller).toMatchObject({ name: alice.id, keyId: alice.id, requestsPerSecond: 100 });
  expect([...(caller.accounts as ReadonlySet<string>)]).toEqual([account]);
  expect([...caller.permissions]).toEqual(['trade']);
});

test('tokens: the backend may do everything for everybody, an auditor may look', async () => {
  const auth = process();
  const backend = await auth.caller(ask(order, { authorization: `Bearer ${token}` }));
  expect(backend.accounts).toBe('all');
  expect([...backend.permissions]).toEqual(['read', 'trade', 'transfer']);
  const auditor = await auth.caller(ask(order, { authorization: `Bearer ${'a'.repeat(43)}` }));
  expect(auditor.accounts).toBe('all');
  expect([...auditor.permissions]).toEqual(['read']);
  expect(await codeOf(auth.caller(ask(order, { authorization: `Bearer ${'x'.repeat(43)}` })))).toBe(
    'API_UNAUTHENTICATED',
  );
});

const parts = [
  'method',
  'url',
  'body',
  'strongroom-timestamp',
  'strongroom-signature',
  'strongroom-key',
] as const;
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
const unsigned = fc.record({
  method: fc.constantFrom(...methods),
  url: fc.webPath().map((path) => `/v1/orders${path}?market=ETH-USD&limit=5`),
  body: fc.string({ maxLength: 60 }),
});

test('any byte that is changed, added or taken away makes it invalid; and costs the holder nothing', async () => {
  const auth = process();
  await fc.assert(
    fc.asyncProperty(
      unsigned,
      fc.constantFrom(...parts),
      fc.constantFrom('change', 'insert', 'remove'),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (request, part, how, position, by) => {
        nowMs += 20;
        const good = signed(request);
        const header = part.startsWith('strongroom-');
        const before = Buffer.from(
          header
            ? (good.headers[part] as string)
            : part === 'body'
              ? request.body
              : good[part as 'method' | 'url'],
        );
        const places = how === 'insert' ? before.length + 1 : before.length;
        if (places === 0) return;
        const at = position % places;
        const after = [...before];
        if (how === 'insert') after.splice(at, 0, by);
        else if (how === 'remove') after.splice(at, 1);
        else after[at] = ((before[at] ?? 0) ^ by) & 0xff;
        const bytes = Buffer.from(after);
        const wrong: RequestOfCaller = header
          ? { ...good, headers: { ...good.headers, [part]: bytes.toString('latin1') } }
          : part === 'body'
            ? { ...good, rawBody: bytes }
            : { ...good, [part]: bytes.toString('latin1') };
        expect(['API_SIGNATURE_INVALID', 'API_KEY_TIMESTAMP']).toContain(await codeOf(auth.caller(wrong)));
        expect(await codeOf(auth.caller(good))).toBe('accepted');
      },
    ),
    { numRuns: 600 },
  );
});

test('each bit of a signature matters, also those at its end that base64url has left over', async () => {
  const auth = process();
  const good = signed(order);
  const text = good.headers['strongroom-signature'] as string;
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  for (const last of [...alphabet, '=', '==', '']) {
    const other = text.slice(0, -1) + last;
    if (other === text) continue;
    const wrong = { ...good, headers: { ...good.headers, 'strongroom-signature': other } };
    expect(await codeOf(auth.caller(wrong))).toBe('API_SIGNATURE_INVALID');
  }
  expect(await codeOf(auth.caller(good))).toBe('accepted');
});

test('a request is accepted once, however many come at the same time', async () => {
  const auth = process();
  const one = signed(order);
  const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf(auth.caller(one))));
  expect(codes.filter((code) => code === 'accepted')).toHaveLength(1);
  expect(codes.filter((code) => code === 'API_SIGNATURE_REPLAYED')).toHaveLength(19);
  expect(await codeOf(auth.caller(signed(order, nowMs + 1)))).toBe('accepted');
});

test('five seconds either side of the clock, and the answer says what time it is here', async () => {
  const auth = process();
  for (const offset of [-5_000, 5_000])
    expect(await codeOf(auth.caller(signed(order, nowMs + offset)))).toBe('accepted');
  for (const offset of [-5_001, 5_001])
    await expect(auth.caller(signed(order, nowMs + offset))).rejects.toMatchObject({
      code: 'API_KEY_TIMESTAMP',
      details: { serverTimeMs: nowMs },
    });
});

test('what was accepted stays so: at the end of the window, and when the clock steps back', async () => {
  const auth = process();
  const early = signed(order, nowMs + 5_000);
  await auth.caller(early);
  nowMs += 10_000;
  expect(await codeOf(auth.caller(early))).toBe('API_SIGNATURE_REPLAYED');
  nowMs += 30_000;
  await auth.caller(signed(order));
  nowMs -= 35_000;
  // It is within five seconds again, and forgotten since; but it is not good again.
  expect(await codeOf(auth.caller(early))).toBe('API_KEY_TIMESTAMP');
});

test('nothing is good twice in the moment in which it is forgotten: the clock goes on while a request is looked at', async () => {
  const signedMs = startMs + 999;
  nowMs = startMs - 60_000;
  let tickMs = 0;
  const clock = {
    nowMs: () => {
      nowMs += tickMs;
      return nowMs;
    },
  };
  const auth = createTradingAuth({ authenticate, keys, clock });
  nowMs = signedMs;
  const request = signed({ ...order, url: '/v1/orders?moment' }, signedMs);
  expect(await codeOf(auth.caller(request))).toBe('accepted');
  tickMs = 1;
  const answers: string[] = [];
  for (let endMs = 4_995; endMs <= 5_002; endMs++) {
    nowMs = signedMs + endMs;
    answers.push(await codeOf(auth.caller(request)));
  }
  expect(answers).not.toContain('accepted');
});

test('a clock that was an hour ahead for a while refuses nobody once it is right again, and nothing is good twice', async () => {
  const auth = process();
  const before = signed(order);
  await auth.caller(before);
  nowMs += 3_600_000;
  const ahead = signed(order);
  await auth.caller(ahead);
  nowMs += 20_000 - 3_600_000;
  expect(await codeOf(auth.caller(signed(order)))).toBe('accepted');
  nowMs -= 18_000;
  expect(await codeOf(auth.caller(before))).toBe('API_KEY_TIMESTAMP');
  nowMs += 3_600_000 - 2_000;
  expect(await codeOf(auth.caller(ahead))).toBe('API_SIGNATURE_REPLAYED');
});

test('a process accepts nothing that was signed before it started: the one before it may have', async () => {
  nowMs = startMs;
  const auth = createTradingAuth({ authenticate, keys, clock: { nowMs: () => nowMs } });
  nowMs += 1_000;
  await expect(auth.caller(signed(order, startMs - 1))).rejects.toMatchObject({
    code: 'API_KEY_TIMESTAMP',
    message: expect.stringContaining('before this process started') as string,
  });
  expect(await codeOf(auth.caller(signed(order, startMs)))).toBe('accepted');
});

test('an unknown key, a revoked one and a wrong signature have one answer', async () => {
  const auth = process();
  const revoked = await registered(newHolder());
  expect(await codeOf(auth.caller(signed(order, nowMs, revoked)))).toBe('accepted');
  await keys.revoke(revoked.id, 'backend');
  const wrong = signed(order);
  const answers = await Promise.all(
    [
      signed(order, nowMs + 1, newHolder()),
      signed(order, nowMs + 1, revoked),
      { ...wrong, rawBody: Buffer.from('other') },
      // Another key's good signature.
      { ...wrong, headers: { ...wrong.headers, 'strongroom-key': revoked.id } },
    ].map(async (request) => {
      try {
        return await auth.caller(request);
      } catch (error) {
        return isStrongroomError(error) ? [error.code, error.message, error.details, error.kind] : error;
      }
    }),
  );
  expect(answers[0]).toMatchObject(
    ['API_SIGNATURE_INVALID', /not in force/, {}, 'unauthenticated'].map((each) =>
      each instanceof RegExp ? (expect.stringMatching(each) as string) : each,
    ),
  );
  expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
});

test('a stream finds out that its key was revoked', async () => {
  const auth = process();
  const holder = await registered(newHolder());
  const caller = await auth.caller(signed({ method: 'GET', url: '/v1/stream' }, nowMs, holder));
  await auth.recheck(caller);
  await keys.revoke(holder.id, 'backend');
  expect(await codeOf(auth.recheck(caller))).toBe('API_SIGNATURE_INVALID');
});

test('a token and a signature together are refused, and so is half a signature', async () => {
  const auth = process();
  const good = signed(order);
  const both = { ...good, headers: { ...good.headers, authorization: `Bearer ${token}` } };
  expect(await codeOf(auth.caller(both))).toBe('API_SIGNATURE_INVALID');
  for (const name of ['strongroom-key', 'strongroom-timestamp', 'strongroom-signature']) {
    const { [name]: _left, ...headers } = good.headers;
    expect(await codeOf(auth.caller({ ...good, headers }))).toBe('API_SIGNATURE_INVALID');
    expect(() => auth.isSigned(headers)).toThrow();
  }
  expect(auth.isSigned({})).toBe(false);
});

test('what is remembered is bounded: by key with its rate, for all by a limit; and is forgotten in time', () => {
  const seen = createSeenRequests({ startedAtMs: 0, requestsMax: 10 });
  const take = (keyId: string, number: number, timestampMs: number, at = timestampMs) => {
    seen.take({ keyId, timestampMs, bytes: Buffer.from([number]), perSecondMax: 4, nowMs: at });
  };
  const code = (work: () => void) => {
    try {
      work();
    } catch (error) {
      return (error as { code: string }).code;
    }
    return 'taken';
  };
  const at = 1_000_000;
  for (const number of [1, 2, 3, 4]) take('a', number, at);
  expect(code(() => take('a', 5, at + 999))).toBe('API_RATE_LIMITED');
  expect(code(() => take('a', 1, at))).toBe('API_SIGNATURE_REPLAYED');
  expect(code(() => take('a', 5, at + 1_000))).toBe('taken');
  for (const number of [1, 2, 3, 4]) take('b', number, at);
  take('c', 1, at);
  expect(code(() => take('c', 2, at))).toBe('API_SIGNATURES_FULL');
  expect(code(() => take('c', 2, at + 5_999, at + 5_999))).toBe('API_SIGNATURES_FULL');
  expect(code(() => take('c', 2, at + 6_000, at + 6_000))).toBe('taken');
  expect(seen.floorMs()).toBe(at + 1_000);
});
