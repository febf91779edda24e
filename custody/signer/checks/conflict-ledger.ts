/** Which conflict set an intent was signed under, and what a set was signed for: both for ever. */
import type { Sha256 } from '#core/canonical-json';
import type { SignerStore } from '../store.ts';

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
