/** Commands that were sent and whose events have not been seen. */
import { errorsOf } from '#core/errors';
import { matchingErrors } from '../errors.ts';
import { type EngineEvent, type EventSlots, readEvent } from '../events.ts';
import type { RefusedContent, ServerHello } from './wire.ts';

const fail = errorsOf(matchingErrors);
type Outcome = readonly (readonly EngineEvent[])[];

interface Sent {
  readonly count: number;
  readonly untilMs: number;
  readonly resolve: (events: Outcome) => void;
  readonly reject: (error: Error) => void;
}
/** The engine has given it its place. */
interface Taken extends Sent {
  readonly epoch: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly events: EngineEvent[][];
}

const unknownOutcome = (why: string): Error => fail('MATCHING_OUTCOME_UNKNOWN', why);

export class Submissions {
  readonly #limits: { readonly pendingCommands: number; readonly answerMs: number };
  readonly #sent = new Map<number, Sent>();
  /** In the order of their commands. */
  #taken: Taken[] = [];
  #lastRequest = 0;
  #pending = 0;

  constructor(limits: { readonly pendingCommands: number; readonly answerMs: number }) {
    this.#limits = limits;
  }

  /** @throws MATCHING_BUSY */
  assertRoom(count: number): void {
    const limit = this.#limits.pendingCommands;
    if (this.#pending + count > limit)
      throw fail('MATCHING_BUSY', `${this.#pending} commands wait for their answers, the limit is ${limit}`, {
        waiting: this.#pending,
        limit,
      });
  }

  /** @returns the number of the request, and what becomes of it */
  add(count: number, nowMs: number): { readonly request: number; readonly outcome: Promise<Outcome> } {
    this.#lastRequest++;
    const request = this.#lastRequest;
    this.#pending += count;
    const outcome = new Promise<Outcome>((resolve, reject) => {
      this.#sent.set(request, { count, untilMs: nowMs + this.#limits.answerMs, resolve, reject });
    });
    return { request, outcome };
  }

  // -------------------------------------------------------------- what the engine says

  taken(request: number, epoch: number, firstSeq: number): void {
    const sent = this.#sent.get(request);
    if (sent === undefined) return;
    this.#sent.delete(request);
    const events = Array.from({ length: sent.count }, (): EngineEvent[] => []);
    this.#taken.push({ ...sent, epoch, firstSeq, lastSeq: firstSeq + sent.count - 1, events });
  }

  refused(request: number, { code, message }: RefusedContent): void {
    const sent = this.#sent.get(request);
    if (sent === undefined) return;
    this.#sent.delete(request);
    this.#over(sent).reject(fail(code, message));
  }

  /** In the order of commands; the events of one may come in several portions. */
  see(events: EventSlots, count: number): void {
    const seqAt = (at: number): number => events.float64[at * 12] ?? 0;
    for (const { firstSeq, lastSeq, events: seen } of this.#taken) {
      if (firstSeq > seqAt(count - 1)) return;
      for (let at = firstOf(events, count, firstSeq); at < count && seqAt(at) <= lastSeq; at++)
        seen[seqAt(at) - firstSeq]?.push(readEvent(events, at));
    }
  }

  /** Answers what the view has up to this command. */
  settle(seq: number): void {
    for (let next = this.#taken[0]; next !== undefined && next.lastSeq <= seq; next = this.#taken[0]) {
      this.#taken.shift();
      this.#over(next).resolve(next.events);
    }
  }

  // -------------------------------------------------------------- what goes wrong

  /** Those the engine has taken are seen when the connection is back. */
  disconnected(): void {
    for (const sent of this.#sent.values())
      this.#over(sent).reject(
        unknownOutcome('the connection was lost before the engine said whether it took the command'),
      );
    this.#sent.clear();
  }

  /**
   * Whoever serves now may be another one, and has given numbers again that the one before gave to commands that never were
   * durable. The journal up to the new epoch's first command is the one before's, if no third one was between them.
   */
  follow({ epoch, epochFirstSeq, epochBefore }: ServerHello): void {
    this.#part((taken) => {
      if (taken.epoch === epoch) return undefined;
      if (taken.epoch !== epochBefore)
        return unknownOutcome(
          `it was to be command ${taken.firstSeq} of epoch ${taken.epoch}, now is ${epoch}`,
        );
      if (taken.lastSeq < epochFirstSeq) return undefined;
      if (taken.firstSeq >= epochFirstSeq)
        return fail(
          'MATCHING_STOPPED',
          `the process that took it ended before it was durable: epoch ${epoch} began with command ${epochFirstSeq}`,
          { epoch, epochFirstSeq },
        );
      return unknownOutcome(
        `of commands ${taken.firstSeq} to ${taken.lastSeq} those from ${epochFirstSeq} on were lost`,
      );
    });
  }

  /** The view began anew with a snapshot: what happened before it is not seen, and what happened after it is seen once more. */
  skipped(throughSeq: number): void {
    this.#part(({ firstSeq }) =>
      firstSeq <= throughSeq
        ? unknownOutcome(`it was taken as command ${firstSeq}, its events were not seen`)
        : undefined,
    );
    for (const { events } of this.#taken) for (const seen of events) seen.length = 0;
  }

  expire(nowMs: number): void {
    for (const [request, sent] of this.#sent) {
      if (sent.untilMs > nowMs) break;
      this.#sent.delete(request);
      this.#over(sent).reject(unknownOutcome('the engine did not answer in time'));
    }
    this.#part(({ untilMs, firstSeq }) =>
      untilMs <= nowMs
        ? unknownOutcome(`it was taken as command ${firstSeq}, its events did not come in time`)
        : undefined,
    );
  }

  end(): void {
    this.disconnected();
    this.#part(({ firstSeq }) => unknownOutcome(`it was taken as command ${firstSeq}, the link was closed`));
  }

  #part(errorOf: (taken: Taken) => Error | undefined): void {
    const before = this.#taken;
    this.#taken = [];
    for (const taken of before) {
      const error = errorOf(taken);
      if (error === undefined) this.#taken.push(taken);
      else this.#over(taken).reject(error);
    }
  }

  #over(sent: Sent): Sent {
    this.#pending -= sent.count;
    return sent;
  }
}

/** The first event of the command, or of the next one that has any. */
function firstOf({ float64 }: EventSlots, count: number, seq: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((float64[middle * 12] ?? 0) < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
