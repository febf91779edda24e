/** Commands as CSV through an engine, its events as CSV: in memory of one portion, however long the files are. */
import { pipeline, Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { commandBytes, commandSlots, writeCommand } from '../commands.ts';
import type { EngineConfig } from '../config.ts';
import { createEngine, type Engine } from '../engine/index.ts';
import { type EngineEvent, readEvent } from '../events.ts';
import type { EventKind, RejectReason } from '../vocabulary.ts';
import { CommandReader } from './commands.ts';
import { eventHeader, eventLines } from './events.ts';
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
type Cells = readonly string[] & { readonly line: number };

/** The first and the last of what the parser has read; who reads from it is behind. */
interface Parsing {
  first: Cells | undefined;
  last: Cells | undefined;
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
  const name = typeof column === 'number' ? first?.[column] : undefined;
  refuse(typeof lines === 'number' ? lines : next, name, error.message, error);
}

/** @throws MATCHING_CSV_INVALID, and what the input throws */
async function* rowsOf(input: AsyncIterable<Uint8Array>, config: EngineConfig): AsyncGenerator<Row> {
  const parsing: Parsing = { first: undefined, last: undefined };
  const parser = parse({
    bom: true,
    on_record: (cells, { lines }) => {
      const last = Object.assign(cells, { line: lines });
      parsing.last = last;
      parsing.first ??= last;
      return last;
    },
    max_record_size: lineCharactersMax,
    // Files that were put together have several kinds; the parser by itself takes the first for all.
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
  });
  // Each failure also ends the parser, and that is where it is heard.
  pipeline(Readable.from(input), parser, () => undefined);
  let header: Header | undefined;
  let width = 0;
  try {
    for await (const cells of parser as AsyncIterable<Cells>) {
      const { line } = cells;
      if (header === undefined) {
        header = headerOf(cells, line);
        width = cells.length;
        continue;
      }
      if (cells.length !== width)
        refuse(line, undefined, `${cells.length} cells where the header has ${width} columns`);
      yield new Row(header, config, cells, line);
    }
  } catch (error) {
    if (error instanceof CsvError) refuseText(error, parsing);
    throw error;
  }
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
  readonly #config: EngineConfig;
  #waiting: EngineEvent[] = [];
  #parts: string[] = [];

  constructor(config: EngineConfig) {
    this.#config = config;
  }

  add(event: EngineEvent): void {
    if (this.#waiting.push(event) === eventsPerPart) this.endPart();
  }

  endPart(): void {
    if (this.#waiting.length === 0) return;
    this.#parts.push(eventLines(this.#waiting, this.#config));
    this.#waiting = [];
  }

  /** Those that are full. */
  take(): readonly string[] {
    if (this.#parts.length === 0) return this.#parts;
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }
}

function drain(engine: Engine, see: (event: EngineEvent) => void): void {
  engine.drainEvents((slots, count) => {
    for (let at = 0; at < count; at++) see(readEvent(slots, at));
  });
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
  yield eventHeader;
  for await (const row of rowsOf(input, config)) {
    writeCommand(slot, 0, reader.read(row));
    engine.submit(slot, 0);
    tally.commands++;
    drain(engine, (event) => {
      tally.add(event);
      text.add(event);
    });
    yield* text.take();
  }
  text.endPart();
  yield* text.take();
  const { commands, events, byKind, refusals } = tally;
  return { commands, events, byKind, refusals, openOrders: engine.openOrders, hash: engine.stateHash() };
}
