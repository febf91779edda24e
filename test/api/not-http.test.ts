/** Bytes that are no HTTP, on a raw socket: the answer is a problem like any other, and the connection ends. */
import { type AddressInfo, connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAuthenticate } from '../../api/auth.ts';
import { problemSchema } from '../../api/problem.ts';
import { buildServer, type ServerOptions } from '../../api/server.ts';
import { withoutTrading } from './gateway.ts';

let app: FastifyInstance;
let port = 0;
beforeAll(async () => {
  app = await buildServer({
    operations: {} as ServerOptions['operations'],
    ...withoutTrading(createAuthenticate({ tokens: [] })),
    assets: [],
    probes: {},
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  ({ port } = app.server.address() as AddressInfo);
});
afterAll(async () => {
  await app.close();
});

/** All that comes back until the server ends the connection. */
async function sendRaw(bytes: string | Buffer): Promise<string> {
  return await new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('error', reject);
    socket.on('close', () => {
      resolve(Buffer.concat(parts).toString());
    });
  });
}
const get = 'GET /health HTTP/1.1\r\nhost: a\r\n';

test.each([
  ['words', 'hello, is this the exchange?\r\n\r\n', 400],
  ['the first bytes of TLS', Buffer.from('1603010200010001fc0303', 'hex'), 400],
  ['the start of an ssh client', 'SSH-2.0-OpenSSH_9.6\r\n', 400],
  ['a method nobody knows', 'FETCH / HTTP/1.1\r\nhost: a\r\n\r\n', 400],
  ['a version there is not', 'GET / HTTP/7.3\r\nhost: a\r\n\r\n', 400],
  ['a header that is none', 'GET / HTTP/1.1\r\nno colon\r\n\r\n', 400],
  ['two lengths', `${get}content-length: 1\r\ncontent-length: 2\r\n\r\n`, 400],
  ['a length beside chunks', `${get}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`, 400],
  ['chunks that are none', `${get}transfer-encoding: chunked\r\n\r\nzz\r\n`, 400],
  ['a header of 20 KiB', `${get}x: ${'a'.repeat(20_480)}\r\n\r\n`, 431],
] as const)('%s', async (_, bytes, status) => {
  const answer = await sendRaw(bytes);
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(head).toContain('content-type: application/problem+json');
  expect(head).toContain('connection: close');
  const problem = problemSchema.parse(JSON.parse(body));
  expect(problem).toMatchObject({ code: 'API_NOT_HTTP', status, retryable: false });
  expect(problem.whatToDo).toMatch(/HTTP\/1\.1/);
  expect(problem.requestId).not.toBe('');
});

test('what was sent is not said back, and the next connection is served', async () => {
  expect(await sendRaw('hunter2 is my password\r\n\r\n')).not.toContain('hunter2');
  expect(await sendRaw(`${get}connection: close\r\n\r\n`)).toMatch(/^HTTP\/1.1 200 /);
});
