/**
 * Bearer tokens per role. The file holds SHA-256 digests, so that reading it does not give a token away; tokens are long
 * random values, so a plain digest is enough and compares in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { errorsOf, messageOf } from '#core/errors';
import { type ApiRole, type TokensFile, tokensFileSchema } from './config.ts';
import { apiErrors } from './contract.ts';

const fail = errorsOf(apiErrors);
/** A token is at least 32 random bytes in base64url; anything longer than this is not one of ours. */
const tokenCharactersMax = 256;

export interface Caller {
  readonly name: string;
  readonly role: ApiRole;
}
export type Authenticate = (request: { readonly headers: IncomingHttpHeaders }) => Caller;

export function tokenDigest(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** @throws API_TOKENS_INVALID naming the file when it cannot be used */
export function readTokensFile(file: string): TokensFile {
  try {
    return tokensFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw fail(
      'API_TOKENS_INVALID',
      `tokens file ${file} cannot be used: ${messageOf(error)}`,
      { file },
      error,
    );
  }
}

export function createAuthenticate(tokens: TokensFile): Authenticate {
  const known = tokens.tokens.map((entry) => ({ ...entry, digest: Buffer.from(entry.sha256, 'hex') }));
  return (request) => {
    const match = /^Bearer ([A-Za-z0-9_.~+/=-]+)$/.exec(request.headers.authorization ?? '');
    const token = match?.[1];
    if (token === undefined || token.length > tokenCharactersMax)
      throw fail('API_UNAUTHENTICATED', 'send "Authorization: Bearer <token>"');
    const digest = Buffer.from(tokenDigest(token), 'hex');
    // Every entry is compared, so that the time says nothing about which one matched.
    const found = known.filter((entry) => timingSafeEqual(entry.digest, digest))[0];
    if (found === undefined) throw fail('API_UNAUTHENTICATED', 'this bearer token is not known');
    return { name: found.name, role: found.role };
  };
}

/** @throws API_FORBIDDEN */
export function requireRole(caller: Caller, roles: readonly ApiRole[]): void {
  if (!roles.includes(caller.role))
    throw fail('API_FORBIDDEN', `role ${caller.role} may not do this; it needs ${roles.join(' or ')}`, {
      role: caller.role,
      needs: [...roles],
    });
}
