/** People of the development roster: what they are asked, and their signature over it. */
import { readFileSync } from 'node:fs';
import { statementChallenge } from '#policies';
import type { ApprovalStatement, Assertion } from '#policies/contract';
import type { AdjustmentRequest, AdjustmentView } from '#workflows';
import { SoftwarePasskey, softwarePasskeyFileSchema } from '../software-passkey.ts';
import type { SuiteFiles } from '../suite-files.ts';
import type { DemoContext } from './context.ts';

export interface Ask {
  readonly decision: 'approve' | 'reject';
  readonly group: string;
  readonly approver: string;
}

/** The statement the api wants signed. @throws ApiProblem */
export async function askedStatement(context: DemoContext, id: string, ask: Ask): Promise<ApprovalStatement> {
  const path = `/v1/withdrawals/${id}/approval-request`;
  const request = await context.api.call<{ statement: ApprovalStatement }>('treasury', 'POST', path, ask);
  return request.statement;
}

type Statement = Parameters<typeof statementChallenge>[0];

/** The person's passkey over the statement. */
export function signStatement(files: SuiteFiles, person: string, statement: Statement): Assertion {
  const file = JSON.parse(readFileSync(files.passkeyFileOf(person), 'utf8')) as unknown;
  const passkey = SoftwarePasskey.fromFile(softwarePasskeyFileSchema.parse(file));
  const { response } = passkey.assert(Buffer.from(statementChallenge(statement)));
  return { credentialId: passkey.credentialId.toString('base64url'), ...response };
}

/** Hands a signed statement to the api. @throws ApiProblem */
export async function submitApproval(
  context: DemoContext,
  id: string,
  approval: Ask & { readonly notAfter: number; readonly assertion: Assertion },
): Promise<void> {
  await context.api.call('treasury', 'POST', `/v1/withdrawals/${id}/approvals`, approval);
}

/** Asked, signed and handed in. @throws ApiProblem */
export async function signApproval(context: DemoContext, id: string, ask: Ask): Promise<ApprovalStatement> {
  const statement = await askedStatement(context, id, ask);
  const assertion = signStatement(context.files, ask.approver, statement);
  await submitApproval(context, id, { ...ask, notAfter: statement.notAfter, assertion });
  return statement;
}

/** What people agree to book. */
export interface Correction {
  readonly reason: string;
  readonly legs: readonly {
    readonly debit: string;
    readonly credit: string;
    readonly asset: string;
    readonly units: string;
  }[];
}

/** One person proposes, another approves, each with a passkey; with the second signature it is booked. @throws ApiProblem */
export async function bookCorrection(
  context: DemoContext,
  correction: Correction,
  people: { readonly proposer: string; readonly approver: string },
): Promise<AdjustmentView> {
  const signed = ({ statement }: AdjustmentRequest, person: string) => ({
    notAfter: statement.notAfter,
    assertion: signStatement(context.files, person, statement),
  });
  const root = '/v1/adjustments';
  const proposal = { ...correction, proposedBy: people.proposer };
  const asked = await context.api.call<AdjustmentRequest>(
    'treasury',
    'POST',
    `${root}/proposal-request`,
    proposal,
  );
  const { id } = await context.api.call<AdjustmentView>('treasury', 'POST', root, {
    ...proposal,
    ...signed(asked, people.proposer),
  });
  const approver = { approver: people.approver };
  const askedAgain = await context.api.call<AdjustmentRequest>(
    'treasury',
    'POST',
    `${root}/${id}/approval-request`,
    approver,
  );
  return await context.api.call<AdjustmentView>('treasury', 'POST', `${root}/${id}/approvals`, {
    ...approver,
    ...signed(askedAgain, people.approver),
  });
}
