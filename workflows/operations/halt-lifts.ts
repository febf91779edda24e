/**
 * Two people lift a halt: each asks for the statement, signs it with a passkey, and hands it in; the second one ends it. The
 * statement names all reasons: one that comes later makes what was signed before it void.
 */
import { errorsOf } from '#core/errors';
import { type Halt, haltLiftersMin, haltOf, liftHalt, lockHalt } from '#infra/cases';
import { inTransaction, type Tx } from '#infra/db';
import { type HaltLift, haltLiftStatement, judgeHaltLifts } from '#policies';
import type { HaltLiftStatement } from '#policies/contract';
import { workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { refusal, type SigningRequest, signingRequest } from './signatures.ts';

const fail = errorsOf(workflowErrors);
/** The second person may be asleep when the first signs; a day later they look again. */
const liftLifetimeMs = 86_400_000;

export type HaltLiftRequest = SigningRequest<HaltLiftStatement>;
export interface HaltLiftOutcome {
  readonly scope: string;
  readonly lifted: boolean;
  /** Who has signed. */
  readonly people: readonly string[];
  /** People still needed. */
  readonly missing: number;
}

const toLift = (deps: OperationsDeps, halt: Halt) => ({
  scope: halt.scope,
  setAt: halt.setAt.getTime(),
  haltReason: halt.reason,
  rosterHash: deps.rosterHash,
});

/** @throws HALT_UNKNOWN */
async function requireHalt(db: Parameters<typeof haltOf>[0], scope: string): Promise<Halt> {
  const halt = await haltOf(db, scope);
  if (halt === undefined) throw fail('HALT_UNKNOWN', `nothing is halted under ${scope.slice(0, 100)}`);
  return halt;
}

/** What the person signs; it holds for a day. @throws HALT_UNKNOWN, POLICY_APPROVAL_REFUSED for nobody of the roster */
export async function haltLiftRequest(
  deps: OperationsDeps,
  ask: { readonly scope: string; readonly approver: string; readonly reason: string },
): Promise<HaltLiftRequest> {
  const halt = await requireHalt(deps.pool, ask.scope);
  const notAfter = deps.clock.nowMs() + liftLifetimeMs;
  const statement = haltLiftStatement(toLift(deps, halt), { ...ask, notAfter });
  return signingRequest(deps, statement);
}

async function storedLifts(tx: Tx, halt: Halt): Promise<readonly HaltLift[]> {
  const { rows } = await tx.query<{ document: HaltLift }>(
    'SELECT document FROM operations.halt_lift WHERE scope = $1 AND set_at_ms = $2 ORDER BY created_at, approver',
    [halt.scope, halt.setAt.getTime()],
  );
  return rows.map((row) => row.document);
}

/**
 * Stores a good signature, and lifts the halt once two different people have one. The same again is answered alike.
 * @throws HALT_UNKNOWN, POLICY_APPROVAL_REFUSED with details.defect
 */
export async function submitHaltLift(
  deps: OperationsDeps,
  said: HaltLift & { readonly scope: string },
): Promise<HaltLiftOutcome> {
  const { scope, approver, reason, notAfter, assertion } = said;
  const lift: HaltLift = { approver, reason, notAfter, assertion };
  const nowMs = deps.clock.nowMs();
  return await inTransaction(deps.pool, async (tx) => {
    // Before it is read: no reason may come in between that the people have not signed for.
    await lockHalt(tx, scope);
    const halt = await requireHalt(tx, scope);
    const judge = (lifts: readonly HaltLift[]) =>
      judgeHaltLifts({ halt: toLift(deps, halt), lifts, roster: deps.roster, nowMs });
    const [defect] = judge([lift]).defects;
    if (defect !== undefined) throw refusal(approver, defect.defect);
    // Far ahead, it would stand for ever.
    if (notAfter > nowMs + liftLifetimeMs) throw refusal(approver, 'statement-expired');
    await tx.query(
      `INSERT INTO operations.halt_lift (scope, set_at_ms, approver, not_after_ms, document) VALUES ($1, $2, $3, $4, $5::jsonb)
       ON CONFLICT DO NOTHING`,
      [scope, halt.setAt.getTime(), approver, notAfter, JSON.stringify(lift)],
    );
    // Judged again, all of them: what was good yesterday need not be good now.
    const lifts = [...(await storedLifts(tx, halt)), lift];
    const { people } = judge(lifts);
    const isEnough = people.length >= haltLiftersMin;
    const reasons = people.map(
      (person) => `${person}: ${lifts.find((each) => each.approver === person)?.reason ?? ''}`,
    );
    const lifted = isEnough && (await liftHalt(tx, { scope, reason: reasons.join('; '), people }));
    return { scope, lifted, people, missing: Math.max(0, haltLiftersMin - people.length) };
  });
}
