/** `strongroom ledger ...`: the ledger by itself, on PostgreSQL. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { errorsOf } from '#core/errors';
import type { Pool } from '#infra/db';
import { openHeadKey, statementLinesMax } from '#ledger';
import type { ExpectedLiability } from '#ledger/liabilities';
import {
  accountOf,
  countOf,
  type LedgerConfig,
  type LedgerOptions,
  ledgerConfig,
  positionOf,
  withLedgerDatabase,
} from './commands/ledger-connection.ts';
import { exportFile, formatOf, importFile, showEvents } from './commands/ledger-files.ts';
import { showBalanceAt, showExplanation, showStatement } from './commands/ledger-reads.ts';
import { showLedgerVerification } from './commands/ledger-verify.ts';
import {
  proveLiability,
  publishLiabilities,
  showBundleAudit,
  showLiabilityVerification,
} from './commands/liabilities.ts';
import { cliErrors } from './contract.ts';
import { createOutput, type Output } from './output.ts';

const fail = errorsOf(cliErrors);

const outputOf = (cmd: Command): Output =>
  createOutput(cmd.optsWithGlobals<{ json?: true }>().json === true, (text) => process.stdout.write(text));
const configOf = (cmd: Command): LedgerConfig =>
  ledgerConfig(cmd.optsWithGlobals<LedgerOptions>(), process.env);
const withPool = async <T>(
  cmd: Command,
  work: (pool: Pool, config: LedgerConfig) => Promise<T>,
): Promise<T> => {
  const config = configOf(cmd);
  return await withLedgerDatabase(config, async (pool) => await work(pool, config));
};

/** Every command takes --json and says how to reach the database. */
function subcommand(group: Command, spec: string, description: string): Command {
  return group
    .command(spec)
    .description(description)
    .option(
      '--database-url-file <file>',
      'file with the URL of PostgreSQL (or STRONGROOM_CONFIG_DATABASE_URL_FILE)',
    )
    .option('--json', 'JSON on standard output');
}
const keyOption = [
  '--public-key <hex>',
  "the ledger's Ed25519 public key (or STRONGROOM_CONFIG_LEDGER_PUBLIC_KEY)",
] as const;
const assetOption = ['--asset <asset>', 'asset id, e.g. eip155:1/slip44:60'] as const;

function registerReads(group: Command): void {
  subcommand(group, 'balance <account>', 'balance of an account, now or as it was')
    .requiredOption(...assetOption)
    .option('--batch <no>', 'after this batch')
    .option('--time <time>', 'at this time, e.g. 2026-01-31T23:59:59Z')
    .option('--full', 'read as much of the journal as it takes')
    .action(
      async (
        path: string,
        options: { asset: string; batch?: string; time?: string; full?: true },
        cmd: Command,
      ) => {
        const account = accountOf(path, options.asset);
        await withPool(cmd, async (pool) => {
          await showBalanceAt(pool, account, options, outputOf(cmd));
        });
      },
    );
  subcommand(
    group,
    'statement <account>',
    'transfers of an account, newest first, with the balance after each',
  )
    .requiredOption(...assetOption)
    .option('--limit <n>', `lines, at most ${statementLinesMax}`, '50')
    .option('--cursor <cursor>', 'where the page before ended')
    .action(
      async (path: string, options: { asset: string; limit: string; cursor?: string }, cmd: Command) => {
        const account = accountOf(path, options.asset);
        const { cursor } = options;
        const page = {
          limit: countOf('--limit', options.limit),
          ...(cursor === undefined ? {} : { cursor }),
        };
        await withPool(cmd, async (pool) => {
          await showStatement(pool, account, page, outputOf(cmd));
        });
      },
    );
  subcommand(
    group,
    'explain <transfer>',
    'a movement by transfer id or reference: legs, holds, people, hash path to the head',
  )
    .option(...keyOption)
    .action(async (what: string, _options, cmd: Command) => {
      process.exitCode = await withPool(
        cmd,
        async (pool, { ledgerPublicKey: publicKey }) =>
          await showExplanation(pool, what, publicKey === undefined ? {} : { publicKey }, outputOf(cmd)),
      );
    });
  subcommand(
    group,
    'verify',
    'prove the books from the journal, and the journal by signed heads; exit code 1 when anything is false',
  )
    .option('--from <batch>', 'only the chain of the batches from this one')
    .option('--to <batch>', 'up to this one')
    .option(...keyOption)
    .option('--committee <file>', "the co-signers' committee file: also asks them for the heads they keep")
    .option(
      '--recompute',
      'also hash and add up every row here, without the functions of the database; minutes per ten million transfers',
    )
    .action(async (options: { from?: string; to?: string; recompute?: true }, cmd: Command) => {
      process.exitCode = await withPool(
        cmd,
        async (pool, config) => await showLedgerVerification(pool, config, options, outputOf(cmd)),
      );
    });
}

interface ExportFlags {
  readonly format: string;
  readonly account?: string;
  readonly asset?: string;
  readonly from?: string;
  readonly to?: string;
  readonly out?: string;
}

