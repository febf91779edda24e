/**
 * How the `ledger` commands reach what they work with: PostgreSQL itself, because an exchange may use the ledger alone, and
 * because a proof that asks the api proves only what the api says.
 */
import { z } from 'zod';
import { errorsOf, messageOf } from '#core/errors';
import { parseId } from '#core/ids';
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

/** Given as options, or as STRONGROOM_CONFIG_... like the settings of every process; options win. */
const ledgerConfigSchema = z.object({
  databaseUrl: z.string({
    error: 'give --database-url-file FILE, or set STRONGROOM_CONFIG_DATABASE_URL_FILE',
  }),
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
  const given: Record<string, string | undefined> = { ...env };
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) return;
    // Both forms of a setting, or the environment could overrule the option.
    delete given[`STRONGROOM_CONFIG_${name}`];
    delete given[`STRONGROOM_CONFIG_${name}_FILE`];
    given[`STRONGROOM_CONFIG_${name}${name === 'DATABASE_URL' ? '_FILE' : ''}`] = value;
  };
  set('DATABASE_URL', options.databaseUrlFile);
  set('LEDGER_PUBLIC_KEY', options.publicKey);
  set('COMMITTEE_FILE', options.committee);
  set('LEDGER_KEY_FILE', options.ledgerKey);
  return loadConfig(ledgerConfigSchema, { env: given });
}

/**
 * Runs `work` with a pool on a database that has the ledger, and closes it.
 * @throws INFRA_CONFIG_INVALID, INFRA_DATABASE_UNREACHABLE, CLI_LEDGER_MISSING
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
    const { rows } = await pool
      .query<{ found: boolean }>(`SELECT to_regclass('ledger.head') IS NOT NULL AS found`)
      .catch((error: unknown) => {
        throw failInfra('INFRA_DATABASE_UNREACHABLE', `PostgreSQL cannot be used: ${messageOf(error)}`);
      });
    if (rows[0]?.found !== true)
      throw fail('CLI_LEDGER_MISSING', 'this database has no ledger, or not one that this user may see');
    return await work(pool);
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

/** ISO 8601 with a time zone, because a balance of "midnight" is another one elsewhere. @throws CLI_OPTION_INVALID */
export function timeOf(option: string, text: string): number {
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms))
    throw fail(
      'CLI_OPTION_INVALID',
      `${option} is a time such as 2026-01-31T23:59:59Z, not "${text.slice(0, 40)}"`,
    );
  return ms;
}

export const movementOf = (text: string): { readonly id: `tr_${string}` } | { readonly reference: string } =>
  text.startsWith('tr_') ? { id: parseId('tr', text) } : { reference: text };
