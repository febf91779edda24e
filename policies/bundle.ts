/**
 * Governance: putting a new policy or roster in force, and freezing. Every co-signer judges both by itself, always
 * against the roster in force before the change.
 */
import type { Sha256 } from '#core/canonical-json';
import { StrongroomError } from '#core/errors';
import { statementChallenge } from './approval.ts';
import { assignPeople } from './assign-people.ts';
import {
  type AdjustmentStatement,
  type ApprovalDefect,
  type Assertion,
  type BundleStatement,
  domains,
  type FreezeStatement,
  type HaltLiftStatement,
  type Policy,
  peopleMax,
  type Roster,
} from './contract.ts';
import {
  type LoadedPolicy,
  type LoadedRoster,
  loadPolicy,
  loadRoster,
  policyHash,
  rosterHash,
} from './load.ts';
import { assertionDefect } from './webauthn.ts';

/** A proposal with the signatures of people of the roster in force. */
export interface SignedBundle {
  readonly policy: Policy;
  readonly roster: Roster;
  readonly approvals: readonly {
    readonly group: string;
    readonly approver: string;
    readonly assertion: Assertion;
  }[];
}

/** The statement one person signs to put `next` in force after `current`. */
export function bundleStatement(options: {
  readonly next: { readonly policy: Policy; readonly roster: Roster };
  readonly current: { readonly policy: Policy; readonly roster: Roster };
  readonly group: string;
  readonly approver: string;
}): BundleStatement {
  const { next, current } = options;
  return {
    domain: domains.bundle,
    policyHash: policyHash(next.policy),
    policyVersion: next.policy.version,
    rosterHash: rosterHash(next.roster),
    rosterVersion: next.roster.version,
    parentPolicyHash: policyHash(current.policy),
    parentRosterHash: rosterHash(current.roster),
    group: options.group,
    approver: options.approver,
  };
}

type BundleJudgement =
  | { readonly accepted: true; readonly policyHash: Sha256; readonly rosterHash: Sha256 }
  | {
      readonly accepted: false;
      readonly reason:
        | 'document-invalid'
        | 'version-not-higher'
        | 'parent-mismatch'
        | 'nothing-changed'
        | 'dev-roster'
        | 'approvals-missing';
      /** One sentence for a person. */
      readonly message: string;
      readonly defects: readonly { readonly approver: string; readonly defect: ApprovalDefect }[];
    };

type Versioned = Pick<Policy, 'version' | 'parent'>;
type Refused = Extract<BundleJudgement, { accepted: false }>;

const refused = (reason: Refused['reason'], message: string, defects: Refused['defects'] = []): Refused => ({
  accepted: false,
  reason,
  message,
  defects,
});

/** Unchanged, or one step on: higher version, and the parent named is the document in force. */
function stepDefect(
  what: string,
  next: Versioned & { hash: Sha256 },
  current: Versioned & { hash: Sha256 },
): Refused | undefined {
  if (next.hash === current.hash) return undefined;
  if (next.version <= current.version)
    return refused(
      'version-not-higher',
      `${what} version ${next.version} is not above ${current.version}, which is in force`,
    );
  if (next.parent !== current.hash)
    return refused('parent-mismatch', `${what} version ${next.version} does not follow the one in force`);
  return undefined;
}

/** The documents as the loader gives them, or why it does not take them. */
function loadedDocuments(bundle: SignedBundle): (LoadedPolicy & LoadedRoster) | string {
  try {
    const roster = loadRoster(bundle.roster);
    return { ...roster, ...loadPolicy(bundle.policy, { roster: roster.roster }) };
  } catch (error) {
    if (error instanceof StrongroomError) return error.message;
    throw error;
  }
}

/**
 * Judges a bundle against the documents in force. Each document is either the one in force or a higher version that names
 * it as parent; at least one changes; and the people that `governance.bundle` of the roster *in force* asks for have
 * signed. A roster can not become a development roster this way.
 */
export function judgeBundle(options: {
  readonly bundle: SignedBundle;
  readonly currentPolicy: Policy;
  readonly currentRoster: Roster;
}): BundleJudgement {
  const { bundle, currentPolicy, currentRoster } = options;
  const next = loadedDocuments(bundle);
  if (typeof next === 'string') return refused('document-invalid', next);
  const current = { policyHash: policyHash(currentPolicy), rosterHash: rosterHash(currentRoster) };
  const policyStep = { ...next.policy, hash: next.policyHash };
  const rosterStep = { ...next.roster, hash: next.rosterHash };
  const step =
    stepDefect('policy', policyStep, { ...currentPolicy, hash: current.policyHash }) ??
    stepDefect('roster', rosterStep, { ...currentRoster, hash: current.rosterHash });
  if (step !== undefined) return step;
  if (next.policyHash === current.policyHash && next.rosterHash === current.rosterHash)
    return refused('nothing-changed', 'policy and roster are the ones in force');
  if (next.roster.dev && !currentRoster.dev)
    return refused('dev-roster', 'a development roster cannot follow a real one');

  const defects: { approver: string; defect: ApprovalDefect }[] = [];
  const offers = new Map<string, string[]>();
  for (const { group, approver, assertion } of bundle.approvals.slice(0, peopleMax)) {
    const statement = bundleStatement({
      next,
      current: { policy: currentPolicy, roster: currentRoster },
      group,
      approver,
    });
    const defect = signatureDefect({ roster: currentRoster, approver, group, assertion, statement });
    if (defect === undefined) offers.set(approver, [...(offers.get(approver) ?? []), group]);
    else defects.push({ approver, defect });
  }
  const places = currentRoster.governance.bundle;
  const wanted = Object.values(places).reduce((total, count) => total + count, 0);
  const found = assignPeople(places, offers).size;
  if (wanted === 0 || found < wanted)
    return refused('approvals-missing', `${found} of ${wanted} signatures of governance are good`, defects);
  return { accepted: true, policyHash: next.policyHash, rosterHash: next.rosterHash };
}