function registerFiles(group: Command): void {
  subcommand(
    group,
    'import <file>',
    'accounts, opening balances and transfers from JSON lines; safe to run twice',
  )
    .option(
      '--strict',
      'nothing when a line is malformed, and no further than the first portion with a refused line',
    )
    .action(async (file: string, options: { strict?: true }, cmd: Command) => {
      process.exitCode = await withPool(
        cmd,
        async (pool) => await importFile(pool, file, options, outputOf(cmd)),
      );
    });
  subcommand(group, 'export', 'the journal, or the statement of an account')
    .option('--format <format>', 'csv (for spreadsheets) or jsonl (exact)', 'jsonl')
    .option('--account <account>', 'its statement, newest first; with --asset')
    .option(...assetOption)
    .option('--from <seq>', 'first transfer of the journal')
    .option('--to <seq>', 'last transfer of the journal')
    .option('--out <file>', 'write it to a file')
    .action(async (flags: ExportFlags, cmd: Command) => {
      const { account, asset, from, to, out } = flags;
      if ((account === undefined) !== (asset === undefined))
        throw fail('CLI_OPTION_INVALID', '--account and --asset are given together');
      const options = {
        format: formatOf(flags.format),
        ...(account === undefined || asset === undefined ? {} : { account: accountOf(account, asset) }),
        ...(from === undefined ? {} : { from: positionOf('--from', from) }),
        ...(to === undefined ? {} : { to: positionOf('--to', to) }),
        ...(out === undefined ? {} : { out }),
      };
      await withPool(cmd, async (pool) => {
        await exportFile(pool, options, outputOf(cmd));
      });
    });
  subcommand(group, 'events', 'transfers as they were committed, one JSON document per line')
    .option('--after <seq>', 'the last one seen', '0')
    .option('--limit <n>', 'at most so many at once')
    .option('--follow', 'go on with what comes')
    .action(async (options: { after: string; limit?: string; follow?: true }, cmd: Command) => {
      const { limit, follow } = options;
      const query = {
        after: positionOf('--after', options.after),
        ...(limit === undefined ? {} : { limit: countOf('--limit', limit) }),
        ...(follow === undefined ? {} : { follow }),
      };
      await withPool(cmd, async (pool) => {
        await showEvents(pool, query);
      });
    });
}

function registerLiabilities(group: Command): void {
  const liabilities = group.command('liabilities').description('prove what is owed to customers');
  subcommand(liabilities, 'publish', 'take a snapshot of all customer balances and sign it')
    .option('--ledger-key <file>', "the ledger's key (or STRONGROOM_CONFIG_LEDGER_KEY_FILE)")
    .option('--out <file>', 'write the signed statement to a file')
    .option('--bundle <file>', "write the auditor's bundle to a file")
    .action(async (options: { out?: string; bundle?: string }, cmd: Command) => {
      await withPool(cmd, async (pool, { ledgerKeyFile }) => {
        if (ledgerKeyFile === undefined)
          throw fail('CLI_OPTION_INVALID', "a statement is signed: give the ledger's --ledger-key FILE");
        const clock = { nowMs: () => Date.now() };
        const random = { bytes: (length: number) => randomBytes(length) };
        const ports = { pool, signer: openHeadKey(ledgerKeyFile), clock, random };
        await publishLiabilities(ports, options, outputOf(cmd));
      });
    });
  subcommand(liabilities, 'prove <account>', 'the proof for one customer (acc_...), for that customer only')
    .requiredOption(...assetOption)
    .option('--snapshot <id>', 'not the newest but this one')
    .option('--out <file>', 'write it to a file')
    .action(
      async (account: string, options: { asset: string; snapshot?: string; out?: string }, cmd: Command) => {
        const { asset, snapshot, out } = options;
        const wanted = {
          account,
          asset,
          ...(snapshot === undefined ? {} : { snapshotId: snapshot }),
          ...(out === undefined ? {} : { out }),
        };
        await withPool(cmd, async (pool) => {
          await proveLiability(pool, wanted, outputOf(cmd));
        });
      },
    );
  liabilities
    .command('verify <file>')
    .description("check a customer's proof, offline")
    .requiredOption('--account <account>', 'acc_...')
    .requiredOption(...assetOption)
    .requiredOption('--balance <units>', "base units, as the customer's own statement says for that moment")
    .requiredOption('--public-key <hex>', "the ledger's Ed25519 public key, from where it is published")
    .option('--json', 'JSON on standard output')
    .action((file: string, options: ExpectedLiability, cmd: Command) => {
      const { account, asset, balance, publicKey } = options;
      process.exitCode = showLiabilityVerification(
        file,
        { account, asset, balance, publicKey },
        outputOf(cmd),
      );
    });
  liabilities
    .command('audit <file>')
    .description("rebuild every root and total from the auditor's bundle, offline")
    .requiredOption('--public-key <hex>', "the ledger's Ed25519 public key, from where it is published")
    .option('--json', 'JSON on standard output')
    .action(async (file: string, options: { publicKey: string }, cmd: Command) => {
      process.exitCode = await showBundleAudit(file, options, outputOf(cmd));
    });
}

/** Adds the group to the command line. */
export function registerLedger(program: Command): void {
  const group = program
    .command('ledger')
    .description('the ledger by itself, on PostgreSQL: see, prove, import, export');
  registerReads(group);
  registerFiles(group);
  registerLiabilities(group);
}
