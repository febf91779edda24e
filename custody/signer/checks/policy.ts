/**
 * Check 6. The pinned policy allows the decoded effect; the intent has not expired and its wait is over, both by the own
 * clock, which must not have stepped back behind what this co-signer already recorded.
 */
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

/** Clocks of well-kept machines differ by less; an intent from further ahead was not made now. */
const createdAheadMaxMs = 5 * 60_000;

function timeRefusal({ intent, nowMs }: Subject): Refused | undefined {
  if (nowMs > intent.notAfter)
    return refused(
      'policy',
      'intent-expired',
      `the intent was good until ${new Date(intent.notAfter).toISOString()}`,
    );
  if (intent.createdAt > nowMs + createdAheadMaxMs)
    return refused(
      'policy',
      'intent-from-future',
      'the intent was created after now by the clock of this co-signer',
    );
  return undefined;
}

function judge(subject: Subject, state: SignerState): Refused | undefined {
  const head = state.log.head();
  // Read now: an earlier check may have logged the first sight of this very request.
  if (head !== undefined && state.clock.nowMs() < head.at)
    return refused('policy', 'clock-behind-log', 'the clock of this co-signer is behind its last log entry');
  if (subject.recorded) return undefined;
  const { decision } = subject;
  if (decision.outcome === 'deny') return refused('policy', 'policy-denied', decision.reason);
  const late = timeRefusal(subject);
  if (late !== undefined) return late;
  const { delayMs } = decision.obligations;
  if (delayMs === 0) return undefined;
  const firstSight = state.firstSights.at(subject.intentHash);
  if (firstSight !== undefined && subject.nowMs >= firstSight + delayMs) return undefined;
  return refused(
    'policy',
    'wait-not-over',
    `the policy asks to wait ${delayMs / 1000} s from the first sight of the intent`,
  );
}

/** Also at the commit, for what the clock decides; the decision itself stands while the same documents are pinned. */
export const policy: Check = { name: 'policy', judge, commit: judge };
