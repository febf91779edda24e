/** Error codes of the command line itself; everything else keeps the code of the part that raised it. */
import type { ErrorCatalogue } from '#core/errors';

export const cliErrors = {
  CLI_NOT_CONNECTED: {
    kind: 'unavailable',
    why: 'The command line does not know the api or its token, or the api does not answer.',
    whatToDo:
      'Set STRONGROOM_API and STRONGROOM_TOKEN_FILE as `npm start` prints them, and check that it is running.',
    retryable: true,
  },
  CLI_FILE_INVALID: {
    kind: 'invalid',
    why: 'A file given to a command cannot be read or does not have the form the command needs.',
    whatToDo: 'Check the path and the file; the message names the field.',
  },
  CLI_OPTION_INVALID: {
    kind: 'invalid',
    why: 'An option or argument of a command has not the form it needs, or does not go together with another.',
    whatToDo: 'Correct what the message names; `--help` after the command describes it.',
  },
  CLI_LEDGER_MISSING: {
    kind: 'not_found',
    why: 'The database that was given has no ledger in it.',
    whatToDo: 'Check the database URL; the worker makes the tables at its first start.',
  },
  CLI_LEDGER_FORBIDDEN: {
    kind: 'forbidden',
    why: 'The database user that was given may not do what the command needs.',
    whatToDo:
      'Use one that `ledger.grant_reader` (to read and prove) or `ledger.grant_writer` (also to import and publish) was run for.',
  },
  CLI_SHOWN_OTHERWISE: {
    kind: 'invalid',
    why: 'The api asks a person to sign something else than it shows.',
    whatToDo:
      'Nothing was signed. Sign nothing over this api before you know who or what changed its answers.',
  },
  CLI_CERTIFICATE_FALSE: {
    kind: 'invalid',
    why: 'A certificate does not prove what it claims; the message lists each check that failed.',
    whatToDo: 'Do not rely on this certificate; fetch it again and compare, then look for who changed it.',
  },
} as const satisfies ErrorCatalogue;
