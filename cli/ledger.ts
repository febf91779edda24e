/** `strongroom ledger ...`: the ledger by itself, on PostgreSQL. */
import type { Command } from 'commander';
import { errorsOf } from '#core/errors';
import { eventsPerPortionMax, statementLinesMax } from '#ledger';
import { accountOf, countOf, positionOf } from './commands/ledger-connection.ts';
import { exportFile, formatOf, importFile, showEvents } from './commands/ledger-files.ts';
import { showBalanceAt, showExplanation, showStatement } from './commands/ledger-reads.ts';
import { showLedgerVerification } from './commands/ledger-verify.ts';
import { cliErrors } from './contract.ts';
import { registerLiabilities } from './ledger-liabilities.ts';
import { assetOption, keyOption, outputOf, subcommand, withPool } from './ledger-subcommand.ts';

const fail = errorsOf(cliErrors);
const fullOption = ['--full', 'read as much of the journal as it takes'] as const;

interface BalanceFlags {
  readonly asset: string;
  readonly batch?: string;
  readonly time?: string;
  readonly full?: true;
}
interface StatementFlags {
  readonly asset: string;
  readonly limit: string;
  readonly cursor?: string;
  readonly full?: true;
}

function registerReads(group: Command): void {
  subcommand(group, 'balance <account>', 'balance of an account, now or as it was')
    .requiredOption(...assetOption)
    .option('--batch <no>', 'after this batch')
    .option('--time <time>', 'at this time, e.g. 2026-01-31T23:59:59Z')
    .option(...fullOption)
    .action(async (path: string, options: BalanceFlags, cmd: Command) => {
      const account = accountOf(path, options.asset);
      await withPool(cmd, async (pool) => {
        await showBalanceAt(pool, account, options, outputOf(cmd));
      });
    });
  subcommand(
    group,
    'statement <account>',
    'transfers of an account, newest first, with the balance after each',
  )
    .requiredOption(...assetOption)
    .option('--limit <n>', `lines, at most ${statementLinesMax}`, '50')
    .option('--cursor <cursor>', 'where the page before ended')
    .option(...fullOption)
    .action(async (path: string, options: StatementFlags, cmd: Command) => {
      const account = accountOf(path, options.asset);
      const { cursor, full } = options;
      const page = {
        limit: countOf('--limit', options.limit),
        ...(cursor === undefined ? {} : { cursor }),
        ...(full === undefined ? {} : { full }),
      };
      await withPool(cmd, async (pool) => {
        await showStatement(pool, account, page, outputOf(cmd));
      });
    });
}

function registerProofs(group: Command): void {
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
    .option('--format <format>', 'csv (for spreadsheets, which round long numbers) or jsonl (exact)', 'jsonl')
    .option('--account <account>', 'its statement, newest first; with --asset')
    .option(...assetOption)
    .option('--from <seq>', 'first transfer of the journal')
    .option('--to <seq>', 'last transfer of the journal')
    .option('--out <file>', 'write it to a new file')
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
  subcommand(group, 'events', 'the next transfers as they were committed, one JSON document per line')
    .option('--after <seq>', 'the last one seen', '0')
    .option('--limit <n>', 'at most so many at once', `${eventsPerPortionMax}`)
    .option('--follow', 'go on with what comes')
    .action(async (options: { after: string; limit: string; follow?: true }, cmd: Command) => {
      const { limit, follow } = options;
      const query = {
        after: positionOf('--after', options.after),
        limit: countOf('--limit', limit),
        ...(follow === undefined ? {} : { follow }),
      };
      await withPool(cmd, async (pool) => {
        await showEvents(pool, query);
      });
    });
}

/** Adds the group to the command line. */
export function registerLedger(program: Command): void {
  const group = program
    .command('ledger')
    .description('the ledger by itself, on PostgreSQL: see, prove, import, export');
  registerReads(group);
  registerProofs(group);
  registerFiles(group);
  registerLiabilities(group);
}
