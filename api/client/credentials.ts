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
 * Milliseconds since 1970, never the same twice: two requests that are otherwise the same need different timestamps. Ahead of the
 * clock by as many milliseconds as there were requests in one, which is far from the window.
 */
export function createTimestamps(nowMs: () => number = Date.now): () => number {
  let last = 0;
  return () => {
    last = Math.max(last + 1, nowMs());
    return last;
  };
}
