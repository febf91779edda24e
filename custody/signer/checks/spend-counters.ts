/**
 * What this co-signer helped to spend, per asset in the order of time, once per intent. Every entry carries the running
 * total, so that a window's sum is one subtraction however many payments it holds.
 */
import type { Sha256 } from '#core/canonical-json';
import type { SignerStore } from '../store.ts';

export interface SpendCounters {
  isCounted(intentHash: Sha256): boolean;
  /** Sum over all wallets after `sinceMs`. */
  total(asset: string, sinceMs: number): bigint;
  count(intentHash: Sha256, asset: string, units: bigint, nowMs: number): void;
}

interface SpendEntry {
  readonly seq: number;
  readonly at: number;
  readonly intentHash: Sha256;
  /** All entries of the asset up to and with this one. */
  readonly total: string;
}

export function openSpendCounters(store: SignerStore): SpendCounters {
  /** Key: asset, time, sequence number. */
  const entries = store.table<SpendEntry>('spends');
  const counted = store.table<{ at: number }>('spend-intents');
  const latest = (asset: string) => entries.last([asset], [asset, Number.MAX_SAFE_INTEGER]);
  return {
    isCounted: (intentHash) => counted.get(intentHash) !== undefined,
    total(asset, sinceMs) {
      const before = entries.last([asset], [asset, sinceMs + 1]);
      return BigInt(latest(asset)?.total ?? '0') - BigInt(before?.total ?? '0');
    },
    count(intentHash, asset, units, nowMs) {
      const last = latest(asset);
      // Never before the last entry, so that the running totals stand in the order of the keys.
      const at = Math.max(nowMs, last?.at ?? 0);
      const seq = (last?.seq ?? 0) + 1;
      const total = (BigInt(last?.total ?? '0') + units).toString();
      entries.put([asset, at, seq], { seq, at, intentHash, total });
      counted.put(intentHash, { at });
    },
  };
}
