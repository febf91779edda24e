/** One client of the server: its hello, the commands it has not had yet, its submissions. */
import type { WebSocket } from 'ws';
import { isStrongroomError, messageOf } from '#core/errors';
import {
  type CommandSlots,
  commandBytes,
  commandFloat64,
  commandInt32,
  commandSlots,
  headShift,
} from '../commands.ts';
import type { StateHash } from '../journal/index.ts';
import type { Sequencer } from '../sequencer/index.ts';
import { commandKinds } from '../vocabulary.ts';
import type { HistoryReadings } from './history.ts';
import { historyRoundsMax, type LinkServerLimits } from './limits.ts';
import type { RecentCommands } from './recent.ts';
import { linkBatchMax } from './types.ts';
import {
  closeCode,
  closeReason,
  decode,
  encodeRefused,
  encodeReset,
  encodeStatus,
  encodeTaken,
  type Meaning,
  type Message,
  messageKind,
  mismatchOf,
  type RefusedContent,
  readClientHello,
} from './wire.ts';

export type SessionNotice =
  | { readonly kind: 'client-connected'; readonly client: string; readonly afterSeq: number }
  | {
      readonly kind: 'client-gone';
      readonly client: string;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly kind: 'snapshot-skipped'; readonly snapshot: string; readonly problem: string };

export interface SessionParts {
  /** Address and port of the other end. */
  readonly client: string;
  readonly limits: LinkServerLimits;
  readonly meaning: Meaning;
  readonly sequencer: Sequencer;
  readonly recent: RecentCommands;
  readonly history: HistoryReadings;
  /** As it is at this moment. */
  readonly settlementLags: () => boolean;
  readonly onNotice: (notice: SessionNotice) => void;
  readonly onClosed: () => void;
}

const kindOf = { place: commandKinds.indexOf('place'), amend: commandKinds.indexOf('amend') };
/** Of the submission that is being read. */
const scratch: CommandSlots = commandSlots(new ArrayBuffer(linkBatchMax * commandBytes));

