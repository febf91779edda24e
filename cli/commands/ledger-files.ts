/** `ledger import`, `ledger export` and `ledger events`: files and streams of any length, in memory of one portion. */
import { createReadStream, createWriteStream, openSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errorsOf, messageOf } from '#core/errors';
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
import type { Output } from '../output.ts';

const fail = errorsOf(cliErrors);
/** Exports show who owns what. */
const ownerOnly = 0o600;

/** Waits where the reader is slow; a reader that has seen enough (`head`) is no error. */
async function printAll(parts: AsyncIterable<string>): Promise<void> {
  try {
    await pipeline(Readable.from(parts), process.stdout, { end: false });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error;
  }
}

// ---------------------------------------------------------------- import

function describe({ line, status, id, reason }: ImportResult): string {
  return `line ${line}: ${status}${id === undefined ? '' : ` ${id}`}${reason === undefined ? '' : `: ${reason}`}`;
}

function summarized({ ok, exists, failed, stopped }: ImportSummary): string {
  const end = stopped ? '; stopped before the end of the file' : '';
  return `${ok} imported, ${exists} were there before, ${failed} not imported${end}`;
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
): Promise<number> {
  const unreadable = (error: unknown): Error =>
    fail('CLI_FILE_INVALID', `${file} cannot be read: ${messageOf(error)}`, { file });
  async function* open(): AsyncGenerator<Uint8Array, void> {
    const stream = createReadStream(file);
    stream.pause();
    try {
      for await (const chunk of stream) yield chunk as Uint8Array;
    } catch (error) {
      if (error instanceof Error && 'syscall' in error) throw unreadable(error);
      throw error;
    }
  }
  let failed = 0;
  async function* results(): AsyncGenerator<string, void> {
    const lines = importLines({ pool, ledger: createLedger({ pool }) }, open, {
      strict: options.strict === true,
    });
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
  // Not through a pipe that may break: who stops reading results must not stop the import in the middle.
  for await (const text of results()) await write(text);
  return failed === 0 ? 0 : 1;
}

let isBroken = false;
process.stdout.on('error', () => {
  isBroken = true;
});
async function write(text: string): Promise<void> {
  if (isBroken || process.stdout.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      process.stdout.off('drain', done).off('error', done);
      resolve();
    };
    process.stdout.once('drain', done).once('error', done);
  });
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

/** A file appears when it is complete. @throws CLI_FILE_INVALID when it exists, CLI_OPTION_INVALID, and what the export throws */
export async function exportFile(pool: Pool, options: ExportOptions, output: Output): Promise<void> {
  const { format, account, from = 1n, to, out } = options;
  if (account !== undefined && (options.from !== undefined || to !== undefined))
    throw fail(
      'CLI_OPTION_INVALID',
      '--from and --to are positions of the journal; a statement is exported whole',
    );
  const parts =
    account === undefined
      ? exportJournal(pool, { from, ...(to === undefined ? {} : { to }) }, format)
      : exportStatement(pool, account, format);
  if (out === undefined) {
    await printAll(parts);
    return;
  }
  const partial = `${out}.part`;
  let handle: number;
  try {
    handle = openSync(partial, 'wx', ownerOnly);
  } catch (error) {
    throw fail('CLI_FILE_INVALID', `${partial} cannot be made: ${messageOf(error)}`, { file: partial });
  }
  try {
    await pipeline(Readable.from(parts), createWriteStream(partial, { fd: handle }));
    await rename(partial, out);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  output.show({ file: out }, `wrote ${out}`);
}

// ---------------------------------------------------------------- events

/** One JSON document per event. With `follow` until it is told to end. */
export async function showEvents(
  pool: Pool,
  options: { readonly after: bigint; readonly limit?: number; readonly follow?: true },
): Promise<void> {
  const { after, limit, follow } = options;
  const query = { after, ...(limit === undefined ? {} : { limit }) };
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
  async function* lines(): AsyncGenerator<string, void> {
    const portions =
      follow === true
        ? followEvents(pool, { ...query, signal: stopping.signal })
        : [await readEvents(pool, query)];
    for await (const events of portions)
      yield events.map((event) => `${JSON.stringify(transferJson(event))}\n`).join('');
  }
  await printAll(lines());
}
