/**
 * How the `ledger` commands reach what they work with: PostgreSQL itself, because an exchange may use the ledger alone, and
 * because a proof that asks the api proves only what the api says.
 */
import { z } from 'zod';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import type { Id } from '#core/ids';
import { assetId } from '#core/money';
import { loadConfig } from '#infra/config';
import { openPool, type Pool } from '#infra/db';
import { type AccountPath, type AccountRef, accountKind } from '#ledger/contract';
import { infraErrors } from '../../infra/contract.ts';
import { cliErrors } from '../contract.ts';

const fail = errorsOf(cliErrors);
const failInfra = errorsOf(infraErrors);
/** One command runs one statement at a time; verify a second beside it. */
const connectionsMax = 2;
const insufficientPrivilege = '42501';

/** Given as options, or as STRONGROOM_CONFIG_... like the settings of every process; options win. */
const ledgerConfigSchema = z.object({
  databaseUrl: z
    .string({ error: 'give --database-url-file FILE, or set STRONGROOM_CONFIG_DATABASE_URL_FILE' })
    .regex(/^(postgres(ql)?|socket):/, 'the URL of a database: postgres://user:password@host/database'),
  ledgerPublicKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "the ledger's Ed25519 public key: 64 hexadecimal digits")
    .optional(),
  committeeFile: z.string().min(1).optional(),
  ledgerKeyFile: z.string().min(1).optional(),
});
export type LedgerConfig = z.output<typeof ledgerConfigSchema>;
export interface LedgerOptions {
  readonly databaseUrlFile?: string;
  readonly publicKey?: string;
  readonly committee?: string;
  readonly ledgerKey?: string;
}

/** @throws INFRA_CONFIG_INVALID naming the setting */
export function ledgerConfig(options: LedgerOptions, env: NodeJS.ProcessEnv): LedgerConfig {
  // Only these: where a worker or an api runs, the environment also has theirs, which are no mistake here.
  const given: Record<string, string | undefined> = {};
  const set = (name: string, value: string | undefined): void => {
    const direct = `STRONGROOM_CONFIG_${name}`;
    const byFile = `${direct}_FILE`;
    if (value !== undefined) given[name === 'DATABASE_URL' ? byFile : direct] = value;
    // Empty is unset, as compose files have it.
    else
      for (const variable of [direct, byFile])
        given[variable] = env[variable] === '' ? undefined : env[variable];
  };
  set('DATABASE_URL', options.databaseUrlFile);
  set('LEDGER_PUBLIC_KEY', options.publicKey);
  set('COMMITTEE_FILE', options.committee);
  set('LEDGER_KEY_FILE', options.ledgerKey);
  return loadConfig(ledgerConfigSchema, { env: given });
}

/** Classes of SQLSTATE: the session or the server ended, the connection failed, user or database are refused. */
const unusableState = /^(57P|08|28|3D|53)/;
const unusableSocket = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
]);

/** What PostgreSQL refused, or why it does not answer, with what to do about it; everything else as it is. */
function ofDatabase(error: unknown): unknown {
  if (!(error instanceof Error) || isStrongroomError(error)) return error;
  // Several addresses of one name were tried, and none answered.
  const [first = error] = error instanceof AggregateError ? (error.errors as Error[]) : [error];
  const code = 'code' in first ? String(first.code) : '';
  const message = messageOf(first);
  if ('severity' in first && code === insufficientPrivilege)
    return fail('CLI_LEDGER_FORBIDDEN', `the database user may not do this: ${message}`, {}, error);
  if (
    'severity' in first
      ? unusableState.test(code)
      : unusableSocket.has(code) ||
        /^(Connection terminated|timeout exceeded when trying to connect)/.test(message)
  )
    return failInfra('INFRA_DATABASE_UNREACHABLE', `PostgreSQL cannot be used: ${message}`, {}, error);
  return error;
}

/**
 * Runs `work` with a pool on a database that has the ledger, and closes it.
 * @throws INFRA_DATABASE_UNREACHABLE, CLI_LEDGER_MISSING, CLI_LEDGER_FORBIDDEN
 */
export async function withLedgerDatabase<T>(
  config: LedgerConfig,
  work: (pool: Pool) => Promise<T>,
): Promise<T> {
  const pool = openPool({
    connectionString: config.databaseUrl,
    applicationName: 'strongroom-ledger',
    connectionsMax,
  });
  try {
    // The catalogue may be read by everybody, so what is missing and what is forbidden are told apart.
    const { rows } = await pool.query<{ found: boolean }>(
      `SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'ledger' AND tablename = 'head') AS found`,
    );
    if (rows[0]?.found !== true) throw fail('CLI_LEDGER_MISSING', 'this database has no ledger');
    return await work(pool);
  } catch (error) {
    throw ofDatabase(error);
  } finally {
    await pool.end();
  }
}

// ---------------------------------------------------------------- what is typed

/** @throws LEDGER_ACCOUNT_PATH_INVALID, CORE_ASSET_INVALID */
export function accountOf(path: string, asset: string): AccountRef {
  accountKind(path);
  return { path: path as AccountPath, asset: assetId(asset) };
}

/** @throws CLI_OPTION_INVALID */
export function positionOf(option: string, text: string): bigint {
  if (/^(0|[1-9][0-9]{0,18})$/.test(text)) return BigInt(text);
  throw fail('CLI_OPTION_INVALID', `${option} is a whole number, not "${text.slice(0, 40)}"`);
}

/** @throws CLI_OPTION_INVALID */
export function countOf(option: string, text: string): number {
  if (/^[1-9][0-9]{0,5}$/.test(text)) return Number.parseInt(text, 10);
  throw fail('CLI_OPTION_INVALID', `${option} is a number of 1 to 999999, not "${text.slice(0, 40)}"`);
}

const timePattern = /^(\d{4})-(\d\d)-(\d\d)T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

/** ISO 8601 with a time zone, because a balance of "midnight" is another one elsewhere. @throws CLI_OPTION_INVALID */
export function timeOf(option: string, text: string): number {
  const [, year = '', month = '', day = ''] = timePattern.exec(text) ?? [];
  const ms = year === '' ? Number.NaN : Date.parse(text);
  // The language takes a 30th of February for the 2nd of March.
  const isDay = new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number.parseInt(day, 10);
  if (Number.isNaN(ms) || !isDay)
    throw fail(
      'CLI_OPTION_INVALID',
      `${option} is a time such as 2026-01-31T23:59:59Z, not "${text.slice(0, 40)}"`,
    );
  return ms;
}

/** A transfer by its id, or a reference. @throws CLI_OPTION_INVALID */
export function movementOf(text: string): { readonly id: Id<'tr'> } | { readonly reference: string } {
  if (!text.startsWith('tr_')) return { reference: text };
  // Any version of UUID: who books by SQL may have taken one that is not ours.
  if (/^tr_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text))
    return { id: `tr_${text.slice('tr_'.length)}` };
  throw fail(
    'CLI_OPTION_INVALID',
    `"${text.slice(0, 80)}" is no id of a transfer: tr_ followed by a UUID in lower case`,
  );
}
