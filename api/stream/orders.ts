/** Order entry: a message to the call of trading it stands for, for an account of the caller. What is absent stays absent. */
import type { OrderOutcome, TradingOperations } from '#matching/trading/contract';
import { nameOf, orderOf } from '../callers-order.ts';
import { type BatchAnswer, cancelBatch, placeBatch } from '../order-batch.ts';
import { present } from '../present.ts';
import type { Problem } from '../problem.ts';
import { accountOf, type TradingCaller } from '../trading-auth.ts';
import type { OrderRequest } from './messages.ts';

export interface OrderAsk {
  readonly caller: TradingCaller;
  readonly request: OrderRequest;
  /** Of one order of a batch, as its sender is told. */
  readonly problemOf: (error: Error) => Problem;
}

/** How many orders a message is, or could be. */
export const ordersIn = (request: OrderRequest): number => ('orders' in request ? request.orders.length : 1);

/** @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED, and what the call of trading throws */
export async function runOrder(
  trading: Pick<TradingOperations, 'place' | 'placeAll' | 'amend' | 'cancel' | 'cancelEach' | 'cancelAll'>,
  { caller, request, problemOf }: OrderAsk,
): Promise<OrderOutcome | BatchAnswer | { readonly cancelled: number }> {
  switch (request.op) {
    case 'place':
      return await trading.place(orderOf(caller, request.order));
    case 'place-batch':
      return await placeBatch(trading, { caller, orders: request.orders, problemOf });
    case 'cancel-batch':
      return await cancelBatch(trading, { caller, orders: request.orders, problemOf });
    case 'amend':
      return await trading.amend(
        nameOf(caller, request),
        present({ price: request.price, size: request.size }),
      );
    case 'cancel':
      return await trading.cancel(nameOf(caller, request));
    case 'cancel-all':
      return await trading.cancelAll(
        present({ accountId: accountOf(caller, request.accountId), market: request.market }),
      );
  }
}
