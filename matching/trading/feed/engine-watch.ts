/** Whether what trading shows is the engine's present state; said to whoever listens when it changes. */
import { isStrongroomError } from '#core/errors';
import type { Clock } from '#core/ports';
import type { EngineLink } from '../../link/types.ts';
import type { EngineStatus } from '../contract.ts';

type StatusListener = (status: EngineStatus) => void;

export interface EngineWatchOptions {
  readonly link: Pick<EngineLink, 'view' | 'state' | 'subscribe'>;
  readonly clock: Clock;
  /** A listener threw, and hears nothing more. */
  readonly onProblem?: (error: unknown) => void;
}

export class EngineWatch {
  readonly #options: EngineWatchOptions;
  readonly #listeners = new Set<StatusListener>();
  #leave: () => void = () => undefined;
  #isLive = false;
  #hasFailed = false;
  #sinceMs: number;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.nowMs();
  }

  /** Once the feed is there: whoever listens to both is told `live` after what the feed said of it. */
  begin(): void {
    if (this.#hasFailed) return;
    const { link } = this.#options;
    this.#leave = link.subscribe({
      onEvents: () => undefined,
      onReset: () => undefined,
      onConnected: (connected) => {
        this.#turn(connected);
      },
    });
    this.#turn(link.state().connected);
  }

  get status(): EngineStatus {
    return { engine: this.#isLive ? 'live' : 'away', sinceMs: this.#sinceMs, seq: this.#seq() };
  }

  /** What the engine does is not told any more, by a defect of ours: `away` for good, whatever the link says. */
  fail(): void {
    this.#hasFailed = true;
    this.#leave();
    this.#turn(false);
  }

  /** @returns ends it */
  listen(listener: StatusListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#leave();
    this.#turn(false);
    this.#listeners.clear();
  }

  #turn(isLive: boolean): void {
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    this.#sinceMs = this.#options.clock.nowMs();
    const { status } = this;
    for (const listener of [...this.#listeners]) {
      try {
        listener(status);
      } catch (error) {
        // Its defect is not to stop trading, or the others.
        this.#listeners.delete(listener);
        this.#options.onProblem?.(error);
      }
    }
  }

  #seq(): number | null {
    try {
      return this.#options.link.view().seq;
    } catch (error) {
      // There was no snapshot yet, or the one there was turned out to be wrong.
      if (isStrongroomError(error)) return null;
      throw error;
    }
  }
}
