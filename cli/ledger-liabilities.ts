/** `strongroom ledger liabilities ...`: proof of what is owed to customers. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { errorsOf } from '#core/errors';
import { openHeadKey } from '#ledger';
import type { ExpectedLiability } from '#ledger/liabilities';
import {
  proveLiability,
  publishLiabilities,
  showBundleAudit,
  showLiabilityVerification,
} from './commands/liabilities.ts';
import { cliErrors } from './contract.ts';
import { assetOption, outputOf, subcommand, withPool } from './ledger-subcommand.ts';

const fail = errorsOf(cliErrors);

function registerPublish(liabilities: Command): void {
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
}

function registerProve(liabilities: Command): void {
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
}

const publicKeyOption = [
  '--public-key <hex>',
  "the ledger's Ed25519 public key, from where it is published",
] as const;

/** These two ask no database. */
function registerOffline(liabilities: Command): void {
  liabilities
    .command('verify <file>')
    .description("check a customer's proof, offline")
    .requiredOption('--account <account>', 'acc_...')
    .requiredOption(...assetOption)
    .requiredOption('--balance <units>', "base units, as the customer's own statement says for that moment")
    .requiredOption(...publicKeyOption)
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
    .requiredOption(...publicKeyOption)
    .option('--json', 'JSON on standard output')
    .action(async (file: string, options: { publicKey: string }, cmd: Command) => {
      process.exitCode = await showBundleAudit(file, options, outputOf(cmd));
    });
}

export function registerLiabilities(group: Command): void {
  const liabilities = group.command('liabilities').description('prove what is owed to customers');
  registerPublish(liabilities);
  registerProve(liabilities);
  registerOffline(liabilities);
}
