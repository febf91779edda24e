/** Orders as trading takes them: for an account of the caller. What is absent in a request stays absent. */
import type { z } from 'zod';
import type { NewOrder, OrderName } from '#matching/trading/contract';
import { present } from './present.ts';
import type { newOrder } from './stream/views.ts';
import { accountOf, type TradingCaller } from './trading-auth.ts';

/** @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED */
export function orderOf(caller: TradingCaller, order: z.output<typeof newOrder>): NewOrder {
  return present({ ...order, accountId: accountOf(caller, order.accountId) });
}

interface AskedName {
  readonly accountId?: string | undefined;
  readonly orderId?: string | undefined;
  readonly clientOrderId?: string | undefined;
}
/** @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED */
export function nameOf(caller: TradingCaller, { accountId, orderId, clientOrderId }: AskedName): OrderName {
  return present({ accountId: accountOf(caller, accountId), orderId, clientOrderId });
}