/** The first defect of one person's signature over a statement. */
export function signatureDefect(options: {
  readonly roster: Roster;
  readonly approver: string;
  readonly group?: string;
  readonly assertion: Assertion;
  readonly statement: AdjustmentStatement | BundleStatement | FreezeStatement | HaltLiftStatement;
}): ApprovalDefect | undefined {
  const { roster, approver, group, assertion } = options;
  const person = roster.people.find((candidate) => candidate.id === approver);
  if (person === undefined) return 'approver-unknown';
  if (group !== undefined && !person.groups.includes(group)) return 'approver-not-in-group';
  const credential = person.credentials.find((known) => known.id === assertion.credentialId);
  if (credential === undefined) return 'credential-unknown';
  return assertionDefect(assertion, {
    challenge: statementChallenge(options.statement),
    relyingParty: roster.relyingParty,
    publicKey: credential.publicKey,
  });
}

// ---------------------------------------------------------------- freeze

/** A freeze statement is taken this long after it was made; with the clock's skew in both directions. */
export const freezeStatementAgeMaxMs = 15 * 60_000;
export const clockSkewMaxMs = 30_000; // reference: |asOf - own clock| <= 30 s
const liftersMin = 2;
const scopePattern = /^(?:all|wallet:wal_[0-9a-f-]{36}|chain:[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32})$/;

export interface SignedFreeze {
  readonly statement: FreezeStatement;
  readonly assertion: Assertion;
}
type FreezeJudgement =
  | {
      readonly accepted: true;
      readonly decision: 'freeze' | 'lift';
      readonly scope: string;
      readonly people: readonly string[];
    }
  | {
      readonly accepted: false;
      readonly reason: 'malformed' | 'too-few-people';
      readonly message: string;
      readonly defects: readonly { readonly approver: string; readonly defect: ApprovalDefect }[];
    };

export function freezeStatement(options: Omit<FreezeStatement, 'domain'>): FreezeStatement {
  return { domain: domains.freeze, ...options };
}

/**
 * Judges a freeze (one person of the roster) or a lift (two different people) of one scope. `changedAtMs` is when the
 * flag of this scope last changed, by the co-signer's own log: a statement made before that is a replay.
 */
export function judgeFreeze(options: {
  readonly signed: readonly SignedFreeze[];
  readonly roster: Roster;
  readonly nowMs: number;
  readonly changedAtMs?: number;
}): FreezeJudgement {
  const { signed, roster, nowMs } = options;
  const first = signed[0]?.statement;
  const refuse = (
    reason: 'malformed' | 'too-few-people',
    message: string,
    defects: readonly { approver: string; defect: ApprovalDefect }[] = [],
  ): FreezeJudgement => ({ accepted: false, reason, message, defects });
  if (first === undefined || signed.length > peopleMax)
    return refuse('malformed', 'no statement, or too many');
  const { decision, scope } = first;
  if (!scopePattern.test(scope))
    return refuse('malformed', 'the scope is not all, wallet:<id> or chain:<id>');
  if (signed.some(({ statement }) => statement.scope !== scope || statement.decision !== decision))
    return refuse('malformed', 'the statements do not say the same');

  const people = new Set<string>();
  const defects: { approver: string; defect: ApprovalDefect }[] = [];
  for (const { statement, assertion } of signed) {
    const { approver, at, reason } = statement;
    const stale =
      at > nowMs + clockSkewMaxMs ||
      at < nowMs - freezeStatementAgeMaxMs ||
      at <= (options.changedAtMs ?? Number.NEGATIVE_INFINITY);
    const defect = stale
      ? 'statement-expired'
      : signatureDefect({
          roster,
          approver,
          assertion,
          statement: freezeStatement({ decision, scope, reason, approver, at }),
        });
    if (defect === undefined) people.add(approver);
    else defects.push({ approver, defect });
  }
  const needed = decision === 'lift' ? liftersMin : 1;
  if (people.size < needed)
    return refuse(
      'too-few-people',
      `${people.size} of ${needed} people have signed this ${decision}`,
      defects,
    );
  return { accepted: true, decision, scope, people: [...people].sort() };
}
