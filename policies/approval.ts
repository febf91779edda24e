/** Approvals: the statement a person signs, and what a set of approvals is worth for one intent. */
import { hashJsonBytes, type Sha256 } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { assignPeople } from './assign-people.ts';
import {
  type AdjustmentStatement,
  type Approval,
  type ApprovalDefect,
  type ApprovalStatement,
  approvalsMax,
  type BundleStatement,
  domains,
  type FreezeStatement,
  type HaltLiftStatement,
  type Intent,
  type Obligations,
  policyErrors,
  type Roster,
} from './contract.ts';
import { intentHash } from './intent.ts';
import { assertionDefect } from './webauthn.ts';

const fail = errorsOf(policyErrors);

/** What is asked of people; the delay is not theirs to fulfil and so not in the statement. */
export type AskedOfPeople = Pick<Obligations, 'rules' | 'approvals'>;
/** The documents in force at whoever judges. */
export interface Pins {
  readonly policyHash: Sha256;
  readonly rosterHash: Sha256;
}

/** The statement a person's passkey signs. Rule ids are sorted, so that their order on the way does not matter. */
export function approvalStatement(options: {
  readonly decision: 'approve' | 'reject';
  readonly intent: Intent;
  readonly pins: Pins;
  readonly obligations: AskedOfPeople;
  readonly group: string;
  readonly approver: string;
  /** Unix milliseconds, still good at this instant. */
  readonly notAfter: number;
}): ApprovalStatement {
  return {
    domain: domains.approval,
    decision: options.decision,
    requestId: options.intent.id,
    intentHash: intentHash(options.intent),
    policyHash: options.pins.policyHash,
    rosterHash: options.pins.rosterHash,
    obligations: {
      rules: [...options.obligations.rules].sort(),
      approvals: { ...options.obligations.approvals },
    },
    group: options.group,
    approver: options.approver,
    notAfter: options.notAfter,
  };
}

/** The WebAuthn challenge of a statement: the 32 bytes of SHA-256 over its canonical JSON. */
export function statementChallenge(
  statement: AdjustmentStatement | ApprovalStatement | BundleStatement | FreezeStatement | HaltLiftStatement,
): Uint8Array {
  return hashJsonBytes(statement);
}

/**
 * Whether what people were asked covers what is asked now: every rule named, every quorum at least as large. An approval
 * given for more stays good when less is asked.
 */
export function obligationsCover(stated: AskedOfPeople, own: AskedOfPeople): boolean {
  const rulesNamed = own.rules.every((rule) => stated.rules.includes(rule));
  const quorumOf = (group: string) => (Object.hasOwn(stated.approvals, group) ? stated.approvals[group] : 0);
  return (
    rulesNamed && Object.entries(own.approvals).every(([group, count]) => (quorumOf(group) ?? 0) >= count)
  );
}

interface JudgingContext {
  readonly intent: Intent;
  readonly pins: Pins;
  readonly roster: Roster;
  /** What the judge's own evaluation asks for. */
  readonly obligations: AskedOfPeople;
  readonly nowMs: number;
}

/**
 * The first defect of one approval seen alone, or undefined. The statement is rebuilt here from the judge's own intent and
 * pins; only what cannot be rebuilt is taken from the approval, and the challenge proves that the person signed just that.
 */
export function approvalDefect(approval: Approval, context: JudgingContext): ApprovalDefect | undefined {
  const { intent, roster } = context;
  const person = roster.people.find((candidate) => candidate.id === approval.approver);
  if (person === undefined) return 'approver-unknown';
  if (!person.groups.includes(approval.group)) return 'approver-not-in-group';
  if (person.id === intent.initiator) return 'approver-is-initiator';
  const credential = person.credentials.find((known) => known.id === approval.assertion.credentialId);
  if (credential === undefined) return 'credential-unknown';
  if (context.nowMs > approval.notAfter) return 'statement-expired';
  // A rejection stops the intent whatever was asked for when it was given.
  if (approval.decision === 'approve' && !obligationsCover(approval.obligations, context.obligations))
    return 'obligations-too-small';
  const statement = approvalStatement({
    decision: approval.decision,
    intent,
    pins: context.pins,
    obligations: approval.obligations,
    group: approval.group,
    approver: approval.approver,
    notAfter: approval.notAfter,
  });
  return assertionDefect(approval.assertion, {
    challenge: statementChallenge(statement),
    relyingParty: roster.relyingParty,
    publicKey: credential.publicKey,
  });
}

export interface ApprovalJudgement {
  /** Distinct people per group; nobody stands in two groups. */
  readonly counted: Readonly<Record<string, readonly string[]>>;
  readonly defects: readonly {
    readonly approver: string;
    readonly group: string;
    readonly defect: ApprovalDefect;
  }[];
  /** People still needed per group; empty when the quorums are met. */
  readonly missing: Readonly<Record<string, number>>;
  /** People whose valid rejection stops the intent, sorted. */
  readonly rejectedBy: readonly string[];
  /** Quorums met and nobody rejected. The delay is the caller's to watch, by its own clock from its own first sight. */
  readonly satisfied: boolean;
}

/**
 * What the approvals of one intent are worth. Invalid approvals never shadow valid ones. A person who signed for two
 * groups counts in the one that helps most, else in the first signed; the other approval is `approver-twice`. A person
 * who also rejected does not count.
 * @throws POLICY_DOCUMENT_INVALID for more than `approvalsMax` approvals
 */
export function judgeApprovals(
  options: JudgingContext & { readonly approvals: readonly Approval[] },
): ApprovalJudgement {
  const { approvals, obligations } = options;
  if (approvals.length > approvalsMax)
    throw fail('POLICY_DOCUMENT_INVALID', `${approvals.length} approvals are more than ${approvalsMax}`);

  const defects: ApprovalJudgement['defects'][number][] = [];
  const rejectedBy = new Set<string>();
  const offers = new Map<string, string[]>();
  for (const approval of approvals) {
    const { approver, group } = approval;
    const defect = approvalDefect(approval, options);
    if (defect !== undefined) defects.push({ approver, group, defect });
    else if (approval.decision === 'reject') rejectedBy.add(approver);
    else offers.set(approver, [...(offers.get(approver) ?? []), group]);
  }
  for (const person of rejectedBy) offers.delete(person);

  const assigned = assignPeople(obligations.approvals, offers);
  const counted = new Map<string, string[]>();
  for (const [approver, groups] of offers) {
    const group = assigned.get(approver) ?? groups[0] ?? '';
    counted.set(group, [...(counted.get(group) ?? []), approver]);
    const spare = groups.toSpliced(groups.indexOf(group), 1);
    for (const other of spare) defects.push({ approver, group: other, defect: 'approver-twice' });
  }
  const missing = Object.entries(obligations.approvals)
    .map(([group, count]) => [group, count - (counted.get(group)?.length ?? 0)] as const)
    .filter(([, count]) => count > 0);
  return {
    counted: Object.fromEntries(counted),
    defects,
    missing: Object.fromEntries(missing),
    rejectedBy: [...rejectedBy].sort(),
    satisfied: missing.length === 0 && rejectedBy.size === 0,
  };
}
