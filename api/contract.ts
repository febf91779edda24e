/** Error codes of the HTTP gateway, and the form of its error answers. */
import type { ErrorCatalogue } from '#core/errors';

export const apiErrors = {
  API_UNAUTHENTICATED: {
    kind: 'unauthenticated',
    why: 'The request carries no bearer token, or one that is not in the tokens file.',
    whatToDo: 'Send "Authorization: Bearer <token>" with a token the operator gave you.',
  },
  API_FORBIDDEN: {
    kind: 'forbidden',
    why: 'The token is good, but its role may not do this.',
    whatToDo: 'Use a token of one of the roles the message names.',
  },
  API_REQUEST_INVALID: {
    kind: 'invalid',
    why: 'The request does not have the form the API asks for.',
    whatToDo: 'Correct the fields named in `errors`; the committed openapi.json describes every one.',
  },
  API_NOT_FOUND: {
    kind: 'not_found',
    why: 'There is no such route.',
    whatToDo: 'See openapi.json, or GET /openapi.json of a running api, for all routes.',
  },
  API_TOKENS_INVALID: {
    kind: 'invalid',
    why: 'The file of bearer tokens cannot be read or does not have the form the api needs; it did not start.',
    whatToDo:
      'Correct the file: {"tokens": [{"name", "role", "sha256"}]}, sha256 being that of the token, in hex.',
  },
  API_INTERNAL: {
    kind: 'invariant',
    why: 'The api met an error it has no name for.',
    whatToDo: 'Look in its log for the request id; the request may be repeated with the same id.',
  },
} as const satisfies ErrorCatalogue;
