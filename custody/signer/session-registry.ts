/**
 * The sessions a co-signer is in, in memory only: a crash ends them all, and nothing of them is on disk. One request at
 * a time per session; one that is idle too long, or fails, is gone.
 */
import { errorsOf } from '#core/errors';
import type { Clock } from '#core/ports';
import { custodyErrors } from '#custody/protocol';

const fail = errorsOf(custodyErrors);

/** A signing instance takes 2.5 MiB and 30 ms of CPU: 64 in flight are two seconds of work on one core. */
export const sessionsMax = 64;
/** Ids that ended are remembered this often, so that a repeated one is refused; joint ids protect beyond that. */
const endedIdsMax = 4096;

export interface Session {
  readonly id: string;
  /** Milliseconds without a request after which it ends. */
  readonly idleMsMax: number;
  /** Until then nothing was promised to anybody, and the session may give way to a newer one. */
  readonly isStarted: () => boolean;
  /** Destroys the instance and its secrets; called once, however the session ends. */
  readonly dispose: (reason: string) => void;
}
interface Entry<S extends Session> {
  readonly session: S;
  lastUsedMs: number;
  busy: boolean;
}

export class SessionRegistry<S extends Session> {
  readonly #clock: Clock;
  readonly #live = new Map<string, Entry<S>>();
  readonly #endedIds = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#live.size;
  }

  /** @throws CUSTODY_SESSIONS_LIMITED, CUSTODY_SESSION_CONFLICT */
  assertMayOpen(id: string): void {
    this.endIdle();
    if (this.#live.has(id) || this.#endedIds.has(id))
      throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} was used before`, { session: id });
    if (this.#live.size >= sessionsMax && this.#oldestUnstarted() === undefined)
      throw fail('CUSTODY_SESSIONS_LIMITED', `${sessionsMax} sessions are open`, { sessionsMax });
  }

  add(session: S): void {
    this.assertMayOpen(session.id);
    // Where one of a quorum refuses, the others are left with an open session: they must not block those that follow.
    const oldest = this.#live.size >= sessionsMax ? this.#oldestUnstarted() : undefined;
    if (oldest !== undefined) this.end(oldest, 'it made room for a newer one');
    this.#live.set(session.id, { session, lastUsedMs: this.#clock.nowMs(), busy: false });
  }

  #oldestUnstarted(): string | undefined {
    for (const [id, { session, busy }] of this.#live) if (!busy && !session.isStarted()) return id;
    return undefined;
  }

  /**
   * Runs one request of the session. Whatever it throws ends the session.
   * @throws CUSTODY_SESSION_UNKNOWN; CUSTODY_SESSION_CONFLICT while another request of it runs
   */
  async use<T>(id: string, work: (session: S) => Promise<T>): Promise<T> {
    this.endIdle();
    const entry = this.#live.get(id);
    if (entry === undefined)
      throw fail('CUSTODY_SESSION_UNKNOWN', `there is no session ${id} here`, { session: id });
    if (entry.busy) throw fail('CUSTODY_SESSION_CONFLICT', `session ${id} is busy`, { session: id });
    entry.busy = true;
    try {
      return await work(entry.session);
    } catch (error) {
      this.end(id, 'a request of it failed');
      throw error;
    } finally {
      entry.busy = false;
      entry.lastUsedMs = this.#clock.nowMs();
    }
  }

  end(id: string, reason: string): void {
    const entry = this.#live.get(id);
    if (entry === undefined) return;
    this.#live.delete(id);
    if (this.#endedIds.size >= endedIdsMax) this.#endedIds.clear();
    this.#endedIds.add(id);
    entry.session.dispose(reason);
  }

  /** Ends what nobody has used for too long. */
  endIdle(): void {
    const now = this.#clock.nowMs();
    for (const [id, entry] of this.#live)
      if (!entry.busy && now - entry.lastUsedMs > entry.session.idleMsMax) this.end(id, 'it was idle');
  }

  endAll(reason: string): void {
    for (const id of [...this.#live.keys()]) this.end(id, reason);
  }
}
