/** What the stored approvals of a withdrawal are worth under the documents in force here. */
import type { Queryable } from '#infra/db';
import { type ApprovalJudgement, judgeApprovals } from '#policies';
import type { Approval } from '#policies/contract';
import type { OperationsDeps } from './context.ts';
import { readIntent } from './intents.ts';
import { count, type WithdrawalRow } from './rows.ts';

/** Approvals given under these pins; those under other documents prove nothing here. */
export async function storedApprovals(
  db: Queryable,
  withdrawalId: string,
  pins: { readonly policyHash: string | null; readonly rosterHash: string | null },
): Promise<readonly Approval[]> {
  const { rows } = await db.query<{ document: Approval }>(
    `SELECT document FROM operations.approval
      WHERE withdrawal_id = $1 AND policy_hash = $2 AND roster_hash = $3 ORDER BY created_at, id`,
    [withdrawalId, pins.policyHash, pins.rosterHash],
  );
  return rows.map((row) => row.document);
}

export async function judgeStored(
  deps: OperationsDeps,
  db: Queryable,
  row: WithdrawalRow,
): Promise<ApprovalJudgement> {
  const { signed } = await readIntent(db, row.intent_id);
  return judgeApprovals({
    intent: signed.intent,
    pins: { policyHash: deps.policyHash, rosterHash: deps.rosterHash },
    roster: deps.roster,
    obligations: row.decision?.outcome === 'allow' ? row.decision.obligations : { rules: [], approvals: {} },
    nowMs: deps.clock.nowMs(),
    approvals: await storedApprovals(db, row.id, deps),
  });
}

/** Why it must not be paid now although it was queued, as the event to be noted; undefined when it may. */
export async function lapseOf(
  deps: OperationsDeps,
  db: Queryable,
  row: WithdrawalRow,
): Promise<'expired' | 'policy-changed' | 'approvals-lapsed' | undefined> {
  if (deps.clock.nowMs() > count(row.not_after_ms)) return 'expired';
  if (row.policy_hash !== deps.policyHash || row.roster_hash !== deps.rosterHash) return 'policy-changed';
  return (await judgeStored(deps, db, row)).satisfied ? undefined : 'approvals-lapsed';
}
