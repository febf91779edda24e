/** What people do with a case; who does it is the name of the api's token. */
import { errorsOf } from '#core/errors';
import { assignCase, type CaseRecord, closeCase, noteCase, readCase } from '#infra/cases';
import { inTransaction, type Tx } from '#infra/db';
import { workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';

const fail = errorsOf(workflowErrors);

export type CaseAction =
  | { readonly action: 'assign'; readonly owner: string }
  | { readonly action: 'note'; readonly note: string }
  | { readonly action: 'close'; readonly resolution: string };

/** @throws CASE_UNKNOWN */
export async function caseRecord(deps: OperationsDeps, id: string): Promise<CaseRecord> {
  const record = await readCase(deps.pool, id);
  if (record === undefined) throw fail('CASE_UNKNOWN', `there is no case ${id.slice(0, 80)}`);
  return record;
}

async function act(tx: Tx, id: string, done: CaseAction, by: string): Promise<void> {
  switch (done.action) {
    case 'assign':
      await assignCase(tx, id, { owner: done.owner, by });
      return;
    case 'note':
      await noteCase(tx, id, { note: done.note, by });
      return;
    case 'close':
      await closeCase(tx, id, { resolution: done.resolution, by });
  }
}

/** @throws CASE_UNKNOWN, CASE_OWNER_UNKNOWN, INFRA_CASE_NOT_OPEN */
export async function workOnCase(
  deps: OperationsDeps,
  options: { readonly id: string; readonly by: string } & CaseAction,
): Promise<CaseRecord> {
  const { id, by } = options;
  await caseRecord(deps, id);
  if (options.action === 'assign' && !deps.roster.people.some((person) => person.id === options.owner))
    throw fail('CASE_OWNER_UNKNOWN', `${options.owner.slice(0, 64)} is nobody of the roster`);
  await inTransaction(deps.pool, async (tx) => {
    await act(tx, id, options, by);
  });
  return await caseRecord(deps, id);
}
