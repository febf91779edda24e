/**
 * A chore that fails is tried again without end, so nothing ends for a bug or an outage. That it goes on failing becomes a
 * case: a proof that does not run proves nothing.
 */
import { isStrongroomError, messageOf } from '#core/errors';
import { newId } from '#core/ids';
import { newestCase, noteCase, openCase, systemActor } from '#infra/cases';
import { inTransaction } from '#infra/db';
import type { OperationsDeps } from './context.ts';

/** With the pauses of `definitions/proxies.ts` (1, 2, 4, ... 60 s) two minutes: a restart of a part is no case. */
export const choreTriesMax = 8;
const errorTextMax = 1_000;

export interface ChoreTry {
  readonly chore: string;
  /** 1 for the first one. */
  readonly number: number;
}

const caseOf = (chore: string) => ({ kind: 'ledger-chore-failing', subject: chore });

async function tell(deps: OperationsDeps, { chore, number }: ChoreTry, error: string): Promise<void> {
  await inTransaction(deps.pool, async (tx) => {
    await openCase(tx, {
      ...caseOf(chore),
      id: newId('case', deps.clock, deps.random),
      details: { chore, tries: number, error: error.slice(0, errorTextMax) },
    });
  }).catch(() => undefined); // The database is away, most likely: the next try tells, and the error itself must not be lost.
}

async function tellItWorks(deps: OperationsDeps, { chore, number }: ChoreTry): Promise<void> {
  await inTransaction(deps.pool, async (tx) => {
    const failing = await newestCase(tx, caseOf(chore));
    if (failing?.closed === null)
      await noteCase(tx, failing.id, { by: systemActor, note: `works again, at try ${number}` });
  });
}

/** Runs the chore; from the eighth try in a row on, that it fails is a case. @throws what the chore throws */
export async function tellingFailures<T>(
  deps: OperationsDeps,
  tried: ChoreTry,
  work: () => Promise<T>,
): Promise<T> {
  // A try that was killed, or took too long, had no chance to tell of itself.
  if (tried.number > choreTriesMax) await tell(deps, tried, 'the tries before ended without an answer');
  let result: T;
  try {
    result = await work();
  } catch (error) {
    const code = isStrongroomError(error) ? `${error.code}: ` : '';
    if (tried.number >= choreTriesMax) await tell(deps, tried, code + messageOf(error));
    throw error;
  }
  if (tried.number > 1) await tellItWorks(deps, tried);
  return result;
}
