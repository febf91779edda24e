/** One line of a commands file: its cells by column, read as what the column holds. What is wrong names line and column. */
import { errorsOf } from '#core/errors';
import type { EngineConfig } from '../config.ts';
import { matchingErrors } from '../errors.ts';
import {
  commandKinds,
  marketStates,
  orderTypes,
  selfTradeModes,
  sides,
  timesInForce,
} from '../vocabulary.ts';

const fail = errorsOf(matchingErrors);
/** A message shows so much of a cell. */
const shownMax = 40;
/** As it stands in quotes; what a terminal would obey or not show is escaped. */
const shown = (text: string): string => JSON.stringify(text.slice(0, shownMax));

/** @throws MATCHING_CSV_INVALID, always */
export function refuse(line: number, column: string | undefined, problem: string, cause?: unknown): never {
  const where = column === undefined ? `line ${line}` : `line ${line}, column ${column}`;
  const details = column === undefined ? { line } : { line, column };
  throw fail('MATCHING_CSV_INVALID', `${where}: ${problem}`, details, cause);
}

/** @param expected says what the cell has to be */
type Refuse = (expected: string) => never;
type Reader<T> = (text: string, config: EngineConfig, refuseCell: Refuse) => T;

const integerText = /^-?[0-9]{1,20}$/;

/** Whole numbers that fit the command's field; whether they make sense is the engine's to judge. */
const bigIntegers =
  (min: bigint, max: bigint): Reader<bigint> =>
  (text, _config, refuseCell) => {
    const value = integerText.test(text) ? BigInt(text) : undefined;
    return value === undefined || value < min || value > max
      ? refuseCell(`a whole number from ${min} to ${max}`)
      : value;
  };
const integers =
  (min: number, max: number): Reader<number> =>
  (text, _config, refuseCell) => {
    // Plus 0, or "-0" would be another number in the bits of a command.
    const value = integerText.test(text) ? Number.parseInt(text, 10) + 0 : Number.NaN;
    return value >= min && value <= max ? value : refuseCell(`a whole number from ${min} to ${max}`);
  };
const wordsOf =
  <T extends string>(words: readonly T[]): Reader<T> =>
  (text, _config, refuseCell) =>
    words.includes(text as T) ? (text as T) : refuseCell(`one of ${words.join(', ')}`);
const positionIn =
  (list: 'assets' | 'markets'): Reader<number> =>
  (text, config, refuseCell) => {
    const at = config[list].findIndex(({ id }) => id === text);
    return at === -1 ? refuseCell(`one of the configuration's ${list}`) : at;
  };
const yesOrNo: Reader<boolean> = (text, _config, refuseCell) =>
  text === 'true' || (text === 'false' ? false : refuseCell('true or false'));

const safe = Number.MAX_SAFE_INTEGER;
const int32 = integers(-(2 ** 31), 2 ** 31 - 1);
const safeInteger = integers(-safe, safe);

/** The columns a commands file may have, in any order. */
const readers = {
  seq: integers(1, safe),
  timeMs: integers(0, safe),
  kind: wordsOf(commandKinds),
  account: int32,
  asset: positionIn('assets'),
  units: bigIntegers(-(2n ** 63n), 2n ** 63n - 1n),
  position: safeInteger,
  market: positionIn('markets'),
  side: wordsOf(sides),
  type: wordsOf(orderTypes),
  timeInForce: wordsOf(timesInForce),
  postOnly: yesOrNo,
  price: int32,
  triggerPrice: int32,
  lots: safeInteger,
  displayLots: safeInteger,
  budget: safeInteger,
  selfTrade: wordsOf(selfTradeModes),
  clientOrderId: bigIntegers(0n, 2n ** 64n - 1n),
  orderId: integers(1, safe),
  blocked: yesOrNo,
  feeTier: int32,
  state: wordsOf(marketStates),
  low: int32,
  high: int32,
} as const;
type Column = keyof typeof readers;
type Value<C extends Column> = ReturnType<(typeof readers)[C]>;
export const commandColumns = Object.keys(readers) as readonly Column[];

/** Where each column stands; from the first line. */
export type Header = ReadonlyMap<Column, number>;

/** @throws MATCHING_CSV_INVALID */
function columnOf(cell: string, line: number): Column {
  const column = commandColumns.find((each) => each === cell);
  if (column !== undefined) return column;
  if (cell === '') refuse(line, undefined, 'a column without a name; a comma too many?');
  if (/[;\t|]/.test(cell)) refuse(line, undefined, `${shown(cell)} is one cell: cells end with a comma`);
  return refuse(line, shown(cell).slice(1, -1), `no such column; there are ${commandColumns.join(', ')}`);
}

/** @throws MATCHING_CSV_INVALID */
export function headerOf(cells: readonly string[], line: number): Header {
  const header = new Map<Column, number>();
  for (const [at, cell] of cells.entries()) {
    const column = columnOf(cell, line);
    if (header.has(column)) refuse(line, column, 'stands twice in the header');
    header.set(column, at);
  }
  if (!header.has('kind')) refuse(line, 'kind', 'missing; the first line names the columns');
  return header;
}

export class Row {
  readonly line: number;
  readonly #cells: readonly string[];
  readonly #header: Header;
  readonly #config: EngineConfig;
  /** Of the cells that were read, one bit each: no column stands twice, and there are fewer than bits. */
  #read = 0;

  constructor(header: Header, config: EngineConfig, cells: readonly string[], line: number) {
    this.#header = header;
    this.#config = config;
    this.#cells = cells;
    this.line = line;
  }

  /** undefined for an empty cell. @throws MATCHING_CSV_INVALID */
  read<C extends Column>(column: C): Value<C> | undefined {
    const at = this.#header.get(column);
    if (at === undefined) return undefined;
    this.#read |= 1 << at;
    const text = this.#cells[at] ?? '';
    if (text === '') return undefined;
    const reader = readers[column] as Reader<Value<C>>;
    return reader(text, this.#config, (expected) =>
      refuse(this.line, column, `${shown(text)} is not ${expected}`),
    );
  }

  /** @throws MATCHING_CSV_INVALID */
  required<C extends Column>(column: C): Value<C> {
    const value = this.read(column);
    if (value !== undefined) return value;
    const who = column === 'kind' ? 'each line' : `the ${this.#kind()} command`;
    return refuse(this.line, column, `empty; ${who} needs it`);
  }

  /** As a field of a command, if there is one. @throws MATCHING_CSV_INVALID */
  field<C extends Column>(column: C): { readonly [Name in C]?: Value<C> } {
    const value = this.read(column);
    return (value === undefined ? {} : { [column]: value }) as { readonly [Name in C]?: Value<C> };
  }

  /** What nobody read would be lost without a word. @throws MATCHING_CSV_INVALID */
  assertRead(): void {
    for (let at = 0; at < this.#cells.length; at++)
      if ((this.#read & (1 << at)) === 0 && this.#cells[at] !== '') this.#refuseUnread(at);
  }

  #refuseUnread(at: number): never {
    const column = [...this.#header.keys()][at];
    return refuse(this.line, column, `the ${this.#kind()} command has no such field; leave the cell empty`);
  }

  #kind(): string {
    return this.#cells[this.#header.get('kind') ?? -1] ?? '';
  }
}
