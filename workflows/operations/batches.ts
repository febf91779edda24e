/** Claiming what is queued: at most once per row, at most what the hot address can pay, one open batch per wallet. */
import { errorsOf } from '#core/errors';
import type { Id } from '#core/ids';
import { type AssetId, amount, assetId, parseUnits } from '#core/money';
import { inTransaction, type Queryable, type Tx } from '#infra/db';
import { chainHot, networkFeeReserve, type TransferCommand } from '#ledger/contract';
import { batchRowsMax, workflowErrors } from '../contract.ts';
import { type OperationsDeps, type WalletSettings, walletById } from './context.ts';
import { haltCovering } from './halts.ts';
import { lapseOf } from './judgement.ts';
import { endUnpaidUnbooked, returnToPeople, wakeBatcher } from './release.ts';
import { isCancelling, type WithdrawalRow } from './rows.ts';
import { moveWithdrawal, noteWithdrawal } from './state.ts';

const fail = errorsOf(workflowErrors);

export interface ClaimedBatch {
  /** Null when there was nothing to claim. The id of another batch when that one is still open. */
  readonly batchId: Id<'bat'> | null;
  readonly withdrawalIds: readonly string[];
}
const nothing: ClaimedBatch = { batchId: null, withdrawalIds: [] };

async function rowsOf(db: Queryable, batchId: string): Promise<readonly string[]> {
  const { rows } = await db.query<{ withdrawal_id: string }>(
    'SELECT withdrawal_id FROM operations.batch_row WHERE batch_id = $1 ORDER BY position',
    [batchId],
  );
  return rows.map((row) => row.withdrawal_id);
}

/** The batch of this id from an earlier try, or the one that is still open. */
async function existingBatch(
  tx: Tx,
  batchId: Id<'bat'>,
  wallet: WalletSettings,
): Promise<ClaimedBatch | undefined> {
  const { rows } = await tx.query<{ id: Id<'bat'> }>(
    `SELECT id FROM operations.batch WHERE id = $1 OR (chain = $2 AND wallet_id = $3 AND state = 'OPEN')
      ORDER BY (id = $1) DESC LIMIT 1`,
    [batchId, wallet.chain, wallet.id],
  );
  const found = rows[0];
  return found === undefined ? undefined : { batchId: found.id, withdrawalIds: await rowsOf(tx, found.id) };
}

/**
 * A nonce that something was built for and that waits for people blocks all later ones of its address, so nothing more is
 * claimed until it is used: the row is paid, or it ends and a cancel uses the nonce up. Where the co-signers refuse the
 * cancel too, the wallet waits for a person (docs/decisions/0014, "What stays open").
 */
async function isBlocked(tx: Tx, wallet: WalletSettings): Promise<boolean> {
  const { rowCount } = await tx.query(
    `SELECT 1 FROM operations.withdrawal WHERE wallet_id = $1 AND nonce IS NOT NULL
        AND state IN ('PENDING_APPROVAL', 'APPROVED') LIMIT 1`,
    [wallet.id],
  );
  return (rowCount ?? 0) > 0;
}

/** What the hot address can still pay, per asset: its mirror less everything under way at its worst. */
async function payable(deps: OperationsDeps, tx: Tx, wallet: WalletSettings): Promise<Map<AssetId, bigint>> {
  const { assets, nativeAsset } = deps.chains.adapter(wallet.chain);
  const mirrors = await deps.ledger.balances({ paths: [chainHot(wallet.id)] }, tx);
  const left = new Map(
    assets.map((asset) => [asset, mirrors.find((mirror) => mirror.asset === asset)?.balance ?? 0n]),
  );
  const { rows } = await tx.query<{ asset: string; units: string; fees: string }>(
    `SELECT asset, sum(units)::text AS units, sum(fee_cap_units)::text AS fees FROM operations.withdrawal
      WHERE wallet_id = $1 AND state IN ('SIGNING', 'BROADCAST', 'CONFIRMED') GROUP BY asset`,
    [wallet.id],
  );
  for (const row of rows) {
    const asset = assetId(row.asset);
    left.set(asset, (left.get(asset) ?? 0n) - parseUnits(row.units));
    left.set(nativeAsset, (left.get(nativeAsset) ?? 0n) - parseUnits(row.fees));
  }
  return left;
}

