/** What is refused before the database is asked, and which error a status is. */
import { errorsOf } from '#core/errors';
import type { Amount } from '#core/money';
import {
  commandsPerBatchMax,
  ledgerErrors,
  referenceCharsMax,
  type TransferCommand,
  type TransferResult,
  transferCodes,
  transferKinds,
} from './contract.ts';

const fail = errorsOf(ledgerErrors);
/** Of any version: what SQL made is posted, voided and expired from here too. */
const transferIdPattern = /^tr_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const referencePattern = new RegExp(`^[!-~]{1,${referenceCharsMax}}$`);
const kinds: ReadonlySet<unknown> = new Set(transferKinds);
const codes: ReadonlySet<unknown> = new Set(transferCodes);
const balancingSides: ReadonlySet<unknown> = new Set(['debit', 'credit', undefined]);
const isTime = (ms: unknown): boolean => ms === undefined || Number.isSafeInteger(ms);

/**
 * What comes from JSON may be anything, whatever its type says: a comma in a number would be two numbers, and what PostgreSQL
 * cannot read it refuses together with the rest of the batch.
 */
function defectOf(command: TransferCommand): string | undefined {
  const { id, kind, code, reference, linked, at } = command;
  if (![id, 'pendingId' in command ? command.pendingId : id].every((one) => transferIdPattern.test(one)))
    return 'an id is not tr_ followed by a UUID in lower case';
  if (!kinds.has(kind) || !codes.has(code)) return 'the kind or the code is none of the ledger';
  if (typeof reference !== 'string' || !referencePattern.test(reference))
    return `the reference is not 1 to ${referenceCharsMax} printable ASCII characters`;
  if (linked !== undefined && typeof linked !== 'boolean') return 'linked is neither true nor false';
  if ('balancing' in command && !balancingSides.has(command.balancing))
    return 'balancing is neither debit nor credit';
  if (!isTime(at) || !isTime('timeoutMs' in command ? command.timeoutMs : undefined))
    return 'a time is not a whole number of milliseconds';
  if (!('amount' in command)) return undefined;
  const { asset, units } = command.amount as Partial<Record<keyof Amount, unknown>>;
  return typeof asset === 'string' && typeof units === 'bigint'
    ? undefined
    : 'the amount is no whole number of base units of an asset';
}

/** @throws LEDGER_BATCH_INVALID */
export function assertCommands(commands: readonly TransferCommand[]): void {
  if (commands.length < 1 || commands.length > commandsPerBatchMax)
    throw fail(
      'LEDGER_BATCH_INVALID',
      `a batch has 1 to ${commandsPerBatchMax} commands, this one ${commands.length}`,
    );
  for (const [index, command] of commands.entries()) {
    const defect = defectOf(command);
    if (defect !== undefined)
      throw fail('LEDGER_BATCH_INVALID', `command ${index + 1}, ${command.id}: ${defect}`, {
        id: command.id,
      });
  }
}

/** The error of each status that applied nothing. */
export const errorOfStatus = {
  conflict: 'LEDGER_ID_CONFLICT',
  insufficient: 'LEDGER_INSUFFICIENT_FUNDS',
  'linked-failed': 'LEDGER_TRANSFER_INVALID',
  'unknown-account': 'LEDGER_UNKNOWN_ACCOUNT',
  'pending-not-found': 'LEDGER_PENDING_NOT_FOUND',
  'pending-resolved': 'LEDGER_PENDING_RESOLVED',
  'pending-expired': 'LEDGER_PENDING_EXPIRED',
  'pending-not-due': 'LEDGER_PENDING_NOT_DUE',
  'amount-exceeds-pending': 'LEDGER_AMOUNT_EXCEEDS_PENDING',
  overflow: 'LEDGER_OVERFLOW',
  closed: 'LEDGER_ACCOUNT_CLOSED',
  'not-closed': 'LEDGER_ACCOUNT_CLOSED',
  'not-empty': 'LEDGER_ACCOUNT_NOT_EMPTY',
  'not-approved': 'LEDGER_NOT_APPROVED',
  invalid: 'LEDGER_TRANSFER_INVALID',
} as const;

/**
 * Names the cause, not a `linked-failed` that merely follows from it.
 * @throws the error of the first status that is neither `ok` nor `exists`
 */
export function assertApplied(
  commands: readonly TransferCommand[],
  results: readonly TransferResult[],
): void {
  const failed = results.flatMap(({ id, status, account }, index) =>
    status === 'ok' || status === 'exists' ? [] : [{ id, status, account, command: commands[index] }],
  );
  const cause = failed.find(({ status }) => status !== 'linked-failed') ?? failed[0];
  if (cause === undefined) return;
  const { id, status, account, command } = cause;
  throw fail(
    errorOfStatus[status],
    `transfer ${id} (${command?.code ?? ''} of ${command?.reference ?? ''}) was not applied: ${status}${
      account === undefined ? '' : ` in ${account}`
    }`,
    {
      id,
      status,
      ...(account === undefined ? {} : { account }),
      ...(command === undefined ? {} : { code: command.code, reference: command.reference }),
    },
  );
}
