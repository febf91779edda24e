/** Policies, intents, approvals and governance: pure functions, the same in every process. YAML is `#policies/yaml`. */
export {
  type ApprovalJudgement,
  type AskedOfPeople,
  approvalDefect,
  approvalStatement,
  type JudgingContext,
  judgeApprovals,
  obligationsCover,
  type Pins,
  statementChallenge,
} from './approval.ts';
export { decodeBase64url, encodeBase64url } from './base64url.ts';
export {
  type BundleJudgement,
  bundleStatement,
  clockSkewMaxMs,
  type FreezeJudgement,
  freezeStatement,
  freezeStatementAgeMaxMs,
  judgeBundle,
  judgeFreeze,
  type SignedBundle,
  type SignedFreeze,
} from './bundle.ts';
export { parseDurationMs } from './duration.ts';
export { evaluate, ruleMatches } from './evaluate.ts';
export {
  feeCapUnits,
  type IntentDefect,
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
  type LoadedPolicy,
  type LoadedRoster,
  loadPolicy,
  loadRoster,
  policyHash,
  rosterHash,
} from './load.ts';
export { assertionDefect, type ExpectedAssertion } from './webauthn.ts';
