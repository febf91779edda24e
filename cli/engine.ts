/** `strongroom engine ...`: the matching engine by itself, offline. */
import type { Command } from 'commander';
import { showDrill } from './commands/engine-drill.ts';
import { type RunFiles, showEngineRun } from './commands/engine-run.ts';
import { outputOf } from './ledger-subcommand.ts';

/** Adds the group to the command line. */
export function registerEngine(program: Command): void {
  const engine = program.command('engine').description('the matching engine by itself, offline');
  engine
    .command('drill')
    .description(
      'a standby takes over from a primary under load, in a throwaway folder; exit code 1 if anything acknowledged is missing',
    )
    .option(
      '--config <file>',
      "the engine's configuration as JSON; without it one market, BASE-QUOTE, free of fees",
    )
    .option('--json', 'one JSON document on standard output')
    .action(async (options: { config?: string }, cmd: Command) => {
      process.exitCode = await showDrill(options.config, outputOf(cmd));
    });
  engine
    .command('run <commands>')
    .description(
      'feed a CSV file of commands (- for standard input) to a fresh engine; writes each event as CSV, prints the final hash',
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
