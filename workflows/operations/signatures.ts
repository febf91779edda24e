/** What people sign with a passkey of the roster, outside the approval of withdrawals. */
import { errorsOf } from '#core/errors';
import { encodeBase64url, statementChallenge } from '#policies';
import { type AdjustmentStatement, type HaltLiftStatement, policyErrors } from '#policies/contract';
import type { OperationsDeps } from './context.ts';

const fail = errorsOf(policyErrors);

/** What a person's passkey needs to sign a statement. */
export interface SigningRequest<Statement> {
  readonly statement: Statement;
  /** Base64url of SHA-256 over the statement's canonical JSON. */
  readonly challenge: string;
  readonly relyingPartyId: string;
  readonly credentialIds: readonly string[];
}

export const refusal = (approver: string, defect: string) =>
  fail('POLICY_APPROVAL_REFUSED', `the signature of ${approver.slice(0, 64)} does not count: ${defect}`, {
    defect,
    approver,
  });

/** @throws POLICY_APPROVAL_REFUSED for nobody of the roster */
export function signingRequest<Statement extends AdjustmentStatement | HaltLiftStatement>(
  deps: OperationsDeps,
  statement: Statement,
): SigningRequest<Statement> {
  const person = deps.roster.people.find((each) => each.id === statement.approver);
  if (person === undefined) throw refusal(statement.approver, 'approver-unknown');
  return {
    statement,
    challenge: encodeBase64url(statementChallenge(statement)),
    relyingPartyId: deps.roster.relyingParty.id,
    credentialIds: person.credentials.map((credential) => credential.id),
  };
}
