/** What is refused before the database is asked, and which error a status is. */
import { errorsOf } from '#core/errors';
import {
  commandsPerBatchMax,
  ledgerErrors,
  referenceCharsMax,
  type TransferCommand,
  type TransferResult,
} from './contract.ts';

const fail = errorsOf(ledgerErrors);
const referencePattern = new RegExp(`^[!-~]{1,${referenceCharsMax}}$`);

/** @throws LEDGER_BATCH_INVALID */
export function assertCommands(commands: readonly TransferCommand[]): void {
  if (commands.length < 1 || commands.length > commandsPerBatchMax)
    throw fail(
      'LEDGER_BATCH_INVALID',
      `a batch has 1 to ${commandsPerBatchMax} commands, this one ${commands.length}`,
    );
  for (const { id, reference, at, ...rest } of commands) {
    if (!referencePattern.test(reference))
      throw fail(
        'LEDGER_BATCH_INVALID',
        `the reference of ${id} is not 1 to ${referenceCharsMax} printable ASCII characters`,
        { id },
      );
    // What reads JSON may bring anything here, and a comma in a number would be two numbers.
    if ('amount' in rest && typeof (rest.amount.units as unknown) !== 'bigint')
      throw fail('LEDGER_BATCH_INVALID', `the amount of ${id} is no whole number of base units`, { id });
    const timeoutMs = 'timeoutMs' in rest ? rest.timeoutMs : undefined;
    if (![at, timeoutMs].every((ms) => ms === undefined || Number.isSafeInteger(ms)))
      throw fail('LEDGER_BATCH_INVALID', `a time of ${id} is not a whole number of milliseconds`, { id });
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
