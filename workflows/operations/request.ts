/** Asking for a withdrawal: hold, intent, row and outbox message in one transaction, or nothing at all. */
import { errorsOf, invariant, isStrongroomError, messageOf } from '#core/errors';
import { derivedId, type Id, parseId } from '#core/ids';
import { type Amount, type AssetId, amount, assetId, parseUnits } from '#core/money';
import { inTransaction, type Tx } from '#infra/db';
import { enqueue } from '#infra/outbox';
import { customerMain, ledgerErrors, withdrawalHold } from '#ledger/contract';
import type { Intent } from '#policies/contract';
import { outboxTopics, type WithdrawalView, workflowErrors } from '../contract.ts';
import { requireAccount } from './accounts.ts';
import { type OperationsDeps, settingsOf, type WalletSettings, walletFor } from './context.ts';
import { storeIntent } from './intents.ts';
import { readWithdrawal, type WithdrawalRow } from './rows.ts';
import { beginWithdrawal } from './state.ts';
import { withdrawalView } from './views.ts';

const fail = errorsOf(workflowErrors);
const failLedger = errorsOf(ledgerErrors);

export interface WithdrawalRequest {
  readonly id: string;
  readonly accountId: string;
  readonly asset: string;
  readonly address: string;
  readonly units: string;
}
interface CheckedRequest {
  readonly id: Id<'wd'>;
  readonly accountId: Id<'acc'>;
  readonly asset: AssetId;
  readonly address: string;
  readonly amount: Amount;
  readonly wallet: WalletSettings;
}

/** Everything that can be said without the balance. */
async function check(deps: OperationsDeps, request: WithdrawalRequest): Promise<CheckedRequest> {
  const id = parseId('wd', request.id);
  const accountId = await requireAccount(deps.pool, request.accountId);
  const asset = assetId(request.asset);
  const wallet = walletFor(deps, asset);
  const units = positiveUnits(request.units);
  const address = deps.chains.adapter(wallet.chain).parseAddress(request.address);
  const hot = await deps.custody.hotAddress(wallet.id);
  const own = await deps.custody.findAddresses(wallet.chain, [address]);
  if (address === hot.address || own.length > 0)
    throw fail('WITHDRAWAL_ADDRESS_OWN', `${address} is an address of ours`, { address });
  return { id, accountId, asset, address, amount: amount(asset, units), wallet };
}

function positiveUnits(text: string): bigint {
  let units: bigint;
  try {
    units = parseUnits(text);
  } catch (error) {
    throw fail('WITHDRAWAL_AMOUNT_INVALID', messageOf(error), {}, error);
  }
  if (units === 0n) throw fail('WITHDRAWAL_AMOUNT_INVALID', 'nothing was asked for: the amount is zero');
  return units;
}

function assertSameContent(row: WithdrawalRow, request: CheckedRequest): void {
  const same =
    row.account_id === request.accountId &&
    row.asset === request.asset &&
    row.address === request.address &&
    row.units === request.amount.units.toString();
  if (!same)
    throw fail('WITHDRAWAL_ID_REUSED', `${request.id} is the id of a withdrawal with other content`, {
      id: request.id,
    });
}

async function intentFor(deps: OperationsDeps, request: CheckedRequest): Promise<Intent> {
  const { wallet } = request;
  const signer = deps.withdrawalSigner;
  invariant(signer !== undefined, 'this process has no key to sign withdrawals with');
  const createdAt = deps.clock.nowMs();
  const hot = await deps.custody.hotAddress(wallet.id);
  return {
    version: 1,
    id: derivedId('int', request.id),
    action: 'withdraw',
    vault: wallet.vault,
    asset: request.asset,
    outputs: [{ address: request.address, units: request.amount.units.toString() }],
    feeCap: {
      asset: deps.chains.adapter(wallet.chain).nativeAsset,
      units: settingsOf(deps, wallet.chain).feeCapUnits.toString(),
    },
    conflictScope: wallet.id,
    source: hot.path,
    purpose: request.id,
    initiator: signer.serviceId,
    createdAt,
    notAfter: createdAt + deps.intentLifetimeMs,
  };
}

