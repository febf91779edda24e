/** Deposits: seen, final, orphaned. Identity is (chain, transaction, index); each sighting is booked by itself. */
import type { BlockRef, ChainTransfer } from '#chains/contract';
import { derivedId, type Id } from '#core/ids';
import { amount, assetId } from '#core/money';
import { openCase, setHalt } from '#infra/cases';
import { enqueue } from '#infra/outbox';
import {
  chainHot,
  customerMain,
  type DepositLine,
  depositFinal,
  depositOrphanedAfterFinal,
  depositOrphanedBeforeFinal,
  depositSeen,
} from '#ledger/contract';
import { outboxTopics } from '../contract.ts';
import { haltScopes } from './halts.ts';
import type { OwnAddress } from './ports.ts';
import { amountOf, count, type DepositRow } from './rows.ts';
import { moveDeposit } from './state.ts';
import type { StepWork } from './step-work.ts';

const lineOf = (row: DepositRow): DepositLine => ({
  depositId: row.id,
  walletId: row.wallet_id,
  accountId: row.account_id,
  amount: amountOf(row),
  sighting: row.sighting,
  at: count(row.block_at_ms),
});

export async function seeDeposit(
  work: StepWork,
  receiver: OwnAddress & { readonly accountId: Id<'acc'> },
  transfer: ChainTransfer,
  block: BlockRef,
): Promise<void> {
  const { tx, chain } = work;
  const { rows } = await tx.query<DepositRow>(
    `INSERT INTO operations.deposit (id, chain, txid, index, wallet_id, account_id, asset, address, path, units, state,
       block_height, block_hash, block_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'SEEN', $11, $12, $13)
     ON CONFLICT (chain, txid, index) DO NOTHING RETURNING *`,
    [
      derivedId('dep', `${chain}/${transfer.txId}/${transfer.index}`),
      chain,
      transfer.txId,
      transfer.index,
      receiver.walletId,
      receiver.accountId,
      transfer.asset,
      transfer.to,
      receiver.path,
      transfer.units.toString(),
      block.height,
      block.hash,
      block.timeMs,
    ],
  );
  const inserted = rows[0];
  if (inserted !== undefined) {
    work.commands.push(...depositSeen(lineOf(inserted)));
    return;
  }
  const known = await tx.query<DepositRow>(
    'SELECT * FROM operations.deposit WHERE chain = $1 AND txid = $2 AND index = $3 FOR UPDATE',
    [chain, transfer.txId, transfer.index],
  );
  const row = known.rows[0];
  // A repeated step finds it SEEN in this block already.
  if (row?.state !== 'ORPHANED') return;
  work.commands.push(...depositSeen(lineOf(await moveDeposit(tx, row, 'SEEN', block))));
}

/** Credits what is now final: spendable from here on. */
export async function finaliseDeposits(work: StepWork, finalHeight: number): Promise<void> {
  const { rows } = await work.tx.query<DepositRow>(
    `SELECT * FROM operations.deposit WHERE chain = $1 AND state = 'SEEN' AND block_height <= $2
      ORDER BY block_height, id FOR UPDATE`,
    [work.chain, finalHeight],
  );
  for (const row of rows)
    work.commands.push(...depositFinal(lineOf(await moveDeposit(work.tx, row, 'FINAL'))));
  for (const walletId of new Set(rows.map((row) => row.wallet_id)))
    await enqueue(work.tx, {
      topic: outboxTopics.sweeper,
      key: walletId,
      payload: { chain: work.chain, walletId },
    });
}

export async function orphanDeposits(work: StepWork, blockHashes: readonly string[]): Promise<void> {
  const { rows } = await work.tx.query<DepositRow>(
    `SELECT * FROM operations.deposit WHERE chain = $1 AND block_hash = ANY($2) AND state IN ('SEEN', 'FINAL')
      ORDER BY block_height DESC, id FOR UPDATE`,
    [work.chain, blockHashes],
  );
  for (const row of rows)
    if (row.state === 'SEEN')
      work.commands.push(...depositOrphanedBeforeFinal(lineOf(await moveDeposit(work.tx, row, 'ORPHANED'))));
  await orphanFinal(
    work,
    rows.filter((row) => row.state === 'FINAL'),
  );
}

/** The money was credited and is gone: taken back as far as the customer still has it; the chain stands still. */
async function orphanFinal(work: StepWork, rows: readonly DepositRow[]): Promise<void> {
  const { tx, deps, chain } = work;
  const taken = new Map<string, bigint>();
  for (const row of rows) {
    await moveDeposit(tx, row, 'ORPHANED_AFTER_FINAL');
    const main = customerMain(row.account_id);
    const asset = assetId(row.asset);
    const key = `${main}/${asset}`;
    const [balance] = await deps.ledger.balances({ paths: [main], asset }, tx);
    const alreadyTaken = taken.get(key) ?? 0n;
    const left = (balance?.available ?? 0n) - alreadyTaken;
    const available = left > 0n ? left : 0n;
    const lost = amountOf(row);
    const takenBack = available < lost.units ? available : lost.units;
    taken.set(key, alreadyTaken + takenBack);
    const mirror = (await wasSwept(work, row)) ? { mirror: chainHot(row.wallet_id) } : {};
    work.commands.push(
      ...depositOrphanedAfterFinal({ ...lineOf(row), available: amount(asset, available), ...mirror }),
    );
    await openCase(tx, {
      id: derivedId('case', `deposit-orphaned-after-final/${row.id}`),
      kind: 'deposit-orphaned-after-final',
      subject: row.id,
      details: {
        chain,
        txId: row.txid,
        block: row.block_hash,
        units: row.units,
        takenBack: takenBack.toString(),
      },
    });
  }
  if (rows.length > 0)
    await setHalt(tx, {
      scope: haltScopes.chain(chain),
      reason: `${rows.length} credited deposits left the chain after they were final`,
    });
}

async function wasSwept(work: StepWork, row: DepositRow): Promise<boolean> {
  const { rowCount } = await work.tx.query(
    `SELECT 1 FROM operations.sweep s JOIN operations.outflow o ON o.intent_id = s.intent_id
      WHERE s.wallet_id = $1 AND s.path = $2 AND s.state = 'FINAL' AND o.block_height >= $3`,
    [row.wallet_id, row.path, row.block_height],
  );
  return (rowCount ?? 0) > 0;
}
