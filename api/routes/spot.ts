/** Spot accounts: what can be traded with, and how it comes there from the main account and goes back. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { errorsOf } from '#core/errors';
import { parseId } from '#core/ids';
import { assetId } from '#core/money';
import { rejectReasons } from '#matching/contract';
import { type SpotTransferView, tradingErrors } from '#matching/trading/contract';
import { accountSnapshot, engineState, ownAccount, shows } from '../stream/views.ts';
import * as s from './schemas.ts';
import { plain, security, shown, signable, type TradingAccess } from './trading.ts';

const fail = errorsOf(tradingErrors);
const base = { config: signable } as const;
const transferId = s.idOf('spt').describe('made by the caller; the idempotency key');
const params = z.object({ transferId });
/** Longer than any amount, so that one that is too large is told so, with the most there may be. */
const unitsCharactersMax = 200;
const transferUnits = z
  .string()
  .max(unitsCharactersMax, `the amount is too large: more than ${unitsCharactersMax} digits`)
  .regex(/^[1-9][0-9]*$/, 'a whole number of base units above zero, without sign, point or exponent');
const direction = z.enum(['to-spot', 'to-main']);
const transferView = shows<SpotTransferView>()(
  z.strictObject({
    id: transferId,
    accountId: s.accountId,
    asset: s.asset,
    units: s.units,
    direction,
    state: z
      .enum(['pending', 'done', 'returned', 'refused'])
      .describe(
        'pending: taken and on its way; done: can be used where it went; returned: back in the main account; refused: nothing was moved',
      ),
    refusal: z.enum(rejectReasons).optional().describe('why the engine refused it; only there when it did'),
  }),
);

export function spotRoutes({ account, allowed, trading }: TradingAccess): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      ...base,
      method: 'GET',
      url: '/v1/accounts/:accountId/spot',
      schema: {
        operationId: 'spotAccount',
        summary: 'Open orders and balances of a spot account; the stream goes on from its `seq`',
        security,
        params: z.object({ accountId: s.accountId }),
        response: { 200: accountSnapshot.extend({ engine: engineState }), ...s.problems },
      },
      handler: async (request) => {
        const accountId = account(request, 'read', request.params.accountId);
        const operations = trading();
        const snapshot = await operations.account(accountId);
        return shown(operations, snapshot);
      },
    });

    app.route({
      ...base,
      method: 'PUT',
      url: '/v1/spot-transfers/:transferId',
      schema: {
        operationId: 'moveSpot',
        summary: 'Move between main and spot account; safe to repeat with the same id',
        security,
        params,
        body: z.strictObject({
          accountId: ownAccount,
          asset: s.asset,
          units: transferUnits,
          direction,
        }),
        response: { 200: transferView, ...s.problems },
      },
      handler: async (request) => {
        const { asset, units } = request.body;
        const accountId = account(request, 'transfer', request.body.accountId);
        const view = await trading().moveSpot({
          id: parseId('spt', request.params.transferId),
          accountId,
          asset: assetId(asset),
          units,
          direction: request.body.direction,
        });
        return plain(view);
      },
    });

    app.route({
      ...base,
      method: 'GET',
      url: '/v1/spot-transfers/:transferId',
      schema: {
        operationId: 'spotTransfer',
        summary: 'How far a transfer between main and spot is',
        security,
        params,
        response: { 200: transferView, ...s.problems },
      },
      handler: async (request) => {
        const { accounts } = allowed(request, 'read');
        const id = parseId('spt', request.params.transferId);
        const view = await trading().spotTransfer(id);
        // Another's is as unknown as none.
        if (accounts !== 'all' && !accounts.has(view.accountId))
          throw fail('TRADING_TRANSFER_UNKNOWN', `no transfer between main and spot ${id}`);
        return plain(view);
      },
    });
    done();
  };
}
