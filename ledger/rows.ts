/** Between the rows of the `ledger` schema and the types of the contract. */
import { isId, uuidOf } from '#core/ids';
import { amount, assetId, parseUnits } from '#core/money';
import {
  type AccountBalance,
  type AccountPath,
  accountKind,
  accountRules,
  type Transfer,
  type TransferCode,
  type TransferCommand,
  type TransferKind,
} from './contract.ts';

/** numeric(78,0) arrives as text; only sums over signed sides are negative. */
export function parseSigned(text: string): bigint {
  return text.startsWith('-') ? -parseUnits(text.slice(1)) : parseUnits(text);
}

export function accountPath(text: string): AccountPath {
  accountKind(text);
  return text as AccountPath;
}

const isUuidOfTransfer = (uuid: string): boolean => isId('tr', `tr_${uuid}`);

/** The parameters of `ledger.apply_batch`, one array per column. */
export function batchColumns(commands: readonly TransferCommand[]): unknown[] {
  const moves = commands.map((c) => (c.kind === 'post' || c.kind === 'pending' ? c : undefined));
  const amounts = commands.map((c) => (c.kind === 'void-pending' ? undefined : c.amount));
  return [
    commands.map((c) => uuidOf(c.id)),
    commands.map((c) => c.kind),
    moves.map((c) => c?.debit ?? null),
    moves.map((c) => c?.credit ?? null),
    amounts.map((a) => a?.asset ?? null),
    amounts.map((a) => a?.units.toString() ?? null),
    commands.map((c) => ('pendingId' in c ? uuidOf(c.pendingId) : null)),
    commands.map((c) => c.linked ?? false),
    commands.map((c) => c.code),
    commands.map((c) => c.reference),
    commands.map((c) => c.at ?? null),
  ];
}

export interface BalanceRow {
  readonly path: string;
  readonly asset: string;
  readonly debits_pending: string;
  readonly debits_posted: string;
  readonly credits_pending: string;
  readonly credits_posted: string;
}

export function balanceOf(row: BalanceRow): AccountBalance {
  const path = accountPath(row.path);
  const debitsPending = parseUnits(row.debits_pending);
  const debitsPosted = parseUnits(row.debits_posted);
  const creditsPending = parseUnits(row.credits_pending);
  const creditsPosted = parseUnits(row.credits_posted);
  const isCredit = accountRules[accountKind(path)].side === 'credit';
  const balance = isCredit ? creditsPosted - debitsPosted : debitsPosted - creditsPosted;
  return {
    path,
    asset: assetId(row.asset),
    debitsPending,
    debitsPosted,
    creditsPending,
    creditsPosted,
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
  readonly batch: string;
}

export function transferOf(row: TransferRow): Transfer {
  return {
    seq: BigInt(row.seq),
    id: `tr_${row.id}`,
    kind: row.kind,
    debit: accountPath(row.debit),
    credit: accountPath(row.credit),
    amount: amount(assetId(row.asset), parseUnits(row.amount)),
    ...(row.pending_id !== null && isUuidOfTransfer(row.pending_id)
      ? { pendingId: `tr_${row.pending_id}` as const }
      : {}),
    code: row.code,
    reference: row.reference,
    ...(row.at_ms === null ? {} : { at: Number.parseInt(row.at_ms, 10) }),
    batch: BigInt(row.batch),
  };
}
