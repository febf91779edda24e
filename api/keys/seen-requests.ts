/**
 * Which signed requests were accepted within the window of their timestamps, so that each is accepted once.
 *
 * They are kept by the second of their timestamp. What is not above the newest second that was forgotten is refused by its timestamp, so
 * nothing is ever forgotten that could come again, also when the clock steps back, and also after a start of the process (what another
 * one, or this one before, has accepted is not known here: two processes behind one address each accept it once). A clock that was
 * ahead for a while moves no limit: what was accepted then is kept until the clock is there again.
 */
import { createHash } from 'node:crypto';
import { errorsOf } from '#core/errors';
import { apiErrors } from '../contract.ts';

const fail = errorsOf(apiErrors);
/** Either side of the server's clock: room for a clock that is set by NTP and a slow network, short for what must be remembered. */
export const requestWindowMs = 5_000;
const secondMs = 1_000;
/** 40,000 a second for the window; about 100 bytes each, 40 MB. */
const requestsMax = 400_000;

export interface SeenRequests {
  /** Timestamps below it cannot be told from repeated ones. */
  readonly floorMs: () => number;
  /** @throws API_SIGNATURE_REPLAYED, API_SIGNATURES_FULL, API_RATE_LIMITED: nothing is remembered then */
  readonly take: (request: {
    readonly keyId: string;
    readonly timestampMs: number;
    /** What was signed. */
    readonly bytes: Uint8Array;
    /** Of one key and second: bounds what one key can fill. */
    readonly perSecondMax: number;
    /** By which the timestamp is within the window. */
    readonly nowMs: number;
  }) => void;
}

interface Second {
  readonly requests: Set<string>;
  readonly byKey: Map<string, number>;
}

export function createSeenRequests(options: {
  readonly startedAtMs: number;
  readonly requestsMax?: number;
}): SeenRequests {
  const seconds = new Map<number, Second>();
  const most = options.requestsMax ?? requestsMax;
  let floorMs = options.startedAtMs;
  let oldestKept = Number.NEGATIVE_INFINITY;
  let kept = 0;

  function forget(nowMs: number): void {
    const oldest = Math.floor((nowMs - requestWindowMs) / secondMs);
    if (oldest === oldestKept) return;
    oldestKept = oldest;
    for (const [second, { requests }] of seconds)
      if (second < oldest) {
        kept -= requests.size;
        seconds.delete(second);
        floorMs = Math.max(floorMs, (second + 1) * secondMs);
      }
  }
  function secondOf(timestampMs: number): Second {
    const number = Math.floor(timestampMs / secondMs);
    const second = seconds.get(number) ?? { requests: new Set(), byKey: new Map() };
    seconds.set(number, second);
    return second;
  }
  return {
    floorMs: () => floorMs,
    take: ({ keyId, timestampMs, bytes, perSecondMax, nowMs }) => {
      forget(nowMs);
      const { requests, byKey } = secondOf(timestampMs);
      // Not the signature: whoever holds the key can make many for the same request.
      const digest = createHash('sha256').update(`${keyId}\n`).update(bytes).digest('base64');
      if (requests.has(digest))
        throw fail('API_SIGNATURE_REPLAYED', 'this signed request was accepted before; sign it anew');
      const ofKey = byKey.get(keyId) ?? 0;
      if (ofKey >= perSecondMax)
        throw fail(
          'API_RATE_LIMITED',
          `${keyId} has signed more than ${perSecondMax} requests of one second`,
        );
      if (kept >= most)
        throw fail('API_SIGNATURES_FULL', `${most} signatures of the last seconds are remembered already`);
      requests.add(digest);
      byKey.set(keyId, ofKey + 1);
      kept += 1;
    },
  };
}
