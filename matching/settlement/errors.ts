/** Error codes of the settlement. */
import type { ErrorCatalogue } from '#core/errors';

export const settlementErrors = {
  MATCHING_SETTLEMENT_REFUSED: {
    kind: 'invariant',
    why: 'The ledger refused what the engine has traded, so engine and ledger disagree about a balance.',
    whatToDo:
      'Work on the case of this engine: reconcile, find the difference, then start the settler; it goes on with the same portion.',
  },
  MATCHING_SETTLEMENT_GAP: {
    kind: 'invariant',
    why: 'Events came to the settler that do not follow the last ones, so some are missing.',
    whatToDo: 'Replay the engine from a snapshot at or before the settled event that the message names.',
  },
  MATCHING_SETTLEMENT_STOPPED: {
    kind: 'unavailable',
    why: 'The settler was stopped, or stopped itself at a portion that the ledger refused.',
    whatToDo: 'Read the error it stopped with; events are kept in the journal of the engine.',
  },
  MATCHING_ENGINE_DIFFERS: {
    kind: 'conflict',
    why: 'An engine of this name was settled with other assets or markets; its trades would get another meaning.',
    whatToDo: 'Give the engine with the new configuration a name of its own.',
  },
  MATCHING_ACCOUNT_UNKNOWN: {
    kind: 'invariant',
    why: 'The engine names an account that no number was given out for.',
    whatToDo: 'Keep engine and settler stopped: the engine or its journal belongs to other books.',
  },
  MATCHING_AMOUNT_NOT_TRADABLE: {
    kind: 'invalid',
    why: 'The engine has no such asset, or the amount is not a whole number of its units.',
    whatToDo:
      'Move a multiple of the unit that the message names; what is smaller stays in the main account.',
  },
  MATCHING_OPENING_REFUSED: {
    kind: 'limited',
    why: 'The engine has no room for another account.',
    whatToDo: 'Raise accountsMax of the engine, which begins a new journal.',
  },
  MATCHING_RECONCILE_ELSEWHERE: {
    kind: 'conflict',
    why: 'Engine and ledger were not at the same event, so their balances cannot be compared.',
    whatToDo:
      'Bring the engine to the settled event that the message names, or settle up to the engine, then ask again.',
    retryable: true,
  },
} as const satisfies ErrorCatalogue;
