/** `npm start` and `npm run demo`: the whole suite on this machine with one command. */
import os from 'node:os';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { isStrongroomError, messageOf } from '#core/errors';
import {
  bootEnvironment,
  type EnvironmentOptions,
  type PortName,
  type RunningEnvironment,
} from './environment.ts';
import type { Supervisor } from './processes.ts';
import { openState } from './state.ts';

/** Blocks of the development chain while nobody tells a story; a deposit is final after about four of them. */
const blockTimeSeconds = 2;
const portNames = ['postgres', 'temporal', 'anvil', 'signer', 'worker', 'engine', 'api'] as const;

interface Flags {
  readonly fresh?: boolean;
  readonly keep?: boolean;
  readonly verbose?: boolean;
  readonly state?: string;
  readonly port: Partial<Record<PortName, number>>;
}

/** `api=8080`, repeatable. */
function parsePort(
  text: string,
  earlier: Partial<Record<PortName, number>>,
): Partial<Record<PortName, number>> {
  const [name, digits = ''] = text.split('=');
  const known = portNames.find((candidate) => candidate === name);
  const port = /^\d{1,5}$/.test(digits) ? Number.parseInt(digits, 10) : 0;
  if (known === undefined || port < 1 || port > 65_535)
    throw new InvalidArgumentError(`write <name>=<port> with one of ${portNames.join(', ')}`);
  return { ...earlier, [known]: port };
}

/** Stops everything on the signals that end a program, whichever step it is at. */
function stopOnSignals(stop: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      process.stderr.write(`\n${signal}: stopping everything\n`);
      const code = 128 + os.constants.signals[signal];
      stop().then(
        () => process.exit(code),
        () => process.exit(code),
      );
    });
  }
}

/** `purpose` names the state: a demo always begins with nothing and must not empty what `npm start` keeps. */
function optionsOf(flags: Flags, purpose: 'environment' | 'demo'): EnvironmentOptions {
  let supervisor: Supervisor | undefined;
  stopOnSignals(async () => {
    await supervisor?.stopAll();
  });
  return {
    ports: flags.port,
    fresh: flags.fresh === true || purpose === 'demo',
    state: flags.state === undefined ? openState(purpose) : openState(purpose, path.resolve(flags.state)),
    onSupervisor: (created) => {
      supervisor = created;
    },
    onUnexpectedExit: (name, exit, logFile) => {
      const how = exit.signal ?? `exit code ${exit.code ?? 'unknown'}`;
      process.stderr.write(`${name} ended by itself (${how}); its log is ${logFile}\n`);
    },
    onRestart: (text) => {
      process.stderr.write(`${text}\n`);
    },
  };
}

/** What a second terminal needs to use the command line against this environment. */
function howToTalk(environment: RunningEnvironment): string {
  const { files } = environment;
  if (files === undefined) return '';
  return [
    '',
    'In another terminal:',
    `  export STRONGROOM_API=${environment.apiUrl} STRONGROOM_TOKEN_FILE=${files.tokenFileOf('treasury')}`,
    '  npm run -s strongroom -- status',
    '  npm run -s strongroom -- withdrawals --state PENDING_APPROVAL',
    `  npm run -s strongroom -- approve wd_... --group treasury --passkey ${files.passkeyFileOf('ada')}`,
    `  export STRONGROOM_CONFIG_DATABASE_URL=${environment.postgresUrl}`,
    `  npm run -s strongroom -- ledger verify --public-key ${files.ledgerPublicKey} --committee ${files.committeeFile}`,
    '',
    `Tokens of other roles: ${path.dirname(files.tokenFileOf('trading'))}`,
    `Committee file, for address verify and certificate verify: ${files.committeeFile}`,
    `Passkeys of other people: ${path.dirname(files.passkeyFileOf('ada'))}`,
  ].join('\n');
}

function describe(environment: RunningEnvironment): string {
  const rows: [string, string][] = [
    ['API', environment.apiUrl],
    ['engine', `${environment.engine.link} (link), ${environment.engine.healthUrl}`],
    ...environment.signers.map((signer): [string, string] => [signer.name, signer.url]),
    ['PostgreSQL', environment.postgresUrl],
    ['Temporal', `${environment.temporalAddress} namespace ${environment.temporalNamespace}`],
    ['anvil', environment.anvilUrl],
    ['state', environment.state.root],
    ['logs', environment.state.logs],
  ];
  const addresses = rows.map(([name, value]) => `  ${name.padEnd(11)} ${value}`).join('\n');
  return `${addresses}\n${howToTalk(environment)}`;
}

/** Ends only by a signal; the servers are children, so the process must be kept alive here. */
async function untilStopped(): Promise<never> {
  return await new Promise<never>(() => {
    setInterval(() => undefined, 3_600_000);
  });
}

async function start(flags: Flags): Promise<void> {
  const environment = await bootEnvironment({
    ...optionsOf(flags, 'environment'),
    anvil: { blockTimeSeconds },
  });
  process.stdout.write(`\nStrongroom is running. Ctrl-C stops it.\n${describe(environment)}\n`);
  await untilStopped();
}

async function demo(flags: Flags): Promise<void> {
  const story = await import('./demo/main.ts');
  const environment = await bootEnvironment(optionsOf(flags, 'demo'));
  let ok = false;
  try {
    ok = await story.runDemo(environment, { verbose: flags.verbose === true });
    if (flags.keep === true) {
      await story.keepMining(environment, blockTimeSeconds);
      process.stdout.write(`\nEverything is left running. Ctrl-C stops it.\n${describe(environment)}\n`);
      await untilStopped();
    }
  } finally {
    await environment.stop();
  }
  process.exit(ok ? 0 : 1);
}

function report(error: unknown, verbose: boolean): void {
  const { code = '', whatToDo = '' } = isStrongroomError(error) ? error : {};
  process.stderr.write(`\n${code === '' ? '' : `${code}: `}${messageOf(error)}\n${whatToDo}\n`);
  if (verbose && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
}

function commandWith(
  program: Command,
  name: string,
  about: string,
  run: (flags: Flags) => Promise<void>,
): Command {
  return program
    .command(name)
    .description(about)
    .option('--fresh', 'start with empty data (built programs are kept)')
    .option('--state <folder>', 'state folder instead of the usual one')
    .option('--verbose', 'show stacks of errors')
    .option('--port <name=port>', `fixed port, repeatable: ${portNames.join(', ')}`, parsePort, {})
    .action(async (flags: Flags) => {
      try {
        await run(flags);
      } catch (error) {
        report(error, flags.verbose === true);
        process.exit(1);
      }
    });
}

const program = new Command('strongroom-environment').showHelpAfterError();
commandWith(program, 'start', 'boot everything and run until Ctrl-C', start);
commandWith(program, 'demo', 'boot everything and tell the demo story', demo).option(
  '--keep',
  'leave everything running afterwards',
);
await program.parseAsync();
