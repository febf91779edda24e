/** API keys: registered once, revoked once, by whom it may be; on the real gateway and database. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPool } from '#infra/db';
import { createApiKeys } from '../../api/keys/store.ts';
import { databaseForThisFile, superuserOf } from '../support/database.ts';
import { type Holder, newAccount, newHolder, newKeyId } from './signing.ts';
import { type Gateway, openGateway } from './trading-gateway.ts';

let gateway: Gateway;
let databaseUrl = '';
beforeAll(async () => {
  databaseUrl = await databaseForThisFile();
  gateway = await openGateway({ databaseUrl });
});
afterAll(async () => {
  await gateway.close();
});

const account = newAccount();
const other = newAccount();
const bodyOf = (holder: Holder, changes: object = {}) => ({
  name: 'desk 1',
  publicKey: holder.publicKey.toString('base64url'),
  accountIds: [account],
  permissions: ['read', 'trade'],
  ...changes,
});
const put = async (holder: Holder, changes: object = {}, role: 'trading' | 'treasury' = 'trading') =>
  await gateway.as(role, { method: 'PUT', url: `/v1/api-keys/${holder.id}`, body: bodyOf(holder, changes) });
const revoke = async (holder: Holder) =>
  await gateway.as('trading', { method: 'DELETE', url: `/v1/api-keys/${holder.id}` });
const assets = { method: 'GET', url: '/v1/assets' };

test('registered, it signs; the same again is the same; another content is not', async () => {
  const holder = newHolder();
  const made = await put(holder);
  expect(made).toMatchObject({
    status: 200,
    json: { id: holder.id, rateTier: 'standard', createdBy: 'trading-desk', revoked: null },
  });
  expect((await put(holder, { permissions: ['trade', 'read', 'trade'] })).json).toEqual(made.json);
  for (const changes of [
    { name: 'desk 2' },
    { permissions: ['read'] },
    { accountIds: [account, other] },
    { rateTier: 'professional' },
    { publicKey: newHolder().publicKey.toString('base64url') },
  ])
    expect((await put(holder, changes)).json).toMatchObject({ code: 'API_KEY_CONFLICT', status: 409 });
  const signed = await gateway.by(holder, assets);
  expect(signed.status).toBe(200);
  expect(signed.json).toMatchObject({
    assets: [{ chain: 'eip155:31337' }, { asset: 'ledger:usd', chain: null }],
  });
});

test('a public key is registered once, for ever: a lost one does not come back under another id', async () => {
  const holder = newHolder();
  await put(holder);
  const again = { ...holder, id: newKeyId() };
  expect((await put(again)).json).toMatchObject({ code: 'API_KEY_CONFLICT' });
  await revoke(holder);
  expect((await put(again)).json).toMatchObject({ code: 'API_KEY_CONFLICT' });
  expect((await put(holder)).json).toMatchObject({ revoked: { by: 'trading-desk' } });
  expect((await gateway.by(holder, assets)).json).toMatchObject({ code: 'API_SIGNATURE_INVALID' });
});

test('a key that others could sign for, or that is no key, is refused', async () => {
  // Of small order: 0, 1 (the neutral element), the point of order 2, one of order 8; then y that is on no point.
  for (const hex of [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    `02${'00'.repeat(31)}`,
  ]) {
    const holder = { ...newHolder(), publicKey: Buffer.from(hex, 'hex') };
    expect((await put(holder)).json).toMatchObject({ code: 'API_KEY_INVALID', status: 400 });
  }
  const short = await put(newHolder(), { publicKey: 'AAAA' });
  expect(short.json).toMatchObject({ code: 'API_REQUEST_INVALID', errors: [{ field: 'body.publicKey' }] });
});

test('each field has its bounds', async () => {
  for (const [field, value] of [
    ['name', ''],
    ['name', 'a\u0000b'],
    ['accountIds', []],
    ['accountIds', Array.from({ length: 101 }, newAccount)],
    ['permissions', []],
    ['permissions', ['withdraw']],
    ['rateTier', 'unlimited'],
  ] as const) {
    const answer = await put(newHolder(), { [field]: value });
    expect(answer.json).toMatchObject({ code: 'API_REQUEST_INVALID' });
    expect(JSON.stringify(answer.json['errors'])).toContain(`body.${field}`);
  }
  expect((await put(newHolder(), { expires: 1 })).json).toMatchObject({ code: 'API_REQUEST_INVALID' });
});

test('who may: the backend registers, it and operators revoke, all look', async () => {
  const holder = newHolder();
  expect((await put(holder, {}, 'treasury')).json).toMatchObject({ code: 'API_FORBIDDEN' });
  await put(holder);
  const one = { method: 'DELETE', url: `/v1/api-keys/${holder.id}` };
  expect((await gateway.as('auditor', one)).json).toMatchObject({ code: 'API_FORBIDDEN' });
  const revoked = await gateway.as('compliance', one);
  expect(revoked.json).toMatchObject({ revoked: { by: 'compliance-desk' } });
  expect((await gateway.as('treasury', one)).json).toEqual(revoked.json);
  expect((await gateway.as('auditor', { method: 'GET', url: '/v1/api-keys' })).status).toBe(200);
  const none = await gateway.as('treasury', { method: 'DELETE', url: `/v1/api-keys/${newKeyId()}` });
  expect(none.json).toMatchObject({ code: 'API_KEY_UNKNOWN', status: 404 });
  expect((await gateway.by(newHolder(), one)).json).toMatchObject({ code: 'API_UNAUTHENTICATED' });
});

test('pages of an account give every key once', async () => {
  const mine = newAccount();
  const ids: string[] = [];
  for (let made = 0; made < 5; made++) {
    const holder = newHolder();
    await put(holder, { accountIds: [mine, other] });
    ids.push(holder.id);
  }
  const found: string[] = [];
  for (let after = ''; ; ) {
    const url = `/v1/api-keys?accountId=${mine}&limit=2${after === '' ? '' : `&after=${after}`}`;
    const { json } = await gateway.as('auditor', { method: 'GET', url });
    const keys = json['keys'] as { id: string }[];
    if (keys.length === 0) break;
    found.push(...keys.map(({ id }) => id));
    after = keys.at(-1)?.id ?? '';
  }
  expect(found).toEqual([...ids].sort());
});

test('an account has a hundred keys in force, also when many come at once; a revoked one makes room', async () => {
  const mine = newAccount();
  const holders = Array.from({ length: 104 }, () => newHolder());
  const answers = await Promise.all(holders.map((holder) => put(holder, { accountIds: [other, mine] })));
  const made = holders.filter((_, place) => answers[place]?.status === 200);
  expect(made.length).toBeGreaterThan(90);
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.every(({ json }) => json['code'] === 'API_KEYS_TOO_MANY')).toBe(true);
  const inForce = await gateway.pool.query<{ n: string }>(
    'SELECT count(*) AS n FROM api.api_key WHERE accounts @> ARRAY[$1::uuid] AND revoked_at IS NULL',
    [other.slice(4)],
  );
  expect(inForce.rows[0]?.n).toBe('100');
  const [first] = made;
  if (first !== undefined) await revoke(first);
  expect((await put(newHolder(), { accountIds: [other] })).status).toBe(200);
});

test('the database itself keeps a key as it was, and revokes it once', async () => {
  const holder = newHolder();
  await put(holder);
  const id = holder.id.slice(4);
  for (const statement of [
    `UPDATE api.api_key SET permissions = '{transfer}' WHERE id = '${id}'`,
    `UPDATE api.api_key SET revoked_at = now(), revoked_by = 'x', name = 'y' WHERE id = '${id}'`,
    `UPDATE api.api_key SET revoked_by = 'x' WHERE id = '${id}'`,
    `DELETE FROM api.api_key WHERE id = '${id}'`,
    'TRUNCATE api.api_key',
  ])
    await expect(gateway.pool.query(statement)).rejects.toMatchObject({ code: 'AP001' });
  await revoke(holder);
  await expect(
    gateway.pool.query(`UPDATE api.api_key SET revoked_at = NULL, revoked_by = NULL WHERE id = '${id}'`),
  ).rejects.toMatchObject({ code: 'AP001' });
});

test('the role of the process registers and revokes, and can do nothing else to keys', async () => {
  const role = `api_${newKeyId().slice(-12)}`;
  const superuser = await superuserOf(databaseUrl);
  await superuser.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  await superuser.query('SELECT api.grant_keys($1)', [role]);
  const url = new URL(databaseUrl);
  url.username = role;
  url.password = 'x';
  const asRole = openPool({ connectionString: url.href, applicationName: 'role' });
  try {
    const keys = createApiKeys({ pool: asRole });
    const { id, publicKey } = newHolder();
    const key = {
      id,
      publicKey,
      name: 'x',
      accounts: [account],
      permissions: ['read'],
      rateTier: 'standard',
    } as const;
    await keys.register(key, 'x');
    expect((await keys.list({ accountId: account, limit: 500 })).some((each) => each.id === id)).toBe(true);
    expect((await keys.revoke(id, 'y')).revoked).toMatchObject({ by: 'y' });
    // 42501: insufficient privilege.
    for (const statement of [
      `UPDATE api.api_key SET permissions = '{transfer}'`,
      'DELETE FROM api.api_key',
      'TRUNCATE api.api_key',
      'DROP TRIGGER api_key_kept ON api.api_key',
      `SELECT api.grant_keys('${role}')`,
    ])
      await expect(asRole.query(statement), statement).rejects.toMatchObject({ code: '42501' });
  } finally {
    await asRole.end();
    await superuser.query(`DROP OWNED BY ${role}`);
    await superuser.query(`DROP ROLE ${role}`);
  }
});

test('another process takes requests of a revoked key for less than a second, and reads a used one beside them', async () => {
  let elapsedMs = 0;
  const otherPool = openPool({ connectionString: databaseUrl, applicationName: 'other' });
  const elsewhere = createApiKeys({ pool: otherPool, elapsedMs: () => elapsedMs });
  const holder = newHolder();
  await put(holder);
  expect((await elsewhere.find(holder.id))?.revoked).toBeNull();
  await revoke(holder);
  elapsedMs = 499;
  expect((await elsewhere.find(holder.id))?.revoked).toBeNull();
  elapsedMs = 1_000;
  expect((await elsewhere.find(holder.id))?.revoked).toMatchObject({ by: 'trading-desk' });

  const used = newHolder();
  await put(used);
  await elsewhere.find(used.id);
  elapsedMs += 500;
  await revoke(used);
  // The old answer, and a question beside it, whose answer is there a moment later without the time going on.
  expect((await elsewhere.find(used.id))?.revoked).toBeNull();
  await expect.poll(async () => (await elsewhere.find(used.id))?.revoked?.by).toBe('trading-desk');
  await otherPool.end();
});

test('without the database a signed request is refused as soon as nobody can say that its key is in force', async () => {
  let elapsedMs = 0;
  const lost = openPool({ connectionString: databaseUrl, applicationName: 'lost' });
  const elsewhere = createApiKeys({ pool: lost, elapsedMs: () => elapsedMs });
  const holder = newHolder();
  await put(holder);
  await elsewhere.find(holder.id);
  await lost.end();
  elapsedMs = 999;
  expect((await elsewhere.find(holder.id))?.id).toBe(holder.id);
  elapsedMs = 1_000;
  await expect(elsewhere.find(holder.id)).rejects.toMatchObject({
    code: 'API_KEYS_UNAVAILABLE',
    kind: 'unavailable',
  });
});

test('a database that hangs is one that does not say it: signed requests are refused after a while, and it is asked anew', async () => {
  const hanging = openPool({ connectionString: databaseUrl, applicationName: 'hanging' });
  const elsewhere = createApiKeys({ pool: hanging });
  const holder = newHolder();
  await put(holder);
  const locked = await gateway.pool.connect();
  try {
    await locked.query('BEGIN');
    await locked.query('LOCK TABLE api.api_key IN ACCESS EXCLUSIVE MODE');
    await expect(elsewhere.find(holder.id)).rejects.toMatchObject({ code: 'API_KEYS_UNAVAILABLE' });
    const again = elsewhere.find(holder.id);
    await locked.query('ROLLBACK');
    expect((await again)?.id).toBe(holder.id);
  } finally {
    locked.release();
    await hanging.end();
  }
});

test('a read that was under way at the revocation does not bring the key back', async () => {
  for (let round = 0; round < 20; round++) {
    const fresh = createApiKeys({ pool: gateway.pool });
    const next = newHolder();
    await put(next, { accountIds: [newAccount()] });
    const reading = fresh.find(next.id);
    await fresh.revoke(next.id, 'x');
    await reading;
    expect((await fresh.find(next.id))?.revoked).toMatchObject({ by: 'x' });
  }
});
