/** The PostgreSQL pool and transactions. Money lives behind these; every caller passes its transaction on explicitly. */
import pg from 'pg';

export type Pool = pg.Pool;
/** One connection inside a transaction. Only {@link inTransaction} makes one, so a function taking `Tx` cannot run outside one. */
export type Tx = pg.PoolClient & { readonly __inTransaction: true };
/** Anything a read-only query can run on. */
export type Queryable = Pick<pg.Pool, 'query'>;

/** One process keeps at most this many connections; our PostgreSQL allows 250 and about six processes share it. */
const poolConnectionsMax = 16;
const connectTimeoutMs = 10_000;
/** Transactions that a deadlock or serialisation conflict ended are run again, at most this often. */
const attemptsMax = 5;
const retryableStates = new Set(['40001', '40P01']);

export interface PoolOptions {
  readonly connectionString: string;
  readonly applicationName: string;
  readonly connectionsMax?: number;
}

export function openPool(options: PoolOptions): Pool {
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    application_name: options.applicationName,
    max: options.connectionsMax ?? poolConnectionsMax,
    connectionTimeoutMillis: connectTimeoutMs,
  });
  // An idle connection that the server drops must not end the process; the next query reports the real error.
  pool.on('error', () => undefined);
  return pool;
}

/** Serialisation failure or deadlock: PostgreSQL rolled all of it back, and it may run again. */
export function isRetryable(error: unknown): boolean {
  return error instanceof Error && 'code' in error && retryableStates.has(String(error.code));
}

/** SQLSTATE classes: connection, resources, an operator (shutdown, statement cancelled), system; and a standby, which only reads. */
const awayStates = /^(08|53|57|58|25006)/;
/** Of the socket to it. */
const awaySockets = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  // Of a Unix socket that is not there.
  'ENOENT',
]);
const socketCalls = new Set(['connect', 'read', 'write', 'shutdown', 'getaddrinfo']);
/** What node 20 says without a call of the system: the other end went while TLS began, or something was written to what had ended. */
const awayStreams = new Set([
  'ECONNRESET',
  'EPIPE',
  'ERR_SOCKET_CLOSED',
  'ERR_SOCKET_CONNECTION_TIMEOUT',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_WRITE_AFTER_END',
]);
/** What node-postgres 8 and its pool throw without a code of any kind. */
const awayTexts =
  /^(Connection terminated|timeout expired|timeout exceeded when trying to connect|Query read timeout|Cannot use a pool after calling end|Client (has encountered a connection error|was closed) and is not queryable|Received unexpected \w+ message from backend|There was an error establishing an SSL connection)/;

/**
 * Whether PostgreSQL cannot be reached, is starting or stopping, has no room, or did not answer in time: the same may succeed
 * later. Of what was being committed it is not known whether it was. False for what PostgreSQL answers, a deadlock included.
 */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // Several addresses of one name were tried, and none answered.
  if (error instanceof AggregateError && error.errors.some(isDatabaseAway)) return true;
  const code = 'code' in error ? String(error.code) : undefined;
  if (code === undefined) return awayTexts.test(error.message);
  if ('severity' in error) return awayStates.test(code);
  // A file that is not there has such a code too.
  if (!('syscall' in error)) return awayStreams.has(code);
  return socketCalls.has(String(error.syscall)) && awaySockets.has(code);
}

/**
 * Runs `work` in one READ COMMITTED transaction: all of it or none. `work` may run again after a deadlock or a
 * serialisation failure, so it must have no effect outside the database.
 */
export async function inTransaction<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const client = await pool.connect();
    let broken: Error | undefined;
    // A backend that ends between two statements is told here only; unheard, the event would end the process.
    const onLost = (error: Error): void => {
      broken = error;
    };
    client.on('error', onLost);
    try {
      await client.query('BEGIN');
      const result = await work(client as Tx);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError: unknown) => {
        broken = rollbackError instanceof Error ? rollbackError : new Error(String(rollbackError));
      });
      if (attempt >= attemptsMax || !isRetryable(error)) throw error;
    } finally {
      client.off('error', onLost);
      client.release(broken);
    }
  }
}
