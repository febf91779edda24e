import { expect, test } from 'vitest';
import { StrongroomError } from '#core/errors';
import { createLogger } from '#infra/log';

function logged(entry: object): Record<string, unknown> {
  const lines: string[] = [];
  createLogger('signer-1', { destination: { write: (line) => lines.push(line) } }).info(entry, 'said');
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
}

test('an entry names its process and carries the code of an error', () => {
  const err = new StrongroomError('LEDGER_X', 'no', { kind: 'invalid', details: { id: 'wd_1' } });
  expect(logged({ err })).toMatchObject({
    level: 'info',
    process: 'signer-1',
    msg: 'said',
    err: { code: 'LEDGER_X', kind: 'invalid', details: { id: 'wd_1' }, message: 'no' },
  });
});

test('secrets are cut out by name at every depth in use', () => {
  const secret = 'hunter2';
  const entry = logged({ password: secret, config: { databaseUrl: secret, signer: { passphrase: secret } } });
  expect(JSON.stringify(entry)).not.toContain(secret);
  expect(entry['password']).toBe('[redacted]');
});
