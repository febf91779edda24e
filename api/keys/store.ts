/** API keys in PostgreSQL. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { errorsOf } from '#core/errors';
import { type Id, uuidOf } from '#core/ids';
import { inTransaction, type Pool, type Tx } from '#infra/db';
import { apiErrors } from '../contract.ts';
import { type ApiKey, type ApiPermission, apiKeyLimits, type NewApiKey, type RateTier } from './contract.ts';
import { createKeyMemory } from './memory.ts';

const fail = errorsOf(apiErrors);
/** One registration at a time, so that two cannot pass the limit of an account together. Any number nobody else uses. */
const registrationLockKey = 7_305_871_060;
const uniqueViolation = '23505';

const columns = `id, name, public_key, accounts, permissions, rate_tier, created_by, revoked_by,
  (extract(epoch FROM created_at) * 1000)::bigint::text AS created_at, (extract(epoch FROM revoked_at) * 1000)::bigint::text AS revoked_at`;
interface Row {
  readonly id: string;
  readonly name: string;
  readonly public_key: Buffer;
  readonly accounts: readonly string[];
  readonly permissions: readonly ApiPermission[];
  readonly rate_tier: RateTier;
  readonly created_at: string;
  readonly created_by: string;
  readonly revoked_at: string | null;
  readonly revoked_by: string | null;
}

export interface ApiKeys {
  /**
   * The same id with the same content has the same answer, also when it was revoked since.
   * @throws API_KEY_INVALID, API_KEY_CONFLICT, API_KEYS_TOO_MANY
   */
  readonly register: (key: NewApiKey, by: string) => Promise<ApiKey>;
  /** At once in this process, within `revocationDelayMs` in others; a second time it changes nothing. @throws API_KEY_UNKNOWN */
  readonly revoke: (id: Id<'key'>, by: string) => Promise<ApiKey>;
  /** By id, which is about the order they were made in; those after the id `after`. */
  readonly list: (options: {
    readonly accountId?: Id<'acc'>;
    readonly after?: Id<'key'>;
    readonly limit: number;
  }) => Promise<readonly ApiKey[]>;
  /** As it was at most `revocationDelayMs` ago. @throws API_KEYS_UNAVAILABLE */
  readonly find: (id: Id<'key'>) => Promise<ApiKey | undefined>;
}

function keyOf(row: Row): ApiKey {
  const { revoked_at, revoked_by } = row;
  return {
    id: `key_${row.id}`,
    name: row.name,
    publicKey: row.public_key,
    accounts: row.accounts.map((account): Id<'acc'> => `acc_${account}`),
    permissions: row.permissions,
    rateTier: row.rate_tier,
    createdAtMs: Number.parseInt(row.created_at, 10),
    createdBy: row.created_by,
    revoked:
      revoked_at === null || revoked_by === null
        ? null
        : { atMs: Number.parseInt(revoked_at, 10), by: revoked_by },
  };
}

/** Anyone can make a signature that is good under a key of small order. */
function checkPublicKey(bytes: Uint8Array): void {
  try {
    const point = ed25519.Point.fromBytes(bytes, false);
    if (!point.isSmallOrder() && point.isTorsionFree()) return;
  } catch {
    // Not a point: the answer is the same.
  }
  throw fail('API_KEY_INVALID', 'publicKey is no Ed25519 public key (RFC 8032) of full order');
}

const sorted = <T extends string>(list: readonly T[]): T[] => [...new Set(list)].sort();
function sameContent(a: NewApiKey, b: NewApiKey): boolean {
  const text = (key: NewApiKey) =>
    JSON.stringify([
      key.name,
      Buffer.from(key.publicKey).toString('hex'),
      sorted(key.accounts),
      sorted(key.permissions),
      key.rateTier,
    ]);
  return text(a) === text(b);
}

async function checkNumber(tx: Tx, accounts: readonly string[]): Promise<void> {
  const crowded = await tx.query<{ account: string }>(
    `SELECT u.account::text AS account FROM unnest($1::uuid[]) AS u (account)
      WHERE (SELECT count(*) FROM api.api_key AS k WHERE k.accounts @> ARRAY[u.account] AND k.revoked_at IS NULL) >= $2 LIMIT 1`,
    [accounts, apiKeyLimits.keysOfAccount],
  );
  const [row] = crowded.rows;
  if (row !== undefined)
    throw fail(
      'API_KEYS_TOO_MANY',
      `acc_${row.account} has ${apiKeyLimits.keysOfAccount} keys in force already`,
    );
}

async function register(pool: Pool, key: NewApiKey, by: string): Promise<ApiKey> {
  checkPublicKey(key.publicKey);
  const accounts = sorted(key.accounts).map(uuidOf);
  try {
    return await inTransaction(pool, async (tx) => {
      await tx.query('SELECT pg_advisory_xact_lock($1)', [registrationLockKey]);
      const before = await tx.query<Row>(`SELECT ${columns} FROM api.api_key WHERE id = $1`, [
        uuidOf(key.id),
      ]);
      const [found] = before.rows;
      if (found !== undefined) {
        const kept = keyOf(found);
        if (sameContent(kept, key)) return kept;
        throw fail('API_KEY_CONFLICT', `${key.id} was registered with another content`);
      }
      await checkNumber(tx, accounts);
      const made = await tx.query<Row>(
        `INSERT INTO api.api_key (id, name, public_key, accounts, permissions, rate_tier, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING ${columns}`,
        [
          uuidOf(key.id),
          key.name,
          Buffer.from(key.publicKey),
          accounts,
          sorted(key.permissions),
          key.rateTier,
          by,
        ],
      );
      return keyOf(made.rows[0] as Row);
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === uniqueViolation)
      throw fail('API_KEY_CONFLICT', 'this public key was registered before with another id', {}, error);
    throw error;
  }
}

async function revoke(pool: Pool, id: Id<'key'>, by: string): Promise<ApiKey> {
  await pool.query(
    'UPDATE api.api_key SET revoked_at = now(), revoked_by = $2 WHERE id = $1 AND revoked_at IS NULL',
    [uuidOf(id), by],
  );
  const found = await read(pool, id);
  if (found === undefined) throw fail('API_KEY_UNKNOWN', `no key was registered as ${id}`);
  return found;
}

async function read(pool: Pool, id: Id<'key'>): Promise<ApiKey | undefined> {
  const found = await pool.query<Row>(`SELECT ${columns} FROM api.api_key WHERE id = $1`, [uuidOf(id)]);
  return found.rows[0] === undefined ? undefined : keyOf(found.rows[0]);
}

export function createApiKeys(options: {
  readonly pool: Pool;
  /** Milliseconds since any moment; a clock that is set does not change it. */
  readonly elapsedMs?: () => number;
}): ApiKeys {
  const { pool } = options;
  const memory = createKeyMemory({
    read: async (id) => await read(pool, id),
    elapsedMs: options.elapsedMs ?? (() => performance.now()),
  });
  return {
    register: async (key, by) => await register(pool, key, by),
    revoke: async (id, by) => {
      try {
        return await revoke(pool, id, by);
      } finally {
        memory.forget(id);
      }
    },
    list: async ({ accountId, after, limit }) => {
      const found = await pool.query<Row>(
        `SELECT ${columns} FROM api.api_key
          WHERE ($1::uuid IS NULL OR accounts @> ARRAY[$1::uuid]) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3`,
        [
          accountId === undefined ? null : uuidOf(accountId),
          after === undefined ? null : uuidOf(after),
          limit,
        ],
      );
      return found.rows.map(keyOf);
    },
    find: async (id) => await memory.find(id),
  };
}
