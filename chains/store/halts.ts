/** A chain stands still when a final block was reorganised; a person lifts that. */
import { errorsOf } from '#core/errors';
import type { ChainId } from '#core/money';
import { haltOf } from '#infra/cases';
import type { Queryable } from '#infra/db';
import { chainErrors } from '../contract.ts';

const fail = errorsOf(chainErrors);

/** The scope of a chain's halt in `infra.halt`. */
export const haltScopeOf = (chain: ChainId): string => `chain:${chain}`;

/** @throws CHAINS_HALTED */
export async function assertNotHalted(db: Queryable, chain: ChainId): Promise<void> {
  const halt = await haltOf(db, haltScopeOf(chain));
  if (halt !== undefined)
    throw fail('CHAINS_HALTED', `${chain} is halted: ${halt.reason}`, { chain, reason: halt.reason });
}
