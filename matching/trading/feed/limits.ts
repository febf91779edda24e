/** What the feed keeps at most. */

const mebibyte = 1 << 20;

export interface RingLimits {
  readonly messages: number;
  /** Of JSON, estimated before it is written. */
  readonly bytes: number;
}
/** At 25 portions a second the last 2.7 minutes: longer than any reconnect that is not an outage. */
const marketRing: RingLimits = { messages: 4_096, bytes: 8 * mebibyte };
/** Of all rings of markets together: 64 channels of the full size, and less each where there are more. */
const marketRingsBytes = 512 * mebibyte;
/** So that a channel can be resumed at all, also with 1,024 markets of 9 channels. */
const ringBytesLeast = 32 * 1_024;

/** Of each channel of a market. @param channels how many there are */
export const marketRingOf = (channels: number): RingLimits => ({
  messages: marketRing.messages,
  bytes: Math.max(ringBytesLeast, Math.min(marketRing.bytes, Math.floor(marketRingsBytes / channels))),
});
/** A message of a placed order has some 700 bytes, one of a fill some more: the last 300 at least, 1,000 of the smallest. */
export const accountRing: RingLimits = { messages: 1_000, bytes: mebibyte / 4 };

/** How long a channel goes on after its last listener: a phone that changes its network is back sooner. */
export const keptMs = 120_000;
/** Channels of accounts that nobody listens to any more, times 256 KiB: 256 MiB. The oldest go first. */
export const keptAccountsMax = 1_024;
/** Accounts that were opened while somebody waits for one, and whose names are being read: some milliseconds each. */
export const unnamedAccountsMax = 1_024;
/** What such an account may do in that time; more break its channel, which begins anew. */
export const unnamedChangesMax = 10_000;

/** Trades of one market that are answered from memory: 1,000 of about 100 bytes, 100 MB with 1,024 markets. */
export const recentTradesMax = 1_000;
/** Trades of all markets that wait for the settlement to reach them: 64 bytes each, 32 MB. About what may wait there twice over. */
export const pendingTradesMax = 500_000;

/** How often the settled head is asked for while history is not loaded. */
export const historyPollMs = { first: 100, longest: 5_000 } as const;
/** How long a question waits for the settlement to reach what it needs. */
export const historyWaitMs = 2_000;