export class Session {
  readonly #socket: WebSocket;
  readonly #parts: SessionParts;
  /** Undefined until its hello. */
  #phase: 'history' | 'live' | undefined;
  /** Last command sent; while the journal is read for it, the last one that will have been. */
  #sentSeq = 0;
  #endReading: (() => void) | undefined;
  #isAlive = true;
  #closedWith: { readonly code: number; readonly reason: string } | undefined;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(socket: WebSocket, parts: SessionParts) {
    this.#socket = socket;
    this.#parts = parts;
    const { limits } = parts;
    socket.on('message', (data, isBinary) => this.#hear(data, isBinary));
    // What is wrong with a socket shows in that it closes.
    socket.on('error', (error) => {
      this.#closedWith ??= { code: closeCode.badMessage, reason: error.message };
    });
    socket.on('pong', () => {
      this.#isAlive = true;
    });
    socket.on('close', (code, reason) => this.#closed(code, reason.toString('utf8')));
    this.#timers.push(
      setTimeout(() => {
        if (this.#phase === undefined) this.close(closeCode.noHello, 'no hello came');
      }, limits.helloMs),
      setInterval(() => this.#ping(), limits.pingMs),
    );
  }

  send(bytes: Buffer, sent?: () => void): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > this.#parts.limits.bufferedBytesMax) this.#tooSlow('its answers wait');
    else this.#socket.send(bytes, sent);
  }

  /** What it has not had yet, as fast as it takes it: what it does not take waits where it is kept anyway. */
  pump(): void {
    const { recent, limits } = this.#parts;
    while (this.#phase === 'live' && this.#sentSeq < recent.lastSeq) {
      if (this.#socket.readyState !== this.#socket.OPEN) return;
      if (!recent.hasAfter(this.#sentSeq)) {
        this.#tooSlow(`it has had command ${this.#sentSeq} of ${recent.lastSeq}`);
        return;
      }
      if (this.#socket.bufferedAmount > limits.flowBytes) return;
      const { bytes, count } = recent.messageAfter(this.#sentSeq);
      this.#sentSeq += count;
      this.#socket.send(bytes, () => this.pump());
    }
  }

  /** @param stateHash told only to one that has had its command @param isExact and no later one */
  tellStatus(settlementLags: boolean, stateHash: StateHash | undefined, isExact: boolean): void {
    if (this.#phase === undefined || this.#socket.bufferedAmount > this.#parts.limits.flowBytes) return;
    const fits =
      stateHash !== undefined &&
      this.#phase === 'live' &&
      (isExact ? this.#sentSeq === stateHash.seq : this.#sentSeq >= stateHash.seq);
    this.send(encodeStatus({ settlementLags, ...(fits ? { stateHash } : {}) }));
  }

  close(code: number, reason: string): void {
    if (this.#closedWith !== undefined) return;
    this.#closedWith = { code, reason };
    this.#endReading?.();
    this.#phase = undefined;
    this.#socket.close(code, closeReason(reason));
    // The goodbye stands behind what it does not take.
    this.#timers.push(setTimeout(() => this.#socket.terminate(), this.#parts.limits.closeMs));
  }

  #closed(code: number, reason: string): void {
    this.#endReading?.();
    this.#phase = undefined;
    for (const timer of this.#timers) clearTimeout(timer);
    const { client, onNotice, onClosed } = this.#parts;
    onClosed();
    onNotice({ kind: 'client-gone', client, ...(this.#closedWith ?? { code, reason }) });
  }

  #tooSlow(what: string): void {
    this.close(closeCode.tooSlow, `too slow: ${what}`);
  }

  #ping(): void {
    if (this.#isAlive) {
      this.#isAlive = false;
      this.#socket.ping();
    } else {
      this.#closedWith ??= { code: closeCode.tooSlow, reason: 'no answer to a ping' };
      this.#socket.terminate();
    }
  }

  // -------------------------------------------------------------- what it says

  #hear(data: unknown, isBinary: boolean): void {
    if (this.#closedWith !== undefined) return;
    try {
      const message = decode(isBinary ? data : undefined);
      if (message.kind === messageKind.clientHello && this.#phase === undefined) this.#greet(message);
      else if (message.kind === messageKind.submit && this.#phase !== undefined) this.#submit(message);
      else this.close(closeCode.badMessage, `message ${message.kind} was not expected`);
    } catch (error) {
      this.close(closeCode.badMessage, messageOf(error));
    }
  }

  #greet({ content }: Message): void {
    const { meaning, recent, client, onNotice, settlementLags } = this.#parts;
    const hello = readClientHello(content);
    const mismatch = mismatchOf(meaning, hello);
    if (mismatch !== undefined) {
      this.close(mismatch.code, mismatch.reason);
      return;
    }
    const afterSeq = hello.seq;
    onNotice({ kind: 'client-connected', client, afterSeq });
    this.#phase = 'history';
    this.tellStatus(settlementLags(), undefined, false);
    if (afterSeq > 0 && recent.hasAfter(afterSeq)) this.#live(afterSeq);
    else if (afterSeq === 0 && recent.hasAfter(0)) {
      this.send(encodeReset({ seq: 0, stateHash: '', bytes: 0 }));
      this.#live(0);
    } else this.#read(afterSeq > recent.lastSeq ? 0 : afterSeq, 1);
  }

  #live(afterSeq: number): void {
    this.#sentSeq = afterSeq;
    this.#phase = 'live';
    this.pump();
  }

  /** From the journal. When it is through, what is newer must still be in memory; else it reads on. */
  #read(afterSeq: number, round: number): void {
    const { recent, history, onNotice } = this.#parts;
    const throughSeq = recent.lastSeq;
    this.#endReading = history.read(
      { afterSeq, throughSeq },
      {
        onMessage: (bytes, sent) => this.send(bytes, sent),
        onSnapshotSkipped: (snapshot, problem) => onNotice({ kind: 'snapshot-skipped', snapshot, problem }),
        onFailed: (problem) => this.close(closeCode.noHistory, problem),
        onDone: () => {
          this.#endReading = undefined;
          if (recent.hasAfter(throughSeq)) this.#live(throughSeq);
          else if (round < historyRoundsMax) this.#read(throughSeq, round + 1);
          else this.#tooSlow('the journal grows faster than it takes it');
        },
      },
    );
  }

  #submit({ count, number: request, content }: Message): void {
    scratch.bytes.set(content);
    const refusal = this.#refusalOf(count);
    if (refusal !== undefined) {
      this.send(encodeRefused(request, refusal));
      return;
    }
    try {
      const lastSeq = this.#parts.sequencer.submitSlots(scratch, 0, count);
      this.send(encodeTaken(request, lastSeq - count + 1));
    } catch (error) {
      if (!isStrongroomError(error)) throw error;
      const code = error.code === 'MATCHING_BUSY' ? 'MATCHING_BUSY' : 'MATCHING_STOPPED';
      this.send(encodeRefused(request, { code, message: error.message.slice(0, 1_000) }));
    }
  }

  #refusalOf(count: number): RefusedContent | undefined {
    const addsOrders = (at: number): boolean => {
      const kind = ((scratch.int32[at * 16 + commandInt32.head] ?? 0) >>> headShift.kind) & 0xf;
      return kind === kindOf.place || kind === kindOf.amend;
    };
    const nextSeq = this.#parts.sequencer.lastSeq + 1;
    for (let at = 0; at < count; at++) {
      const lastSeq = scratch.float64[at * 8 + commandFloat64.seq] ?? 0;
      if (lastSeq !== 0 && !(nextSeq + at <= lastSeq))
        return {
          code: 'MATCHING_COMMAND_LATE',
          message: `it would be command ${nextSeq + at}, and was to be ${lastSeq} at the latest`,
        };
    }
    if (!this.#parts.settlementLags()) return undefined;
    for (let at = 0; at < count; at++)
      if (addsOrders(at))
        return {
          code: 'MATCHING_SETTLEMENT_LAGS',
          message: 'settlement is behind: no order is placed or amended until it has caught up',
        };
    return undefined;
  }
}
