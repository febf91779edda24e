/** The secret both processes have from one file. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import { tokenLengthMin } from './limits.ts';

const fail = errorsOf(matchingErrors);
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** @returns whether a header of HTTP has it, found out in a time that does not depend on what it has @throws MATCHING_CONFIG_INVALID */
export function tokenCheck(token: string): (authorization: string | undefined) => boolean {
  assertToken(token);
  const wanted = digest(bearer(token));
  return (authorization) => timingSafeEqual(digest(authorization ?? ''), wanted);
}

export const bearer = (token: string): string => `Bearer ${token}`;

/** @throws MATCHING_CONFIG_INVALID */
export function assertToken(token: string): void {
  // Of what a header may hold, so that it arrives as it is.
  if (token.length >= tokenLengthMin && /^[\x21-\x7e]+$/.test(token)) return;
  throw fail(
    'MATCHING_CONFIG_INVALID',
    `the token of the link has ${tokenLengthMin} or more visible ASCII characters`,
  );
}
