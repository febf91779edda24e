/**
 * The last look before a nonce is taken. Up to the first stored attempt a payment can be taken back without a trace on the
 * chain, so what lapsed since the claim goes back to the people here, and no nonce is taken above one that waits.
 */
import { attemptsOf, reserveConflictSet } from '#chains';
import type { ConflictSet } from '#chains/contract';
import { chainId } from '#core/money';
import { inTransaction, type Tx } from '#infra/db';
import type { OperationsDeps } from './context.ts';
import { lapseOf } from './judgement.ts';
import { returnToPeople } from './release.ts';
import { readWithdrawal, type SweepRow, type WithdrawalRow } from './rows.ts';
import { noteWithdrawal, type WithdrawalEvent } from './state.ts';

/** `refused`: it is back with the people and holds nothing. `not-needed`: somebody else moved it. */
type Reserved = ConflictSet | 'refused' | 'not-needed';

/** A payment above this nonce could not be mined, and its batch would stay open for as long as this one waits. */
async function isBehindWaiting(tx: Tx, row: WithdrawalRow): Promise<boolean> {
  const { rowCount } = await tx.query(
    `SELECT 1 FROM operations.withdrawal WHERE wallet_id = $1 AND id <> $2 AND nonce IS NOT NULL
        AND state IN ('PENDING_APPROVAL', 'APPROVED', 'QUEUED') LIMIT 1`,
    [row.wallet_id, row.id],
  );
  return (rowCount ?? 0) > 0;
}

async function whyNot(deps: OperationsDeps, tx: Tx, row: WithdrawalRow): Promise<string | undefined> {
  if (row.nonce === null && (await isBehindWaiting(tx, row))) return 'behind-a-waiting-nonce';
  // Another run of this activity has built it in the meantime: from there on the co-signers judge.
  if ((await attemptsOf(tx, row.intent_id)).length > 0) return undefined;
  return await lapseOf(deps, tx, row);
}

/** For the first attempt of a withdrawal. @throws CHAINS_HALTED, CHAINS_CONFLICT_SET_TAKEN */
export async function reserveForWithdrawal(
  deps: OperationsDeps,
  seen: WithdrawalRow,
  sender: string,
): Promise<Reserved> {
  const chainNonce = await deps.chains.adapter(chainId(seen.chain)).minedNonce(sender);
  return await inTransaction(deps.pool, async (tx) => {
    const row = await readWithdrawal(tx, seen.id, 'FOR UPDATE');
    if (row.state !== 'SIGNING') return 'not-needed';
    const atMs = deps.clock.nowMs();
    const lapse = await whyNot(deps, tx, row);
    if (lapse !== undefined) {
      const commands = await returnToPeople(tx, row, { event: lapse, atMs });
      if (commands.length > 0) await deps.ledger.applyOrThrow(commands, tx);
      return 'refused';
    }
    const conflictSet = await reserveConflictSet(tx, {
      chain: chainId(row.chain),
      sender,
      intentId: row.intent_id,
      chainNonce,
    });
    if (row.nonce === null) {
      const details = { sender, nonce: conflictSet.nonce };
      const event: WithdrawalEvent = { event: 'nonce-reserved', atMs, details };
      await noteWithdrawal(tx, row, event, { nonce: conflictSet.nonce });
    }
    return conflictSet;
  });
}

/** A sweep needs no people, and its address has no other payments. @throws CHAINS_HALTED, CHAINS_CONFLICT_SET_TAKEN */
export async function reserveForSweep(
  deps: OperationsDeps,
  row: SweepRow,
  sender: string,
): Promise<ConflictSet> {
  const chain = chainId(row.chain);
  const chainNonce = await deps.chains.adapter(chain).minedNonce(sender);
  return await inTransaction(
    deps.pool,
    async (tx) => await reserveConflictSet(tx, { chain, sender, intentId: row.intent_id, chainNonce }),
  );
}
