/** Reads what a client sent. */
import { z } from 'zod';
import { errorsOf, type StrongroomError } from '#core/errors';
import { streamErrors } from './errors.ts';
import { type ClientMessage, clientMessages, type Op } from './messages.ts';

const fail = errorsOf(streamErrors);
const head = z.object({ op: z.string() });
const named = z.object({ id: z.string().min(1).max(64) });
const ops = Object.keys(clientMessages);
const isOp = (op: string): op is Op => Object.hasOwn(clientMessages, op);
/** A message with more faults than these says enough. */
const issuesMax = 8;

export type Parsed =
  /** `id` also of one that is wrong, so that its sender knows which. */
  | { readonly id: string; readonly message: ClientMessage; readonly error?: never }
  | { readonly id: string | null; readonly message?: undefined; readonly error: StrongroomError };

function jsonOf(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch {
    return undefined;
  }
}
const idIn = (value: unknown): string | null => named.safeParse(value).data?.id ?? null;

/** All that is looked at of a message that is refused for its number. */
export const idOf = (data: Buffer): string | null => idIn(jsonOf(data));

export function parseMessage(data: Buffer): Parsed {
  const value = jsonOf(data);
  if (value === undefined)
    return { id: null, error: fail('API_STREAM_MESSAGE_INVALID', 'the message is not JSON') };
  const id = idIn(value);
  const op = head.safeParse(value).data?.op;
  if (op === undefined || !isOp(op))
    return { id, error: fail('API_STREAM_MESSAGE_INVALID', `op is one of ${ops.join(', ')}`, { ops }) };
  const parsed = clientMessages[op].safeParse(value);
  if (parsed.success) return { id: parsed.data.id, message: parsed.data };
  const fields = parsed.error.issues
    .slice(0, issuesMax)
    .map(({ path, message }) => `${path.join('.')}: ${message}`.replace(/^: /, ''));
  return { id, error: fail('API_STREAM_MESSAGE_INVALID', fields.join('; '), { op, fields }) };
}
