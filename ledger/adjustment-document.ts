/** What an adjustment consists of, and the form in which it travels and is hashed: decimal strings, no bigint. */
import { type Id, parseId } from '#core/ids';
import { type Amount, amount, assetId, parseUnits } from '#core/money';
import { type AccountPath, accountPath } from './accounts.ts';

export interface AdjustmentLeg {
  readonly debit: AccountPath;
  readonly credit: AccountPath;
  readonly amount: Amount;
}
/** What is proposed and approved; all of it is in its hash. */
export interface AdjustmentContent {
  /** A person of the roster. */
  readonly proposedBy: string;
  readonly reason: string;
  /** The transfer that was wrong, if it was one. */
  readonly corrects?: Id<'tr'>;
  readonly legs: readonly AdjustmentLeg[];
}

export interface AdjustmentDocument {
  /** A person of the roster. */
  readonly proposedBy: string;
  readonly reason: string;
  /** Id of the transfer that was wrong. */
  readonly corrects?: string | undefined;
  readonly legs: readonly Readonly<Record<'debit' | 'credit' | 'asset' | 'units', string>>[];
}

/** Control characters and those that turn the direction of text: with them a screen shows another text than is signed. */
const unreadable = /[\p{Cc}\p{Bidi_Control}]/u;
/** Whether a person who reads the text on a screen or terminal reads what it is. */
export const isReadable = (text: string): boolean => !unreadable.test(text);

/** @throws LEDGER_ACCOUNT_PATH_INVALID, CORE_ID_INVALID, CORE_ASSET_INVALID, CORE_AMOUNT_INVALID */
export function parseAdjustment({
  proposedBy,
  reason,
  corrects,
  legs,
}: AdjustmentDocument): AdjustmentContent {
  return {
    proposedBy,
    reason,
    ...(corrects === undefined ? {} : { corrects: parseId('tr', corrects) }),
    legs: legs.map(({ debit, credit, asset, units }) => ({
      debit: accountPath(debit),
      credit: accountPath(credit),
      amount: amount(assetId(asset), parseUnits(units)),
    })),
  };
}

export function adjustmentDocument({
  proposedBy,
  reason,
  corrects,
  legs,
}: AdjustmentContent): AdjustmentDocument {
  return {
    proposedBy,
    reason,
    ...(corrects === undefined ? {} : { corrects }),
    legs: legs.map(({ debit, credit, amount: { asset, units } }) => ({
      debit,
      credit,
      asset,
      units: units.toString(),
    })),
  };
}
