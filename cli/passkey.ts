/** A development passkey from a file; a real one is asked by a browser, which the console brings. */
import { readFileSync } from 'node:fs';
import { errorsOf, messageOf } from '#core/errors';
import { statementChallenge } from '#policies';
import type { Assertion } from '#policies/contract';
import { SoftwarePasskey, softwarePasskeyFileSchema } from '../infra/dev/software-passkey.ts';
import { cliErrors } from './contract.ts';

const fail = errorsOf(cliErrors);

/** @throws CLI_FILE_INVALID */
export function readPasskey(file: string): { person: string; passkey: SoftwarePasskey } {
  try {
    const content = softwarePasskeyFileSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return { person: content.person, passkey: SoftwarePasskey.fromFile(content) };
  } catch (error) {
    throw fail(
      'CLI_FILE_INVALID',
      `${file} is not a development passkey: ${messageOf(error)}`,
      { file },
      error,
    );
  }
}

/**
 * Signs the statement of an api's answer. The challenge is computed here and compared with the api's: what is shown is what is
 * signed.
 * @param isShown whether the statement is about what the person asked for and was shown
 * @throws CLI_SHOWN_OTHERWISE
 */
export function signShown(
  { statement, challenge }: { statement: Parameters<typeof statementChallenge>[0]; challenge: string },
  { passkey, isShown }: { passkey: SoftwarePasskey; isShown: boolean },
): Assertion {
  const own = Buffer.from(statementChallenge(statement));
  if (!isShown || own.toString('base64url') !== challenge)
    throw fail(
      'CLI_SHOWN_OTHERWISE',
      'the api asks to sign something else than it shows; nothing was signed',
    );
  return { credentialId: passkey.credentialId.toString('base64url'), ...passkey.assert(own).response };
}
