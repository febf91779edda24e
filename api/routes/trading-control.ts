/** The switches of operators: a market's state and price band, an account's block and fee tier. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { parseId } from '#core/ids';
import { feeTiersMax, marketStates } from '#matching/contract';
import type { Access } from '../access.ts';
import { requireRole } from '../auth.ts';
import { number } from '../stream/views.ts';
import { marketParams, marketView } from './markets.ts';
import * as s from './schemas.ts';
import { plain, type TradingAccess } from './trading.ts';

const operators = ['treasury', 'compliance'] as const;
const accountSettings = z.strictObject({
  blocked: z.boolean().describe('no new orders, amends and transfers to main; cancels go on'),
  feeTier: z
    .number()
    .int()
    .min(0)
    .max(feeTiersMax - 1),
});

export function tradingControlRoutes(
  { trading }: TradingAccess,
  { authenticate }: Access,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'PUT',
      url: '/v1/markets/:market/state',
      schema: {
        operationId: 'setMarketState',
        summary: 'Open, halt or close a market, or begin an auction; orders stay',
        params: marketParams,
        body: z.strictObject({ state: z.enum(marketStates) }),
        response: { 200: marketView, ...s.problems },
      },
      handler: async (request) => {
        const { name: by } = operator(request);
        const view = await trading().setMarketState(request.params.market, request.body.state);
        request.log.info({ by, market: view.id, state: view.state }, 'trading.market-state');
        return plain(view);
      },
    });

    app.route({
      method: 'PUT',
      url: '/v1/markets/:market/band',
      schema: {
        operationId: 'setMarketBand',
        summary: 'The prices that limit orders may have from now on; orders outside of it stay',
        params: marketParams,
        body: z.strictObject({ low: number, high: number }),
        response: { 200: marketView, ...s.problems },
      },
      handler: async (request) => {
        const { name: by } = operator(request);
        const view = await trading().setBand(request.params.market, request.body);
        request.log.info(
          { by, market: view.id, low: view.bandLow, high: view.bandHigh },
          'trading.market-band',
        );
        return plain(view);
      },
    });

    app.route({
      method: 'PUT',
      url: '/v1/accounts/:accountId/trading',
      schema: {
        operationId: 'setTradingAccount',
        summary: 'Block an account from trading or let it trade again, and its fee tier',
        params: z.object({ accountId: s.accountId }),
        body: accountSettings,
        response: { 200: accountSettings, ...s.problems },
      },
      handler: async (request) => {
        const { name: by } = operator(request);
        const { accountId } = request.params;
        const settings = await trading().setAccount(parseId('acc', accountId), request.body);
        request.log.info({ by, accountId, ...settings }, 'trading.account-settings');
        return plain(settings);
      },
    });
    done();
  };

  function operator(request: Parameters<typeof authenticate>[0]) {
    const caller = authenticate(request);
    requireRole(caller, operators);
    return caller;
  }
}
