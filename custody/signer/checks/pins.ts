/** Check 4. The coordinator works with the documents in force here; another policy or roster is named and refused. */
import type { Check } from './check.ts';
import { refused } from './subject.ts';

export const pins: Check = {
  name: 'pins',
  judge({ request, recorded }, state) {
    // A transaction that was signed once must stay replaceable after the policy changed.
    if (recorded) return undefined;
    const current = state.pins.current();
    if (request.policyHash !== current.policyHash)
      return refused(
        'pins',
        'policy-not-pinned',
        `policy ${request.policyHash} is not version ${current.policy.version} in force here`,
      );
    if (request.rosterHash !== current.rosterHash)
      return refused(
        'pins',
        'roster-not-pinned',
        `roster ${request.rosterHash} is not version ${current.roster.version} in force here`,
      );
    return undefined;
  },
};
