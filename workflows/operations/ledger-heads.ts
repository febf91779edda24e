/**
 * The ledger's heads in the hands of the co-signers, where the process has the ledger's key. A ledger that contradicts a head
 * it has signed stops like one whose sums are wrong; a co-signer that keeps no heads is told of.
 */
import { errorsOf, isStrongroomError, messageOf } from '#core/errors';
import { newId } from '#core/ids';
import { openCase } from '#infra/cases';
import { inTransaction } from '#infra/db';
import type { HeadCheck, HeadExport } from '#ledger';
import { workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { reportLedger } from './ledger-problems.ts';

const fail = errorsOf(workflowErrors);
const placesMax = 20;

/** The places that the error names, each for itself, so that a place that is known is not news in another company. */
function forkedPlaces(error: unknown): readonly string[] | undefined {
  if (!isStrongroomError(error) || error.code !== 'LEDGER_FORKED') return undefined;
  const { problems } = error.details;
  return Array.isArray(problems) && problems.length > 0 ? problems.map(String) : [messageOf(error)];
}

function unkept(silent: readonly string[]): Error {
  return fail('LEDGER_HEADS_UNKEPT', `not every co-signer keeps the ledger's heads: ${silent.join('; ')}`, {
    coSigners: silent.slice(0, placesMax),
  });
}

/** @throws LEDGER_HEADS_UNKEPT when a co-signer did not record it; the others have it then */
export async function exportLedgerHead(
  deps: OperationsDeps,
): Promise<HeadExport['state'] | 'forked' | 'not-configured'> {
  if (deps.exportHead === undefined) return 'not-configured';
  let exported: HeadExport;
  try {
    exported = await deps.exportHead();
  } catch (error) {
    const places = forkedPlaces(error);
    if (places === undefined) throw error;
    await reportLedger(
      deps,
      places.map((problem) => ({ check: 'exported-head', place: 'ledger', problem })),
    );
    return 'forked';
  }
  const answers = exported.state === 'exported' ? exported.answers : [];
  const silent = answers.flatMap((answer) =>
    answer.state === 'recorded' ? [] : [`co-signer ${answer.party} (${answer.code}): ${answer.reason}`],
  );
  if (silent.length > 0) throw unkept(silent);
  return exported.state;
}

/**
 * The heads that are kept anywhere against the database. What only a co-signer says, without the ledger's signature, is a
 * case and halts nothing: else one hostile co-signer could stop the exchange.
 */
export async function reportHeads(
  deps: OperationsDeps,
  which: 'newest' | 'all',
): Promise<HeadCheck | 'not-configured'> {
  if (deps.verifyHeads === undefined) return 'not-configured';
  const check = await deps.verifyHeads(which);
  const { problems, unbelieved = [] } = check;
  await reportLedger(
    deps,
    problems.filter((problem) => !unbelieved.includes(problem)),
  );
  if (unbelieved.length > 0)
    await inTransaction(deps.pool, async (tx) => {
      await openCase(tx, {
        id: newId('case', deps.clock, deps.random),
        kind: 'ledger-head-unbelieved',
        subject: 'ledger',
        details: {
          problems: unbelieved
            .slice(0, placesMax)
            .map(({ place, problem }) => `${place} ${problem}`.slice(0, 500)),
        },
      });
    });
  return check;
}

/** @throws LEDGER_HEADS_UNKEPT when a co-signer could not be asked */
export async function checkLedgerHeads(
  deps: OperationsDeps,
): Promise<{ readonly problems: number } | 'not-configured'> {
  const check = await reportHeads(deps, 'newest');
  if (check === 'not-configured') return check;
  if (check.unread.length > 0) throw unkept(check.unread);
  return { problems: check.problems.length };
}
