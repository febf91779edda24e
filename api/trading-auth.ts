/**
 * Who calls a trading route: a bearer token of the exchange's own services, or an API key whose holder has signed the request
 * (Ed25519, RFC 8032). A key that is unknown or revoked and a signature that is wrong get the same answer, for the same work.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { promisify } from 'node:util';
import { errorsOf } from '#core/errors';
import { type Id, isId } from '#core/ids';
import type { Clock } from '#core/ports';
import type { Authenticate, Caller } from './auth.ts';
import type { ApiRole } from './config.ts';
import { apiErrors } from './contract.ts';
import { type ApiKey, type ApiPermission, apiPermissions, rateTiers } from './keys/contract.ts';
import { createSeenRequests, requestWindowMs } from './keys/seen-requests.ts';
import { requestSigningBytes, signedHeaders } from './signed-request.ts';

const fail = errorsOf(apiErrors);
/** With a callback it runs beside the event loop: about 0.1 ms of a processor for each signature. */
const verifyAside = promisify<string | null, Buffer, KeyObject, Buffer, boolean>(verify);
/** 13 digits are the years 2001 to 2286, and there is one way to write them. */
const timestampPattern = /^[1-9][0-9]{12}$/;
const signatureBytes = 64;

export interface TradingCaller {
  /** Of the token, or the id of the key. */
  readonly name: string;
  readonly keyId?: Id<'key'>;
  readonly accounts: 'all' | ReadonlySet<string>;
  readonly permissions: ReadonlySet<ApiPermission>;
  readonly requestsPerSecond: number;
}

/** Of HTTP, also one that asks for a WebSocket (method GET, no body). */
export interface RequestOfCaller {
  readonly method: string;
  /** Path with query, as it came. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawBody: Uint8Array;
}

export interface TradingAuth {
  /**
   * What can be said before the body is there, without any effort.
   * @returns whether it is a signed request
   * @throws API_SIGNATURE_INVALID, API_KEY_TIMESTAMP
   */
  readonly isSigned: (headers: IncomingHttpHeaders) => boolean;
  /**
   * To be asked once per request: the same signature is good once.
   * @throws API_UNAUTHENTICATED, API_SIGNATURE_INVALID, API_KEY_TIMESTAMP, API_SIGNATURE_REPLAYED, API_SIGNATURES_FULL,
   * API_RATE_LIMITED (more signed within a second than twice what the key may send)
   */
  readonly caller: (request: RequestOfCaller) => Promise<TradingCaller>;
  /**
   * For what lasts longer than a request: whether the key is in force still. Asked each second it costs next to nothing.
   * @throws API_SIGNATURE_INVALID
   */
  readonly recheck: (caller: TradingCaller) => Promise<void>;
}

/** Of tokens, which are the exchange's own services and people. */
const requestsPerSecondOfRole: Readonly<Record<ApiRole, number>> = {
  trading: 10_000,
  treasury: 100,
  compliance: 100,
  auditor: 100,
};
const everything: ReadonlySet<ApiPermission> = new Set(apiPermissions);
const onlyRead: ReadonlySet<ApiPermission> = new Set(['read']);
/** Checked when the key is unknown, so that the answer takes as long. */
const noKey = keyObjectOf(
  Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'),
);

function keyObjectOf(publicKey: Uint8Array): KeyObject {
  return createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
    format: 'jwk',
  });
}

interface Claim {
  readonly keyId: Id<'key'>;
  readonly timestamp: string;
  readonly timestampMs: number;
  readonly signature: Buffer;
}
const refuse = () =>
  fail('API_SIGNATURE_INVALID', 'the key is not in force, or has not signed this request as it came');

/** @throws API_SIGNATURE_INVALID */
function claimOf(headers: IncomingHttpHeaders): Claim {
  const key = headers[signedHeaders.key];
  const timestamp = headers[signedHeaders.timestamp];
  const signature = headers[signedHeaders.signature];
  if (headers.authorization !== undefined)
    throw fail('API_SIGNATURE_INVALID', 'send a bearer token or a signature, not both');
  if (typeof key !== 'string' || typeof timestamp !== 'string' || typeof signature !== 'string')
    throw fail('API_SIGNATURE_INVALID', `send ${Object.values(signedHeaders).join(', ')}, each once`);
  const bytes = Buffer.from(signature, 'base64url');
  // Written back and compared: the last character has bits that decode to nothing.
  if (bytes.length !== signatureBytes || bytes.toString('base64url') !== signature)
    throw fail('API_SIGNATURE_INVALID', `${signedHeaders.signature} is not 64 bytes in base64url`);
  if (!isId('key', key))
    throw fail('API_SIGNATURE_INVALID', `${signedHeaders.key} is not key_<uuid version 7>`);
  if (!timestampPattern.test(timestamp))
    throw fail('API_SIGNATURE_INVALID', `${signedHeaders.timestamp} is not milliseconds since 1970`);
  return { keyId: key, timestamp, timestampMs: Number.parseInt(timestamp, 10), signature: bytes };
}