/** Takes the row's amount and fee cap out of `left`; false, and nothing taken, when it does not fit. */
function take(left: Map<AssetId, bigint>, row: WithdrawalRow, nativeAsset: AssetId): boolean {
  const asset = assetId(row.asset);
  const needed = new Map([[asset, parseUnits(row.units)]]);
  needed.set(nativeAsset, (needed.get(nativeAsset) ?? 0n) + parseUnits(row.fee_cap_units));
  for (const [each, units] of needed) if ((left.get(each) ?? 0n) < units) return false;
  for (const [each, units] of needed) left.set(each, (left.get(each) ?? 0n) - units);
  return true;
}

/** Still good to pay now? Expired ones end here, those that lack approvals by now go back to the people. */
async function stillGood(
  deps: OperationsDeps,
  tx: Tx,
  row: WithdrawalRow,
  commands: TransferCommand[],
): Promise<boolean> {
  const lapse = await lapseOf(deps, tx, row);
  if (lapse === undefined) return true;
  const event = { event: lapse, atMs: deps.clock.nowMs() };
  // With a nonce its own process ends it, by way of a cancel.
  if (lapse === 'expired' && row.nonce === null)
    commands.push(...(await endUnpaidUnbooked(tx, row, 'EXPIRED', event)).commands);
  else commands.push(...(await returnToPeople(tx, row, event)));
  return false;
}

async function pick(
  deps: OperationsDeps,
  tx: Tx,
  wallet: WalletSettings,
  commands: TransferCommand[],
): Promise<WithdrawalRow[]> {
  const { nativeAsset } = deps.chains.adapter(wallet.chain);
  const { rows } = await tx.query<WithdrawalRow>(
    `SELECT * FROM operations.withdrawal WHERE chain = $1 AND wallet_id = $2 AND state = 'QUEUED'
      ORDER BY (nonce IS NULL), queued_at, id LIMIT $3 FOR UPDATE SKIP LOCKED`,
    // More than a batch holds, so that a few large ones that cannot be paid now do not hide the small ones behind them.
    [wallet.chain, wallet.id, batchRowsMax * 5],
  );
  const left = await payable(deps, tx, wallet);
  const picked: WithdrawalRow[] = [];
  for (const row of rows) {
    if (picked.length === batchRowsMax) break;
    const isTaken = (await stillGood(deps, tx, row, commands)) && take(left, row, nativeAsset);
    if (isTaken) picked.push(row);
    // None above a nonce that waits.
    else if (row.nonce !== null) break;
  }
  return picked;
}

/** Rows that have ended and whose nonce is to be used up; they go first, because everything waits for them. */
async function cancelsOf(tx: Tx, wallet: WalletSettings): Promise<WithdrawalRow[]> {
  const { rows } = await tx.query<WithdrawalRow>(
    `SELECT * FROM operations.withdrawal
      WHERE chain = $1 AND wallet_id = $2 AND state = 'PENDING_APPROVAL' AND ending IS NOT NULL
      ORDER BY nonce LIMIT $3 FOR UPDATE`,
    [wallet.chain, wallet.id, batchRowsMax],
  );
  return rows;
}

