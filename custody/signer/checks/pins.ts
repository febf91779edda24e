/** Check 4. The coordinator works with the documents in force here; another policy or roster is named and refused. */
import type { Check, SignerState } from './check.ts';
import { type Refused, refused, type Subject } from './subject.ts';

function judge({ request, recorded }: Subject, state: SignerState): Refused | undefined {
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
}

/** Also at the commit: a bundle may have come into force since, and the approvals and the decision rest on the one before. */
export const pins: Check = { name: 'pins', judge, commit: judge };
