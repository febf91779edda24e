/** One intent as the books, the signatures and the outflows tell of it, read in one snapshot. */
import { type Attempt, attemptsOf, isCancel, outgoingOf, readSignedTransaction } from '#chains';
import { hashJson } from '#core/canonical-json';
import { isStrongroomError } from '#core/errors';
import { parseUnits } from '#core/money';
import type { Tx } from '#infra/db';
import {
  type PaymentRecord,
  type SignedAttempt,
  type StrayOutflow,
  type Transfer,
  transferIdOf,
} from '#ledger/contract';
import { intentSchema } from '#policies/contract';
import type { OperationsDeps } from '../context.ts';

/** Without an intent there should be none at all; more than this show the same thing. */
export const straysMax = 500;

interface PaymentRow {
  readonly payment_id: string;
  readonly intent_id: string;
  readonly wallet_id: string;
  readonly asset: string;
  /** The step of its hold in the journal. */
  readonly step: 'hold' | 'start';
}
interface IntentRow {
  readonly id: string;
  readonly canonical: string;
  readonly hash: string;
}
interface OutflowRow {
  readonly intent_id: string;
  readonly txid: string;
  readonly succeeded: boolean;
  readonly state: 'SEEN' | 'FINAL';
  readonly fee_units: string;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Just what is compared; a stored text that is no intent any more, or not the one that was hashed, is none. */
function intendedBy(row: IntentRow | undefined): PaymentRecord['intended'] {
  const { data: intent } = intentSchema.safeParse(row === undefined ? undefined : parsed(row.canonical));
  const [output, ...others] = intent?.outputs ?? [];
  if (intent === undefined || output === undefined || others.length > 0) return null;
  if (hashJson(intent) !== row?.hash) return null;
  return {
    recipient: output.address,
    units: parseUnits(output.units),
    feeCapUnits: parseUnits(intent.feeCap.units),
  };
}

function holdIn(transfers: readonly Transfer[], paymentId: string, step: string): PaymentRecord['hold'] {
  const hold = transfers.find(({ id }) => id === transferIdOf(paymentId, step));
  if (hold === undefined) return null;
  const end = transfers.find(({ pendingId }) => pendingId === hold.id);
  const state = end === undefined ? 'pending' : end.kind === 'post-pending' ? 'posted' : 'voided';
  return {
    units: hold.amount.units,
    state,
    postedUnits: state === 'posted' && end !== undefined ? end.amount.units : 0n,
  };
}

const feesPosted = (transfers: readonly Transfer[]): bigint =>
  transfers
    .filter(({ code, kind }) => code === 'network-fee' && kind === 'post-pending')
    .reduce((sum, { amount }) => sum + amount.units, 0n);

/** What the signed bytes do, whatever the columns beside them say that they were built for. */
function signedBytes({ id, unsigned, signed }: Attempt): SignedAttempt[] {
  if (signed === undefined) return [];
  try {
    const content = readSignedTransaction(signed.raw);
    const { txId, to, units, maxCostUnits: maxFeeUnits, sender, chain, nonce, plain } = content;
    const isOurs =
      plain && sender === unsigned.sender && chain === unsigned.chain && nonce === unsigned.nonce;
    const recipient = isOurs ? to : `${to} (no plain payment of this sender, chain and nonce)`;
    const cancels = isOurs && isCancel({ ...unsigned, to, units });
    return [{ id, txId, recipient, units, maxFeeUnits, isCancel: cancels }];
  } catch (error) {
    if (!isStrongroomError(error)) throw error;
    const { txId } = signed;
    const unread = { recipient: 'bytes that nobody can read', units: unsigned.units, maxFeeUnits: 0n };
    return [{ id, txId, ...unread, isCancel: false }];
  }
}

export async function paymentRecords(
  deps: OperationsDeps,
  tx: Tx,
  intentIds: readonly string[],
  unknown: { readonly walletId: string; readonly asset: string },
): Promise<readonly PaymentRecord[]> {
  const payments = await tx.query<PaymentRow>(
    `SELECT id AS payment_id, intent_id, wallet_id, asset, 'hold' AS step FROM operations.withdrawal
      WHERE intent_id = ANY($1)
     UNION ALL SELECT id, intent_id, wallet_id, asset, 'start' FROM operations.sweep WHERE intent_id = ANY($1)`,
    [intentIds],
  );
  const intents = await tx.query<IntentRow>(
    'SELECT id, canonical, hash FROM operations.intent WHERE id = ANY($1)',
    [intentIds],
  );
  const outflows = await tx.query<OutflowRow>(
    `SELECT intent_id, txid, succeeded, state, fee_units FROM operations.outflow
      WHERE intent_id = ANY($1) AND state IN ('SEEN', 'FINAL') ORDER BY txid`,
    [intentIds],
  );
  const paymentOf = new Map(payments.rows.map((row) => [row.intent_id, row]));
  const intentOf = new Map(intents.rows.map((row) => [row.id, row]));
  const records: PaymentRecord[] = [];
  for (const intentId of intentIds) {
    const payment = paymentOf.get(intentId);
    const transfers =
      payment === undefined ? [] : await deps.ledger.transfersByReference(payment.payment_id, tx);
    records.push({
      intentId,
      walletId: payment?.wallet_id ?? unknown.walletId,
      asset: payment?.asset ?? unknown.asset,
      paymentId: payment?.payment_id ?? null,
      intended: intendedBy(intentOf.get(intentId)),
      hold: payment === undefined ? null : holdIn(transfers, payment.payment_id, payment.step),
      feePostedUnits: feesPosted(transfers),
      signed: (await attemptsOf(tx, intentId)).flatMap(signedBytes),
      isDead: (await outgoingOf(tx, intentId))?.state === 'dead',
      outflows: outflows.rows
        .filter((row) => row.intent_id === intentId)
        .map((row) => ({
          txId: row.txid,
          succeeded: row.succeeded,
          isFinal: row.state === 'FINAL',
          feeUnits: parseUnits(row.fee_units),
        })),
    });
  }
  return records;
}

export async function strayOutflows(tx: Tx, chain: string, asset: string): Promise<readonly StrayOutflow[]> {
  const { rows } = await tx.query<{ txid: string; wallet_id: string }>(
    `SELECT txid, wallet_id FROM operations.outflow
      WHERE chain = $1 AND intent_id IS NULL AND state IN ('SEEN', 'FINAL') ORDER BY txid LIMIT ${straysMax}`,
    [chain],
  );
  return rows.map((row) => ({ outflow: `${chain}/${row.txid}`, walletId: row.wallet_id, asset }));
}
