/** Corrections of the ledger by two people's passkeys: one proposes, another approves, which books it. */
import { z } from 'zod';
import type { JsonValue, Sha256 } from '#core/canonical-json';
import { type Adjustment, type BookingOutcome, createAdjustments } from '#ledger';
import {
  type AdjustmentContent,
  type AdjustmentDocument,
  adjustmentDocument,
  adjustmentHash,
  parseAdjustment,
} from '#ledger/contract';
import { type AdjustmentSignature, adjustmentDefect, adjustmentStatement } from '#policies';
import {
  type AdjustmentStatement,
  type ApprovalDefect,
  assertionSchema,
  type Roster,
} from '#policies/contract';
import type { OperationsDeps } from './context.ts';
import { refusal, type SigningRequest, signingRequest } from './signatures.ts';

/** The person signs what they see; an hour is enough to read it. What was signed in time stays good. */
const signingLifetimeMs = 3_600_000;

/** Whose name stands in the ledger, and what is wrong with the signature kept beside it. */
export interface SignedPerson {
  readonly person: string;
  readonly act: AdjustmentStatement['act'];
  /** Judged now, by the roster in force, without regard to time; null if it is good. */
  readonly defect: ApprovalDefect | null;
}
export interface AdjustmentView extends AdjustmentDocument {
  readonly id: Sha256;
  readonly proposedAt: number;
  /** The proposer first. */
  readonly people: readonly SignedPerson[];
  readonly state: 'proposed' | 'approved' | 'booked';
  /** Why the last attempt to book it failed although it is approved. */
  readonly refused: { readonly code: string; readonly message: string } | null;
}
/** With the adjustment whose hash is signed, so that the signer can compute it. */
export interface AdjustmentRequest extends SigningRequest<AdjustmentStatement> {
  readonly adjustment: AdjustmentDocument & { readonly id: Sha256 };
}
type Signed = Pick<AdjustmentSignature, 'notAfter' | 'assertion'>;

export interface AdjustmentOperations {
  /** @throws POLICY_APPROVAL_REFUSED, CORE_* */
  proposalRequest(proposal: AdjustmentDocument): Promise<AdjustmentRequest>;
  /** @throws POLICY_APPROVAL_REFUSED, LEDGER_ADJUSTMENT_INVALID, LEDGER_UNKNOWN_ACCOUNT, LEDGER_ACCOUNT_PATH_INVALID, CORE_* */
  propose(proposal: AdjustmentDocument & Signed): Promise<AdjustmentView>;
  /** @throws POLICY_APPROVAL_REFUSED, LEDGER_ADJUSTMENT_UNKNOWN */
  approvalRequest(ask: { readonly id: Sha256; readonly approver: string }): Promise<AdjustmentRequest>;
  /** @throws POLICY_APPROVAL_REFUSED, LEDGER_ADJUSTMENT_UNKNOWN, LEDGER_ADJUSTMENT_SAME_PERSON */
  approve(said: { readonly id: Sha256 } & AdjustmentSignature): Promise<AdjustmentView>;
  /** Tries again to book what is approved, if the signatures are good. @throws LEDGER_ADJUSTMENT_UNKNOWN, POLICY_APPROVAL_REFUSED */
  book(id: Sha256): Promise<AdjustmentView>;
  /** @throws LEDGER_ADJUSTMENT_UNKNOWN */
  read(id: Sha256): Promise<AdjustmentView>;
  list(filter: { readonly open: boolean }): Promise<readonly AdjustmentView[]>;
}

const evidenceSchema = z.object({
  statement: z.object({ rosterHash: z.custom<Sha256>((v) => typeof v === 'string'), notAfter: z.number() }),
  assertion: assertionSchema,
});

/** The statement is made anew from what the ledger says; only what that cannot know is taken from the evidence. */
function signedPeople(found: Adjustment, roster: Roster): readonly SignedPerson[] {
  const claims = [
    { act: 'propose' as const, person: found.proposedBy, evidence: found.evidence },
    ...found.approvals.map((approval) => ({ act: 'approve' as const, ...approval })),
  ];
  return claims.map(({ act, person, evidence }) => {
    const kept = evidenceSchema.safeParse(evidence);
    if (!kept.success) return { person, act, defect: 'malformed' };
    const { rosterHash, notAfter } = kept.data.statement;
    const about = { act, adjustment: found.id, rosterHash };
    const signature = { approver: person, notAfter, assertion: kept.data.assertion };
    const defect = adjustmentDefect({ about, signature, roster, nowMs: notAfter });
    return { person, act, defect: defect ?? null };
  });
}

