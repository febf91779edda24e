/** Value from outside at a hot address: booked to suspense when final, until somebody declares what it is. */
import type { BlockRef, ChainTransfer } from '#chains/contract';
import { errorsOf } from '#core/errors';
import { derivedId, type Id } from '#core/ids';
import { openCase, setHalt } from '#infra/cases';
import { inTransaction } from '#infra/db';
import { declareFloat, hotInflow } from '#ledger/contract';
import { pageRowsMax, workflowErrors } from '../contract.ts';
import type { OperationsDeps } from './context.ts';
import { haltScopes } from './halts.ts';
import type { OwnAddress } from './ports.ts';
import { amountOf, count } from './rows.ts';
import type { StepWork } from './step-work.ts';

const fail = errorsOf(workflowErrors);

interface InflowRow {
  readonly chain: string;
  readonly txid: string;
  readonly index: number;
  readonly wallet_id: Id<'wal'>;
  readonly asset: string;
  readonly sender: string;
  readonly units: string;
  readonly state: 'SEEN' | 'FINAL' | 'ORPHANED' | 'ORPHANED_AFTER_FINAL';
  readonly block_height: string;
  readonly block_at_ms: string;
  readonly declared_at: Date | null;
}
const nameOf = (row: Pick<InflowRow, 'chain' | 'txid' | 'index'>): string =>
  `${row.chain}/${row.txid}/${row.index}`;

export async function seeInflow(
  work: StepWork,
  receiver: OwnAddress,
  transfer: ChainTransfer,
  block: BlockRef,
): Promise<void> {
  await work.tx.query(
    `INSERT INTO operations.inflow (chain, txid, index, wallet_id, asset, sender, units, state, block_height, block_hash,
       block_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'SEEN', $8, $9, $10)
     ON CONFLICT (chain, txid, index) DO UPDATE SET state = 'SEEN', block_height = $8, block_hash = $9, block_at_ms = $10
       WHERE inflow.state = 'ORPHANED'`,
    [
      work.chain,
      transfer.txId,
      transfer.index,
      receiver.walletId,
      transfer.asset,
      transfer.from,
      transfer.units.toString(),
      block.height,
      block.hash,
      block.timeMs,
    ],
  );
}

export async function finaliseInflows(work: StepWork, finalHeight: number): Promise<void> {
  const { rows } = await work.tx.query<InflowRow>(
    `UPDATE operations.inflow SET state = 'FINAL' WHERE chain = $1 AND state = 'SEEN' AND block_height <= $2 RETURNING *`,
    [work.chain, finalHeight],
  );
  for (const row of rows)
    work.commands.push(
      ...hotInflow({
        inflow: nameOf(row),
        walletId: row.wallet_id,
        amount: amountOf(row),
        at: count(row.block_at_ms),
      }),
    );
}

export async function orphanInflows(work: StepWork, blockHashes: readonly string[]): Promise<void> {
  const { rows } = await work.tx.query<InflowRow>(
    `UPDATE operations.inflow
        SET state = CASE state WHEN 'SEEN' THEN 'ORPHANED' ELSE 'ORPHANED_AFTER_FINAL' END
      WHERE chain = $1 AND block_hash = ANY($2) AND state IN ('SEEN', 'FINAL') RETURNING *`,
    [work.chain, blockHashes],
  );
  for (const row of rows.filter((each) => each.state === 'ORPHANED_AFTER_FINAL')) {
    await openCase(work.tx, {
      id: derivedId('case', `inflow-orphaned-after-final/${nameOf(row)}`),
      kind: 'inflow-orphaned-after-final',
      subject: nameOf(row),
      details: { units: row.units, wallet: row.wallet_id },
    });
    await setHalt(work.tx, {
      scope: haltScopes.chain(work.chain),
      reason: `the booked inflow ${nameOf(row)} left the chain after it was final`,
    });
  }
}

export interface InflowView {
  readonly chain: string;
  readonly txId: string;
  readonly index: number;
  readonly walletId: string;
  readonly asset: string;
  readonly units: string;
  readonly state: InflowRow['state'];
  readonly declared: boolean;
}

/** The newest `pageRowsMax`, newest first. */
export async function inflows(deps: OperationsDeps, walletId: string): Promise<readonly InflowView[]> {
  const { rows } = await deps.pool.query<InflowRow>(
    `SELECT * FROM operations.inflow WHERE wallet_id = $1 ORDER BY block_height DESC, txid, index LIMIT ${pageRowsMax}`,
    [walletId],
  );
  return rows.map((row) => ({
    chain: row.chain,
    txId: row.txid,
    index: row.index,
    walletId: row.wallet_id,
    asset: row.asset,
    units: row.units,
    state: row.state,
    declared: row.declared_at !== null,
  }));
}

/** Treasury says that a final inflow is the house's own money. Safe to repeat. @throws INFLOW_UNKNOWN */
export async function declareHouseFloat(
  deps: OperationsDeps,
  options: { readonly chain: string; readonly txId: string; readonly index: number },
): Promise<void> {
  await inTransaction(deps.pool, async (tx) => {
    const { rows } = await tx.query<InflowRow>(
      `UPDATE operations.inflow SET declared_at = coalesce(declared_at, now())
        WHERE chain = $1 AND txid = $2 AND index = $3 AND state = 'FINAL' RETURNING *`,
      [options.chain, options.txId.toLowerCase(), options.index],
    );
    const row = rows[0];
    if (row === undefined)
      throw fail('INFLOW_UNKNOWN', `no final inflow ${options.txId.slice(0, 80)} at a hot address`);
    await deps.ledger.applyOrThrow(
      declareFloat({ inflow: nameOf(row), walletId: row.wallet_id, amount: amountOf(row) }),
      tx,
    );
  });
}
