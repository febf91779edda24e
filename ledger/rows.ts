/** Between the rows of the `ledger` schema and the types of the contract. */
import type { Id } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import {
  type AccountBalance,
  type AccountRef,
  accountKind,
  accountPath,
  accountRules,
  type Transfer,
  type TransferCode,
  type TransferKind,
} from './contract.ts';

/** PostgreSQL's bigint. */
export const bigintMax = 2n ** 63n - 1n;

/** numeric(78,0) arrives as text; only sums over signed sides are negative. */
export function parseSigned(text: string): bigint {
  return text.startsWith('-') ? -parseUnits(text.slice(1)) : parseUnits(text);
}

export interface BalanceRow {
  readonly path: string;
  readonly asset: string;
  readonly debits_pending: string;
  readonly debits_posted: string;
  readonly credits_pending: string;
  readonly credits_posted: string;
  readonly closed: boolean;
}

export function balanceOf(row: BalanceRow): AccountBalance {
  return balanceFrom(
    { path: accountPath(row.path), asset: assetId(row.asset) },
    {
      debitsPending: parseUnits(row.debits_pending),
      debitsPosted: parseUnits(row.debits_posted),
      creditsPending: parseUnits(row.credits_pending),
      creditsPosted: parseUnits(row.credits_posted),
      closed: row.closed,
    },
  );
}

/** What the four sums of an account amount to. */
export function balanceFrom(
  { path, asset }: AccountRef,
  sums: Pick<
    AccountBalance,
    'debitsPending' | 'debitsPosted' | 'creditsPending' | 'creditsPosted' | 'closed'
  >,
): AccountBalance {
  const { debitsPending, debitsPosted, creditsPending, creditsPosted, closed } = sums;
  const isCredit = accountRules[accountKind(path)].side === 'credit';
  const balance = isCredit ? creditsPosted - debitsPosted : debitsPosted - creditsPosted;
  return {
    path,
    asset,
    debitsPending,
    debitsPosted,
    creditsPending,
    creditsPosted,
    closed,
    balance,
    available: balance - (isCredit ? debitsPending : creditsPending),
  };
}

export interface TransferRow {
  readonly seq: string;
  readonly id: string;
  readonly kind: TransferKind;
  readonly debit: string;
  readonly credit: string;
  readonly asset: string;
  readonly amount: string;
  readonly pending_id: string | null;
  readonly code: TransferCode;
  readonly reference: string;
  readonly at_ms: string | null;
  readonly timeout_ms: string | null;
  readonly balancing: 'debit' | 'credit' | null;
  readonly amount_max: string | null;
  readonly batch: string;
  readonly recorded_ms: string;
}

/** Of any version: the ledger takes every UUID, and what it took can be read. */
const transferId = (uuid: string): Id<'tr'> => `tr_${uuid}`;
const milliseconds = (text: string): number => Number.parseInt(text, 10);

export function transferOf(row: TransferRow): Transfer {
  return {
    seq: BigInt(row.seq),
    id: transferId(row.id),
    kind: row.kind,
    debit: accountPath(row.debit),
    credit: accountPath(row.credit),
    amount: amount(assetId(row.asset), parseUnits(row.amount)),
    ...(row.pending_id === null ? {} : { pendingId: transferId(row.pending_id) }),
    code: row.code,
    reference: row.reference,
    ...(row.at_ms === null ? {} : { at: milliseconds(row.at_ms) }),
    ...(row.timeout_ms === null ? {} : { timeoutMs: milliseconds(row.timeout_ms) }),
    ...(row.balancing === null || row.amount_max === null
      ? {}
      : { balancing: { side: row.balancing, maxUnits: parseUnits(row.amount_max) } }),
    batch: BigInt(row.batch),
    recordedMs: milliseconds(row.recorded_ms),
  };
}
