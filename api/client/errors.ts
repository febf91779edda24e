/** Errors the client adds to those of the API, which it throws under their own codes. */
import {
  type ErrorCatalogue,
  type ErrorDetails,
  type ErrorKind,
  errorKinds,
  errorsOf,
  StrongroomError,
} from '#core/errors';

export const clientErrors = {
  API_CLIENT_NO_ANSWER: {
    kind: 'unavailable',
    why: 'The connection failed or ended, or time was up, before there was an answer: what was asked may have been done or not.',
    whatToDo:
      'Look at the orders, or send it again with the same client order id or transfer id: it is never taken twice.',
  },
  API_CLIENT_NOT_SENT: {
    kind: 'unavailable',
    retryable: true,
    why: 'The stream is not connected at the moment, or has too many requests without an answer; the message was not sent.',
    whatToDo: 'Send it again once the stream is connected, or over REST.',
  },
  API_CLIENT_CLOSED: {
    kind: 'aborted',
    why: 'The stream was closed by its owner, or the server refused it for good.',
    whatToDo: 'Open a new stream with credentials that are in force.',
  },
  API_CLIENT_ANSWER_INVALID: {
    kind: 'unavailable',
    why: 'The answer is not of the form that the API gives: the address is of something else, or something between changes it.',
    whatToDo: 'Check the base URL, and proxies on the way.',
  },
} as const satisfies ErrorCatalogue;
export const fail = errorsOf(clientErrors);

/** What problem+json has, as far as a client relies on it. */
interface ProblemLike {
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly retryable?: boolean;
  readonly whatToDo?: string;
  readonly details?: ErrorDetails;
  readonly requestId?: string;
}
const isProblem = (value: unknown): value is ProblemLike =>
  typeof value === 'object' &&
  value !== null &&
  'code' in value &&
  typeof value.code === 'string' &&
  'title' in value &&
  typeof value.title === 'string' &&
  'detail' in value &&
  typeof value.detail === 'string';

const kindOf = (title: string): ErrorKind =>
  errorKinds.find((kind) => kind === title.replace(' ', '_')) ?? 'invalid';

/** The error of a problem, under its own code. @param more what stood in headers */
export function errorOfProblem(problem: unknown, more: ErrorDetails = {}): StrongroomError {
  if (!isProblem(problem))
    return fail('API_CLIENT_ANSWER_INVALID', 'a refusal came that is no problem', more);
  const { code, title, detail, retryable, whatToDo, details, requestId } = problem;
  return new StrongroomError(code, detail, {
    kind: kindOf(title),
    details: { ...details, ...(requestId === undefined ? {} : { requestId }), ...more },
    retryable: retryable ?? false,
    ...(whatToDo === undefined ? {} : { whatToDo }),
  });
}
