/** What the server writes, as the bytes of a text message; each made once, also when a thousand connections get it. */
import { namedError, type Problem, problemOf } from '../problem.ts';
import type { ServerMessage } from './messages.ts';

export type Frame = Buffer;
export const frameOf = (message: ServerMessage): Frame => Buffer.from(JSON.stringify(message));

/** An error without a name of ours says nothing about the inside; it goes to `onUnknown`. */
export function problemFrom(error: unknown, requestId: string, onUnknown: (error: unknown) => void): Problem {
  const known = namedError(error);
  if (known.kind === 'invariant') onUnknown(error);
  return problemOf(known, requestId);
}