/** A proposer and somebody else whose signatures are good. @throws POLICY_APPROVAL_REFUSED */
function assertSigned(found: Adjustment, roster: Roster): void {
  const people = signedPeople(found, roster);
  for (const act of ['propose', 'approve'] as const) {
    const [bad, ...others] = people.filter((each) => each.act === act);
    if (bad !== undefined && [bad, ...others].every(({ defect }) => defect !== null))
      throw refusal(bad.person, bad.defect ?? 'malformed');
  }
}

export function createAdjustmentOperations(deps: OperationsDeps): AdjustmentOperations {
  const adjustments = createAdjustments(
    deps.pool,
    async (commands, tx) => await deps.ledger.applyOrThrow(commands, tx),
  );
  const aboutOf = (act: AdjustmentStatement['act'], adjustment: Sha256) => ({
    act,
    adjustment,
    rosterHash: deps.rosterHash,
  });
  const request = (
    act: AdjustmentStatement['act'],
    content: AdjustmentContent,
    approver: string,
  ): AdjustmentRequest => {
    const id = adjustmentHash(content);
    const by = { approver, notAfter: deps.clock.nowMs() + signingLifetimeMs };
    const statement = adjustmentStatement(aboutOf(act, id), by);
    return { adjustment: { id, ...adjustmentDocument(content) }, ...signingRequest(deps, statement) };
  };
  /** The evidence to keep: whoever has the roster of that hash can check it again. */
  const judged = (
    act: AdjustmentStatement['act'],
    id: Sha256,
    { approver, notAfter, assertion }: AdjustmentSignature,
  ): JsonValue => {
    const nowMs = deps.clock.nowMs();
    const about = aboutOf(act, id);
    const signature = { approver, notAfter, assertion };
    const defect = adjustmentDefect({ about, signature, roster: deps.roster, nowMs });
    if (defect !== undefined) throw refusal(approver, defect);
    // Far ahead, it would stand for ever.
    if (notAfter > nowMs + signingLifetimeMs) throw refusal(approver, 'statement-expired');
    return { statement: { ...adjustmentStatement(about, signature) }, assertion: { ...assertion } };
  };
  const viewOf = (found: Adjustment, refused?: BookingOutcome['refused']): AdjustmentView => ({
    id: found.id,
    ...adjustmentDocument(found),
    proposedAt: found.proposedAt.getTime(),
    people: signedPeople(found, deps.roster),
    state: found.booked ? 'booked' : found.approvals.length > 0 ? 'approved' : 'proposed',
    refused: refused === undefined ? null : { code: refused.code, message: refused.message },
  });
  return {
    proposalRequest: (proposal) =>
      Promise.resolve().then(() => request('propose', parseAdjustment(proposal), proposal.proposedBy)),
    propose: async ({ notAfter, assertion, ...proposal }) => {
      const content = parseAdjustment(proposal);
      const signature = { approver: proposal.proposedBy, notAfter, assertion };
      const evidence = judged('propose', adjustmentHash(content), signature);
      return viewOf(await adjustments.propose(content, evidence));
    },
    approvalRequest: async ({ id, approver }) => request('approve', await adjustments.read(id), approver),
    approve: async ({ id, ...signature }) => {
      // A proposer who has left since then no longer vouches for it.
      assertSigned({ ...(await adjustments.read(id)), approvals: [] }, deps.roster);
      const evidence = judged('approve', id, signature);
      const { adjustment, refused } = await adjustments.approve(id, { person: signature.approver, evidence });
      return viewOf(adjustment, refused);
    },
    book: async (id) => {
      assertSigned(await adjustments.read(id), deps.roster);
      const { adjustment, refused } = await adjustments.book(id);
      return viewOf(adjustment, refused);
    },
    read: async (id) => viewOf(await adjustments.read(id)),
    list: async ({ open }) => (await adjustments.list({ open })).map((each) => viewOf(each)),
  };
}
