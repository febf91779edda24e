import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findFreePorts, isListening, isPortFree, planPorts } from '../../infra/dev/ports.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'ports-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
async function occupy(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

test('free runs lie below the range of outgoing connections and do not overlap', async () => {
  const firsts = await Promise.all(Array.from({ length: 20 }, async () => await findFreePorts(9)));
  const all = firsts.flatMap((first) => Array.from({ length: 9 }, (_, at) => first + at));
  expect(Math.max(...all)).toBeLessThan(32_768);
  expect(new Set(all).size).toBe(all.length);
});

test('a restart has the ports of the last run; one that was taken meanwhile is replaced', async () => {
  const file = path.join(folder, 'ports.json');
  const first = await planPorts({ api: 1, temporal: 9 }, { file });
  expect(await planPorts({ api: 1, temporal: 9 }, { file })).toEqual(first);
  const thief = await occupy(first.api);
  expect(await isPortFree(first.api)).toBe(false);
  expect(await isListening(first.api)).toBe(true);
  const second = await planPorts({ api: 1, temporal: 9 }, { file });
  thief.close();
  expect(second.temporal).toBe(first.temporal);
  expect(second.api).not.toBe(first.api);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(second);
});

test('a port that was asked for is used, and refused by name if it is taken', async () => {
  const file = path.join(folder, 'wanted.json');
  const port = await findFreePorts();
  expect(await planPorts({ api: 1 }, { file, wanted: { api: port } })).toEqual({ api: port });
  const thief = await occupy(port);
  await expect(planPorts({ api: 1 }, { file, wanted: { api: port } })).rejects.toMatchObject({
    code: 'INFRA_PORT_TAKEN',
    details: { name: 'api', port },
  });
  thief.close();
});
