/** How a request says who sends it: a bearer token, or a signature of its own (docs/operations/api-keys.md). */
import { type KeyObject, sign } from 'node:crypto';
import { requestSigningBytes, signedHeaders } from '../signed-request.ts';

export type Credentials =
  /** `privateKey` is Ed25519; it stays here. */
  | { readonly key: { readonly id: string; readonly privateKey: KeyObject }; readonly token?: undefined }
  | { readonly token: string; readonly key?: undefined };

export interface RequestToProve {
  readonly method: string;
  /** With the query, as it is sent. */
  readonly path: string;
  readonly body: string;
}

/** Each call is for one request. @param nowMs within 5 s of the server's clock, and never the same twice for the same request */
export function credentialHeaders(
  credentials: Credentials,
  { method, path, body }: RequestToProve,
  nowMs: number,
): Record<string, string> {
  if (credentials.token !== undefined) return { authorization: `Bearer ${credentials.token}` };
  const { id, privateKey } = credentials.key;
  const timestamp = nowMs.toString();
  const bytes = requestSigningBytes({ timestamp, method, path, body: Buffer.from(body) });
  return {
    [signedHeaders.key]: id,
    [signedHeaders.timestamp]: timestamp,
    [signedHeaders.signature]: sign(null, bytes, privateKey).toString('base64url'),
  };
}

/**
 * Milliseconds since 1970 for each request: the clock's, and counted up for one that is the same as another of that millisecond, because
 * the server takes the same signed bytes once. Different requests share a timestamp, so many of them never run ahead of the clock;
 * the same one, above 1,000 a second for longer, does, and is refused then.
 */
export function createTimestamps(nowMs: () => number = Date.now): (request: RequestToProve) => number {
  /** By request, the last timestamp; only those that could be given again, so about as many as are sent in a millisecond. */
  const given = new Map<string, number>();
  let lastMs = 0;
  return ({ method, path, body }) => {
    const now = nowMs();
    // What the clock has passed never comes again. One that was set back begins anew: timestamps ahead of it would be refused.
    if (now !== lastMs)
      for (const [request, timestampMs] of given)
        if (timestampMs < now || now < lastMs) given.delete(request);
    lastMs = now;
    const request = `${method}\n${path}\n${body}`;
    const timestampMs = Math.max(now, (given.get(request) ?? 0) + 1);
    given.set(request, timestampMs);
    return timestampMs;
  };
}
