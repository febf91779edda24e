import { parseArgs } from 'node:util';
import { expect, test } from 'vitest';
import { errorsOf } from '#core/errors';
import { infraErrors } from '#infra/contract';
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

test('a mistake on the command line or in the files of the release is for a person; whatever is unknown is a crash', () => {
  const mistaken = (() => {
    try {
      return parseArgs({ args: ['--confg', 'x'], options: { config: { type: 'string' } } });
    } catch (error) {
      return error;
    }
  })();
  expect(mistaken).toBeInstanceOf(TypeError);
  const files = errorsOf(infraErrors)('INFRA_MIGRATION_FILE_INVALID', 'two files have the same number');
  expect([mistaken, files].map((error) => exitCodeOf(error, undefined))).toEqual([
    exitForPerson,
    exitForPerson,
  ]);
  const taken = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' });
  for (const unknown of [new TypeError('a defect'), taken, 'text', undefined, new AggregateError([])])
    expect(exitCodeOf(unknown, 'primary')).toBe(exitCrashed);
});
