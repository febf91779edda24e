/** `ledger import`, `ledger export` and `ledger events`: files and streams of any length, in memory of one portion. */
import { statSync } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorsOf } from '#core/errors';
import type { Pool } from '#infra/db';
import {
  createLedger,
  type ExportFormat,
  exportFormats,
  exportJournal,
  exportStatement,
  followEvents,
  type ImportResult,
  type ImportSummary,
  importLines,
  isImported,
  readEvents,
  transferJson,
} from '#ledger';
import type { AccountRef } from '#ledger/contract';
import { cliErrors } from '../contract.ts';
import { readChunks } from '../file-chunks.ts';
import { fileModes, writeNewFile } from '../new-file.ts';
import type { Output } from '../output.ts';

const fail = errorsOf(cliErrors);

const isClosed = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'EPIPE';

/** Waits where the reader is slow; a reader that has seen enough (`head`) is no error. */
async function printAll(parts: AsyncIterable<string>, to: Writable): Promise<void> {
  try {
    await pipeline(Readable.from(parts), to, { end: false });
  } catch (error) {
    if (!isClosed(error)) throw error;
  }
}

/** Prints results; that nobody reads them, or the disk is full, does not end what they are the results of. */
async function reportAll(parts: AsyncIterable<string>, to: Writable): Promise<void> {
  let broken: Error | undefined;
  // Each failed write is told to its callback too; unheard, the event would end the process.
  to.on('error', () => undefined);
  for await (const text of parts) {
    if (broken !== undefined) continue;
    await new Promise<void>((resolve) => {
      to.write(text, (error) => {
        broken = error ?? undefined;
        resolve();
      });
    });
  }
  if (broken !== undefined && !isClosed(broken)) throw broken;
}

// ---------------------------------------------------------------- import

function describe({ line, status, id, reason }: ImportResult): string {
  return `line ${line}: ${status}${id === undefined ? '' : ` ${id}`}${reason === undefined ? '' : `: ${reason}`}`;
}

function summarized({ ok, exists, failed, stopped }: ImportSummary): string {
  const end = stopped ? '; stopped before the end of the file' : '';
  return `${ok} imported, ${exists} were there before, ${failed} not imported${end}`;
}

/** Strict mode reads twice; what can be read once only would be found empty, and nothing imported without a word. */
function assertReadAgain(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === false)
    throw fail('CLI_FILE_INVALID', `--strict reads ${file} twice, so it has to be a file, no pipe`, { file });
}

/**
 * With --json one JSON document per line with a result and at last `{"summary":...}`; without it the lines that were not
 * imported. Exit code 1 if there are any.
 * @throws CLI_FILE_INVALID
 */
export async function importFile(
  pool: Pool,
  file: string,
  options: { readonly strict?: true },
  output: Output,
  to: Writable = process.stdout,
): Promise<number> {
  const strict = options.strict === true;
  if (strict) assertReadAgain(file);
  let failed = 0;
  async function* results(): AsyncGenerator<string, void> {
    const lines = importLines({ pool, ledger: createLedger({ pool }) }, () => readChunks(file), { strict });
    for (;;) {
      const next = await lines.next();
      if (next.done === true) {
        failed = next.value.failed;
        yield output.json ? `${JSON.stringify({ summary: next.value })}\n` : `${summarized(next.value)}\n`;
        return;
      }
      if (output.json) yield `${JSON.stringify(next.value)}\n`;
      else if (!isImported(next.value.status)) yield `${describe(next.value)}\n`;
    }
  }
  await reportAll(results(), to);
  return failed === 0 ? 0 : 1;
}

// ---------------------------------------------------------------- export

/** @throws CLI_OPTION_INVALID */
export function formatOf(text: string): ExportFormat {
  const format = exportFormats.find((each) => each === text);
  if (format === undefined)
    throw fail('CLI_OPTION_INVALID', `--format is ${exportFormats.join(' or ')}, not "${text.slice(0, 40)}"`);
  return format;
}

export interface ExportOptions {
  readonly format: ExportFormat;
  /** Its statement; without it the journal. */
  readonly account?: AccountRef;
  readonly from?: bigint;
  readonly to?: bigint;
  readonly out?: string;
}

/** @throws CLI_FILE_INVALID when the file exists, CLI_OPTION_INVALID, and what the export throws */
export async function exportFile(
  pool: Pool,
  options: ExportOptions,
  output: Output,
  to: Writable = process.stdout,
): Promise<void> {
  const { format, account, from = 1n, out } = options;
  if (account !== undefined && (options.from !== undefined || options.to !== undefined))
    throw fail(
      'CLI_OPTION_INVALID',
      '--from and --to are positions of the journal; a statement is exported whole',
    );
  const range = { from, ...(options.to === undefined ? {} : { to: options.to }) };
  const parts =
    account === undefined ? exportJournal(pool, range, format) : exportStatement(pool, account, format);
  if (out === undefined) {
    await printAll(parts, to);
    return;
  }
  await writeNewFile(out, fileModes.ownerOnly, parts);
  output.show({ file: out }, `wrote ${out}`);
}

// ---------------------------------------------------------------- events

/** One JSON document per event. With `follow` until it is told to end. */
export async function showEvents(
  pool: Pool,
  options: { readonly after: bigint; readonly limit?: number; readonly follow?: true },
  to: Writable = process.stdout,
): Promise<void> {
  const { after, limit, follow } = options;
  const query = { after, ...(limit === undefined ? {} : { limit }) };
  const stopping = new AbortController();
  if (follow === true)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
  async function* lines(): AsyncGenerator<string, void> {
    const portions =
      follow === true
        ? followEvents(pool, { ...query, signal: stopping.signal })
        : [await readEvents(pool, query)];
    for await (const events of portions)
      yield events.map((event) => `${JSON.stringify(transferJson(event))}\n`).join('');
  }
  await printAll(lines(), to);
}
