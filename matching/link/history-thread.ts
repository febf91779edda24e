/**
 * Reads snapshots and the journal for a client that is behind, in a thread of its own: hundreds of megabytes with their checksums
 * would hold up the sequencer for as long. What it sends are messages of the link, ready to be passed on.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import { type CommandSlots, commandBytes } from '../commands.ts';
import { matchingErrors } from '../errors.ts';
import { nodeFiles } from '../journal/files.ts';
import { JournalReader } from '../journal/reader.ts';
import { listSnapshots, readSnapshot, type Snapshot, snapshotSeq } from '../journal/snapshots.ts';
import { historyBytesMax, messageCommandsMax, snapshotPartBytes } from './limits.ts';
import { encodeReset, head, headBytes, messageKind, type ResetContent, writeHead } from './wire.ts';

const fail = errorsOf(matchingErrors);

export interface HistoryRequest {
  readonly folder: string;
  readonly configHash: Uint8Array;
  /** Last command the client has; 0: it begins anew. */
  readonly afterSeq: number;
  /** Durable; what the journal has behind it may not be. */
  readonly throughSeq: number;
  /** Bytes sent that the network has not taken yet; both sides count. */
  readonly unsent: SharedArrayBuffer;
}
export type FromHistoryThread =
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'snapshot-skipped'; readonly snapshot: string; readonly problem: string }
  /** The commands up to `throughSeq` were sent. */
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly problem: string };

const { folder, configHash, afterSeq, throughSeq, unsent } = workerData as HistoryRequest;
const unsentBytes = new Int32Array(unsent);
let sentAny = false;

function tell(message: FromHistoryThread, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

/** Waits while the network is behind. */
function send(bytes: Uint8Array<ArrayBuffer>): void {
  for (let waiting = Atomics.load(unsentBytes, 0); waiting > historyBytesMax; ) {
    Atomics.wait(unsentBytes, 0, waiting);
    waiting = Atomics.load(unsentBytes, 0);
  }
  sentAny = true;
  Atomics.add(unsentBytes, 0, bytes.length);
  tell({ kind: 'message', bytes }, [bytes.buffer]);
}

/** Memory of its own, which the other thread gets. */
const own = (bytes: Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

/** Frames are as large as the load was; the messages that are made of them are full. */
class Messages {
  readonly #bytes = new Uint8Array(headBytes + messageCommandsMax * commandBytes);
  readonly #begin: () => void;
  #count = 0;
  #hasBegun = false;
  /** Last command taken. */
  seq: number;

  /** @param begin what goes before the first one */
  constructor(after: number, begin: () => void) {
    this.seq = after;
    this.#begin = begin;
  }

  begin(): void {
    if (!this.#hasBegun) this.#begin();
    this.#hasBegun = true;
  }

  add({ bytes }: CommandSlots, at: number, seq: number): void {
    if (seq !== this.seq + 1)
      throw fail('MATCHING_JOURNAL_GAP', `command ${seq} does not follow ${this.seq}`, { seq });
    this.#bytes.set(
      bytes.subarray(at * commandBytes, (at + 1) * commandBytes),
      headBytes + this.#count * commandBytes,
    );
    this.seq = seq;
    this.#count++;
    if (this.#count === messageCommandsMax) this.flush();
  }

  flush(): void {
    if (this.#count === 0) return;
    this.begin();
    const message = this.#bytes.slice(0, headBytes + this.#count * commandBytes);
    writeHead(message, messageKind.commands, { count: this.#count, number: this.seq - this.#count + 1 });
    this.#count = 0;
    send(message);
  }
}

/** @param begin once, as soon as the journal is known to go on from there @throws MATCHING_JOURNAL_GAP among others */
function sendCommands(after: number, begin: () => void = () => undefined): void {
  const messages = new Messages(after, begin);
  const reader = new JournalReader({ files: nodeFiles, folder, configHash, afterSeq: after });
  reader.follow((frame, slots, at) => {
    for (let index = 0; index < frame.commands; index++) {
      const seq = frame.firstSeq + index;
      if (seq > after && seq <= throughSeq) messages.add(slots, at + index, seq);
    }
  });
  messages.flush();
  if (messages.seq < throughSeq)
    throw fail('MATCHING_JOURNAL_GAP', `the journal ends with ${messages.seq}, wanted is ${throughSeq}`);
  messages.begin();
}

/** The newest that is whole. */
function newestSnapshot(): Snapshot | undefined {
  for (const snapshot of listSnapshots(nodeFiles, folder)) {
    if (snapshotSeq(snapshot) > throughSeq) continue;
    try {
      return readSnapshot(nodeFiles, folder, snapshot, configHash);
    } catch (error) {
      tell({ kind: 'snapshot-skipped', snapshot, problem: messageOf(error) });
    }
  }
  return undefined;
}

function sendAnew(): void {
  const snapshot = newestSnapshot();
  const { seq = 0, stateHash = '', content = new Uint8Array() } = snapshot ?? {};
  sendCommands(seq, () => sendSnapshot({ seq, stateHash, bytes: content.length }, content));
}

function sendSnapshot(reset: ResetContent, content: Uint8Array): void {
  send(own(encodeReset(reset)));
  for (let at = 0; at < content.length; at += snapshotPartBytes) {
    const part = content.subarray(at, at + snapshotPartBytes);
    const message = own(head(messageKind.snapshotPart, part.length));
    message.set(part, headBytes);
    send(message);
  }
}

/** What the client has may be older than what is kept; then it begins anew. */
function run(): void {
  if (afterSeq > 0) {
    try {
      sendCommands(afterSeq);
      return;
    } catch (error) {
      if (sentAny || !isStrongroomError(error) || error.code !== 'MATCHING_JOURNAL_GAP') throw error;
    }
  }
  sendAnew();
}

try {
  run();
  tell({ kind: 'done' });
} catch (error) {
  tell({ kind: 'failed', problem: messageOf(error) });
}
