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
    why: 'The token or key is good, but its role or permissions do not allow this.',
    whatToDo: 'Use a token of one of the roles, or a key with the permission, that the message names.',
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
  API_SIGNATURE_INVALID: {
    kind: 'unauthenticated',
    why: 'The signature is not one that the named key has made for this request, or there is no such key any more. Which of them is not said.',
    whatToDo:
      'Sign method, path with query, and body exactly as they are sent (docs/operations/api-keys.md); see that the key is not revoked.',
  },
  API_KEY_TIMESTAMP: {
    kind: 'unauthenticated',
    why: 'The timestamp of a signed request is too far from the clock of the server, or from before the server started.',
    whatToDo: 'Set the clock by the `serverTimeMs` of the details, sign again and send.',
  },
  API_SIGNATURE_REPLAYED: {
    kind: 'unauthenticated',
    why: 'The same signed request was accepted before; each is accepted once.',
    whatToDo: 'Sign each request anew; two that are otherwise the same need different timestamps.',
  },
  API_SIGNATURES_FULL: {
    kind: 'limited',
    retryable: true,
    why: 'As many signatures as the process remembers were accepted within the last seconds, so that it cannot tell a repeated one.',
    whatToDo: 'Sign and send it again after a second; with it often, run more api processes.',
  },
  API_RATE_LIMITED: {
    kind: 'limited',
    retryable: true,
    why: 'The key, token or address has sent more requests than it may.',
    whatToDo: 'Wait for the seconds that the header `retry-after` says; see the `ratelimit-*` headers.',
  },
  API_ACCOUNT_FORBIDDEN: {
    kind: 'forbidden',
    why: 'The key may not act for this account.',
    whatToDo: 'Use a key of the account; those of a key are fixed when it is registered.',
  },
  API_ACCOUNT_NEEDED: {
    kind: 'invalid',
    why: 'The request does not say which account it is for, and the caller may act for several.',
    whatToDo: 'Send `accountId`; only a key of one account may leave it out.',
  },
  API_KEY_INVALID: {
    kind: 'invalid',
    why: 'The public key is not an Ed25519 key that a signature could be trusted for.',
    whatToDo: 'Make a new pair of keys and send the 32 bytes of its public half in base64url.',
  },
  API_KEY_CONFLICT: {
    kind: 'conflict',
    why: 'There is a key of this id with another content, or this public key was registered before, perhaps revoked.',
    whatToDo: 'Make a new pair of keys and a new id; a registered key is never changed.',
  },
  API_KEY_UNKNOWN: {
    kind: 'not_found',
    why: 'No key was registered with this id.',
    whatToDo: 'GET /v1/api-keys lists them.',
  },
  API_KEYS_TOO_MANY: {
    kind: 'limited',
    why: 'An account has as many keys as may be in force at a time.',
    whatToDo: 'Revoke those that are no longer used.',
  },
  API_KEYS_UNAVAILABLE: {
    kind: 'unavailable',
    retryable: true,
    why: 'The database did not say in time whether the key is in force, so that no signed request can be taken.',
    whatToDo: 'Sign and send it again after some seconds; the operator sees it in /health.',
  },
  API_DATABASE_UNAVAILABLE: {
    kind: 'unavailable',
    retryable: true,
    why: 'The database cannot be reached, is starting or stopping, or did not answer in time. A change that was being made may have been made or not.',
    whatToDo:
      'Send the same again, with the same id, after the seconds that the header `retry-after` says: nothing is done twice. The operator sees it in /health.',
  },
  API_NOT_HTTP: {
    kind: 'invalid',
    why: 'What came on the connection is no HTTP/1.1 request that can be read, its header is too large, or it did not come in time.',
    whatToDo:
      'Send HTTP/1.1 without TLS, or TLS to the proxy that ends it; headers of at most 16 KiB; the request at once.',
  },
  API_INTERNAL: {
    kind: 'invariant',
    why: 'The api met an error it has no name for.',
    whatToDo: 'Look in its log for the request id; the request may be repeated with the same id.',
  },
} as const satisfies ErrorCatalogue;
