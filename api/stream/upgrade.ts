/** Before the upgrade: HTTP, so a refusal is a problem like that of every route. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Problem } from '../problem.ts';

const tooMany = 429;

/** Answers and ends the connection. */
export function refuseUpgrade(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    // Rates are counted by the second, and places come free at any time.
    ...(problem.status === tooMany ? ['retry-after: 1'] : []),
  ];
  socket.once('finish', () => {
    socket.destroy();
  });
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
