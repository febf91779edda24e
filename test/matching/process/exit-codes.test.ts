import { expect, test } from 'vitest';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../../../matching/errors.ts';
import { exitCodeOf, exitCrashed, exitForPerson } from '../../../matching/process/exit-codes.ts';

const fail = errorsOf(matchingErrors);

test('a supervisor starts again what crashed, and not what would fence another or fail the same way', () => {
  const crashed = fail('MATCHING_JOURNAL_WRITE_FAILED', 'EIO');
  const fenced = fail('MATCHING_FENCED', 'epoch 2 is claimed');
  const behind = fail('MATCHING_JOURNAL_GAP', 'segments were removed');
  const differs = fail('MATCHING_ENGINE_DIFFERS', 'other markets');
  const codes = (mode: 'primary' | 'standby' | undefined): number[] =>
    [new Error('a defect'), crashed, fenced, behind, differs].map((error) => exitCodeOf(error, mode));
  const [again, person] = [exitCrashed, exitForPerson];
  expect(codes('primary')).toEqual([again, again, person, person, person]);
  // It comes back as one that follows.
  expect(codes('standby')).toEqual([again, again, again, again, person]);
  expect(codes(undefined)).toEqual([again, again, person, person, person]);
});
