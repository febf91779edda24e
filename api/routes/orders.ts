/** Orders: place, amend, cancel, look at them, and their fills. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { nameOf, orderOf } from '../callers-order.ts';
import { batchAnswer, cancelBatch, nameBatch, orderBatch, placeBatch } from '../order-batch.ts';
import { present } from '../present.ts';
import { problemOfError } from '../problem.ts';
import {
  fillView,
  marketId,
  newOrder,
  orderChange,
  orderName,
  orderOutcome,
  orderView,
  ownAccount,
} from '../stream/views.ts';
import * as s from './schemas.ts';
import { orderId, pageLimit, plain, security, signable, type TradingAccess, tradeId } from './trading.ts';

const base = { config: signable } as const;
const named = 'the order by `orderId` or `clientOrderId`, exactly one of them';

/** Everything that changes orders. */
export function orderEntryRoutes({ allowed, account, trading }: TradingAccess): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      ...base,
      method: 'POST',
      url: '/v1/orders',
      schema: {
        operationId: 'placeOrder',
        summary:
          'Place an order; the answer is durable. With a `clientOrderId` it is safe to repeat: one that is taken is refused',
        security,
        body: newOrder,
        response: { 200: orderOutcome, ...s.problems },
      },
      handler: async (request) => {
        const order = orderOf(allowed(request, 'trade'), request.body);
        return plain(await trading().place(order));
      },
    });

    app.route({
      ...base,
      method: 'POST',
      url: '/v1/orders/batch',
      schema: {
        operationId: 'placeOrders',
        summary: 'Place several orders, one after the other with nothing between them',
        security,
        body: z.strictObject(orderBatch),
        response: { 200: batchAnswer, ...s.problems },
      },
      handler: async (request) => {
        const caller = allowed(request, 'trade');
        const { orders } = request.body;
        const problemOf = (error: Error) => problemOfError(error, request);
        return plain(await placeBatch(trading(), { caller, orders, problemOf }));
      },
    });

    app.route({
      ...base,
      method: 'POST',
      url: '/v1/orders/cancel-batch',
      schema: {
        operationId: 'cancelOrders',
        summary: 'Cancel several orders by their names, one after the other with nothing between them',
        security,
        body: z.strictObject(nameBatch),
        response: { 200: batchAnswer, ...s.problems },
      },
      handler: async (request) => {
        const caller = allowed(request, 'trade');
        const { orders } = request.body;
        const problemOf = (error: Error) => problemOfError(error, request);
        return plain(await cancelBatch(trading(), { caller, orders, problemOf }));
      },
    });

    app.route({
      ...base,
      method: 'PATCH',
      url: '/v1/orders',
      schema: {
        operationId: 'amendOrder',
        summary: `Change price or total size of ${named}; less at the same price keeps its priority`,
        security,
        body: z.strictObject({ ...orderName, ...orderChange }),
        response: { 200: orderOutcome, ...s.problems },
      },
      handler: async (request) => {
        const { price, size, ...name } = request.body;
        const order = nameOf(allowed(request, 'trade'), name);
        return plain(await trading().amend(order, present({ price, size })));
      },
    });

    app.route({
      ...base,
      method: 'DELETE',
      url: '/v1/orders',
      schema: {
        operationId: 'cancelOrder',
        summary: `Cancel ${named}`,
        security,
        querystring: z.strictObject(orderName),
        response: { 200: orderOutcome, ...s.problems },
      },
      handler: async (request) => {
        const order = nameOf(allowed(request, 'trade'), request.query);
        return plain(await trading().cancel(order));
      },
    });

    app.route({
      ...base,
      method: 'POST',
      url: '/v1/orders/cancel-all',
      schema: {
        operationId: 'cancelAllOrders',
        summary: 'Cancel all orders of an account, in one market or in all',
        security,
        body: z.strictObject({ accountId: ownAccount, market: marketId.optional() }),
        response: { 200: z.object({ cancelled: z.number().int() }), ...s.problems },
      },
      handler: async (request) => {
        const accountId = account(request, 'trade', request.body.accountId);
        return plain(await trading().cancelAll(present({ accountId, market: request.body.market })));
      },
    });
    done();
  };
}

export function orderViewRoutes({ allowed, account, trading }: TradingAccess): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      ...base,
      method: 'GET',
      url: '/v1/orders',
      schema: {
        operationId: 'openOrders',
        summary: 'Open orders by id, oldest first; `after` is the last id of the page before',
        security,
        querystring: z.strictObject({
          accountId: ownAccount,
          market: marketId.optional(),
          after: orderId.optional(),
          limit: pageLimit,
        }),
        response: { 200: z.object({ orders: z.array(orderView) }), ...s.problems },
      },
      handler: async (request) => {
        const accountId = account(request, 'read', request.query.accountId);
        const found = await trading().openOrders(present({ ...request.query, accountId }));
        return { orders: found.map(plain) };
      },
    });

    app.route({
      ...base,
      method: 'GET',
      url: '/v1/orders/one',
      schema: {
        operationId: 'openOrder',
        summary: `Look at ${named}; one that has ended is unknown`,
        security,
        querystring: z.strictObject(orderName),
        response: { 200: orderView, ...s.problems },
      },
      handler: async (request) => {
        const order = nameOf(allowed(request, 'read'), request.query);
        return plain(await trading().order(order));
      },
    });

    app.route({
      ...base,
      method: 'GET',
      url: '/v1/fills',
      schema: {
        operationId: 'fills',
        summary:
          'Settled fills of an account, newest first; `before` is the last trade id of the page before',
        security,
        querystring: z.strictObject({
          accountId: ownAccount,
          market: marketId.optional(),
          before: tradeId.optional(),
          limit: pageLimit,
        }),
        response: { 200: z.object({ fills: z.array(fillView) }), ...s.problems },
      },
      handler: async (request) => {
        const accountId = account(request, 'read', request.query.accountId);
        const found = await trading().fills(present({ ...request.query, accountId }));
        return { fills: found.map(plain) };
      },
    });
    done();
  };
}
