/**
 * What the ledger needs from time to time: chores that keep it going, and looks at whether it is still true. Each is safe to
 * run twice and at once.
 */
import { errorsOf } from '#core/errors';
import { inTransaction } from '#infra/db';
import { ensurePartitions, newestBatches } from '#ledger';
import type { LedgerProblem } from '#ledger/contract';
import { type LedgerChore, workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { checkLedgerHeads, exportLedgerHead, reportHeads } from './ledger-heads.ts';
import { reportLedger } from './ledger-problems.ts';
import { keepProgress, positionOf } from './progress.ts';

const fail = errorsOf(workflowErrors);

/** Calls per look, 1,000 holds each; the next look takes the rest. */
const expiryCallsMax = 20;
/** Batches verified by one statement: with 1,000 transfers each about ten seconds. */
const batchesPerCall = 1_000n;
/** Calls per look, so that one ends within its timeout; where it has come to is kept, the next look goes on. */
const verifyCallsMax = 20;
const verifiedScope = 'ledger/verified-batches';

async function expireHolds({ ledger }: OperationsDeps): Promise<void> {
  for (let calls = 0; calls < expiryCallsMax; calls++) if ((await ledger.expireDue()) === 0) return;
}

async function addPartitions({ pool }: OperationsDeps): Promise<void> {
  if ((await ensurePartitions(pool)).state === 'busy')
    throw fail('LEDGER_PARTITIONS_BUSY', 'somebody reads or copies the whole journal');
}

/** One portion of the batches that were not looked at yet; whether more are left. */
async function verifyNewBatches(deps: OperationsDeps): Promise<{ problems: number; isMore: boolean }> {
  const { pool, ledger } = deps;
  // In this order: another look, that overtakes this one, must not make it find that batches are missing.
  const verified = BigInt(await positionOf(pool, verifiedScope, '0'));
  const newest = (await newestBatches(pool, 1n))?.to ?? 0n;
  if (verified === newest) return { problems: 0, isMore: false };
  const to = verified + batchesPerCall < newest ? verified + batchesPerCall : newest;
  const cut: LedgerProblem = {
    check: 'chain',
    place: `batch ${newest}`,
    problem: `batches after it are missing: batch ${verified} was there and verified`,
  };
  const { problems } =
    verified > newest ? { problems: [cut] } : await ledger.verify(pool, { from: verified + 1n, to });
  // Reported before it is left behind: the next look goes on from what there is.
  await reportLedger(deps, problems);
  await inTransaction(pool, async (tx) => {
    await keepProgress(tx, [{ scope: verifiedScope, position: to.toString() }]);
  });
  return { problems: problems.length, isMore: to < newest };
}

/** The cheap look: the totals, and the hash chain of what was written since the last one. */
export async function checkBooks(deps: OperationsDeps): Promise<{ readonly problems: number }> {
  const totals = await deps.ledger.verifyTotals();
  await reportLedger(deps, totals.problems);
  let problems = totals.problems.length;
  for (let calls = 0; calls < verifyCallsMax; calls++) {
    const portion = await verifyNewBatches(deps);
    problems += portion.problems;
    if (!portion.isMore) break;
  }
  return { problems };
}

/**
 * The deep look: everything that `ledger.verify` proves, from the whole journal, and every head that was ever kept. Who keeps
 * none or does not answer, the look at the newest heads tells.
 */
export async function verifyJournal(deps: OperationsDeps): Promise<{ readonly problems: number }> {
  const heads = await reportHeads(deps, 'all');
  const { problems } = await inTransaction(deps.pool, async (tx) => {
    // Of a worker that was killed the statement would go on for hours, and the next worker begins another one.
    await tx.query("SET LOCAL client_connection_check_interval = '10s'");
    return await deps.ledger.verify(tx);
  });
  await reportLedger(deps, problems);
  return { problems: problems.length + (heads === 'not-configured' ? 0 : heads.problems.length) };
}

const chores: Readonly<Record<LedgerChore, (deps: OperationsDeps) => Promise<unknown>>> = {
  'expire-holds': expireHolds,
  'add-partitions': addPartitions,
  'check-books': checkBooks,
  'verify-journal': verifyJournal,
  'export-head': exportLedgerHead,
  'verify-heads': checkLedgerHeads,
};

export async function keepLedger(deps: OperationsDeps, chore: LedgerChore): Promise<void> {
  await chores[chore](deps);
}
