/** A refused portion is a case for a person: the engine trades on what the ledger does not have, or the other way round. */
import { derivedId } from '#core/ids';
import type { Clock } from '#core/ports';
import { openCase } from '#infra/cases';
import { inTransaction, type Pool } from '#infra/db';
import type { Refusal } from './settler.ts';

export const settlementCaseKind = 'settlement-refused';

/** For {@link SettlerOptions.onRefused}. One case per engine is open; refused again, it is the same. */
export const caseOfRefusal =
  (pool: Pool, clock: Clock) =>
  async ({ engine, portion, error }: Refusal): Promise<void> => {
    await inTransaction(pool, async (tx) => {
      await openCase(tx, {
        id: derivedId('case', `settlement/${engine}/${portion}/${clock.nowMs()}`),
        kind: settlementCaseKind,
        subject: `engine:${engine}`,
        details: { portion: portion.toString(), problem: error.message },
      });
    });
  };
