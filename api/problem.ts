/** Every error answer is problem+json (RFC 9457) with our code, so that a caller can act on it without reading prose. */

import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type ErrorKind, errorsOf, isStrongroomError, messageOf, type StrongroomError } from '#core/errors';
import { isDatabaseAway } from '#infra/db';
import { apiErrors } from './contract.ts';

const fail = errorsOf(apiErrors);

const statusOfKind: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  limited: 429,
  unavailable: 503,
  aborted: 503,
  invariant: 500,
};

export const problemSchema = z
  .object({
    type: z.string().describe('URN of the code: urn:strongroom:error:<code>'),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    whatToDo: z.string().optional(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    requestId: z.string(),
  })
  .describe('RFC 9457 problem details');
export type Problem = z.infer<typeof problemSchema>;

export function problemOf(error: StrongroomError, requestId: string): Problem {
  return {
    type: `urn:strongroom:error:${error.code}`,
    title: error.kind.replace('_', ' '),
    status: statusOfKind[error.kind],
    code: error.code,
    detail: error.message,
    ...(error.whatToDo === undefined ? {} : { whatToDo: error.whatToDo }),
    retryable: error.retryable,
    details: { ...error.details },
    requestId,
  };
}

/** After which a caller may come again, by status: PostgreSQL or the engine starts again within some seconds, a queue empties in one. */
const retryAfterSeconds: Readonly<Record<number, number>> = { 429: 1, 503: 5 };

/** Undefined: to come again is no use, or nobody knows when. */
export const retryAfterSecondsOf = ({ retryable, status }: Problem): number | undefined =>
  retryable ? retryAfterSeconds[status] : undefined;

async function send(reply: FastifyReply, problem: Problem): Promise<void> {
  const waitSeconds = retryAfterSecondsOf(problem);
  if (waitSeconds !== undefined && !reply.hasHeader('retry-after'))
    void reply.header('retry-after', waitSeconds);
  await reply
    .status(problem.status)
    .header('content-type', 'application/problem+json')
    .send(JSON.stringify(problem));
}

/**
 * Anything thrown, by a name of ours. What a database that is away throws has none, wherever it was thrown: it is named here, for
 * every route and the stream. All else that has none is a defect and says nothing about the inside.
 */
export function namedError(error: unknown): StrongroomError {
  if (isStrongroomError(error)) return error;
  return isDatabaseAway(error)
    ? fail('API_DATABASE_UNAVAILABLE', 'the database does not answer at the moment', {}, error)
    : fail('API_INTERNAL', 'the request failed; the log names the request id', {}, error);
}

/** Of anything thrown: what is broken with us is logged whole. */
export function problemOfError(error: unknown, request: FastifyRequest): Problem {
  const named = namedError(error);
  if (named.kind === 'invariant') request.log.error({ err: error }, 'request.failed');
  else if (named !== error) request.log.warn({ err: error }, 'request.unavailable');
  return problemOf(named, request.id);
}

/** Maps anything thrown in a route to one problem answer. */
export async function answerError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (isStrongroomError(error)) {
    await send(reply, problemOfError(error, request));
    return;
  }
  if (hasZodFastifySchemaValidationErrors(error)) {
    const errors = error.validation.map((issue) => ({
      // A path of "/" is the whole part: an unknown key, for one.
      field: `${error.validationContext ?? 'body'}${issue.instancePath.replaceAll('/', '.')}`.replace(
        /\.$/,
        '',
      ),
      message: issue.message ?? 'invalid',
    }));
    const text = errors.map((e) => `${e.field}: ${e.message}`).join('; ');
    await send(reply, { ...problemOf(fail('API_REQUEST_INVALID', text), request.id), errors });
    return;
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    const problem = problemOf(fail('API_REQUEST_INVALID', messageOf(error)), request.id);
    await send(reply, { ...problem, status: error.statusCode });
    return;
  }
  await send(reply, problemOfError(error, request));
}

export function answerRouterError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void answerError(error, request, reply);
}

export async function answerUnknownRoute(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  await send(
    reply,
    problemOf(fail('API_NOT_FOUND', `no route ${request.method} ${request.url}`), request.id),
  );
}