/** One request per id at a time: the second of two finds the row of the first, or starts afresh after its failure. */
async function lockId(tx: Tx, id: Id<'wd'>): Promise<WithdrawalRow | undefined> {
  await tx.query("SELECT pg_advisory_xact_lock(hashtextextended('operations.withdrawal/' || $1, 0))", [id]);
  const { rows } = await tx.query<WithdrawalRow>('SELECT * FROM operations.withdrawal WHERE id = $1', [id]);
  return rows[0];
}

async function open(tx: Tx, deps: OperationsDeps, request: CheckedRequest, intent: Intent): Promise<void> {
  const signer = deps.withdrawalSigner;
  invariant(signer !== undefined, 'this process has no key to sign withdrawals with');
  await storeIntent(tx, intent, signer);
  const { rows } = await tx.query<WithdrawalRow>(
    `INSERT INTO operations.withdrawal (id, account_id, chain, wallet_id, asset, address, units, fee_cap_units, state,
       intent_id, not_after_ms, created_at_ms)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'REQUESTED', $9, $10, $11) RETURNING *`,
    [
      request.id,
      request.accountId,
      request.wallet.chain,
      request.wallet.id,
      request.asset,
      request.address,
      request.amount.units.toString(),
      intent.feeCap.units,
      intent.id,
      intent.notAfter,
      intent.createdAt,
    ],
  );
  const row = rows[0];
  invariant(row !== undefined, 'an insert returned no row');
  await beginWithdrawal(tx, row, { event: 'requested', atMs: intent.createdAt });
  await enqueue(tx, { topic: outboxTopics.withdrawal, key: row.id, payload: {} });
  // Last, because the ledger's locks are the busiest.
  await deps.ledger.applyOrThrow(
    withdrawalHold({
      withdrawalId: row.id,
      accountId: row.account_id,
      walletId: row.wallet_id,
      amount: request.amount,
      at: intent.createdAt,
    }),
    tx,
  );
}

/** The ledger names its own account and transfer; whoever asked wants to know how much there is. */
async function explained(deps: OperationsDeps, request: CheckedRequest, error: unknown): Promise<unknown> {
  if (!isStrongroomError(error) || error.code !== 'LEDGER_INSUFFICIENT_FUNDS') return error;
  const { asset, units } = request.amount;
  const [main] = await deps.ledger.balances({ paths: [customerMain(request.accountId)], asset });
  const available = (main?.available ?? 0n).toString();
  return failLedger(
    'LEDGER_INSUFFICIENT_FUNDS',
    `${units.toString()} units of ${asset} were asked for, ${request.accountId} has ${available} available`,
    { asked: units.toString(), available, asset },
    error,
  );
}

/**
 * Same id and content again: the same withdrawal. A failed request leaves nothing and does not burn its id.
 * @throws CORE_ID_INVALID, CORE_ASSET_INVALID, CHAINS_ASSET_UNKNOWN, CHAINS_ADDRESS_INVALID, ACCOUNT_UNKNOWN,
 * WITHDRAWAL_AMOUNT_INVALID, WITHDRAWAL_ADDRESS_OWN, WITHDRAWAL_ID_REUSED, LEDGER_INSUFFICIENT_FUNDS
 */
export async function requestWithdrawal(
  deps: OperationsDeps,
  options: WithdrawalRequest,
): Promise<WithdrawalView> {
  const request = await check(deps, options);
  const intent = await intentFor(deps, request);
  await inTransaction(deps.pool, async (tx) => {
    const existing = await lockId(tx, request.id);
    if (existing === undefined) await open(tx, deps, request, intent);
    else assertSameContent(existing, request);
  }).catch(async (error: unknown) => {
    throw await explained(deps, request, error);
  });
  return await withdrawalView(deps, await readWithdrawal(deps.pool, request.id));
}
