/** What the settler tries again, and what stops it. */
import { AssertionError } from 'node:assert';
import { expect, test } from 'vitest';
import { errorsOf } from '#core/errors';
import { isOutage } from '../../../matching/settlement/index.ts';

const ofServer = (code: string) => Object.assign(new Error(code), { severity: 'ERROR', code });
const words = { why: '', whatToDo: '' };
const fail = errorsOf({ AWAY: { kind: 'unavailable', ...words }, WRONG: { kind: 'conflict', ...words } });

test.each([
  ['a lost connection', ofServer('08006')],
  ['a server without memory', ofServer('53200')],
  ['a server that stops', ofServer('57P01')],
  ['a deadlock', ofServer('40P01')],
  ['a password that is being changed', ofServer('28P01')],
  ['a standby that is not promoted yet', ofServer('25006')],
  ['a statement that took too long', ofServer('57014')],
  ['a lock that took too long', ofServer('55P03')],
  ['a disk that fails', ofServer('58030')],
  ['what the driver throws', new Error('Connection terminated unexpectedly')],
  ['what says so itself', fail('AWAY', 'away')],
])('%s is tried again', (_, error) => {
  expect(isOutage(error)).toBe(true);
});

test.each([
  ['a refused row', ofServer('23514')],
  ['a statement that is wrong', ofServer('42601')],
  ['a document that does not parse', new SyntaxError('Unexpected token')],
  ['a name that is not there', new ReferenceError('x is not defined')],
  ['a number out of range', new RangeError('asset 7 of 2')],
  ['a defect', new TypeError('undefined is not a function')],
  ['an assertion that does not hold', new AssertionError({ message: 'clearing gives what it got' })],
  ['an error of ours without a code', new Error('transfer 5 cannot be returned')],
  [
    'a segment of the journal that is gone',
    Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'open' }),
  ],
  ['an answer', fail('WRONG', 'wrong')],
  ['what is no error', 'away'],
])('%s is not', (_, error) => {
  expect(isOutage(error)).toBe(false);
});
