/** What tells a database that is away from one that answers. That it is so of a real one: test/api/database-away.test.ts. */
import { expect, test } from 'vitest';
import { isDatabaseAway } from '#infra/db';

const ofServer = (code: string) => Object.assign(new Error(code), { severity: 'ERROR', code });
const ofSocket = (code: string, syscall?: string) =>
  Object.assign(new Error(code), { code, ...(syscall === undefined ? {} : { syscall }) });

test.each([
  ['a lost connection', ofServer('08006')],
  ['too many connections', ofServer('53300')],
  ['a server that stops', ofServer('57P01')],
  ['a server that starts', ofServer('57P03')],
  ['a statement that took too long', ofServer('57014')],
  ['a disk that fails', ofServer('58030')],
  ['a standby', ofServer('25006')],
  ['nobody at the port', ofSocket('ECONNREFUSED', 'connect')],
  ['a connection that is reset', ofSocket('ECONNRESET', 'read')],
  ['a socket file that is not there', ofSocket('ENOENT', 'connect')],
  ['a name that is not found', ofSocket('ENOTFOUND', 'getaddrinfo')],
  ['a write to what has ended', ofSocket('EPIPE')],
  ['a write to what was destroyed', ofSocket('ERR_STREAM_DESTROYED')],
  ['an end while TLS began', ofSocket('ECONNRESET')],
  ['nobody at any address', new AggregateError([ofSocket('ECONNREFUSED', 'connect')], 'all')],
  ['the end of a connection', new Error('Connection terminated unexpectedly')],
  ['no free connection in time', new Error('timeout exceeded when trying to connect')],
  ['a pool that ends', new Error('Cannot use a pool after calling end on the pool')],
])('%s is away', (_, error) => {
  expect(isDatabaseAway(error)).toBe(true);
});

test.each([
  ['a refused row', ofServer('23514')],
  ['a deadlock', ofServer('40P01')],
  ['a wrong statement', ofServer('42601')],
  ['a code that only begins like one', ofServer('XX08')],
  ['a refusal of something else', ofSocket('ECONNREFUSED')],
  ['a file that is missing', ofSocket('ENOENT', 'open')],
  ['a defect', new TypeError('undefined is not a function')],
  ['a file that is read and is none', ofSocket('EPIPE', 'open')],
  ['words of others', new Error('the Connection terminated')],
  ['what is no error', 'Connection terminated'],
  ['nothing', undefined],
])('%s is not', (_, error) => {
  expect(isDatabaseAway(error)).toBe(false);
});
