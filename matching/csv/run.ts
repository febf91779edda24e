/** Commands as CSV through an engine, its events as CSV: in memory of one portion, however long the files are. */
import { finished } from 'node:stream/promises';
import { CsvError, type Parser, parse } from 'csv-parse';
import { commandBytes, commandSlots, writeCommand } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { createEngine } from '../engine/index.ts';
import { type EngineEvent, readEvent } from '../events.ts';
import type { EventKind, RejectReason } from '../vocabulary.ts';
import { CommandReader } from './commands.ts';
import { EventLines, eventHeader } from './events.ts';
import { type Header, headerOf, Row, refuse } from './row.ts';

/** Of one line; a command has a few hundred at most. */
const lineCharactersMax = 4_096;
/** Written together; about 40 kB of text. */
const eventsPerPart = 512;

export interface EngineRun {
  readonly commands: number;
  readonly events: number;
  /** How many events of each kind there were, and refusals for each reason; those that were. */
  readonly byKind: Readonly<Partial<Record<EventKind, number>>>;
  readonly refusals: Readonly<Partial<Record<RejectReason, number>>>;
  /** Orders that rest or wait at the end. */
  readonly openOrders: number;
  /** State hash after the last command. */
  readonly hash: string;
}

/** Cells, and the line that they end in. */
interface Cells {
  readonly cells: readonly string[];
  readonly line: number;
}

/** What the parser has read: the header, the last line, and what nobody has taken yet. */
interface Parsing {
  first: Cells | undefined;
  last: Cells | undefined;
  waiting: Cells[];
}

/** What is no CSV. @throws MATCHING_CSV_INVALID, always */
function refuseText(error: CsvError, { first, last }: Parsing): never {
  const next = (last?.line ?? 0) + 1;
  const isLong = error.code === 'CSV_MAX_RECORD_SIZE';
  // A quote that is not closed takes the lines below with it; the one it began in is the one to correct.
  if (isLong || error.code === 'CSV_QUOTE_NOT_CLOSED') {
    const long = `more than ${lineCharactersMax} characters, or a quote that is not closed`;
    refuse(next, undefined, isLong ? long : 'a quote that is not closed', error);
  }
  const { lines, column } = error;
  const name = typeof column === 'number' ? first?.cells[column] : undefined;
  refuse(typeof lines === 'number' ? lines : next, name, error.message, error);
}

function parserInto(parsing: Parsing) {
  const parser = parse({
    bom: true,
    // Taken here and not from its stream, which costs more for one line than all that is done with it.
    on_record: (cells: string[], { lines }) => {
      const last = { cells, line: lines };
      parsing.last = last;
      parsing.first ??= last;
      parsing.waiting.push(last);
      return null;
    },
    max_record_size: lineCharactersMax,
    // Files that were put together have several kinds; the parser by itself takes the first for all.
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
  });
  // Whoever writes hears of each failure too.
  parser.on('error', () => undefined);
  return parser.resume();
}

function written(parser: Parser, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    parser.write(chunk, (error) => {
      if (error == null) resolve();
      else reject(error);
    });
  });
}

/** Lines that are whole, as far as the input has been read. @throws MATCHING_CSV_INVALID, and what the input throws */
async function* portionsOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Cells[]> {
  const parsing: Parsing = { first: undefined, last: undefined, waiting: [] };
  const parser = parserInto(parsing);
  const take = (): readonly Cells[] => parsing.waiting.splice(0);
  try {
    for await (const chunk of input) {
      await written(parser, chunk);
      yield take();
    }
    await finished(parser.end());
  } catch (error) {
    // What is wrong in a line before comes first.
    yield take();
    if (error instanceof CsvError) refuseText(error, parsing);
    throw error;
  }
  yield take();
}

/** @throws MATCHING_CSV_INVALID, and what the input throws */
async function* rowsOf(
  input: AsyncIterable<Uint8Array>,
  config: EngineConfig,
): AsyncGenerator<Iterable<Row>> {
  let header: Header | undefined;
  let width = 0;
  function* rows(portion: readonly Cells[]): Generator<Row> {
    for (const { cells, line } of portion) {
      if (header === undefined) {
        header = headerOf(cells, line);
        width = cells.length;
        continue;
      }
      if (cells.length !== width)
        refuse(line, undefined, `${cells.length} cells where the header has ${width} columns`);
      yield new Row(header, config, cells, line);
    }
  }
  for await (const portion of portionsOf(input)) yield rows(portion);
  if (header === undefined) refuse(1, undefined, 'the file is empty; its first line names the columns');
}

class Tally {
  commands = 0;
  events = 0;
  readonly byKind: Partial<Record<EventKind, number>> = {};
  readonly refusals: Partial<Record<RejectReason, number>> = {};

  add(event: EngineEvent): void {
    this.events++;
    this.byKind[event.kind] = (this.byKind[event.kind] ?? 0) + 1;
    if (event.kind === 'rejected') this.refusals[event.reason] = (this.refusals[event.reason] ?? 0) + 1;
  }
}

/** Text of the events in parts. A command may have as many as there are orders, so none is kept that a part is full of. */
class EventText {
  readonly #lines: EventLines;
  #count = 0;
  #part = '';
  #parts: string[] = [];

  constructor(config: EngineConfig) {
    this.#lines = new EventLines(config);
  }

  add(event: EngineEvent): void {
    this.#part += this.#lines.line(event);
    if (++this.#count === eventsPerPart) this.endPart();
  }

  endPart(): void {
    if (this.#count === 0) return;
    this.#parts.push(this.#part);
    this.#part = '';
    this.#count = 0;
  }

  /** Those that are full. */
  take(): readonly string[] {
    return this.#parts.splice(0);
  }
}

/**
 * @param input bytes of a commands file (docs/operations/engine-csv.md)
 * @returns parts of the events file as it grows, and at last what came out of it
 * @throws MATCHING_CSV_INVALID naming line and column, and what the input throws
 */
export async function* runCommands(
  input: AsyncIterable<Uint8Array>,
  config: EngineConfig,
): AsyncGenerator<string, EngineRun, void> {
  const engine = createEngine(config);
  const slot = commandSlots(new ArrayBuffer(commandBytes));
  const reader = new CommandReader();
  const tally = new Tally();
  const text = new EventText(config);
  const see = (event: EngineEvent): void => {
    tally.add(event);
    text.add(event);
  };
  const drain = (): readonly string[] => {
    engine.drainEvents((slots, count) => {
      for (let at = 0; at < count; at++) see(readEvent(slots, at));
    });
    return text.take();
  };
  yield eventHeader;
  let undrained = 0;
  for await (const rows of rowsOf(input, config))
    for (const row of rows) {
      writeCommand(slot, 0, reader.read(row));
      undrained += engine.submit(slot, 0);
      tally.commands++;
      if (undrained < eventsPerPart) continue;
      yield* drain();
      undrained = 0;
    }
  yield* drain();
  text.endPart();
  yield* text.take();
  const { commands, events, byKind, refusals } = tally;
  return { commands, events, byKind, refusals, openOrders: engine.openOrders, hash: engine.stateHash() };
}
