/**
 * The operator's command line. It can do nothing that the API cannot, apart from `ledger`, which works on PostgreSQL itself
 * with the rights of the database user it is given; `certificate verify`, `address verify`, `engine run` and `engine drill` work offline.
 */
import { Command } from 'commander';
import { type ConnectionOptions, connect } from './client.ts';
import { showBalances, showStatus } from './commands/accounts.ts';
import {
  approveAdjustment,
  bookAdjustment,
  listAdjustments,
  proposeAdjustment,
} from './commands/adjustments.ts';
import { liftHalt, showCase, showCases, workOnCase } from './commands/cases.ts';
import { saveCertificate, showAddressVerification, showVerification } from './commands/proofs.ts';
import { showReconciliation } from './commands/reconciliation.ts';
import { decide, showWithdrawals } from './commands/withdrawals.ts';
import { registerEngine } from './engine.ts';
import { registerLedger } from './ledger.ts';
import { createOutput, describeError, type Output } from './output.ts';

interface GlobalOptions extends ConnectionOptions {
  readonly json?: true;
}

const program = new Command('strongroom')
  .description('Custody operations: see state, approve withdrawals, check proofs')
  .option('--api <url>', 'address of the api (or STRONGROOM_API)')
  .option('--token-file <file>', 'file with the bearer token (or STRONGROOM_TOKEN_FILE)')
  .showHelpAfterError();

/** Every command takes --json; global options may stand before or after the command. */
function command(spec: string, description: string): Command {
  return program
    .command(spec)
    .description(description)
    .option('--json', 'one JSON document on standard output');
}
const optionsOf = (cmd: Command): GlobalOptions => cmd.optsWithGlobals<GlobalOptions>();
const outputOf = (cmd: Command): Output =>
  createOutput(optionsOf(cmd).json === true, (text) => process.stdout.write(text));
const connectionOf = (cmd: Command) => connect(optionsOf(cmd), process.env);

command('status', 'which parts are up; exit code 1 when one is down').action(
  async (_options, cmd: Command) => {
    process.exitCode = await showStatus(connectionOf(cmd), outputOf(cmd));
  },
);

command('balances <account>', 'available, held and provisional balance of a customer account').action(
  async (account: string, _options, cmd: Command) => {
    await showBalances(connectionOf(cmd), account, outputOf(cmd));
  },
);

command('withdrawals [id]', 'list withdrawals, or show one with its timeline')
  .option('--state <state>', 'only this state, e.g. PENDING_APPROVAL')
  .option('--limit <n>', 'rows, at most 200')
  .action(async (id: string | undefined, options: { state?: string; limit?: string }, cmd: Command) => {
    await showWithdrawals(
      connectionOf(cmd),
      { ...options, ...(id === undefined ? {} : { id }) },
      outputOf(cmd),
    );
  });

const jsonOption = ['--json', 'one JSON document on standard output'] as const;
const cases = command('cases', 'what waits for a person, and which parts stand still').action(
  async (_options, cmd: Command) => {
    await showCases(connectionOf(cmd), outputOf(cmd));
  },
);
cases
  .command('show <case>')
  .description('one case with its history')
  .option(...jsonOption)
  .action(async (id: string, _options, cmd: Command) => {
    await showCase(connectionOf(cmd), id, outputOf(cmd));
  });
for (const [action, value, description] of [
  ['assign', 'owner', 'give a case to a person of the roster'],
  ['note', 'note', 'add to the history of a case'],
  ['close', 'resolution', 'close a case with what was decided'],
] as const)
  cases
    .command(`${action} <case> <${value}>`)
    .description(description)
    .option(...jsonOption)
    .action(async (id: string, said: string, _options, cmd: Command) => {
      await workOnCase(connectionOf(cmd), id, { action, [value]: said }, outputOf(cmd));
    });
program
  .command('halts')
  .description('what stands still')
  .command('lift <scope>')
  .description('sign for lifting a halt; it takes two different people')
  .requiredOption('--reason <text>', 'why it may go on')
  .requiredOption('--passkey <file>', 'development passkey file')
  .option(...jsonOption)
  .action(async (scope: string, options: { reason: string; passkey: string }, cmd: Command) => {
    await liftHalt(
      connectionOf(cmd),
      { scope, reason: options.reason, passkeyFile: options.passkey },
      outputOf(cmd),
    );
  });

