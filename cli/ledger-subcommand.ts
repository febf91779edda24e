/** What the `ledger` commands have in common: their options, how they reach the database, how they answer. */
import type { Command } from 'commander';
import type { Pool } from '#infra/db';
import {
  type LedgerConfig,
  type LedgerOptions,
  ledgerConfig,
  withLedgerDatabase,
} from './commands/ledger-connection.ts';
import { createOutput, type Output } from './output.ts';

export const outputOf = (cmd: Command): Output =>
  createOutput(cmd.optsWithGlobals<{ json?: true }>().json === true, (text) => process.stdout.write(text));

export const withPool = async <T>(
  cmd: Command,
  work: (pool: Pool, config: LedgerConfig) => Promise<T>,
): Promise<T> => {
  const config = ledgerConfig(cmd.optsWithGlobals<LedgerOptions>(), process.env);
  return await withLedgerDatabase(config, async (pool) => await work(pool, config));
};

/** Every command takes --json and says how to reach the database. */
export function subcommand(group: Command, spec: string, description: string): Command {
  return group
    .command(spec)
    .description(description)
    .option(
      '--database-url-file <file>',
      'file with the URL of PostgreSQL (or STRONGROOM_CONFIG_DATABASE_URL_FILE)',
    )
    .option('--json', 'JSON on standard output');
}
export const keyOption = [
  '--public-key <hex>',
  "the ledger's Ed25519 public key (or STRONGROOM_CONFIG_LEDGER_PUBLIC_KEY)",
] as const;
export const assetOption = ['--asset <asset>', 'asset id, e.g. eip155:1/slip44:60'] as const;
