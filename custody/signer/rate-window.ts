/** Bounds how much a flood of requests can make a co-signer write: what does not fit is counted and no more. */
import type { Clock } from '#core/ports';

export interface RateWindow {
  /** Whether one more fits into the running window; if so, how many did not since the last one that did. */
  take(): { readonly fits: true; readonly suppressed: number } | { readonly fits: false };
}

/** @param max per window, which begins with its first event */
export function createRateWindow(options: {
  readonly max: number;
  readonly windowMs: number;
  readonly clock: Clock;
}): RateWindow {
  const { max, windowMs, clock } = options;
  let start = 0;
  let count = 0;
  let suppressed = 0;
  return {
    take() {
      const now = clock.nowMs();
      // Also for a clock that stepped back: it must not keep the window closed until it has caught up.
      if (Math.abs(now - start) >= windowMs) {
        start = now;
        count = 0;
      }
      count += 1;
      if (count > max) {
        suppressed += 1;
        return { fits: false };
      }
      const before = suppressed;
      suppressed = 0;
      return { fits: true, suppressed: before };
    },
  };
}
