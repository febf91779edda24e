/** To what reaches no route, because it is no request or asks for an upgrade: on its socket, a problem like that of every route. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Problem, retryAfterSecondsOf } from './problem.ts';

/** Answers and ends the connection. */
export function answerOnSocket(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  const waitSeconds = retryAfterSecondsOf(problem);
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...(waitSeconds === undefined ? [] : [`retry-after: ${waitSeconds}`]),
  ];
  socket.once('finish', () => {
    socket.destroy();
  });
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