command(
  'reconciliation',
  'books, chain and signatures compared: last runs, standing breaks; exit code 1 unless all fits',
).action(async (_options, cmd: Command) => {
  process.exitCode = await showReconciliation(connectionOf(cmd), outputOf(cmd));
});

const adjustments = program
  .command('adjustments')
  .description('corrections of the ledger: one person proposes, another approves');
adjustments
  .command('list')
  .description('newest first')
  .option('--open', 'only those not booked yet')
  .option(...jsonOption)
  .action(async (options: { open?: true }, cmd: Command) => {
    const filter = { open: options.open === true };
    process.exitCode = await listAdjustments(connectionOf(cmd), filter, outputOf(cmd));
  });
adjustments
  .command('propose <file>')
  .description('JSON: {"reason", "corrects"?, "legs": [{"debit", "credit", "asset", "units"}]}')
  .requiredOption('--passkey <file>', 'development passkey file')
  .option(...jsonOption)
  .action(async (file: string, options: { passkey: string }, cmd: Command) => {
    const asked = { file, passkeyFile: options.passkey };
    process.exitCode = await proposeAdjustment(connectionOf(cmd), asked, outputOf(cmd));
  });
adjustments
  .command('approve <id>')
  .description('as another person than the proposer; books it')
  .requiredOption('--passkey <file>', 'development passkey file')
  .option(...jsonOption)
  .action(async (id: string, options: { passkey: string }, cmd: Command) => {
    const asked = { id, passkeyFile: options.passkey };
    process.exitCode = await approveAdjustment(connectionOf(cmd), asked, outputOf(cmd));
  });
adjustments
  .command('book <id>')
  .description('try again to book what is approved; exit code 1 while it cannot be')
  .option(...jsonOption)
  .action(async (id: string, _options, cmd: Command) => {
    process.exitCode = await bookAdjustment(connectionOf(cmd), id, outputOf(cmd));
  });

for (const decision of ['approve', 'reject'] as const)
  command(`${decision} <id>`, `${decision} a waiting withdrawal with a passkey`)
    .requiredOption('--group <group>', 'the group you act for, e.g. treasury')
    .requiredOption('--passkey <file>', 'development passkey file')
    .action(async (id: string, options: { group: string; passkey: string }, cmd: Command) => {
      await decide(
        connectionOf(cmd),
        { id, decision, group: options.group, passkeyFile: options.passkey },
        outputOf(cmd),
      );
    });

const certificate = program.command('certificate').description('the proof of a final payout');
certificate
  .command('get <id>')
  .description('fetch the certificate of a final withdrawal')
  .option('--out <file>', 'write it to a file')
  .option('--json', 'one JSON document on standard output')
  .action(async (id: string, options: { out?: string }, cmd: Command) => {
    await saveCertificate(connectionOf(cmd), id, options.out, outputOf(cmd));
  });
certificate
  .command('verify <file>')
  .description('check a certificate offline; with --node also that the chain has it')
  .option('--committee <file>', "the co-signers' committee file: also checks whose key it is")
  .option('--node <url>', 'an Ethereum node: also checks the block')
  .option('--json', 'one JSON document on standard output')
  .action(async (file: string, options: { committee?: string; node?: string }, cmd: Command) => {
    process.exitCode = await showVerification(file, options, outputOf(cmd));
  });

program
  .command('address')
  .description('deposit and hot addresses')
  .command('verify <address>')
  .description("recompute an address from the co-signers' key statements")
  .requiredOption('--path <path>', 'derivation path, e.g. m/0/7')
  .requiredOption('--statements <file>', "JSON list of the co-signers' key statements, or a certificate")
  .requiredOption('--committee <file>', "the co-signers' committee file")
  .option('--json', 'one JSON document on standard output')
  .action(
    (address: string, options: { path: string; statements: string; committee: string }, cmd: Command) => {
      process.exitCode = showAddressVerification(address, options, outputOf(cmd));
    },
  );

registerLedger(program);
registerEngine(program);

try {
  await program.parseAsync();
} catch (error) {
  // Wherever --json stands: the options may be what was wrong.
  process.stderr.write(`${describeError(error, process.argv.includes('--json'))}\n`);
  process.exitCode = 1;
}
