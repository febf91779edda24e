/** Error codes of the ledger; the catalogue is exported through `./contract.ts`. */
import type { ErrorCatalogue } from '#core/errors';
import { historyErrors } from './history-errors.ts';
import { liabilityErrors } from './liabilities/errors.ts';

export const ledgerErrors = {
  LEDGER_ACCOUNT_PATH_INVALID: {
    kind: 'invalid',
    why: 'A text is not the path of a ledger account.',
    whatToDo:
      'Name it as `docs/journal.md` does, such as customer:acc_<uuid>:main or chain:hot:wal_<uuid>; in code use the named constructors of #ledger/contract.',
  },
  LEDGER_BATCH_INVALID: {
    kind: 'invalid',
    why: 'A batch is empty or longer than the limit, or an id, kind, code, reference, amount or time in it is not of the form it must have.',
    whatToDo: 'Split the batch, or correct the command the message names; nothing was applied.',
  },
  LEDGER_INSUFFICIENT_FUNDS: {
    kind: 'conflict',
    why: 'A transfer would take more from an account than it holds, holds on it included.',
    whatToDo: 'Ask for at most the available balance; nothing was written.',
  },
  LEDGER_ID_CONFLICT: {
    kind: 'conflict',
    why: 'The id was used before for a transfer with other content.',
    whatToDo: 'Make a new id for a new request; send a retry with the same content.',
  },
  LEDGER_UNKNOWN_ACCOUNT: {
    kind: 'not_found',
    why: 'A transfer or a question names an account that was never opened for this asset.',
    whatToDo: 'Open the account first (openAccounts), or correct the path and asset.',
  },
  LEDGER_REGISTER_DIFFERS: {
    kind: 'unavailable',
    why: 'The ledger that answered does not have the accounts a batch was prepared with: it took over and lost the newest of them.',
    whatToDo: 'Prepare the batch again; nothing was written.',
    retryable: true,
  },
  LEDGER_PENDING_NOT_FOUND: {
    kind: 'not_found',
    why: 'The pending transfer to post, void or expire does not exist.',
    whatToDo: 'Check that the hold was made, and under which id.',
  },
  LEDGER_PENDING_RESOLVED: {
    kind: 'conflict',
    why: 'The pending transfer was already posted or voided.',
    whatToDo: 'Read the journal for its reference; a hold is resolved once.',
  },
  LEDGER_AMOUNT_EXCEEDS_PENDING: {
    kind: 'invalid',
    why: 'More was to be posted than the pending transfer reserved.',
    whatToDo: 'Post at most the reserved amount; a fee above its cap is a case for a person.',
  },
  LEDGER_TRANSFER_INVALID: {
    kind: 'invalid',
    why: 'A transfer has a zero or negative amount, the same account on both sides, the wrong asset, a timeout or balancing where none belongs, or is the end of a chain left open.',
    whatToDo: 'Correct the named transfer.',
  },
  LEDGER_PENDING_EXPIRED: {
    kind: 'conflict',
    why: 'The timeout of the pending transfer has passed, so it can no longer be posted or voided.',
    whatToDo: 'Reserve again with a new id.',
  },
  LEDGER_PENDING_NOT_DUE: {
    kind: 'conflict',
    why: 'A pending transfer was to expire before its timeout, or has none.',
    whatToDo: 'Void it instead, or wait.',
  },
  LEDGER_OVERFLOW: {
    kind: 'invalid',
    why: 'A sum of an account would have more than 78 digits.',
    whatToDo: 'Nothing real is that large: check the amount and the decimals of the asset.',
  },
  LEDGER_ACCOUNT_CLOSED: {
    kind: 'conflict',
    why: 'A transfer names a closed account, or an account is to be closed or reopened that is so already.',
    whatToDo: 'Reopen the account, or use another.',
  },
  LEDGER_ACCOUNT_NOT_EMPTY: {
    kind: 'conflict',
    why: 'Only an account without balance and holds can be closed.',
    whatToDo: 'Move what it has and end its holds first.',
  },
  LEDGER_NOT_APPROVED: {
    kind: 'forbidden',
    why: 'An adjustment has no approval of a second person, or differs from what was approved.',
    whatToDo: 'Have another person approve it, unchanged.',
  },
  LEDGER_ADJUSTMENT_INVALID: {
    kind: 'invalid',
    why: 'An adjustment has no reason or no legs, a leg that no transfer can be, or corrects a transfer that does not exist.',
    whatToDo: 'Correct what the message names; nothing was proposed.',
  },
  LEDGER_ADJUSTMENT_UNKNOWN: {
    kind: 'not_found',
    why: 'No adjustment with this content was proposed.',
    whatToDo: 'List the adjustments and use an id from there; a changed proposal has another id.',
  },
  LEDGER_ADJUSTMENT_SAME_PERSON: {
    kind: 'forbidden',
    why: 'The person who proposed an adjustment cannot approve it.',
    whatToDo: 'Ask another person.',
  },
  LEDGER_WRITER_BUSY: {
    kind: 'limited',
    why: 'More transfers wait to be written than the writer queues.',
    whatToDo: 'Send it again, unchanged, after a moment; nothing was written.',
  },
  LEDGER_OUTCOME_UNKNOWN: {
    kind: 'unavailable',
    why: 'The connection to PostgreSQL ended before it said whether the batch was committed.',
    whatToDo: 'Send the same commands again with the same ids: what was applied answers `exists`.',
  },
  LEDGER_STREAM_INVALID: {
    kind: 'invalid',
    why: 'The name of a stream is not 1 to 128 printable ASCII characters, or a portion of it is empty or outside 0 to 2^63 - 1.',
    whatToDo: 'Correct the portion; nothing was booked.',
  },
  LEDGER_STREAM_GAP: {
    kind: 'conflict',
    why: 'A portion of a stream does not start where the ledger has got to.',
    whatToDo: 'Read the position of the stream and send from there.',
  },
  LEDGER_HEAD_KEY_INVALID: {
    kind: 'invalid',
    why: "The file of the ledger's signing key is missing, can be read by others, or holds no Ed25519 key as PKCS#8 PEM.",
    whatToDo: 'Make one with `openssl genpkey -algorithm ed25519`, owned by the process, mode 600.',
  },
  LEDGER_HEAD_INVALID: {
    kind: 'invalid',
    why: "A signed ledger head is malformed, of another ledger, or not signed by the ledger's key.",
    whatToDo: 'Do not use it as evidence; find out who made it.',
  },
  LEDGER_FORKED: {
    kind: 'invariant',
    why: 'The ledger in the database is not the one whose heads were signed: it was rewritten, cut off, or restored from an old copy.',
    whatToDo:
      'Stop everything that moves money, keep the database as it is, and compare the batches named in details.problems.',
  },
  ...historyErrors,
  ...liabilityErrors,
} as const satisfies ErrorCatalogue;
