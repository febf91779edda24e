/** The newest durable commands, in one ring of memory from which every client is sent to. */
import { type CommandSlots, commandBytes, commandFloat64 } from '../commands.ts';
import { messageCommandsMax } from './limits.ts';
import { headBytes, messageKind, writeHead } from './wire.ts';

export interface CommandsMessage {
  readonly bytes: Buffer;
  readonly firstSeq: number;
  readonly count: number;
}

export class RecentCommands {
  readonly #bytes: Uint8Array;
  readonly #capacity: number;
  readonly #begunAfter: number;
  #lastSeq: number;
  /** Several clients are mostly sent the same. */
  #lastMessage: CommandsMessage | undefined;

  /** @param afterSeq commands up to this one are in the journal only */
  constructor(capacity: number, afterSeq: number) {
    if (!Number.isInteger(Math.log2(capacity))) throw new RangeError(`${capacity} is no power of two`);
    this.#bytes = new Uint8Array(capacity * commandBytes);
    this.#capacity = capacity;
    this.#begunAfter = afterSeq;
    this.#lastSeq = afterSeq;
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Whether what comes after this command is here. */
  hasAfter(seq: number): boolean {
    return seq <= this.#lastSeq && seq >= Math.max(this.#begunAfter, this.#lastSeq - this.#capacity);
  }

  add({ bytes, float64 }: CommandSlots, from: number, count: number): void {
    const first = float64[from * 8 + commandFloat64.seq];
    if (first !== this.#lastSeq + 1)
      throw new RangeError(`command ${first ?? 'none'} does not follow ${this.#lastSeq}`);
    // Of more than it holds only the end would stay.
    for (let done = 0; done < count; ) {
      const at = this.#at(this.#lastSeq + 1);
      const run = Math.min(count - done, this.#capacity - at);
      const start = (from + done) * commandBytes;
      this.#bytes.set(bytes.subarray(start, start + run * commandBytes), at * commandBytes);
      this.#lastSeq += run;
      done += run;
    }
  }

  /** As many of the commands after this one as fit a message; there is at least one. */
  messageAfter(seq: number): CommandsMessage {
    const firstSeq = seq + 1;
    const at = this.#at(firstSeq);
    const count = Math.min(this.#lastSeq - seq, messageCommandsMax, this.#capacity - at);
    const { firstSeq: sameSeq, count: sameCount } = this.#lastMessage ?? {};
    if (this.#lastMessage !== undefined && sameSeq === firstSeq && sameCount === count)
      return this.#lastMessage;
    const bytes = Buffer.allocUnsafe(headBytes + count * commandBytes);
    writeHead(bytes, messageKind.commands, { count, number: firstSeq });
    bytes.set(this.#bytes.subarray(at * commandBytes, (at + count) * commandBytes), headBytes);
    this.#lastMessage = { bytes, firstSeq, count };
    return this.#lastMessage;
  }

  #at(seq: number): number {
    return (seq - 1) & (this.#capacity - 1);
  }
}
