/** Sweeps: what lies finally at deposit addresses goes to the wallet's own hot address, which pays its own gas. */
import { invariant } from '#core/errors';
import { derivedId, type Id } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import { inTransaction, type Tx } from '#infra/db';
import { chainDeposit, networkFeeReserve, sweepStart, type TransferCommand } from '#ledger/contract';
import { evaluate } from '#policies';
import type { Intent } from '#policies/contract';
import { pageRowsMax } from '../contract.ts';
import { type OperationsDeps, settingsOf, type WalletSettings, walletById } from './context.ts';
import { haltCovering } from './halts.ts';
import { pinDocuments, policyInputFor, storeIntent } from './intents.ts';

/** Sweeps planned by one call; the next call takes the rest. */
const sweepsPlannedMax = 20;
/** Room for fee bumps over the quote of now. */
const feeHeadroom = 2n;

interface Candidate {
  readonly path: string;
  readonly address: string;
  readonly units: bigint;
  /** Sweeps this address has had; part of the next one's id. */
  readonly earlier: number;
}

/** Final deposits less what sweeps took and paid, per address without an open sweep. */
async function candidates(tx: Tx, wallet: WalletSettings, asset: string): Promise<readonly Candidate[]> {
  const { rows } = await tx.query<{ path: string; address: string; units: string; earlier: string }>(
    `WITH swept AS (
       SELECT path, count(*) AS earlier, bool_or(state IN ('SIGNING', 'BROADCAST', 'CONFIRMED')) AS open,
              sum(CASE WHEN state = 'FINAL' THEN units ELSE 0 END + coalesce(fee_units, 0)) AS units
         FROM operations.sweep WHERE wallet_id = $1 GROUP BY path)
     SELECT d.path, d.address, (sum(d.units) - coalesce(max(s.units), 0))::text AS units,
            coalesce(max(s.earlier), 0)::text AS earlier
       FROM operations.deposit d LEFT JOIN swept s ON s.path = d.path
      WHERE d.wallet_id = $1 AND d.asset = $2 AND d.state = 'FINAL' AND coalesce(s.open, false) = false
      GROUP BY d.path, d.address
     HAVING sum(d.units) > coalesce(max(s.units), 0)
      ORDER BY sum(d.units) - coalesce(max(s.units), 0) DESC`,
    [wallet.id, asset],
  );
  return rows.map((row) => ({
    path: row.path,
    address: row.address,
    units: parseUnits(row.units),
    earlier: Number.parseInt(row.earlier, 10),
  }));
}

function sweepIntent(
  deps: OperationsDeps,
  wallet: WalletSettings,
  options: {
    readonly sweepId: Id<'swp'>;
    readonly source: string;
    readonly to: string;
    readonly asset: string;
    readonly units: bigint;
    readonly feeCapUnits: bigint;
  },
): Intent {
  const signer = deps.sweepSigner;
  invariant(signer !== undefined, 'this process has no key to sign sweeps with');
  const createdAt = deps.clock.nowMs();
  return {
    version: 1,
    id: derivedId('int', options.sweepId),
    action: 'sweep',
    vault: wallet.vault,
    asset: options.asset,
    outputs: [{ address: options.to, units: options.units.toString() }],
    feeCap: {
      asset: deps.chains.adapter(wallet.chain).nativeAsset,
      units: options.feeCapUnits.toString(),
    },
    conflictScope: wallet.id,
    source: options.source,
    purpose: options.sweepId,
    initiator: signer.serviceId,
    createdAt,
    notAfter: createdAt + deps.intentLifetimeMs,
  };
}