/** Inserts the batch and moves its rows to SIGNING, cancels aside; returns the reservations of their fees. */
async function openBatch(
  tx: Tx,
  deps: OperationsDeps,
  wallet: WalletSettings,
  batch: { readonly batchId: Id<'bat'>; readonly rows: readonly WithdrawalRow[] },
): Promise<TransferCommand[]> {
  const { nativeAsset } = deps.chains.adapter(wallet.chain);
  const { batchId } = batch;
  await tx.query("INSERT INTO operations.batch (id, chain, wallet_id, state) VALUES ($1, $2, $3, 'OPEN')", [
    batchId,
    wallet.chain,
    wallet.id,
  ]);
  const commands: TransferCommand[] = [];
  const atMs = deps.clock.nowMs();
  for (const [position, row] of batch.rows.entries()) {
    await tx.query(
      'INSERT INTO operations.batch_row (batch_id, position, withdrawal_id) VALUES ($1, $2, $3)',
      [batchId, position, row.id],
    );
    const details = { batch: batchId };
    const columns = { batch_id: batchId, fee_reserved: true };
    if (isCancelling(row)) await noteWithdrawal(tx, row, { event: 'cancel-claimed', atMs, details }, columns);
    else await moveWithdrawal(tx, row, 'SIGNING', { event: 'claimed', atMs, details }, columns);
    const cap = amount(nativeAsset, parseUnits(row.fee_cap_units));
    if (!row.fee_reserved)
      commands.push(
        ...networkFeeReserve({
          feeOwner: row.id,
          round: row.fee_round,
          payer: chainHot(wallet.id),
          cap,
          at: atMs,
        }),
      );
  }
  return commands;
}

/**
 * Claims up to `batchRowsMax` rows for the batch: cancels that are due, else queued ones, reserving each row's network
 * fee at its cap. The same batch id
 * again gives the same rows.
 */
export async function claimBatch(
  deps: OperationsDeps,
  options: { readonly batchId: Id<'bat'>; readonly walletId: string },
): Promise<ClaimedBatch> {
  const wallet = walletById(deps, options.walletId);
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('operations.wallet/' || $1, 0))", [
      wallet.id,
    ]);
    const existing = await existingBatch(tx, options.batchId, wallet);
    if (existing !== undefined) return existing;
    if ((await haltCovering(tx, wallet)) !== undefined) return nothing;
    const commands: TransferCommand[] = [];
    let picked = await cancelsOf(tx, wallet);
    if (picked.length === 0) {
      if (await isBlocked(tx, wallet)) return nothing;
      picked = await pick(deps, tx, wallet, commands);
    }
    if (picked.length > 0)
      commands.push(...(await openBatch(tx, deps, wallet, { batchId: options.batchId, rows: picked })));
    if (commands.length > 0) await deps.ledger.applyOrThrow(commands, tx);
    return picked.length === 0
      ? nothing
      : { batchId: options.batchId, withdrawalIds: picked.map((row) => row.id) };
  });
}

/** Closes the batch once none of its rows is under way; returns whether it is closed. @throws BATCH_UNKNOWN */
export async function closeBatch(deps: OperationsDeps, batchId: string): Promise<boolean> {
  return await inTransaction(deps.pool, async (tx) => {
    const { rows } = await tx.query<{ wallet_id: string; chain: string; state: string }>(
      'SELECT wallet_id, chain, state FROM operations.batch WHERE id = $1 FOR UPDATE',
      [batchId],
    );
    const batch = rows[0];
    if (batch === undefined) throw fail('BATCH_UNKNOWN', `there is no batch ${batchId.slice(0, 80)}`);
    if (batch.state === 'CLOSED') return true;
    const { rowCount } = await tx.query(
      `SELECT 1 FROM operations.withdrawal WHERE batch_id = $1
          AND (state IN ('SIGNING', 'BROADCAST', 'CONFIRMED') OR (state = 'PENDING_APPROVAL' AND ending IS NOT NULL))
        LIMIT 1`,
      [batchId],
    );
    if ((rowCount ?? 0) > 0) return false;
    await tx.query("UPDATE operations.batch SET state = 'CLOSED', closed_at = now() WHERE id = $1", [
      batchId,
    ]);
    await wakeBatcher(tx, batch);
    return true;
  });
}
