/** A development passkey from a file; a real one is asked by a browser, which the console brings. */
import { readFileSync } from 'node:fs';
import { errorsOf, messageOf } from '#core/errors';
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

export const assertionBy = (passkey: SoftwarePasskey, challenge: Buffer): Assertion => ({
  credentialId: passkey.credentialId.toString('base64url'),
  ...passkey.assert(challenge).response,
});
