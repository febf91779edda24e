/** People of the development roster: what they are asked, and their signature over it. */
import { readFileSync } from 'node:fs';
import { statementChallenge } from '#policies';
import type { ApprovalStatement, Assertion } from '#policies/contract';
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

/** The person's passkey over the statement. */
export function signStatement(files: SuiteFiles, person: string, statement: ApprovalStatement): Assertion {
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
