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

interface Parsed {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

/** @throws MATCHING_CSV_INVALID, and what the input throws */
async function* rowsOf(input: AsyncIterable<Uint8Array>, config: EngineConfig): AsyncGenerator<Row> {
  const parser = parse({
    bom: true,
    info: true,
    max_record_size: lineCharactersMax,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
  });
  // Each failure also ends the parser, and that is where it is heard.
  pipeline(Readable.from(input), parser, () => undefined);
  let header: Header | undefined;
  let width = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      if (header === undefined) {
        header = headerOf(record);
        width = record.length;
        continue;
      }
      if (record.length !== width)
        refuse(info.lines, undefined, `${record.length} cells where the header has ${width} columns`);
      yield new Row(header, config, record, info.lines);
    }
  } catch (error) {
    if (error instanceof CsvError)
      refuse(typeof error['lines'] === 'number' ? error['lines'] : 0, undefined, error.message, error);
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

/** What the engine has written since it was last asked. */
function drained(engine: Engine): EngineEvent[] {
  const found: EngineEvent[] = [];
  engine.drainEvents((slots, count) => {
    for (let at = 0; at < count; at++) found.push(readEvent(slots, at));
  });
  return found;
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
  let waiting: EngineEvent[] = [];
  yield eventHeader;
  for await (const row of rowsOf(input, config)) {
    writeCommand(slot, 0, reader.read(row));
    engine.submit(slot, 0);
    tally.commands++;
    for (const event of drained(engine)) {
      tally.add(event);
      waiting.push(event);
    }
    if (waiting.length < eventsPerPart) continue;
    yield eventLines(waiting, config);
    waiting = [];
  }
  if (waiting.length > 0) yield eventLines(waiting, config);
  const { commands, events, byKind, refusals } = tally;
  return { commands, events, byKind, refusals, openOrders: engine.openOrders, hash: engine.stateHash() };
}
