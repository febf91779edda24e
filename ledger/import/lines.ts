/** A file cut into lines, in memory that does not grow with the file, whatever is in it. */

/** A transfer takes under 700 bytes. */
export const lineBytesMax = 16 * 1024;

/** `text` is absent for a line that is no line of text: over {@link lineBytesMax}, or not UTF-8. */
export interface TextLine {
  /** From 1. */
  readonly number: number;
  readonly text?: string;
  /** Of a line without `text`. */
  readonly problem?: string;
}

const lineFeed = 0x0a;
const byteOrderMark = '\uFEFF';

function decoded(number: number, parts: readonly Uint8Array[], isTooLong: boolean): TextLine {
  if (isTooLong) return { number, problem: `the line is longer than ${lineBytesMax} bytes` };
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
    // Some programs put one at the start of a file; RFC 8259 lets a reader ignore it.
    return { number, text: number === 1 && text.startsWith(byteOrderMark) ? text.slice(1) : text };
  } catch {
    return { number, problem: 'the line is not UTF-8 text' };
  }
}

/** Lines end with LF or CRLF (white space at the end of JSON); the last one need not. */
export async function* textLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<TextLine, void> {
  let number = 1;
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const keep = (part: Uint8Array): void => {
    bytes += part.length;
    if (bytes <= lineBytesMax) parts.push(part);
    else parts = [];
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, from)) {
      keep(chunk.subarray(from, end));
      yield decoded(number, parts, bytes > lineBytesMax);
      number += 1;
      parts = [];
      bytes = 0;
      from = end + 1;
    }
    keep(chunk.subarray(from));
  }
  if (bytes > 0) yield decoded(number, parts, bytes > lineBytesMax);
}
