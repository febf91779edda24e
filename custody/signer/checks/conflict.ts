/**
 * Check 9. One intent, one conflict set, in both directions and for ever: what makes a payout happen at most once. The
 * record is never removed; a cancel spends the set on nothing and leaves the intent bound to it.
 */
import type { Sha256 } from '#core/canonical-json';
import type { SignerStore } from '../store.ts';
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

interface IntentSet {
  readonly intentHash: Sha256;
  readonly conflictSet: string;
}
interface SetEffect {
  readonly intentId: string;
  readonly intentHash: Sha256;
  /** What the set may do, the fee aside. */
  readonly to: string;
  readonly units: string;
}

export interface ConflictLedger {
  setOf(intentId: string): IntentSet | undefined;
  effectOf(conflictSet: string): SetEffect | undefined;
  bind(conflictSet: string, effect: SetEffect): void;
}

export function openConflictLedger(store: SignerStore): ConflictLedger {
  const sets = store.table<IntentSet>('intent-sets');
  const effects = store.table<SetEffect>('conflict-sets');
  return {
    setOf: (intentId) => sets.get(intentId),
    effectOf: (conflictSet) => effects.get(conflictSet),
    bind(conflictSet, effect) {
      sets.put(effect.intentId, { intentHash: effect.intentHash, conflictSet });
      effects.put(conflictSet, effect);
    },
  };
}

function judge(subject: Subject, { conflicts }: SignerState): Refused | undefined {
  const { intent, intentHash, conflictSet, effect, request } = subject;
  const set = conflicts.setOf(intent.id);
  if (set !== undefined && set.intentHash !== intentHash)
    return refused('conflict', 'intent-id-reused', `${intent.id} was signed with another content`);
  if (set !== undefined && set.conflictSet !== conflictSet)
    return refused('conflict', 'intent-has-other-set', `${intent.id} was signed under ${set.conflictSet}`);
  const bound = conflicts.effectOf(conflictSet);
  if (bound !== undefined && bound.intentHash !== intentHash)
    return refused('conflict', 'set-has-other-intent', `${conflictSet} was signed for ${bound.intentId}`);
  if (request.purpose === 'cancel')
    return bound === undefined
      ? refused('conflict', 'nothing-to-cancel', `nothing was signed under ${conflictSet}`)
      : undefined;
  if (bound !== undefined && (bound.to !== effect.to || bound.units !== effect.units.toString()))
    return refused('conflict', 'set-has-other-effect', `${conflictSet} was signed for another payment`);
  return undefined;
}

export const conflict: Check = {
  name: 'conflict',
  judge,
  commit(subject, state) {
    const refusal = judge(subject, state);
    const { intent, intentHash, conflictSet, effect } = subject;
    if (refusal === undefined && state.conflicts.setOf(intent.id) === undefined)
      state.conflicts.bind(conflictSet, {
        intentId: intent.id,
        intentHash,
        to: effect.to,
        units: effect.units.toString(),
      });
    return refusal;
  },
};
