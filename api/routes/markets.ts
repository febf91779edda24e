/** Markets and their data: what the api's own copy of the engine shows, and past trades. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { marketStates } from '#matching/contract';
import { type MarketView, tradingLimits } from '#matching/trading/contract';
import { present } from '../present.ts';
import {
  bookView,
  candleView,
  decimal,
  engineState,
  interval,
  marketId,
  shows,
  tickerView,
  tradeView,
} from '../stream/views.ts';
import * as s from './schemas.ts';
import { pageLimit, plain, security, shown, signable, type TradingAccess, tradeId } from './trading.ts';

const ppm = z.number().int().describe('parts per million');
export const marketView = shows<MarketView>()(
  z.strictObject({
    id: marketId,
    base: s.asset,
    quote: s.asset,
    state: z.enum(marketStates),
    tickSize: decimal,
    lotSize: decimal,
    minSize: decimal,
    maxSize: decimal,
    maxValue: decimal.describe('of one order, in coins of the quote asset'),
    minPrice: decimal,
    maxPrice: decimal,
    bandLow: decimal.describe('limit prices below it are refused now'),
    bandHigh: decimal.describe('limit prices above it are refused now'),
    collarPpm: ppm.describe('how far from the best price a market order may go, parts per million'),
    fees: z.array(z.strictObject({ makerPpm: ppm, takerPpm: ppm })).describe('by fee tier of the account'),
    lastPrice: decimal.nullable(),
  }),
);
const current = { engine: engineState };
export const marketParams = z.object({ market: marketId });
const atMs = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional();
const one = { config: signable } as const;

export function marketRoutes({ allowed, trading }: TradingAccess): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets',
      schema: {
        operationId: 'markets',
        summary: 'The markets, their limits, fees and states',
        security,
        response: { 200: z.object({ markets: z.array(marketView.extend(current)) }), ...s.problems },
      },
      handler: (request) => {
        allowed(request, 'read');
        const operations = trading();
        return { markets: operations.markets().map((market) => shown(operations, market)) };
      },
    });

    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets/:market',
      schema: {
        operationId: 'market',
        summary: 'One market',
        security,
        params: marketParams,
        response: { 200: marketView.extend(current), ...s.problems },
      },
      handler: (request) => {
        allowed(request, 'read');
        const operations = trading();
        return shown(operations, operations.market(request.params.market));
      },
    });

    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets/:market/book',
      schema: {
        operationId: 'book',
        summary: 'The book by price, best first; deltas of the stream with a greater `seq` continue it',
        security,
        params: marketParams,
        querystring: z.strictObject({
          levels: z.coerce.number().int().min(1).max(tradingLimits.bookLevels).default(50),
        }),
        response: { 200: bookView.extend(current), ...s.problems },
      },
      handler: (request) => {
        allowed(request, 'read');
        const operations = trading();
        return shown(operations, operations.book(request.params.market, request.query.levels));
      },
    });

    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets/:market/trades',
      schema: {
        operationId: 'trades',
        summary: 'Trades, newest first; `before` is the last id of the page before',
        security,
        params: marketParams,
        querystring: z.strictObject({ before: tradeId.optional(), limit: pageLimit }),
        response: { 200: z.object({ trades: z.array(tradeView) }), ...s.problems },
      },
      handler: async (request) => {
        allowed(request, 'read');
        const found = await trading().trades(request.params.market, present(request.query));
        return { trades: found.map(plain) };
      },
    });

    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets/:market/ticker',
      schema: {
        operationId: 'ticker',
        summary: 'Last price, best bid and ask, and the last 24 hours',
        security,
        params: marketParams,
        response: { 200: tickerView.extend(current), ...s.problems },
      },
      handler: (request) => {
        allowed(request, 'read');
        const operations = trading();
        return shown(operations, operations.ticker(request.params.market));
      },
    });

    app.route({
      ...one,
      method: 'GET',
      url: '/v1/markets/:market/candles',
      schema: {
        operationId: 'candles',
        summary: 'Candles by start, the open one included; without a range the newest',
        security,
        params: marketParams,
        querystring: z.strictObject({
          interval,
          fromMs: atMs.describe('the first start'),
          toMs: atMs.describe('after the last start'),
          limit: z.coerce.number().int().min(1).max(tradingLimits.candles).default(100),
        }),
        response: { 200: z.object({ candles: z.array(candleView) }), ...s.problems },
      },
      handler: async (request) => {
        allowed(request, 'read');
        const found = await trading().candles(request.params.market, present(request.query));
        return { candles: found.map(plain) };
      },
    });
    done();
  };
}
