/** What comes on the port and is no request: it reaches no route, so it is answered on its socket, in the form of every error. */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { errorsOf } from '#core/errors';
import { apiErrors } from './contract.ts';
import { problemOf } from './problem.ts';
import { answerOnSocket } from './socket-answer.ts';

const fail = errorsOf(apiErrors);

/** Codes of node's parser and server that are not simply a bad request (400). */
const known: Readonly<Record<string, readonly [status: number, what: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'the request did not come whole in time'],
  HPE_HEADER_OVERFLOW: [431, 'its header is larger than 16 KiB'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'its chunk extensions are too large'],
};

/** The content never reaches the answer: it may be a password that was sent to the wrong port. */
export function answerNotHttp(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, what] = known[error.code ?? ''] ?? [400, 'this is no HTTP/1.1 request'];
  answerOnSocket(socket, { ...problemOf(fail('API_NOT_HTTP', what), randomUUID()), status });
}
