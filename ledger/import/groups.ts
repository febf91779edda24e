/** Lines of an import in groups that belong together: a line alone, or a whole chain of linked ones. */
import { commandsPerBatchMax } from '../transfers.ts';
import { type TextLine, textLines } from './lines.ts';
import { type ImportEntry, type MalformedLine, parseImportLine } from './schema.ts';

export interface ImportLine {
  readonly number: number;
  readonly entry: ImportEntry | MalformedLine;
}
export interface LineGroup {
  readonly lines: readonly ImportLine[];
  /** Why none of its transfers may be applied, whatever the ledger says. */
  readonly failure?: 'malformed' | 'chain-too-long';
}

function parse({ number, text, problem = '' }: TextLine): ImportLine | undefined {
  if (text === undefined) return { number, entry: { type: 'malformed', reason: problem, isLinked: false } };
  return text.trim() === '' ? undefined : { number, entry: parseImportLine(text) };
}

function isLinked({ entry }: ImportLine): boolean {
  if (entry.type === 'malformed') return entry.isLinked;
  return entry.type !== 'account' && entry.command.linked === true;
}

/**
 * Empty lines are left out. A chain longer than one batch takes is cut into groups that all fail, so that no line of it is
 * applied and memory stays bounded.
 */
export async function* lineGroups(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<LineGroup, void> {
  let lines: ImportLine[] = [];
  let failure: LineGroup['failure'];
  const take = (): LineGroup => {
    const group = { lines, ...(failure === undefined ? {} : { failure }) };
    lines = [];
    return group;
  };
  for await (const read of textLines(chunks)) {
    const line = parse(read);
    if (line === undefined) continue;
    const isInside = lines.length > 0 || failure !== undefined;
    lines.push(line);
    if (line.entry.type === 'malformed') failure ??= 'malformed';
    // An account may be opened in the middle of a chain, which goes on after it.
    const goesOn = isLinked(line) || (isInside && line.entry.type === 'account');
    const isFull = lines.length > commandsPerBatchMax;
    if (goesOn && !isFull) continue;
    if (isFull) failure ??= 'chain-too-long';
    yield take();
    if (!goesOn) failure = undefined;
  }
  // A chain that the file leaves open is for the ledger to refuse.
  if (lines.length > 0) yield take();
}
