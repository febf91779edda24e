/** Files a command reads, of any length. */
import { createReadStream } from 'node:fs';
import { errorsOf, messageOf } from '#core/errors';
import { cliErrors } from './contract.ts';

const fail = errorsOf(cliErrors);

/** @throws CLI_FILE_INVALID */
export async function* readChunks(file: string): AsyncGenerator<Uint8Array, void> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Uint8Array;
  } catch (error) {
    throw fail('CLI_FILE_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file }, error);
  }
}
