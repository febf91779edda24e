/** Policies, intents, approvals and governance: pure functions, the same in every process. YAML is `#policies/yaml`. */
export { type AdjustmentSignature, adjustmentDefect, adjustmentStatement } from './adjustment.ts';
export {
  type ApprovalJudgement,
  type AskedOfPeople,
  approvalDefect,
  approvalStatement,
  judgeApprovals,
  obligationsCover,
  type Pins,
  statementChallenge,
} from './approval.ts';
export { decodeBase64url, encodeBase64url } from './base64url.ts';
export {
  bundleStatement,
  clockSkewMaxMs,
  freezeStatement,
  freezeStatementAgeMaxMs,
  judgeBundle,
  judgeFreeze,
  type SignedBundle,
  type SignedFreeze,
} from './bundle.ts';
export { parseDurationMs } from './duration.ts';
export { evaluate, ruleMatches } from './evaluate.ts';
export { type HaltLift, type HaltToLift, haltLiftStatement, judgeHaltLifts } from './halt-lift.ts';
export {
  feeCapUnits,
  intentDefect,
  intentHash,
  intentSigningBytes,
  intentUnits,
  parseIntent,
  policyInputOf,
  rolesOf,
  signIntent,
} from './intent.ts';
export {
  checkPolicyAgainstRoster,
  loadPolicy,
  loadRoster,
  policyHash,
  rosterHash,
} from './load.ts';
export { assertionDefect } from './webauthn.ts';
