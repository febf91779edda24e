/** A ledger that is not true pays nothing: what was found is one case and a halt of everything. */
import { newId } from '#core/ids';
import { type CaseRecord, newestCase, noteCase, openCase, setHalt, systemActor } from '#infra/cases';
import { inTransaction } from '#infra/db';
import type { LedgerProblem } from '#ledger/contract';
import type { OperationsDeps } from './context.ts';
import { haltScopes } from './halts.ts';

/** Problems a case tells of; a person looks with `verify` for the rest. */
const problemsToldMax = 100;
/** Of a halt's reason, a problem and a note: a person reads no longer text. */
const textMax = 2_000;
const reasonMax = 500;

/** On one line, because a note tells one problem per line. */
const textOf = ({ check, place, problem }: Pick<LedgerProblem, 'place' | 'problem'> & { check: string }) =>
  `${check} ${place}: ${problem}`.replace(/\s+/g, ' ').slice(0, textMax);

/** What the people who work on the case, or have closed it, were told. */
function toldBy(record: CaseRecord | undefined): ReadonlySet<string> {
  const details = record?.details;
  const problems =
    typeof details === 'object' && details !== null && 'problems' in details ? details['problems'] : [];
  const notes =
    record?.history.filter(({ event, actor }) => event === 'noted' && actor === systemActor) ?? [];
  return new Set([
    ...(Array.isArray(problems) ? problems.map(String) : []),
    ...notes.flatMap(({ note }) => note.split('\n')),
  ]);
}

/**
 * Opens the case and halts all payments, or adds to the case what is new. What people were told of, and have lifted the
 * halt knowing it, does not halt again: an append-only journal that was tampered with cannot be mended, only gone on from.
 */
export async function reportLedger(
  deps: OperationsDeps,
  problems: readonly (Pick<LedgerProblem, 'place' | 'problem'> & { readonly check: string })[],
): Promise<void> {
  if (problems.length === 0) return;
  const of = { kind: 'ledger-invariant', subject: 'ledger' };
  const told = problems.slice(0, problemsToldMax).map(textOf);
  await inTransaction(deps.pool, async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('operations.ledger-problems', 0))");
    const last = await newestCase(tx, of);
    const known = toldBy(last);
    const news = told.filter((text) => !known.has(text));
    const [first] = news;
    if (first === undefined) return;
    if (last?.closed === null)
      await noteCase(tx, last.id, { by: systemActor, note: news.join('\n').slice(0, textMax) });
    else
      await openCase(tx, {
        ...of,
        id: newId('case', deps.clock, deps.random),
        details: { problems: told, more: problems.length - told.length },
      });
    await setHalt(tx, { scope: haltScopes.ledger, reason: first.slice(0, reasonMax) });
  });
}
