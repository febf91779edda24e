/** Tries addresses one after the other, for ever: at once as long as there is one that was not tried, then after a pause. */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { LinkClientLimits } from './limits.ts';

/** What became of a connection, when it has ended. */
export type Attempt = 'served' | 'away' | 'refused';

export interface ReconnectOptions {
  readonly urls: readonly string[];
  readonly limits: Pick<LinkClientLimits, 'retryMinMs' | 'retryMaxMs' | 'refusedRetryMs'>;
  readonly signal: AbortSignal;
  /** Resolves when the connection has ended; does not reject. */
  readonly connect: (url: string) => Promise<Attempt>;
  /** Every address refuses: a person has to change something, so the pause is long. */
  readonly onAllRefused: () => void;
}

export async function keepConnected(options: ReconnectOptions): Promise<void> {
  const { urls, limits, signal, connect, onAllRefused } = options;
  const { retryMinMs, retryMaxMs, refusedRetryMs } = limits;
  let retryMs = retryMinMs;
  let tried = 0;
  let refused = 0;
  for (let at = 0; !signal.aborted; at = (at + 1) % urls.length) {
    const attempt = await connect(urls[at] ?? '');
    if (attempt === 'served') {
      tried = 0;
      retryMs = retryMinMs;
    } else {
      tried++;
      if (attempt === 'refused') refused++;
      // The next one may serve already.
      if (tried < urls.length) continue;
    }
    const isRefused = refused === urls.length;
    if (isRefused) onAllRefused();
    tried = 0;
    refused = 0;
    // Not all at the same moment.
    const waitMs = isRefused ? refusedRetryMs : randomInt(Math.ceil(retryMs / 2), retryMs + 1);
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
    retryMs = Math.min(retryMs * 2, retryMaxMs);
  }
}
