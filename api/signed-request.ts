/**
 * What a client signs of a request, and how it comes in headers. Pure, and short enough to be written again in any language:
 * docs/operations/api-keys.md says it in words.
 */
import { createHash } from 'node:crypto';

export const signedHeaders = {
  key: 'strongroom-key',
  timestamp: 'strongroom-timestamp',
  signature: 'strongroom-signature',
} as const;

export interface RequestToSign {
  /** Milliseconds since 1970, as in the header. */
  readonly timestamp: string;
  readonly method: string;
  /** With the query, as on the first line of the request. */
  readonly path: string;
  /** As it is sent; empty when there is none. */
  readonly body: Uint8Array;
}

/** The bytes that are signed. No field but the last can hold a line end, so that no two requests have the same. */
export function requestSigningBytes(request: RequestToSign): Buffer {
  const bodyHash = createHash('sha256').update(request.body).digest('hex');
  return Buffer.from(
    `strongroom/request/v1\n${request.timestamp}\n${request.method}\n${request.path}\n${bodyHash}`,
    'utf8',
  );
}
