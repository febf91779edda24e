/** What the server writes, as the bytes of a text message; each made once, also when a thousand connections get it. */
import { errorsOf, isStrongroomError, type StrongroomError } from '#core/errors';
import type { ChannelKey } from '#matching/trading/contract';
import { apiErrors } from '../contract.ts';
import { type Problem, problemOf } from '../problem.ts';
import type { ChannelSpec, ServerMessage } from './messages.ts';

const fail = errorsOf(apiErrors);

export type Frame = Buffer;
export const frameOf = (message: ServerMessage): Frame => Buffer.from(JSON.stringify(message));

export function keyOf(spec: ChannelSpec): ChannelKey {
  switch (spec.channel) {
    case 'candles':
      return `candles/${spec.market}/${spec.interval}`;
    case 'account':
      return `account/${spec.accountId}`;
    case 'book':
    case 'trades':
    case 'ticker':
      return `${spec.channel}/${spec.market}`;
  }
}

/** An error without a name of ours says nothing about the inside; it goes to `onUnknown`. */
export function problemFrom(error: unknown, requestId: string, onUnknown: (error: unknown) => void): Problem {
  const known: StrongroomError = isStrongroomError(error)
    ? error
    : fail('API_INTERNAL', 'the request failed; the log names the request id', {}, error);
  if (known.kind === 'invariant') onUnknown(error);
  return problemOf(known, requestId);
}
