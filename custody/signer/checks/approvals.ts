/**
 * Check 5. People approved this intent under the documents pinned here, for at least what the own evaluation asks. The
 * statements are rebuilt from own data; the assertions must fit them.
 */
import { judgeApprovals } from '#policies';
import type { Check } from './check.ts';
import { refused } from './subject.ts';

export const approvals: Check = {
  name: 'approvals',
  judge({ request, intent, decision, nowMs, recorded }, state) {
    if (recorded) return undefined;
    const { roster, policyHash, rosterHash } = state.pins.current();
    const judgement = judgeApprovals({
      intent,
      pins: { policyHash, rosterHash },
      roster,
      // A denial asks for nobody's approval; the policy check refuses it.
      obligations: decision.outcome === 'allow' ? decision.obligations : { rules: [], approvals: {} },
      nowMs,
      approvals: request.approvals
        .filter(({ intentId }) => intentId === intent.id)
        .map(({ approval }) => approval),
    });
    if (judgement.rejectedBy.length > 0)
      return refused('approvals', 'rejected', `rejected by ${judgement.rejectedBy.join(', ')}`);
    if (judgement.satisfied) return undefined;
    const missing = Object.entries(judgement.missing).map(([group, count]) => `${count} of ${group}`);
    const defects = judgement.defects.map(({ approver, defect }) => `${approver}: ${defect}`);
    return refused(
      'approvals',
      judgement.defects[0]?.defect ?? 'approval-missing',
      `missing: ${missing.join(', ')}${defects.length === 0 ? '' : ` (not counted: ${defects.join(', ')})`}`,
    );
  },
};
