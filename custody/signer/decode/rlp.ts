/**
 * Strict RLP decoder (Ethereum Yellow Paper, appendix B): one encoding per value. Whatever has a shorter form, bytes
 * behind the end or a length beyond the input is refused, because two parties that read the same bytes differently
 * could be made to sign different payments.
 */

export type RlpItem = Uint8Array | readonly RlpItem[];

/** A transaction nests three deep (fields, access list, storage keys). */
const depthMax = 8;
/** Items over all lists; an unsigned transfer has 9. Keeps the work of a hostile input bounded. */
const itemsMax = 4096;
/** A length of more than 4 bytes is beyond any request body. */
const lengthBytesMax = 4;

const shortString = 0x80;
const longString = 0xb7;
const shortList = 0xc0;
const longList = 0xf7;
/** Payloads up to this length have the short form, and must use it. */
const shortLengthMax = 55;

/** The bytes are not canonical RLP; `reason` is stable and kebab-case. */
export class RlpDefect extends Error {
  override readonly name = 'RlpDefect';
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

interface Header {
  readonly isList: boolean;
  /** Position of the first payload byte. */
  readonly start: number;
  readonly end: number;
}

function longLength(bytes: Uint8Array, at: number, lengthBytes: number, limit: number): number {
  if (lengthBytes > lengthBytesMax || at + lengthBytes > limit)
    throw new RlpDefect('rlp-out-of-bounds', `the length at byte ${at} reaches beyond the input`);
  if (bytes[at] === 0) throw new RlpDefect('rlp-not-minimal', `the length at byte ${at} has a leading zero`);
  let length = 0;
  for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at + i] ?? 0);
  if (length <= shortLengthMax)
    throw new RlpDefect('rlp-not-minimal', `the length at byte ${at} has a shorter form`);
  return length;
}

function readHeader(bytes: Uint8Array, at: number, limit: number): Header {
  const first = bytes[at];
  if (first === undefined || at >= limit)
    throw new RlpDefect('rlp-out-of-bounds', `an item is missing at byte ${at}`);
  if (first < shortString) return { isList: false, start: at, end: at + 1 };
  const isList = first >= shortList;
  const longBase = isList ? longList : longString;
  const lengthBytes = first > longBase ? first - longBase : 0;
  const start = at + 1 + lengthBytes;
  const length =
    lengthBytes > 0
      ? longLength(bytes, at + 1, lengthBytes, limit)
      : first - (isList ? shortList : shortString);
  const end = start + length;
  if (end > limit)
    throw new RlpDefect('rlp-out-of-bounds', `the item at byte ${at} reaches beyond its container`);
  if (!isList && length === 1 && (bytes[start] ?? 0) < shortString)
    throw new RlpDefect('rlp-not-minimal', `the single byte at ${at} must stand for itself`);
  return { isList, start, end };
}

/**
 * Decodes exactly one item that fills the whole input. Strings are views into it.
 * @throws RlpDefect
 */
export function decodeRlp(bytes: Uint8Array): RlpItem {
  let items = 0;
  const readItem = (at: number, limit: number, depth: number): { item: RlpItem; end: number } => {
    items += 1;
    if (items > itemsMax) throw new RlpDefect('rlp-too-large', `more than ${itemsMax} items`);
    if (depth > depthMax) throw new RlpDefect('rlp-too-large', `nested deeper than ${depthMax}`);
    const header = readHeader(bytes, at, limit);
    if (!header.isList) return { item: bytes.subarray(header.start, header.end), end: header.end };
    const list: RlpItem[] = [];
    let next = header.start;
    while (next < header.end) {
      const read = readItem(next, header.end, depth + 1);
      list.push(read.item);
      next = read.end;
    }
    return { item: list, end: header.end };
  };
  const { item, end } = readItem(0, bytes.length, 0);
  if (end !== bytes.length)
    throw new RlpDefect('rlp-trailing-bytes', `${bytes.length - end} bytes follow the item`);
  return item;
}
