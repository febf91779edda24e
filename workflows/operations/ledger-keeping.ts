/**
 * What the ledger needs from time to time: chores that keep it going, and looks at whether it is still true. A ledger that
 * is not true pays nothing: one case, and a halt of everything.
 */
import { isStrongroomError } from '#core/errors';
import { newId } from '#core/ids';
import { openCase, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { type LedgerProblem, reconcile } from '#ledger/contract';
import { openHouseAccounts } from './accounts.ts';
import { knownAssets, type OperationsDeps } from './context.ts';
import { haltScopes } from './halts.ts';
import { mirrorsOf, owedQuantity } from './reconciliation/owed.ts';

/** Problems a case tells of; a person looks with `verify` for the rest. */
const problemsToldMax = 20;

/** Chores, in order; each is safe to run twice and at once. */
const chores: readonly ((deps: OperationsDeps) => Promise<unknown>)[] = [openHouseAccounts];

export async function keepLedger(deps: OperationsDeps): Promise<void> {
  for (const chore of chores) await chore(deps);
}

async function owedProblems(deps: OperationsDeps): Promise<readonly LedgerProblem[]> {
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const problems: LedgerProblem[] = [];
    for (const asset of knownAssets(deps)) {
      const owed = await owedQuantity(deps, tx, asset, await mirrorsOf(deps, tx, asset));
      for (const { problem } of reconcile({ quantities: [owed], payments: [], strays: [] }).breaks)
        problems.push({ check: 'zero-sum', place: asset, problem });
    }
    return problems;
  });
}

async function haltLedger(deps: OperationsDeps, problems: readonly LedgerProblem[]): Promise<void> {
  const told = problems
    .slice(0, problemsToldMax)
    .map(({ check, place, problem }) => `${check} ${place}: ${problem}`);
  await inTransaction(deps.pool, async (tx) => {
    await openCase(tx, {
      id: newId('case', deps.clock, deps.random),
      kind: 'ledger-invariant',
      subject: 'ledger',
      details: { problems: told, more: problems.length - told.length },
    });
    await setHalt(tx, { scope: haltScopes.ledger, reason: (told[0] ?? '').slice(0, 500) });
  });
}

/**
 * Whether the books are true: at every look that mirrors and obligations agree per asset, at a deep one everything that
 * `ledger.verify` proves from the journal. Returns how many problems there are; any stops all payments.
 */
export async function checkBooks(
  deps: OperationsDeps,
  { isDeep }: { readonly isDeep: boolean },
): Promise<{ readonly problems: number }> {
  const problems = [...(await owedProblems(deps)), ...(isDeep ? (await deps.ledger.verify()).problems : [])];
  if (problems.length > 0) await haltLedger(deps, problems);
  return { problems: problems.length };
}

export interface HeadExportOutcome {
  readonly state: 'exported' | 'forked' | 'not-configured';
}

/**
 * Hands the newest head to those who keep it outside the database, where the process has the ledger's key. A ledger that
 * contradicts a head it has signed stops like one whose sums are wrong.
 */
export async function exportLedgerHead(deps: OperationsDeps): Promise<HeadExportOutcome> {
  if (deps.exportHead === undefined) return { state: 'not-configured' };
  try {
    await deps.exportHead();
    return { state: 'exported' };
  } catch (error) {
    if (!isStrongroomError(error) || error.code !== 'LEDGER_FORKED') throw error;
    await haltLedger(deps, [
      { check: 'chain', place: 'exported heads', problem: error.message.slice(0, 500) },
    ]);
    return { state: 'forked' };
  }
}
