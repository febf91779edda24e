/**
 * What the ledger needs from time to time: chores that keep it going, and looks at whether it is still true. A ledger that
 * is not true pays nothing: one case, and a halt of everything.
 */
import { isStrongroomError } from '#core/errors';
import { newId } from '#core/ids';
import { openCase, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { ensurePartitions, newestBatches } from '#ledger';
import type { LedgerProblem } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import { haltScopes } from './halts.ts';

/** Problems a case tells of; a person looks with `verify` for the rest. */
const problemsToldMax = 20;

/** Of one look, 1,000 holds each; what is left waits for the next. */
const expiryCallsMax = 20;
/** Proven again at every look: those since the one before, unless there were more than 100 a second. */
const newestBatchesProven = 1_000n;

async function endDueHolds({ ledger }: OperationsDeps): Promise<void> {
  for (let calls = 0; calls < expiryCallsMax; calls++) if ((await ledger.expireDue()) === 0) return;
}

/** Chores, in order; each is safe to run twice and at once. */
const chores: readonly ((deps: OperationsDeps) => Promise<unknown>)[] = [
  ({ pool }) => ensurePartitions(pool),
  endDueHolds,
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
 * What the signed heads contradict. What a witness shows that the ledger did not sign is no evidence: a case, and no problem of
 * the books, else one hostile witness could stop all payments.
 */
async function headProblems(deps: OperationsDeps): Promise<LedgerProblem[]> {
  const { problems } = (await deps.verifyHeads?.()) ?? { problems: [] };
  const ofWitnesses = problems.filter(({ place }) => place.startsWith('co-signer '));
  if (ofWitnesses.length > 0)
    await inTransaction(
      deps.pool,
      async (tx) =>
        await openCase(tx, {
          id: newId('case', deps.clock, deps.random),
          kind: 'ledger-witness',
          subject: 'ledger',
          details: {
            problems: ofWitnesses
              .slice(0, problemsToldMax)
              .map(({ place, problem }) => `${place} ${problem}`),
          },
        }),
    );
  return problems
    .filter((problem) => !ofWitnesses.includes(problem))
    .map(({ place, problem }) => ({ check: 'chain', place, problem }));
}

async function newestProblems({ pool, ledger }: OperationsDeps): Promise<readonly LedgerProblem[]> {
  const newest = await newestBatches(pool, newestBatchesProven);
  return [
    ...(await ledger.verifyTotals()).problems,
    ...(newest === undefined ? [] : (await ledger.verify(pool, newest)).problems),
  ];
}

/**
 * Whether the books are true: at every look the totals, the head and the newest batches; at a deep one everything that
 * `ledger.verify` proves from the journal, and the heads that witnesses have. Returns how many problems there are; any stops
 * all payments.
 */
export async function checkBooks(
  deps: OperationsDeps,
  { isDeep }: { readonly isDeep: boolean },
): Promise<{ readonly problems: number }> {
  const problems = isDeep
    ? [...(await deps.ledger.verify()).problems, ...(await headProblems(deps))]
    : await newestProblems(deps);
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
