/** What is compared: the usual way, one function per transfer, and the ledger in batches and by group commit. */
import { uuidOf } from '#core/ids';
import type { Pool } from '#infra/db';
import { createLedger } from '#ledger';
import type { AccountPath, TransferResult } from '#ledger/contract';
import { createAccountIds } from '../../ledger/account-ids.ts';
import { applyBatch } from '../../ledger/batch-call.ts';
import { freshId, measure, pair, randomMove, type Samples, type Workload } from './database.ts';

const naiveConnections = 8;
/** One command takes a round trip each, so few connections would measure latency; a large batch keeps the server busy. */
const connectionsOfBatch = new Map([
  [1, 8],
  [10, 8],
  [100, 2],
  [1000, 2],
]);
/** Callers that each wait for their one transfer before they send the next. */
export const waitingCallers = 4_000;

export interface Subject {
  readonly name: string;
  readonly workload: Workload;
  readonly detail: string;
  readonly run: (forMs: number) => Promise<Samples>;
}

/** Six round trips: begin, lock in order, two updates, insert, commit. */
async function naiveTransfer(pool: Pool, accounts: number, workload: Workload): Promise<void> {
  const [debit, credit] = pair(accounts, workload);
  const id = freshId();
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query({
      name: 'naive-lock',
      text: 'SELECT id, balance FROM naive.account WHERE id IN ($1, $2) ORDER BY id FOR UPDATE',
      values: [debit, credit],
    });
    await client.query({
      name: 'naive-debit',
      text: 'UPDATE naive.account SET balance = balance - 1 WHERE id = $1',
      values: [debit],
    });
    await client.query({
      name: 'naive-credit',
      text: 'UPDATE naive.account SET balance = balance + 1 WHERE id = $1',
      values: [credit],
    });
    await client.query({
      name: 'naive-insert',
      text: 'INSERT INTO naive.transfer (id, debit, credit, amount, reference) VALUES ($1, $2, $3, 1, $4)',
      values: [uuidOf(id), debit, credit, id],
    });
    await client.query('COMMIT');
  } finally {
    client.release();
  }
}

async function functionTransfer(pool: Pool, accounts: number, workload: Workload): Promise<void> {
  const [debit, credit] = pair(accounts, workload);
  const id = freshId();
  await pool.query({
    name: 'naive-function',
    text: 'SELECT naive.transfer_one($1, $2, $3, 1, $4)',
    values: [uuidOf(id), debit, credit, id],
  });
}

function assertOk(results: readonly TransferResult[]): void {
  const failed = results.find(({ status }) => status !== 'ok');
  if (failed !== undefined)
    throw new Error(`transfer ${failed.id} was ${failed.status} ${failed.account ?? ''}`);
}

/** `callers` at once, each with one transfer at a time, through one group-committing writer. */
export async function groupCommit(
  pool: Pool,
  paths: readonly AccountPath[],
  workload: Workload,
  callers: number,
  forMs: number,
): Promise<Samples> {
  const ledger = createLedger({ pool });
  return await measure(callers, forMs, 1, async () => {
    assertOk(await ledger.apply([randomMove(paths, workload)]));
  });
}

export function subjectsOf(pool: Pool, paths: readonly AccountPath[]): Subject[] {
  const accounts = paths.length - 1;
  const ids = createAccountIds();
  const batch = async (size: number, workload: Workload): Promise<void> => {
    const commands = Array.from({ length: size }, () => randomMove(paths, workload));
    assertOk(await applyBatch(pool, commands, ids));
  };
  return (['random', 'hot'] as const).flatMap((workload): Subject[] => [
    {
      name: 'naive',
      workload,
      detail: `1 per transaction, ${naiveConnections} connections`,
      run: (forMs) => measure(naiveConnections, forMs, 1, () => naiveTransfer(pool, accounts, workload)),
    },
    {
      name: 'function',
      workload,
      detail: `1 per call, ${naiveConnections} connections`,
      run: (forMs) => measure(naiveConnections, forMs, 1, () => functionTransfer(pool, accounts, workload)),
    },
    ...[...connectionsOfBatch].map(([size, connections]) => ({
      name: 'strongroom',
      workload,
      detail: `batch ${size}, ${connections} connections`,
      run: (forMs: number) => measure(connections, forMs, size, () => batch(size, workload)),
    })),
    {
      name: 'strongroom',
      workload,
      detail: `adaptive, ${waitingCallers} callers, 1 connection`,
      run: (forMs) => groupCommit(pool, paths, workload, waitingCallers, forMs),
    },
  ]);
}
