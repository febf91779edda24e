/** What people do to the books by hand: adjustments, opening balances, closed accounts. */
import { hashJson, type Sha256 } from '#core/canonical-json';
import { invariant } from '#core/errors';
import type { Id } from '#core/ids';
import type { Amount, AssetId } from '#core/money';
import {
  type AccountPath,
  accountKind,
  accountRules,
  type houseEquity,
  type houseSuspense,
} from '../accounts.ts';
import { type AdjustmentContent, adjustmentDocument } from '../adjustment-document.ts';
import type { TransferCommand } from '../transfers.ts';
import { chained, post, type Timed, transferIdOf, when } from './legs.ts';

/** SHA-256 over the canonical JSON of the content: its name, and what the people sign. */
export function adjustmentHash(content: AdjustmentContent): Sha256 {
  return hashJson({ domain: 'strongroom/adjustment/v1', ...adjustmentDocument(content) });
}

/**
 * A correction that two people agreed to, all legs or none. The reference is the hash of its content with reason and
 * proposer, so the hash chain of the journal covers them; the ledger refuses a leg that was not approved.
 */
export function adjustment(content: AdjustmentContent): TransferCommand[] {
  const reference = adjustmentHash(content);
  return chained(
    content.legs.map((leg, index) =>
      post({ ...leg, reference, step: String(index + 1), code: 'adjustment' }),
    ),
  );
}

/** Where an opening balance comes from, as long as nothing better is known. */
export type OpeningSource = typeof houseEquity | typeof houseSuspense | `suspense:${Id<'wal'>}`;

/** A balance that was there before this ledger: booked against suspense or equity, on the side the account has. */
export function openingBalance(
  line: Timed & {
    /** Names the line of the import once and for all. */
    readonly reference: string;
    readonly account: AccountPath;
    readonly against: OpeningSource;
    readonly amount: Amount;
  },
): TransferCommand[] {
  const { reference, account, against, amount, at } = line;
  invariant(account !== against, 'an opening balance has another account as its source', { account });
  const isDebit = accountRules[accountKind(account)].side === 'debit';
  const [debit, credit] = isDebit ? [account, against] : [against, account];
  return [post({ reference, step: 'opening', debit, credit, amount, code: 'opening', at })];
}

interface AccountStatus extends Timed {
  /** Names the decision once and for all: closing again after a reopening is another one. */
  readonly reference: string;
  readonly account: AccountPath;
  readonly asset: AssetId;
}

function accountStatus(kind: 'close-account' | 'reopen-account', line: AccountStatus): TransferCommand[] {
  const { reference, account, asset, at } = line;
  const id = transferIdOf(reference, `${kind}/${account}/${asset}`);
  return [{ id, kind, account, asset, code: 'account-status', reference, ...when(at) }];
}

/** An empty account without holds takes part in no further transfer. */
export const accountClosed = (line: AccountStatus): TransferCommand[] => accountStatus('close-account', line);

/** A closed account is used again. */
export const accountReopened = (line: AccountStatus): TransferCommand[] =>
  accountStatus('reopen-account', line);
