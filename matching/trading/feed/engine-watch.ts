/** Whether what trading shows is the engine's present state; said to whoever listens when it changes. */
import { isStrongroomError } from '#core/errors';
import type { Clock } from '#core/ports';
import type { EngineLink } from '../../link/types.ts';
import type { EngineStatus } from '../contract.ts';

type StatusListener = (status: EngineStatus) => void;

export class EngineWatch {
  readonly #link: Pick<EngineLink, 'view' | 'state' | 'subscribe'>;
  readonly #clock: Clock;
  readonly #listeners = new Set<StatusListener>();
  #leave: () => void = () => undefined;
  #isLive = false;
  #sinceMs: number;

  constructor({
    link,
    clock,
  }: {
    readonly link: Pick<EngineLink, 'view' | 'state' | 'subscribe'>;
    readonly clock: Clock;
  }) {
    this.#link = link;
    this.#clock = clock;
    this.#sinceMs = clock.nowMs();
  }

  /** Once the feed is there: whoever listens to both is told `live` after what the feed said of it. */
  begin(): void {
    this.#leave = this.#link.subscribe({
      onEvents: () => undefined,
      onReset: () => undefined,
      onConnected: (connected) => {
        this.#turn(connected);
      },
    });
    this.#turn(this.#link.state().connected);
  }

  get status(): EngineStatus {
    return { engine: this.#isLive ? 'live' : 'away', sinceMs: this.#sinceMs, seq: this.#seq() };
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
    this.#sinceMs = this.#clock.nowMs();
    const { status } = this;
    for (const listener of [...this.#listeners]) listener(status);
  }

  #seq(): number | null {
    try {
      return this.#link.view().seq;
    } catch (error) {
      // There was no snapshot yet, or the one there was turned out to be wrong.
      if (isStrongroomError(error)) return null;
      throw error;
    }
  }
}
