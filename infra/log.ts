/** One JSON line per event on standard output, the process name in each, secrets cut out by field name. */
import { pino } from 'pino';

export type Logger = pino.Logger;

/** Names of fields that never reach a log, wherever they stand in the first three levels of an entry. */
const secretFields = [
  'authorization',
  'connectionString',
  'cookie',
  'databaseUrl',
  'keyEncryptionKey',
  'mnemonic',
  'passphrase',
  'password',
  'postgresUrl',
  'privateKey',
  'secret',
  'secretKey',
  'seed',
  'share',
  'shares',
  'token',
  'tokens',
] as const;
const redactedPaths = secretFields.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: pino.LevelWithSilent;
  /** Where lines go; standard output unless a test wants to read them. */
  readonly destination?: pino.DestinationStream;
}

/** A logger for the process (`api`, `worker`, `signer-1`); errors go under the field `err`. */
export function createLogger(processName: string, options: LoggerOptions = {}): Logger {
  return pino(
    {
      base: { process: processName, pid: process.pid },
      level: options.level ?? 'info',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: redactedPaths, censor: '[redacted]' },
    },
    // Synchronous, so that the last lines before a crash are in the file.
    options.destination ?? pino.destination({ dest: 1, sync: true }),
  );
}
