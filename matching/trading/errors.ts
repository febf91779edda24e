/** Error codes of trading, as the api answers them. */
import type { ErrorCatalogue } from '#core/errors';

export const tradingErrors = {
  TRADING_ORDER_REJECTED: {
    kind: 'conflict',
    why: 'The engine did not take the command; `reason` in the details says why. Nothing was changed.',
    whatToDo:
      'Correct the `fields` of the details as the message says, and send it again. All reasons stand in matching/SEMANTICS.md.',
  },
  TRADING_NUMBER_INVALID: {
    kind: 'invalid',
    why: 'A price, size or budget is not a positive decimal number in the form 1234.5678.',
    whatToDo: 'Send digits, at most one point, no sign, no exponent, and not more places than the asset has.',
  },
  TRADING_PRICE_OFF_TICK: {
    kind: 'invalid',
    why: 'The price is not a whole number of ticks of the market.',
    whatToDo: 'Round it to the `tickSize` of the market (GET /v1/markets).',
  },
  TRADING_SIZE_OFF_LOT: {
    kind: 'invalid',
    why: 'The size is not a whole number of lots of the market.',
    whatToDo: 'Round it down to the `lotSize` of the market (GET /v1/markets).',
  },
  TRADING_MARKET_UNKNOWN: {
    kind: 'not_found',
    why: 'There is no such market.',
    whatToDo: 'GET /v1/markets lists them.',
  },
  TRADING_ORDER_UNKNOWN: {
    kind: 'not_found',
    why: 'The account has no such open order: it was never placed, it has ended, or it is of another account.',
    whatToDo: 'Look at the fills of the account, or at its stream, for how it ended.',
  },
  TRADING_ORDER_NAME_INVALID: {
    kind: 'invalid',
    why: 'An order is named by its id or by its client order id, by exactly one of them.',
    whatToDo: 'Send `orderId`, or `clientOrderId` of 1 to 18446744073709551615.',
  },
  TRADING_BUSY: {
    kind: 'limited',
    retryable: true,
    why: 'The queue of the engine is full; the command was not taken.',
    whatToDo: 'Send it again after a short while.',
  },
  TRADING_SETTLEMENT_LAGS: {
    kind: 'limited',
    retryable: true,
    why: 'Trades are booked too slowly at the moment, so new orders are refused. Cancels are taken.',
    whatToDo: 'Send it again after some seconds.',
  },
  TRADING_UNAVAILABLE: {
    kind: 'unavailable',
    retryable: true,
    why: 'The api has no connection to the engine, or no picture of its state yet; the command was not sent.',
    whatToDo: 'Send it again after some seconds; the operator sees it in /health.',
  },
  TRADING_OUTCOME_UNKNOWN: {
    kind: 'unavailable',
    why: 'The connection to the engine was lost after the command was sent: it may have been taken or not.',
    whatToDo:
      'Look for the order by its client order id. Sent again with the same one it is refused if it was taken, while the engine remembers the id.',
  },
  TRADING_AMOUNT_TOO_LARGE: {
    kind: 'invalid',
    why: 'The amount of a transfer is more than the engine can hold of the asset.',
    whatToDo: 'Send at most the `max` of the details, in base units.',
  },
  TRADING_TRANSFER_CONFLICT: {
    kind: 'conflict',
    why: 'There is a transfer of this id with another account, asset, amount or direction.',
    whatToDo: 'Use a new id for a new transfer; the same id only to repeat the same one.',
  },
  TRADING_TRANSFER_UNKNOWN: {
    kind: 'not_found',
    why: 'There is no transfer between main and spot of this id.',
    whatToDo: 'Send it: with the same id it is safe to repeat.',
  },
} as const satisfies ErrorCatalogue;
