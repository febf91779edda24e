/** Error codes of what the ledger tells about the past; part of the ledger's catalogue. */
import type { ErrorCatalogue } from '#core/errors';

export const historyErrors = {
  LEDGER_BATCH_UNKNOWN: {
    kind: 'not_found',
    why: 'A balance was asked for at a batch that does not exist yet.',
    whatToDo: 'Ask for a batch up to the newest, which the message names.',
  },
  LEDGER_TRANSFER_UNKNOWN: {
    kind: 'not_found',
    why: 'No transfer has this id or reference.',
    whatToDo: 'Correct the id (tr_...) or the reference; a command that was refused left no transfer.',
  },
  LEDGER_HISTORY_LIMITED: {
    kind: 'limited',
    why: 'Answering would read more of the journal than one question may.',
    whatToDo:
      'Ask for a newer batch, or give `strongroom ledger` the option `--full`, which reads all that is needed.',
  },
  LEDGER_QUESTION_INVALID: {
    kind: 'invalid',
    why: 'A page size, a position of the journal, a batch or a time is outside the limits or not of the form it needs.',
    whatToDo: 'Correct what the message names.',
  },
  LEDGER_CURSOR_INVALID: {
    kind: 'invalid',
    why: 'The cursor of a statement is malformed, or belongs to another account.',
    whatToDo:
      'Send the `next` of the page before unchanged and with the same account, or start without a cursor.',
  },
  LEDGER_CURSOR_AHEAD: {
    kind: 'conflict',
    why: 'A consumer of events has seen more of the journal than there is: the database is older than what it read.',
    whatToDo:
      'Do not go on: the ledger was restored from an old copy or is another one; run `strongroom ledger verify`.',
  },
  LEDGER_JOURNAL_BROKEN: {
    kind: 'invariant',
    why: 'A row that the journal itself points to is missing or contradicts the balances.',
    whatToDo: 'Stop what moves money and run `strongroom ledger verify`, which names every place.',
  },
} as const satisfies ErrorCatalogue;
