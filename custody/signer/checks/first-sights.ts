/** When this co-signer first saw an intent; waits run from here and not from what a message says. */
import type { Sha256 } from '#core/canonical-json';
import type { DecisionLog } from '../decision-log.ts';
import type { SignerStore } from '../store.ts';

export interface FirstSights {
  /** Remembers, durably, when this co-signer first saw the intent; later calls change nothing. */
  note(intentHash: Sha256, intentId: string): void;
  at(intentHash: Sha256): number | undefined;
}

export function openFirstSights(store: SignerStore, log: DecisionLog): FirstSights {
  const table = store.table<{ at: number }>('first-sights');
  return {
    note(intentHash, intentId) {
      if (table.get(intentHash) !== undefined) return;
      store.transact(() => {
        // The log's time never steps back, so neither does the start of a wait.
        const { at } = log.append('first-sight', { intentId, intentHash });
        table.put(intentHash, { at });
      });
    },
    at: (intentHash) => table.get(intentHash)?.at,
  };
}
