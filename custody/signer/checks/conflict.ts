/**
 * Check 9. One intent, one conflict set, in both directions and for ever: what makes a payout happen at most once. The
 * record is never removed; a cancel spends the set on nothing and leaves the intent bound to it.
 */
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

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
