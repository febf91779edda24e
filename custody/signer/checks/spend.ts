/**
 * Check 7. Own counters of what this co-signer helped to spend, per asset over rolling windows: amount + fee cap, once per
 * intent. Each signature needs at least one of the n - t + 1 honest co-signers, so a local limit of global / (n - t + 1)
 * keeps the global one even with t - 1 hostile co-signers and a hostile coordinator.
 */
import { parseDurationMs } from '#policies';
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

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
