/** Error codes of the ledger; the catalogue is exported through `./contract.ts`. */
import type { ErrorCatalogue } from '#core/errors';
import { liabilityErrors } from './liabilities/errors.ts';

export const ledgerErrors = {
  LEDGER_ACCOUNT_PATH_INVALID: {
    kind: 'invalid',
    why: 'A text is not the path of a ledger account.',
    whatToDo: 'Build paths with the named constructors of #ledger/contract.',
  },
  LEDGER_BATCH_INVALID: {
    kind: 'invalid',
    why: 'A batch is empty, longer than the limit, or one of its references has other than printable ASCII characters.',
    whatToDo: 'Split the batch, or correct the reference the message names.',
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
    why: 'A transfer names an account that was never opened for this asset.',
    whatToDo: 'Open the account first (openAccounts), or correct the path and asset.',
  },
  LEDGER_PENDING_NOT_FOUND: {
    kind: 'not_found',
    why: 'The pending transfer to post or void does not exist.',
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
    why: 'A transfer has a zero amount, the same account on both sides, the wrong asset, or a chain left open.',
    whatToDo: 'Correct the named transfer.',
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
  ...liabilityErrors,
} as const satisfies ErrorCatalogue;
