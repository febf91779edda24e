/** `engine run`: what an engine makes of a file of commands. */
import { readFileSync } from 'node:fs';
import { errorsOf, messageOf } from '#core/errors';
import { type EngineConfig, parseEngineConfig } from '#matching/contract';
import { type EngineRun, plainConfig, runCommands } from '#matching/csv';
import { cliErrors } from '../contract.ts';
import { readChunks } from '../file-chunks.ts';
import { formatTable } from '../format.ts';
import { fileModes, writeNewFile } from '../new-file.ts';
import type { Output } from '../output.ts';

const fail = errorsOf(cliErrors);

export interface RunFiles {
  readonly commands: string;
  readonly events: string;
  readonly config?: string;
}

/** Of the engine; without a file one plain market. @throws CLI_FILE_INVALID, MATCHING_CONFIG_INVALID */
export function readConfigFile(file: string | undefined): EngineConfig {
  if (file === undefined) return plainConfig;
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw fail('CLI_FILE_INVALID', `${file} cannot be read as JSON: ${messageOf(error)}`, { file }, error);
  }
  return parseEngineConfig(document);
}

function counted(counts: Readonly<Record<string, number>>, name: string): string[][] {
  return Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([each, count]) => [`${name} ${each}`, `${count}`]);
}

function textOf({ commands, events, byKind, refusals, openOrders, hash }: EngineRun): string {
  return formatTable([
    ['commands', `${commands}`],
    ['events', `${events}`],
    ...counted(byKind, '  '),
    ...counted(refusals, '  refused:'),
    ['open orders', `${openOrders}`],
    ['hash', hash],
  ]);
}

/** As commands file: what another program sends. */
const standardInput = '-';

/**
 * The events file is there when all of it is: a wrong line leaves nothing.
 * @throws CLI_FILE_INVALID, CLI_OPTION_INVALID, MATCHING_CONFIG_INVALID, MATCHING_CSV_INVALID
 */
export async function showEngineRun(files: RunFiles, output: Output): Promise<void> {
  if (files.events === standardInput)
    throw fail(
      'CLI_OPTION_INVALID',
      'events go to a file, which appears when it is complete: give --events FILE',
    );
  const config = readConfigFile(files.config);
  const input: AsyncIterable<Uint8Array> =
    files.commands === standardInput ? process.stdin : readChunks(files.commands);
  let run: EngineRun | undefined;
  async function* parts(): AsyncGenerator<string, void> {
    run = yield* runCommands(input, config);
  }
  await writeNewFile(files.events, fileModes.ownerOnly, parts());
  if (run !== undefined) output.show({ file: files.events, ...run }, `wrote ${files.events}\n${textOf(run)}`);
}
