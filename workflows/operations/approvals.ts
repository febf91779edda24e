/** Approvals as they come in: the statement to sign, the judged and stored approval, cancelling. */
import { canonicalJson } from '#core/canonical-json';
import { errorsOf } from '#core/errors';
import { newId, parseId } from '#core/ids';
import { inTransaction } from '#infra/db';
import { enqueue } from '#infra/outbox';
import { approvalDefect, approvalStatement, encodeBase64url, statementChallenge } from '#policies';
import {
  type Approval,
  type ApprovalDefect,
  type ApprovalStatement,
  type Assertion,
  type Obligations,
  policyErrors,
} from '#policies/contract';
import { type ApprovalRequest, outboxTopics, type WithdrawalView, workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { readIntent } from './intents.ts';
import { endUnpaid } from './release.ts';
import { count, readWithdrawal, type WithdrawalRow } from './rows.ts';
import { withdrawalView } from './views.ts';

const failPolicy = errorsOf(policyErrors);
const fail = errorsOf(workflowErrors);

interface Ask {
  readonly withdrawalId: string;
  readonly decision: 'approve' | 'reject';
  readonly group: string;
  readonly approver: string;
}

/** @throws WITHDRAWAL_STATE */
function obligationsOf(row: WithdrawalRow): Obligations {
  if (row.state !== 'PENDING_APPROVAL' || row.ending !== null || row.decision?.outcome !== 'allow')
    throw fail('WITHDRAWAL_STATE', `${row.id} is ${row.state} and waits for no approval`, {
      state: row.state,
    });
  return row.decision.obligations;
}

async function statementFor(
  deps: OperationsDeps,
  row: WithdrawalRow,
  ask: Ask,
  notAfter: number,
): Promise<ApprovalStatement> {
  const { signed } = await readIntent(deps.pool, row.intent_id);
  return approvalStatement({
    decision: ask.decision,
    intent: signed.intent,
    pins: { policyHash: deps.policyHash, rosterHash: deps.rosterHash },
    obligations: obligationsOf(row),
    group: ask.group,
    approver: ask.approver,
    notAfter,
  });
}

/**
 * What the approver signs. It holds as long as the intent, so that an approval does not lapse while others still think.
 * @throws WITHDRAWAL_UNKNOWN, WITHDRAWAL_STATE, POLICY_APPROVAL_REFUSED for somebody the roster does not know in the group
 */
export async function approvalRequest(deps: OperationsDeps, ask: Ask): Promise<ApprovalRequest> {
  const row = await readWithdrawal(deps.pool, parseId('wd', ask.withdrawalId));
  const statement = await statementFor(deps, row, ask, count(row.not_after_ms));
  const person = deps.roster.people.find((each) => each.id === ask.approver);
  if (person === undefined) throw refusal('approver-unknown', ask);
  if (!person.groups.includes(ask.group)) throw refusal('approver-not-in-group', ask);
  return {
    withdrawal: await withdrawalView(deps, row),
    statement,
    challenge: encodeBase64url(statementChallenge(statement)),
    relyingPartyId: deps.roster.relyingParty.id,
    credentialIds: person.credentials.map((credential) => credential.id),
  };
}

const refusal = (defect: ApprovalDefect, ask: Ask) =>
  failPolicy(
    'POLICY_APPROVAL_REFUSED',
    `the ${ask.decision === 'approve' ? 'approval' : 'rejection'} of ${ask.approver.slice(0, 64)} does not count: ${defect}`,
    { defect, approver: ask.approver, group: ask.group },
  );

/** Tries are kept too: somebody who keeps failing is worth a look. Committed by itself, since the request fails. */
async function storeAttempt(
  deps: OperationsDeps,
  ask: Ask,
  defect: ApprovalDefect,
  document: Approval,
): Promise<void> {
  await deps.pool.query(
    `INSERT INTO operations.approval_attempt (withdrawal_id, approver, group_name, defect, document)
     VALUES ($1, $2, $3, $4, $5::jsonb)`,
    [ask.withdrawalId, ask.approver, ask.group, defect, JSON.stringify(document)],
  );
}

/**
 * Judges an approval as a co-signer would, stores it, then tells the workflow. The very same approval again is answered
 * like the first time.
 * @throws WITHDRAWAL_UNKNOWN, WITHDRAWAL_STATE, POLICY_APPROVAL_REFUSED with details.defect
 */
export async function submitApproval(
  deps: OperationsDeps,
  options: Ask & { readonly notAfter: number; readonly assertion: Assertion },
): Promise<WithdrawalView> {
  const id = parseId('wd', options.withdrawalId);
  const row = await readWithdrawal(deps.pool, id);
  // Asked before the state: an answer may be lost and others complete the quorum before it is asked for again.
  if (await isStored(deps, id, options)) return await withdrawalView(deps, row);
  const obligations = obligationsOf(row);
  const { signed } = await readIntent(deps.pool, row.intent_id);
  const document: Approval = {
    decision: options.decision,
    group: options.group,
    approver: options.approver,
    obligations: { rules: [...obligations.rules], approvals: { ...obligations.approvals } },
    notAfter: options.notAfter,
    assertion: options.assertion,
  };
  const defect = approvalDefect(document, {
    intent: signed.intent,
    pins: { policyHash: deps.policyHash, rosterHash: deps.rosterHash },
    roster: deps.roster,
    obligations,
    nowMs: deps.clock.nowMs(),
  });
  if (defect !== undefined) {
    await storeAttempt(deps, options, defect, document);
    throw refusal(defect, options);
  }
  if (!(await storeApproval(deps, row, document))) {
    await storeAttempt(deps, options, 'approver-twice', document);
    throw refusal('approver-twice', options);
  }
  return await withdrawalView(deps, await readWithdrawal(deps.pool, id));
}

async function isStored(
  deps: OperationsDeps,
  id: string,
  said: Ask & { readonly notAfter: number; readonly assertion: Assertion },
): Promise<boolean> {
  const { rows } = await deps.pool.query<{ document: Approval }>(
    `SELECT document FROM operations.approval
      WHERE withdrawal_id = $1 AND approver = $2 AND policy_hash = $3 AND roster_hash = $4`,
    [id, said.approver, deps.policyHash, deps.rosterHash],
  );
  const { decision, group, approver, notAfter, assertion } = said;
  return rows.some(
    ({ document: { obligations: _asked, ...stored } }) =>
      canonicalJson(stored) === canonicalJson({ decision, group, approver, notAfter, assertion }),
  );
}

/** False when the person has said something else about this withdrawal before. */
async function storeApproval(
  deps: OperationsDeps,
  seen: WithdrawalRow,
  document: Approval,
): Promise<boolean> {
  const { signed } = await readIntent(deps.pool, seen.intent_id);
  return await inTransaction(deps.pool, async (tx) => {
    const row = await readWithdrawal(tx, seen.id, 'FOR UPDATE');
    obligationsOf(row);
    const inserted = await tx.query(
      `INSERT INTO operations.approval (id, withdrawal_id, approver, group_name, decision, document, policy_hash,
         roster_hash, evidence)
       VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9::jsonb)
       ON CONFLICT (withdrawal_id, approver, policy_hash, roster_hash) DO NOTHING`,
      [
        newId('apr', deps.clock, deps.random),
        row.id,
        document.approver,
        document.group,
        document.decision,
        JSON.stringify(document),
        deps.policyHash,
        deps.rosterHash,
        JSON.stringify({ intent: signed.intent, decision: row.decision, seenAt: deps.clock.nowMs() }),
      ],
    );
    if (inserted.rowCount !== 1) {
      const { rows } = await tx.query<{ document: Approval }>(
        `SELECT document FROM operations.approval
          WHERE withdrawal_id = $1 AND approver = $2 AND policy_hash = $3 AND roster_hash = $4`,
        [row.id, document.approver, deps.policyHash, deps.rosterHash],
      );
      return rows[0] !== undefined && canonicalJson(rows[0].document) === canonicalJson(document);
    }
    await enqueue(tx, { topic: outboxTopics.withdrawal, key: row.id, payload: {} });
    return true;
  });
}

/** Before a batch has taken it; the hold is given back. @throws WITHDRAWAL_UNKNOWN, WITHDRAWAL_STATE */
export async function cancelWithdrawal(deps: OperationsDeps, id: string): Promise<WithdrawalView> {
  const withdrawalId = parseId('wd', id);
  await inTransaction(deps.pool, async (tx) => {
    const row = await readWithdrawal(tx, withdrawalId, 'FOR UPDATE');
    if (row.state === 'CANCELLED') return;
    const isCancellable = ['REQUESTED', 'PENDING_APPROVAL', 'APPROVED', 'QUEUED'].includes(row.state);
    // Something was built for its nonce and may be signed: it is paid under that nonce, or ends by itself with a cancel.
    if (!isCancellable || row.nonce !== null)
      throw fail('WITHDRAWAL_STATE', `${row.id} is ${row.state} and can no longer be cancelled`, {
        state: row.state,
      });
    await endUnpaid(tx, deps, row, 'CANCELLED', { event: 'cancelled', atMs: deps.clock.nowMs() });
    await enqueue(tx, { topic: outboxTopics.withdrawal, key: row.id, payload: {} });
  });
  return await withdrawalView(deps, await readWithdrawal(deps.pool, withdrawalId));
}
