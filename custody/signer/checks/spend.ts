/**
 * Check 7. Own counters of what this co-signer helped to spend, per asset over rolling windows: amount + fee cap, once per
 * intent. Each signature needs at least one of the n - t + 1 honest co-signers, so a local limit of global / (n - t + 1)
 * keeps the global one even with t - 1 hostile co-signers and a hostile coordinator.
 */
import type { Sha256 } from '#core/canonical-json';
import { parseDurationMs } from '#policies';
import type { SignerStore } from '../store.ts';
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

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

/** What an intent costs at most: a sweep stays in the wallet, so only its fee does. */
function costOf({ intent, effect }: Subject): bigint {
  const feeCap = BigInt(intent.feeCap.units);
  return intent.action === 'sweep' ? feeCap : effect.units + feeCap;
}

function judge(subject: Subject, { pins, spends }: SignerState): Refused | undefined {
  const { effect, facts, nowMs, intentHash } = subject;
  if (spends.isCounted(intentHash)) return undefined;
  const limits = pins.current().policy.velocity.filter(({ asset }) => asset === effect.asset);
  if (limits.length === 0)
    return refused('spend', 'limit-missing', `the policy sets no velocity limit for ${effect.asset}`);
  const honestMin = BigInt(facts.parties - facts.threshold + 1);
  const cost = costOf(subject);
  for (const { window, max } of limits) {
    const local = BigInt(max) / honestMin;
    const spent = spends.total(effect.asset, nowMs - parseDurationMs(window));
    if (spent + cost > local)
      return refused(
        'spend',
        'limit-exceeded',
        `${spent.toString()} + ${cost.toString()} is above this co-signer's ${local.toString()} in ${window}`,
      );
  }
  return undefined;
}

export const spend: Check = {
  name: 'spend',
  judge,
  commit(subject, state) {
    const refusal = judge(subject, state);
    if (refusal === undefined && !state.spends.isCounted(subject.intentHash))
      state.spends.count(subject.intentHash, subject.effect.asset, costOf(subject), subject.nowMs);
    return refusal;
  },
};
