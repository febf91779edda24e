/** Orders and their names, from the words of the api to the fields of commands. Pure. Every number is checked to fit. */
import { errorsOf } from '#core/errors';
import type { PlaceFields } from '../commands.ts';
import type { OrderQuestion } from '../engine/index.ts';
import type { NewOrder, OrderName } from './contract.ts';
import { tradingErrors } from './errors.ts';
import { clashOf, usualTimeInForce } from './explanations.ts';
import { rejection } from './rejections.ts';
import type { MarketScale } from './scale.ts';

const fail = errorsOf(tradingErrors);
const clientOrderIdMax = 2n ** 64n - 1n;
/** Digits of 2^64 - 1; an order id has fewer. */
const idPattern = /^[1-9][0-9]{0,19}$/;

const nameInvalid = (message: string) => fail('TRADING_ORDER_NAME_INVALID', message);

/** @throws TRADING_ORDER_NAME_INVALID */
function parseClientOrderId(text: string): bigint {
  const id = idPattern.test(text) ? BigInt(text) : 0n;
  if (id === 0n || id > clientOrderIdMax)
    throw nameInvalid(`"${text.slice(0, 40)}" is not a client order id of 1 to ${clientOrderIdMax}`);
  return id;
}
/** Orders are numbered by commands, so there are fewer than 2^53. @throws TRADING_ORDER_NAME_INVALID */
export function parseOrderId(text: string): number {
  const id = idPattern.test(text) ? BigInt(text) : 0n;
  if (id === 0n || id > BigInt(Number.MAX_SAFE_INTEGER))
    throw nameInvalid(`"${text.slice(0, 40)}" is not an order id`);
  return Number.parseInt(text, 10);
}
/** @throws TRADING_ORDER_NAME_INVALID unless exactly one of the two names is there */
export function orderQuestion(
  { orderId, clientOrderId }: Omit<OrderName, 'accountId'>,
  account: number,
): OrderQuestion {
  if (orderId !== undefined && clientOrderId === undefined) return { account, id: parseOrderId(orderId) };
  if (orderId === undefined && clientOrderId !== undefined)
    return { account, clientOrderId: parseClientOrderId(clientOrderId) };
  throw nameInvalid('an order is named by its order id or by its client order id, by exactly one of them');
}

/** Display size and budget share a word of the command, so the engine cannot see one that does not belong there. */
function assertFormed(order: NewOrder): void {
  const { type, side, displaySize, budget, market, clientOrderId } = order;
  const mayHaveBudget = side === 'buy' && (type === 'market' || type === 'stop');
  if ((displaySize !== undefined && type !== 'limit') || (budget !== undefined && !mayHaveBudget))
    throw rejection('invalid-order', { market, clientOrderId, explanation: clashOf(order) });
}

/**
 * What the engine judges itself is left to it, so that it has one order of reasons.
 * @throws TRADING_NUMBER_INVALID, TRADING_PRICE_OFF_TICK, TRADING_SIZE_OFF_LOT, TRADING_ORDER_NAME_INVALID, TRADING_ORDER_REJECTED
 */
export function placeFields(order: NewOrder, scale: MarketScale): Omit<PlaceFields, 'account'> {
  const { side, type, timeInForce, postOnly, price, triggerPrice, size, displaySize, budget } = order;
  assertFormed(order);
  return {
    market: scale.no,
    side,
    type,
    timeInForce: timeInForce ?? usualTimeInForce(type),
    ...(postOnly === undefined ? {} : { postOnly }),
    ...(price === undefined ? {} : { price: scale.ticks(price) }),
    ...(triggerPrice === undefined ? {} : { triggerPrice: scale.ticks(triggerPrice, 'triggerPrice') }),
    ...(size === undefined ? {} : { lots: scale.lots(size) }),
    ...(displaySize === undefined ? {} : { displayLots: scale.lots(displaySize, 'displaySize') }),
    ...(budget === undefined ? {} : { budget: scale.quoteUnits(budget) }),
    ...(order.selfTrade === undefined ? {} : { selfTrade: order.selfTrade }),
    ...(order.clientOrderId === undefined ? {} : { clientOrderId: parseClientOrderId(order.clientOrderId) }),
  };
}
