/** A holder of a key, who signs as docs/operations/api-keys.md says, with nothing of ours; and requests as they are, byte by byte. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { type Id, newId } from '#core/ids';

export interface Holder {
  readonly id: Id<'key'>;
  /** 32 bytes. */
  readonly publicKey: Buffer;
  readonly privateKey: KeyObject;
}
export interface Unsigned {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
}

const random = { bytes: (length: number) => randomBytes(length) };
const clock = { nowMs: () => Date.now() };
export const newKeyId = (): Id<'key'> => newId('key', clock, random);
export const newAccount = (): Id<'acc'> => newId('acc', clock, random);

export function newHolder(id = newKeyId()): Holder {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { id, publicKey: Buffer.from(x, 'base64url'), privateKey };
}

export function signature(holder: Holder, { method, url, body = '' }: Unsigned, timestamp: string): string {
  const hash = createHash('sha256').update(body).digest('hex');
  const text = `strongroom/request/v1\n${timestamp}\n${method}\n${url}\n${hash}`;
  return sign(null, Buffer.from(text), holder.privateKey).toString('base64url');
}

export function signedBy(holder: Holder, request: Unsigned, timestampMs: number): Record<string, string> {
  const timestamp = timestampMs.toString();
  return {
    'strongroom-key': holder.id,
    'strongroom-timestamp': timestamp,
    'strongroom-signature': signature(holder, request, timestamp),
  };
}

/** Two requests of one test never have the same timestamp. */
let lastMs = 0;
export function nextMs(): number {
  lastMs = Math.max(lastMs + 1, Date.now());
  return lastMs;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly json: Record<string, unknown>;
}
export async function send(
  port: number,
  { method, url, body }: Unsigned,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const asked = httpRequest(
      {
        port,
        host: '127.0.0.1',
        method,
        path: url,
        headers: {
          ...(body === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          ...headers,
        },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
          });
        });
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}
