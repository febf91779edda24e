/** Correcting the ledger by hand: whoever proposes and whoever approves signs for the very content, with a passkey. */
import { signatureDefect } from './bundle.ts';
import {
  type AdjustmentStatement,
  type ApprovalDefect,
  type Assertion,
  domains,
  type Roster,
} from './contract.ts';

/** What travels; the statement is rebuilt by whoever judges. */
export interface AdjustmentSignature {
  readonly approver: string;
  readonly notAfter: number;
  readonly assertion: Assertion;
}

export const adjustmentStatement = (
  about: Pick<AdjustmentStatement, 'act' | 'adjustment' | 'rosterHash'>,
  by: Pick<AdjustmentSignature, 'approver' | 'notAfter'>,
): AdjustmentStatement => ({
  domain: domains.adjustment,
  act: about.act,
  adjustment: about.adjustment,
  rosterHash: about.rosterHash,
  approver: by.approver,
  notAfter: by.notAfter,
});

/** The first defect of one person's signature for this act, or undefined. */
export function adjustmentDefect(options: {
  readonly about: Pick<AdjustmentStatement, 'act' | 'adjustment' | 'rosterHash'>;
  readonly signature: AdjustmentSignature;
  readonly roster: Roster;
  readonly nowMs: number;
}): ApprovalDefect | undefined {
  const { about, signature, roster, nowMs } = options;
  const { approver, assertion, notAfter } = signature;
  if (nowMs > notAfter) return 'statement-expired';
  const statement = adjustmentStatement(about, signature);
  return signatureDefect({ roster, approver, assertion, statement });
}
