/** Error codes of the stream, in problems and before the upgrade. */
import type { ErrorCatalogue } from '#core/errors';

export const streamErrors = {
  API_STREAM_MESSAGE_INVALID: {
    kind: 'invalid',
    why: 'A message on the stream is not JSON, or not of the form of its `op`.',
    whatToDo:
      'Correct the fields the message names; the committed asyncapi.json describes every one. Too many of them close the connection.',
  },
  API_STREAM_LIMIT: {
    kind: 'limited',
    retryable: true,
    why: 'A limit of the stream is reached: connections, connections of the key, channels, or requests without an answer.',
    whatToDo:
      'The details name the limit. Close what is not needed, or wait for answers; docs/operations/stream.md lists all limits.',
  },
  API_STREAM_CHANNEL_ENDED: {
    kind: 'unavailable',
    retryable: true,
    why: 'The channel can give neither messages nor a snapshot at the moment.',
    whatToDo: 'Subscribe to it again after a second.',
  },
  API_STREAM_SUPERSEDED: {
    kind: 'aborted',
    why: 'Another message on the same connection asked for the channel again, or left it, before this one was answered.',
    whatToDo: 'Nothing: what was asked for last holds.',
  },
  API_STREAM_CLOSING: {
    kind: 'unavailable',
    retryable: true,
    why: 'The api is about to stop, so it takes no new connection.',
    whatToDo: 'Connect again after some seconds.',
  },
  API_STREAM_UPGRADE_INVALID: {
    kind: 'invalid',
    why: 'The header `upgrade` asks for something else than WebSocket of version 13.',
    whatToDo:
      'Connect to the stream with a WebSocket client (RFC 6455); send other requests as HTTP/1.1 without `upgrade` (some clients try h2c by themselves).',
  },
  API_STREAM_UPGRADE_LATE: {
    kind: 'unavailable',
    retryable: true,
    why: 'It was not known in time who calls: the database that holds the keys is slow.',
    whatToDo: 'Sign anew and connect again after some seconds.',
  },
} as const satisfies ErrorCatalogue;
