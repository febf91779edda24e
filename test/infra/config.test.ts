import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '#infra/config';

const folder = mkdtempSync(path.join(os.tmpdir(), 'config-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
function fileWith(name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

const schema = z.object({
  databaseUrl: z.string(),
  port: z.int().default(7000),
  listen: z.strictObject({ host: z.string() }).default({ host: '127.0.0.1' }),
});

describe('configuration', () => {
  test('comes from JSON or YAML, with defaults, frozen at every level', () => {
    const json = loadConfig(schema, { file: fileWith('a.json', '{"databaseUrl": "x", "port": 1}') });
    expect(json).toEqual({ databaseUrl: 'x', port: 1, listen: { host: '127.0.0.1' } });
    expect(Object.isFrozen(json) && Object.isFrozen(json.listen)).toBe(true);
    expect(loadConfig(schema, { file: fileWith('a.yaml', 'databaseUrl: y\n') }).port).toBe(7000);
  });

  test('the environment wins over the file, and a secret may lie in a file of its own', () => {
    const file = fileWith('b.json', '{"databaseUrl": "from-file", "port": 1}');
    const env = {
      STRONGROOM_CONFIG_PORT: '2',
      STRONGROOM_CONFIG_DATABASE_URL_FILE: fileWith('secret', 'from-secret\n'),
      STRONGROOM_STATE_DIR: 'not a setting',
    };
    expect(loadConfig(schema, { file, env })).toMatchObject({ databaseUrl: 'from-secret', port: 2 });
  });

  test.each([
    ['an unknown key', '{"databaseUrl": "x", "prot": 1}', {}, /\{prot\}: unknown/],
    [
      'an unknown nested key',
      '{"databaseUrl": "x", "listen": {"host": "h", "tls": 1}}',
      {},
      /listen\.\{tls\}/,
    ],
    ['a missing key', '{}', {}, /databaseUrl/],
    [
      'an unknown variable',
      '{"databaseUrl": "x"}',
      { STRONGROOM_CONFIG_PROT: '1' },
      /STRONGROOM_CONFIG_PROT/,
    ],
    ['a missing secret file', '{}', { STRONGROOM_CONFIG_DATABASE_URL_FILE: '/nowhere' }, /\/nowhere/],
    ['broken JSON', '{"databaseUrl": "hunter2', {}, /not valid JSON/],
  ])('%s fails and is named', (_what, text, env, message) => {
    const load = (): unknown => loadConfig(schema, { file: fileWith('c.json', text), env });
    expect(load).toThrow(expect.objectContaining({ code: 'INFRA_CONFIG_INVALID' }));
    expect(load).toThrow(message);
    expect(load).not.toThrow(/hunter2/);
  });
});
