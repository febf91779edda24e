/** `strongroom engine ...`: the matching engine by itself, offline. */
import type { Command } from 'commander';
import { type RunFiles, showEngineRun } from './commands/engine-run.ts';
import { outputOf } from './ledger-subcommand.ts';

/** Adds the group to the command line. */
export function registerEngine(program: Command): void {
  program
    .command('engine')
    .description('the matching engine by itself, offline')
    .command('run <commands>')
    .description(
      'feed a CSV file of commands to a fresh engine; writes each event as CSV, prints the final hash',
    )
    .requiredOption('--events <file>', 'new file for the events; appears when it is complete')
    .option(
      '--config <file>',
      "the engine's configuration as JSON; without it one market, BASE-QUOTE, free of fees",
    )
    .option('--json', 'one JSON document on standard output')
    .action(async (commands: string, options: Omit<RunFiles, 'commands'>, cmd: Command) => {
      await showEngineRun({ ...options, commands }, outputOf(cmd));
    });
}
