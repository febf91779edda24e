/**
 * What the ledger needs from time to time: chores that keep it going, and looks at whether it is still true. A ledger that
 * is not true pays nothing: one case, and a halt of everything.
 */
import { isStrongroomError } from '#core/errors';
import { newId } from '#core/ids';
import { openCase, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import type { LedgerProblem } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import { haltScopes } from './halts.ts';

/** Problems a case tells of; a person looks with `verify` for the rest. */
const problemsToldMax = 20;

/** Chores, in order; each is safe to run twice and at once. */
const chores: readonly ((deps: OperationsDeps) => Promise<unknown>)[] = [
  // At most a batch of them; the next look takes the rest.
  (deps) => deps.ledger.expireDue(),
];

export async function keepLedger(deps: OperationsDeps): Promise<void> {
  for (const chore of chores) await chore(deps);
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
 * Whether the books are true: at every look the totals and the head, at a deep one everything that `ledger.verify` proves
 * from the journal. Returns how many problems there are; any stops all payments.
 */
export async function checkBooks(
  deps: OperationsDeps,
  { isDeep }: { readonly isDeep: boolean },
): Promise<{ readonly problems: number }> {
  const { problems } = isDeep ? await deps.ledger.verify() : await deps.ledger.verifyTotals();
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
