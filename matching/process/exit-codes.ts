/** How the process ends, for whoever may start it again: a supervisor reads nothing else. */
import { isStrongroomError } from '#core/errors';

/** It crashed, or its disk failed: a start goes on where it ended. */
export const exitCrashed = 1;
/** A start would end in the same way, or do harm. A person decides first. */
export const exitForPerson = 2;

/** Of either mode: what nobody has changed meanwhile, and what must not be tried with. */
const forPerson: ReadonlySet<string> = new Set([
  'INFRA_CONFIG_INVALID',
  'INFRA_MIGRATION_EDITED',
  'INFRA_MIGRATION_FILE_INVALID',
  'MATCHING_CONFIG_INVALID',
  'MATCHING_ENGINE_DIFFERS',
  'MATCHING_JOURNAL_DAMAGED',
  'MATCHING_JOURNAL_OTHER_CONFIG',
  'MATCHING_JOURNAL_OTHER_FORMAT',
  'MATCHING_JOURNAL_OTHER_SEMANTICS',
  'MATCHING_REPLAY_DIVERGED',
]);
/** A standby comes back as one that follows, from a newer snapshot; a primary would fence whoever serves now, or lacks its journal. */
const forPersonOfPrimary: ReadonlySet<string> = new Set([
  'MATCHING_EPOCH_TAKEN',
  'MATCHING_FENCED',
  'MATCHING_JOURNAL_GAP',
]);

/** An option that does not exist, or has no value; by what `parseArgs` of node throws. */
const isOfCommandLine = (error: unknown): boolean =>
  error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_');

/** @param mode undefined: its configuration could not be read */
export function exitCodeOf(error: unknown, mode: 'primary' | 'standby' | undefined): number {
  if (isOfCommandLine(error)) return exitForPerson;
  if (!isStrongroomError(error)) return exitCrashed;
  const isForPerson = forPerson.has(error.code) || (mode !== 'standby' && forPersonOfPrimary.has(error.code));
  return isForPerson ? exitForPerson : exitCrashed;
}
