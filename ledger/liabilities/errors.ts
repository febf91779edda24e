/** Error codes of the proof of liabilities; part of the ledger's catalogue. */
import type { ErrorCatalogue } from '#core/errors';

export const liabilityErrors = {
  LEDGER_LIABILITIES_NEGATIVE: {
    kind: 'invariant',
    why: 'A customer account has a negative posted balance; in a tree of sums it would hide what is owed to others.',
    whatToDo:
      'Publish nothing, run `strongroom ledger verify`, and find the transfer that made the named account negative.',
  },
  LEDGER_LIABILITIES_STORED_FALSE: {
    kind: 'invariant',
    why: 'What is stored of a published snapshot, or what was just computed for one, does not give the totals it must.',
    whatToDo:
      'Serve no proofs of this snapshot, keep the database as it is, and compare it with the published statement.',
  },
  LEDGER_LIABILITIES_LEAVES_INVALID: {
    kind: 'invalid',
    why: 'Leaves are not in ascending order of their commitments, occur twice, are too many, or their sum needs more than 32 bytes.',
    whatToDo:
      'Sort by commitment, give each customer one leaf per asset, and keep within the limit the message names.',
  },
  LEDGER_LIABILITIES_EMPTY: {
    kind: 'conflict',
    why: 'No customer has an account yet, so there is nothing to prove.',
    whatToDo: 'Take the first snapshot when the first customer account is open.',
  },
  LEDGER_LIABILITIES_BUSY: {
    kind: 'conflict',
    why: 'Another snapshot of the liabilities is being taken; each continues the one before, so they go one by one.',
    whatToDo: 'Wait for the other one to end and try again.',
    retryable: true,
  },
  LEDGER_LIABILITIES_NO_SNAPSHOT: {
    kind: 'not_found',
    why: 'There is no snapshot of the liabilities with this id, or none at all.',
    whatToDo: 'Use the id of a published statement, or publish one first.',
  },
  LEDGER_LIABILITIES_NO_LEAF: {
    kind: 'not_found',
    why: 'The snapshot has no leaf for this account and asset: the account was not open when it was taken.',
    whatToDo:
      'Check account and asset, or ask for a newer snapshot; a customer who had a balance then must object.',
  },
} as const satisfies ErrorCatalogue;
