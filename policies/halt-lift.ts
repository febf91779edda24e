/** Lifting a halt: each of two people signs, with a passkey of the roster, for this very halt and why it may end. */
import type { Sha256 } from '#core/canonical-json';
import { signatureDefect } from './bundle.ts';
import {
  type ApprovalDefect,
  type Assertion,
  domains,
  type HaltLiftStatement,
  type Roster,
} from './contract.ts';

/** What travels; the statement is rebuilt by whoever judges. */
export interface HaltLift {
  readonly approver: string;
  readonly reason: string;
  readonly notAfter: number;
  readonly assertion: Assertion;
}
/** The halt as the judge knows it. */
export interface HaltToLift {
  readonly scope: string;
  readonly setAt: number;
  readonly haltReason: string;
  readonly rosterHash: Sha256;
}

export function haltLiftStatement(
  halt: HaltToLift,
  lift: Pick<HaltLift, 'approver' | 'reason' | 'notAfter'>,
): HaltLiftStatement {
  const { scope, setAt, haltReason, rosterHash } = halt;
  const { approver, reason, notAfter } = lift;
  return { domain: domains.haltLift, scope, setAt, haltReason, rosterHash, reason, approver, notAfter };
}

/** Distinct people whose signatures are good for this halt now, sorted; and what is wrong with the others. */
export function judgeHaltLifts(options: {
  readonly halt: HaltToLift;
  readonly lifts: readonly HaltLift[];
  readonly roster: Roster;
  readonly nowMs: number;
}): {
  readonly people: readonly string[];
  readonly defects: readonly { readonly approver: string; readonly defect: ApprovalDefect }[];
} {
  const people = new Set<string>();
  const defects: { approver: string; defect: ApprovalDefect }[] = [];
  for (const lift of options.lifts) {
    const { approver, assertion, notAfter } = lift;
    const statement = haltLiftStatement(options.halt, lift);
    const defect =
      options.nowMs > notAfter
        ? 'statement-expired'
        : signatureDefect({ roster: options.roster, approver, assertion, statement });
    if (defect === undefined) people.add(approver);
    else defects.push({ approver, defect });
  }
  return { people: [...people].sort(), defects };
}
