/** What this co-signer helped to spend, per asset in the order of time, once per intent. */
import type { Sha256 } from '#core/canonical-json';
import type { SignerStore } from '../store.ts';

export interface SpendCounters {
  isCounted(intentHash: Sha256): boolean;
  /** Sum over all wallets since `sinceMs`, exclusive. */
  total(asset: string, sinceMs: number): bigint;
  count(intentHash: Sha256, asset: string, units: bigint, atMs: number): void;
}

interface SpendEntry {
  readonly units: string;
}

export function openSpendCounters(store: SignerStore): SpendCounters {
  const entries = store.table<SpendEntry>('spends');
  const counted = store.table<{ at: number }>('spend-intents');
  return {
    isCounted: (intentHash) => counted.get(intentHash) !== undefined,
    total(asset, sinceMs) {
      let sum = 0n;
      // Also what lies after now: a clock that stepped back must not open the window.
      for (const { value } of entries.range([asset, sinceMs + 1], [asset, Number.MAX_SAFE_INTEGER]))
        sum += BigInt(value.units);
      return sum;
    },
    count(intentHash, asset, units, atMs) {
      entries.put([asset, atMs, intentHash], { units: units.toString() });
      counted.put(intentHash, { at: atMs });
    },
  };
}