function callerOfKey(key: ApiKey): TradingCaller {
  return {
    name: key.id,
    keyId: key.id,
    accounts: new Set(key.accounts),
    permissions: new Set(key.permissions),
    requestsPerSecond: rateTiers[key.rateTier],
  };
}
export function callerOfToken({ name, role }: Caller): TradingCaller {
  return {
    name,
    accounts: 'all',
    permissions: role === 'trading' ? everything : onlyRead,
    requestsPerSecond: requestsPerSecondOfRole[role],
  };
}

export function createTradingAuth(options: {
  readonly authenticate: Authenticate;
  /** The key as it was at most `revocationDelayMs` ago. */
  readonly keys: { readonly find: (id: Id<'key'>) => Promise<ApiKey | undefined> };
  readonly clock: Clock;
}): TradingAuth {
  const { clock, keys } = options;
  const seen = createSeenRequests({ startedAtMs: clock.nowMs() });
  const known = new WeakMap<ApiKey, { readonly object: KeyObject; readonly caller: TradingCaller }>();

  /** @returns the time it was looked at */
  function inWindow({ timestampMs }: Claim): number {
    const serverTimeMs = clock.nowMs();
    if (Math.abs(timestampMs - serverTimeMs) > requestWindowMs)
      throw fail(
        'API_KEY_TIMESTAMP',
        `signed at ${timestampMs}, and it is ${serverTimeMs} here: more than ${requestWindowMs} ms apart`,
        { serverTimeMs },
      );
    if (timestampMs < seen.floorMs())
      throw fail(
        'API_KEY_TIMESTAMP',
        `signed at ${timestampMs}, before this process started and could tell a repeated request`,
        { serverTimeMs },
      );
    return serverTimeMs;
  }
  function partsOf(key: ApiKey) {
    const found = known.get(key) ?? { object: keyObjectOf(key.publicKey), caller: callerOfKey(key) };
    known.set(key, found);
    return found;
  }
  async function inForce(id: Id<'key'>): Promise<ApiKey | undefined> {
    const key = await keys.find(id);
    return key?.revoked === null ? key : undefined;
  }
  async function signer(claim: Claim, request: RequestOfCaller): Promise<TradingCaller> {
    inWindow(claim);
    const { method, url: path, rawBody: body } = request;
    const bytes = requestSigningBytes({ timestamp: claim.timestamp, method, path, body });
    const key = await inForce(claim.keyId);
    const parts = key === undefined ? undefined : partsOf(key);
    const good = await verifyAside(null, bytes, parts?.object ?? noKey, claim.signature);
    if (!good || parts === undefined) throw refuse();
    // Time has passed since the first look: what is remembered may begin later now. One reading of the clock for the window and for
    // what is forgotten: by a later one the second of the timestamp might be forgotten, and the request be new.
    const atMs = inWindow(claim);
    seen.take({
      keyId: claim.keyId,
      timestampMs: claim.timestampMs,
      bytes,
      perSecondMax: 2 * parts.caller.requestsPerSecond,
      nowMs: atMs,
    });
    return parts.caller;
  }

  return {
    isSigned: (headers) => {
      if (Object.values(signedHeaders).every((name) => headers[name] === undefined)) return false;
      inWindow(claimOf(headers));
      return true;
    },
    caller: async (request) => {
      const signed = Object.values(signedHeaders).some((name) => request.headers[name] !== undefined);
      if (signed) return await signer(claimOf(request.headers), request);
      return callerOfToken(options.authenticate(request));
    },
    recheck: async ({ keyId }) => {
      if (keyId !== undefined && (await inForce(keyId)) === undefined) throw refuse();
    },
  };
}

/** @throws API_FORBIDDEN */
export function requirePermission(caller: TradingCaller, permission: ApiPermission): void {
  if (!caller.permissions.has(permission))
    throw fail(
      'API_FORBIDDEN',
      `this needs the permission ${permission}, which ${caller.name} does not have`,
      {
        needs: [permission],
      },
    );
}

/** @throws API_ACCOUNT_FORBIDDEN */
export function requireAccount({ accounts, name }: TradingCaller, accountId: Id<'acc'>): void {
  if (accounts !== 'all' && !accounts.has(accountId))
    throw fail('API_ACCOUNT_FORBIDDEN', `${name} may not act for ${accountId}`, { accountId });
}

/**
 * The account a request is for; a key of one account need not say it.
 * @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED
 */
export function accountOf(caller: TradingCaller, accountId: string | undefined): Id<'acc'> {
  const { accounts, name } = caller;
  const only = accounts === 'all' || accounts.size !== 1 ? undefined : [...accounts][0];
  const id = accountId ?? only;
  if (id === undefined || !isId('acc', id))
    throw fail('API_ACCOUNT_NEEDED', `${name} may act for several accounts: send accountId`);
  requireAccount(caller, id);
  return id;
}
