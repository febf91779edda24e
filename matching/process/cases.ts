/** What a person has to look at: balances of engine and ledger that differ, an engine that cannot be settled at all. */
import { setTimeout as delay } from 'node:timers/promises';
import type { StrongroomError } from '#core/errors';
import { derivedId } from '#core/ids';
import { openCase } from '#infra/cases';
import { inTransaction, type Pool } from '#infra/db';
import { type Reconciliation, settlementCaseKind } from '../settlement/index.ts';

/** Between two attempts while PostgreSQL does not answer: who opens a case has nothing more urgent. */
const retryMs = 1_000;
/** Named in the case; how many there are stands beside them. */
const namedMax = 20;

const differenceCaseKind = 'engine-differs';

/** One case per engine is open. */
export async function openDifferenceCase(
  pool: Pool,
  engineName: string,
  { at, portion, differences }: Reconciliation,
): Promise<void> {
  await inTransaction(pool, async (tx) => {
    await openCase(tx, {
      id: derivedId('case', `engine-differs/${engineName}/${at.seq}/${portion}`),
      kind: differenceCaseKind,
      subject: `engine:${engineName}`,
      details: {
        seq: at.seq,
        portion: portion.toString(),
        differences: differences.length,
        first: differences.slice(0, namedMax).map(({ check, account, asset, engine, ledger }) => ({
          check,
          account,
          asset,
          engine: engine.toString(),
          ledger: ledger.toString(),
        })),
      },
    });
  });
}

/** The settlement could not begin, and no waiting will let it. One case per engine is open, with that of a refused portion. */
export async function openStopCase(
  pool: Pool,
  engineName: string,
  { code, message, whatToDo = '' }: StrongroomError,
  atMs: number,
): Promise<void> {
  await inTransaction(pool, async (tx) => {
    await openCase(tx, {
      id: derivedId('case', `settlement/${engineName}/${code}/${atMs}`),
      kind: settlementCaseKind,
      subject: `engine:${engineName}`,
      details: { code, problem: message, whatToDo },
    });
  });
}

/** A case must not be lost because PostgreSQL was away when it arose. */
export async function untilWritten(
  write: () => Promise<void>,
  signal: AbortSignal,
  onFailed: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await write();
      return;
    } catch (error) {
      onFailed(error);
      await delay(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
