/**
 * The co-signer's HTTP face: JSON over loopback, nothing but node:http. Whoever can reach it may ask; what it does is
 * decided by signatures inside the requests. Errors are `{code, message, details}`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { type ErrorKind, errorsOf, isStrongroomError, messageOf, type StrongroomError } from '#core/errors';
import { custodyErrors, requestBytesMax } from '#custody/protocol';
import type { Logger } from '#infra/log';

const fail = errorsOf(custodyErrors);

/** A slow or stuck sender must not hold a connection for ever. */
const requestTimeoutMs = 15_000;
const headersTimeoutMs = 5_000;
/** Longer than the pause between two steps of a coordinator, so that it never meets a closing connection. */
const keepAliveTimeoutMs = 65_000;
const connectionsMax = 256;
const headerBytesMax = 8 * 1024;

const statusOfKind: Record<ErrorKind, number> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  aborted: 422,
  limited: 429,
  invariant: 500,
  unavailable: 503,
};

/** What the routes do. Each takes a body that it checks itself and gives a JSON answer. */
export interface SignerOperations {
  readonly health: () => object;
  readonly identity: () => object;
  readonly statement: (wallet: string) => object;
  readonly log: (fromSeq: number) => object;
  readonly post: Readonly<Record<string, (body: unknown) => object | Promise<object>>>;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  // A web page can send such a request only after asking first, which nothing here answers.
  if (request.headers['content-type']?.split(';')[0]?.trim() !== 'application/json')
    throw fail('CUSTODY_REQUEST_INVALID', 'the content type must be application/json');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > requestBytesMax)
      throw fail('CUSTODY_REQUEST_INVALID', `the request has more than ${requestBytesMax} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    throw fail('CUSTODY_REQUEST_INVALID', 'the body is not JSON');
  }
}

function seqOf(url: URL): number {
  const text = url.searchParams.get('from') ?? '0';
  if (!/^(?:0|[1-9][0-9]{0,9})$/.test(text))
    throw fail('CUSTODY_REQUEST_INVALID', 'from must be the number of a log record');
  return Number.parseInt(text, 10);
}

function answerGet(operations: SignerOperations, url: URL): object {
  if (url.pathname === '/health') return operations.health();
  if (url.pathname === '/v1/identity') return operations.identity();
  if (url.pathname === '/v1/log') return operations.log(seqOf(url));
  const wallet = /^\/v1\/wallets\/(wal_[0-9a-f-]{36})\/statement$/.exec(url.pathname)?.[1];
  if (wallet !== undefined) return operations.statement(wallet);
  throw fail('CUSTODY_REQUEST_INVALID', `there is no ${url.pathname.slice(0, 100)}`);
}

async function answer(operations: SignerOperations, request: IncomingMessage): Promise<object> {
  const url = new URL(request.url ?? '/', 'http://signer');
  if (request.method === 'GET') return answerGet(operations, url);
  const operation = Object.hasOwn(operations.post, url.pathname) ? operations.post[url.pathname] : undefined;
  if (request.method !== 'POST' || operation === undefined)
    throw fail(
      'CUSTODY_REQUEST_INVALID',
      `there is no ${request.method ?? ''} ${url.pathname.slice(0, 100)}`,
    );
  return await operation(await readBody(request));
}

/** What the asker learns of a failure; the cause stays in our log. */
function publicError(error: unknown): StrongroomError {
  if (isStrongroomError(error)) return error;
  if (error instanceof z.ZodError) {
    const problems = error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).slice(0, 20);
    return fail('CUSTODY_REQUEST_INVALID', problems.join('; '), { problems });
  }
  return fail('CUSTODY_SIGNER_FAILED', 'the co-signer failed; its log says why', {}, error);
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

/** @param log refusals are logged as information, failures as errors */
export function createSignerServer(operations: SignerOperations, log: Logger): Server {
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: headersTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      maxHeaderSize: headerBytesMax,
      noDelay: true,
    },
    (request, response) => {
      answer(operations, request).then(
        (body) => {
          send(response, 200, body);
        },
        (thrown: unknown) => {
          const error = publicError(thrown);
          const { code, message, details, kind } = error;
          const entry = { code, details, path: request.url, reason: messageOf(thrown) };
          if (kind === 'invariant') log.error({ ...entry, err: thrown }, 'request failed');
          else log.info(entry, 'request refused');
          // What was not read of an oversized body is not read any more.
          if (!request.complete) response.setHeader('connection', 'close');
          send(response, statusOfKind[kind], { code, message, details });
        },
      );
    },
  );
  server.maxConnections = connectionsMax;
  return server;
}
