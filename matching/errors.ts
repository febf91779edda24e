/** Error codes of the matching engine: a caller's mistakes and broken files. What becomes of an order is an event, never an error. */
import type { ErrorCatalogue } from '#core/errors';
import { settlementErrors } from './settlement/errors.ts';

export const matchingErrors = {
  MATCHING_CONFIG_INVALID: {
    kind: 'invalid',
    why: "The engine's configuration has a field that is wrong or does not go together with another.",
    whatToDo: 'Correct the field the message names; SEMANTICS.md says what it means.',
  },
  MATCHING_SEQUENCE_GAP: {
    kind: 'invariant',
    why: 'A command came whose sequence number does not follow the one before.',
    whatToDo: 'Feed every command of the journal once and in order; start again from a snapshot.',
  },
  MATCHING_EVENTS_UNDRAINED: {
    kind: 'limited',
    why: 'More events wait to be drained than the engine keeps.',
    whatToDo: 'Drain events after each portion of commands.',
  },
  MATCHING_CSV_INVALID: {
    kind: 'invalid',
    why: 'A file of commands has a line that is no command: a cell that is missing, of another form, or of a field its kind does not have.',
    whatToDo:
      'Correct the line and column the message names; docs/operations/engine-csv.md describes the columns.',
  },
  MATCHING_SNAPSHOT_INVALID: {
    kind: 'invalid',
    why: 'A snapshot is damaged, was made with another configuration, or under another version of the semantics.',
    whatToDo:
      'Use the snapshot before it, or replay the journal from the start with the version that wrote it.',
  },
  MATCHING_BUSY: {
    kind: 'limited',
    why: 'As many commands as the queue holds wait to be journalled, applied and published.',
    whatToDo: 'Send the command again; nothing of it was taken.',
    retryable: true,
  },
  MATCHING_STOPPED: {
    kind: 'unavailable',
    why: 'The sequencer is closed or has stopped after an error.',
    whatToDo: 'Look at the error it stopped with; connect to the process that serves now.',
  },
  MATCHING_FENCED: {
    kind: 'unavailable',
    why: 'Another process has claimed a greater epoch of the journal, so this one may acknowledge nothing more.',
    whatToDo:
      'Ask the new primary what became of the commands without an answer; start this process again as a standby.',
  },
  MATCHING_EPOCH_TAKEN: {
    kind: 'conflict',
    why: 'Another process claimed the same epoch first.',
    whatToDo: 'Leave the journal to that process, or take over from it.',
    retryable: true,
  },
  MATCHING_ENGINE_FAILED: {
    kind: 'invariant',
    why: "The engine's thread ended or met a state that must not be.",
    whatToDo:
      'Keep the folder of the journal, report the named error, and start again: recovery replays the journal.',
  },
  MATCHING_JOURNAL_WRITE_FAILED: {
    kind: 'unavailable',
    why: 'The journal could not be written or flushed, or its folder is gone. After a failed flush nobody knows what is on the disk, so it is not tried again.',
    whatToDo:
      'Repair the disk, make room, or mount the folder again; then start again: recovery reads what is really there.',
  },
  MATCHING_JOURNAL_DAMAGED: {
    kind: 'invariant',
    why: 'A frame of the journal is not what was written, and it is not the torn end of the last one.',
    whatToDo:
      'Restore the named segment from a copy (the standby, a backup); never delete it, it holds acknowledged commands.',
  },
  MATCHING_JOURNAL_GAP: {
    kind: 'invariant',
    why: 'Commands between the snapshot and the journal, or within the journal, are missing.',
    whatToDo: 'Put the missing segments or an older snapshot back into the folder.',
  },
  MATCHING_JOURNAL_OTHER_FORMAT: {
    kind: 'invalid',
    why: 'A file of the journal has a format this version does not know.',
    whatToDo: 'Read it with the version that wrote it.',
  },
  MATCHING_JOURNAL_OTHER_SEMANTICS: {
    kind: 'invalid',
    why: 'The journal was written under another version of SEMANTICS.md, so its commands could have another outcome now.',
    whatToDo: 'Use the version that wrote it, or begin a new journal in a new folder.',
  },
  MATCHING_JOURNAL_OTHER_CONFIG: {
    kind: 'invalid',
    why: 'The journal was written with another configuration of the engine, so its commands could have another outcome now.',
    whatToDo: 'Start with the configuration that wrote it, or begin a new journal in a new folder.',
  },
  MATCHING_REPLAY_DIVERGED: {
    kind: 'invariant',
    why: 'The same commands gave another state hash than the one recorded when they were first applied.',
    whatToDo: 'Trust neither engine: stop both, keep the folder, and replay it on a third machine.',
  },
  ...settlementErrors,
  MATCHING_LINK_DOWN: {
    kind: 'unavailable',
    retryable: true,
    why: 'There is no connection to the process of the engine, or no snapshot of it yet; the command was not sent.',
    whatToDo:
      'Send it again after some seconds; see that the engine runs and that both have the same token file.',
  },
  MATCHING_LINK_REFUSED: {
    kind: 'unauthenticated',
    why: 'The process of the engine refused the connection: another token, version or configuration.',
    whatToDo: 'Start both from one release, with the same engine configuration and token file.',
  },
  MATCHING_SETTLEMENT_LAGS: {
    kind: 'limited',
    retryable: true,
    why: 'Settlement is behind by more than its bound, so that new orders are refused; the command was not taken.',
    whatToDo:
      'Wait until trades are booked again; see that PostgreSQL answers. Cancels are taken all the time.',
  },
  MATCHING_COMMAND_LATE: {
    kind: 'aborted',
    why: 'The command was to be taken by a sequence number that the engine has passed; nothing of it was taken.',
    whatToDo: 'Look at the state of the engine, and send it again if it is still wanted.',
    retryable: true,
  },
  MATCHING_OUTCOME_UNKNOWN: {
    kind: 'unavailable',
    why: 'The connection was lost after the command was sent; whether it was taken is not known here.',
    whatToDo: 'Look at the state of the engine before sending it again.',
  },
} as const satisfies ErrorCatalogue;
