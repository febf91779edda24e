/**
 * Orders that come together, over REST and over the stream: the same form, limits and permissions, and the same answer. Whatever
 * its size a batch counts as one request of the caller's rate; the engine's own limits count each order.
 */
import { z } from 'zod';
import { type OrderOutcome, type TradingOperations, tradingLimits } from '#matching/trading/contract';
import { nameOf, orderOf } from './callers-order.ts';
import { type Problem, problemSchema } from './problem.ts';
import { newOrder, orderName, orderOutcome } from './stream/views.ts';
import type { TradingCaller } from './trading-auth.ts';

const batchOf = <S extends z.ZodType>(item: S) => z.array(item).min(1).max(tradingLimits.batchOrders);
export const orderBatch = { orders: batchOf(newOrder) };
export const nameBatch = { orders: batchOf(z.strictObject(orderName)) };
export const batchAnswer = z.strictObject({
  results: z
    .array(z.union([z.strictObject({ ok: orderOutcome }), z.strictObject({ problem: problemSchema })]))
    .describe('of the order at the same place; each stands for itself'),
});

export interface BatchAnswer {
  readonly results: readonly ({ readonly ok: OrderOutcome } | { readonly problem: Problem })[];
}
type BatchTrading = Pick<TradingOperations, 'placeAll' | 'cancelEach'>;
interface Batch<T> {
  readonly caller: TradingCaller;
  readonly orders: readonly T[];
  /** Of one order's refusal, as it is told to whoever asked. */
  readonly problemOf: (error: Error) => Problem;
}

/** @throws API_ACCOUNT_FORBIDDEN, API_ACCOUNT_NEEDED: a batch for another's account is refused whole; what concerns all orders */
export async function placeBatch(
  trading: BatchTrading,
  { caller, orders, problemOf }: Batch<Parameters<typeof orderOf>[1]>,
): Promise<BatchAnswer> {
  return answerOf(await trading.placeAll(orders.map((order) => orderOf(caller, order))), problemOf);
}

/** @throws as `placeBatch` */
export async function cancelBatch(
  trading: BatchTrading,
  { caller, orders, problemOf }: Batch<Parameters<typeof nameOf>[1]>,
): Promise<BatchAnswer> {
  return answerOf(await trading.cancelEach(orders.map((name) => nameOf(caller, name))), problemOf);
}

function answerOf(
  outcomes: readonly (OrderOutcome | Error)[],
  problemOf: (error: Error) => Problem,
): BatchAnswer {
  return {
    results: outcomes.map((outcome) =>
      outcome instanceof Error ? { problem: problemOf(outcome) } : { ok: outcome },
    ),
  };
}
