/** Order entry: a message to the call of trading it stands for, for an account of the caller. What is absent stays absent. */
import type { OrderOutcome, TradingOperations } from '#matching/trading/contract';
import { nameOf, orderOf } from '../callers-order.ts';
import { present } from '../present.ts';
import { accountOf, type TradingCaller } from '../trading-auth.ts';
import type { OrderRequest } from './messages.ts';

/** @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED, and what the call of trading throws */
export async function runOrder(
  trading: Pick<TradingOperations, 'place' | 'amend' | 'cancel' | 'cancelAll'>,
  caller: TradingCaller,
  request: OrderRequest,
): Promise<OrderOutcome | { readonly cancelled: number }> {
  switch (request.op) {
    case 'place':
      return await trading.place(orderOf(caller, request.order));
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
