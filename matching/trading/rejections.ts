/** Why the engine did not take a command, in words for the one who sent it. */
import { errorsOf, type StrongroomError } from '#core/errors';
import type { RejectReason } from '../vocabulary.ts';
import { tradingErrors } from './errors.ts';

const fail = errorsOf(tradingErrors);

/** One short sentence each; `matching/SEMANTICS.md` says exactly when. */
export const rejectionTexts: Readonly<Record<RejectReason, string>> = {
  'unknown-account': 'The account is not open in the engine.',
  'unknown-asset': 'The asset is not traded here.',
  'unknown-market': 'There is no such market.',
  'unknown-order': 'The account has no such open order.',
  'unknown-tier': 'There is no such fee tier.',
  'account-exists': 'The account is open already.',
  capacity: 'The engine has no room for more at the moment.',
  'invalid-amount': 'The amount is not a whole number of units above zero.',
  'duplicate-transfer': 'This transfer was credited before.',
  overflow: 'All accounts together would have more of the asset than the engine can count.',
  'insufficient-balance': 'The available spot balance does not cover it.',
  'account-blocked': 'The account is blocked: it can cancel, but not place, amend or withdraw.',
  'invalid-order': 'The fields do not go together, or nothing would be changed.',
  'rate-limit': 'The account sent more orders in this second than it may.',
  'market-closed': 'The market takes no orders now: it is closed or halted.',
  'not-in-auction': 'During an auction the market takes limit orders that stay and stops, nothing else.',
  'duplicate-client-id': 'The client order id was used before by this account.',
  'invalid-lots': 'The size is outside what the market takes, or its shown part is.',
  'invalid-price': 'The price is outside what the market takes.',
  'outside-band': 'The price is outside the band that is in force now.',
  'invalid-trigger': 'The trigger price is outside what the market takes.',
  'would-trigger': 'The last price has reached the trigger already.',
  'value-limit': 'The order is worth more than the market takes at once.',
  'open-order-limit': 'The account has as many open orders as it may.',
  'no-liquidity': 'Nobody is on the other side of the market.',
  'not-fillable': 'It cannot be filled completely at once.',
  'would-cross': 'It would trade at once, and post-only forbids that.',
  'already-filled': 'At least that much is filled already.',
  'wrong-state': 'The market is in that state already.',
};

/** What it is in one case. */
export interface Explanation {
  /** A sentence, or several. */
  readonly why: string;
  /** Those of the request that are to be looked at. */
  readonly fields: readonly string[];
}
export interface RejectionDetails {
  readonly market?: string | undefined;
  readonly clientOrderId?: string | undefined;
  /** What it is in this case. */
  readonly explanation?: Explanation | undefined;
}

/** Their own words name several causes, of which an explanation says the one. */
const severalCauses: ReadonlySet<RejectReason> = new Set<RejectReason>(['invalid-order', 'invalid-lots']);
function textOf(reason: RejectReason, explanation: Explanation | undefined): string {
  if (explanation === undefined) return rejectionTexts[reason];
  return severalCauses.has(reason) ? explanation.why : `${rejectionTexts[reason]} ${explanation.why}`;
}

/** TRADING_ORDER_REJECTED with its reason in the details; TRADING_ORDER_UNKNOWN for an order that is not there. */
export function rejection(
  reason: RejectReason,
  { market, clientOrderId, explanation }: RejectionDetails = {},
): StrongroomError {
  return fail(
    reason === 'unknown-order' ? 'TRADING_ORDER_UNKNOWN' : 'TRADING_ORDER_REJECTED',
    textOf(reason, explanation),
    {
      reason,
      ...(explanation === undefined ? {} : { fields: explanation.fields }),
      ...(market === undefined ? {} : { market }),
      ...(clientOrderId === undefined ? {} : { clientOrderId }),
    },
  );
}