async function startSweep(
  tx: Tx,
  deps: OperationsDeps,
  wallet: WalletSettings,
  candidate: Candidate,
  feeCapUnits: bigint,
): Promise<{ readonly id: Id<'swp'>; readonly commands: readonly TransferCommand[] } | undefined> {
  const { nativeAsset } = deps.chains.adapter(wallet.chain);
  const hot = await deps.custody.hotAddress(wallet.id);
  const sweepId = derivedId('swp', `${wallet.id}/${candidate.path}/${candidate.earlier}`);
  const units = candidate.units - feeCapUnits;
  const intent = sweepIntent(deps, wallet, {
    sweepId,
    source: candidate.path,
    to: hot.address,
    asset: nativeAsset,
    units,
    feeCapUnits,
  });
  const decision = evaluate(deps.policy, await policyInputFor(deps, intent));
  // Denied or in need of people: the co-signers would refuse it, so nothing is reserved.
  if (decision.outcome === 'deny' || Object.keys(decision.obligations.approvals).length > 0) return undefined;
  const signer = deps.sweepSigner;
  invariant(signer !== undefined, 'this process has no key to sign sweeps with');
  await pinDocuments(tx, deps);
  await storeIntent(tx, intent, signer);
  await tx.query(
    `INSERT INTO operations.sweep (id, chain, wallet_id, asset, address, path, units, fee_cap_units, state, intent_id,
       created_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'SIGNING', $9, $10)`,
    [
      sweepId,
      wallet.chain,
      wallet.id,
      nativeAsset,
      candidate.address,
      candidate.path,
      units.toString(),
      feeCapUnits.toString(),
      intent.id,
      intent.createdAt,
    ],
  );
  const asset = assetId(nativeAsset);
  return {
    id: sweepId,
    commands: [
      ...sweepStart({ sweepId, walletId: wallet.id, amount: amount(asset, units), at: intent.createdAt }),
      ...networkFeeReserve({
        feeOwner: sweepId,
        payer: chainDeposit(wallet.id),
        cap: amount(asset, feeCapUnits),
        at: intent.createdAt,
      }),
    ],
  };
}

/**
 * Opens a sweep for every deposit address that is worth it; returns all open sweeps of the wallet, so that a repeated call
 * finds those of a lost one.
 */
export async function planSweeps(
  deps: OperationsDeps,
  options: { readonly walletId: string },
): Promise<readonly string[]> {
  const wallet = walletById(deps, options.walletId);
  const settings = settingsOf(deps, wallet.chain);
  const adapter = deps.chains.adapter(wallet.chain);
  if ((await haltCovering(deps.pool, wallet)) !== undefined) return [];
  const quote = await adapter.quoteFee({ capUnits: settings.sweepFeeCapUnits });
  const doubled = quote.maxCostUnits * feeHeadroom;
  const feeCapUnits = doubled < settings.sweepFeeCapUnits ? doubled : settings.sweepFeeCapUnits;
  return await inTransaction(deps.pool, async (tx) => {
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('operations.sweeps/' || $1, 0))", [
      wallet.id,
    ]);
    const worth = (await candidates(tx, wallet, adapter.nativeAsset)).filter(
      (each) => each.units >= settings.sweepMinUnits + feeCapUnits,
    );
    const commands: TransferCommand[] = [];
    for (const candidate of worth.slice(0, sweepsPlannedMax)) {
      const started = await startSweep(tx, deps, wallet, candidate, feeCapUnits);
      if (started !== undefined) commands.push(...started.commands);
    }
    const { rows } = await tx.query<{ id: string }>(
      `SELECT id FROM operations.sweep WHERE wallet_id = $1 AND state IN ('SIGNING', 'BROADCAST', 'CONFIRMED')
        ORDER BY created_at_ms, id`,
      [wallet.id],
    );
    if (commands.length > 0) await deps.ledger.applyOrThrow(commands, tx);
    return rows.map((row) => row.id);
  });
}

export interface SweepView {
  readonly id: string;
  readonly address: string;
  readonly units: string;
  readonly state: string;
  readonly txId: string | null;
  readonly feeUnits: string | null;
}

/** The newest `pageRowsMax`, newest first. */
export async function sweeps(deps: OperationsDeps, walletId: string): Promise<readonly SweepView[]> {
  const { rows } = await deps.pool.query<{
    id: string;
    address: string;
    units: string;
    state: string;
    txid: string | null;
    fee_units: string | null;
  }>(
    `SELECT id, address, units, state, txid, fee_units FROM operations.sweep WHERE wallet_id = $1
      ORDER BY created_at_ms DESC, id DESC LIMIT ${pageRowsMax}`,
    [walletId],
  );
  return rows.map((row) => ({
    id: row.id,
    address: row.address,
    units: row.units,
    state: row.state,
    txId: row.txid,
    feeUnits: row.fee_units,
  }));
}
