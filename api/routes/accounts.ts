/** Customer accounts: create, deposit address, balances, deposits. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { Operations } from '#workflows/contract';
import { type Authenticate, requireRole } from '../auth.ts';
import { apiRoles } from '../config.ts';
import * as s from './schemas.ts';

export function accountRoutes(operations: Operations, authenticate: Authenticate): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'PUT',
      url: '/v1/accounts/:accountId',
      schema: {
        operationId: 'createAccount',
        summary: 'Create a customer account; the same id again gives the same answer',
        params: z.object({ accountId: s.accountId }),
        response: { 200: z.object({ id: s.accountId, created: z.boolean() }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), ['trading']);
        const account = await operations.createAccount({ id: request.params.accountId });
        return { id: account.id, created: account.created };
      },
    });

    app.route({
      method: 'POST',
      url: '/v1/accounts/:accountId/deposit-address',
      schema: {
        operationId: 'depositAddress',
        summary: "The account's deposit address for an asset, recomputed from the co-signers' key statements",
        params: z.object({ accountId: s.accountId }),
        body: z.strictObject({ asset: s.asset }),
        response: {
          200: z.object({ address: s.address, asset: s.asset, path: z.string(), walletId: z.string() }),
          ...s.problems,
        },
      },
      handler: async (request) => {
        requireRole(authenticate(request), ['trading']);
        return await operations.depositAddress({
          accountId: request.params.accountId,
          asset: request.body.asset,
        });
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/accounts/:accountId/balances',
      schema: {
        operationId: 'balances',
        summary: 'Available, held and provisional balance per asset',
        params: z.object({ accountId: s.accountId }),
        response: { 200: z.object({ balances: z.array(s.balanceView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        return { balances: [...(await operations.balances(request.params.accountId))] };
      },
    });

    app.route({
      method: 'GET',
      url: '/v1/accounts/:accountId/deposits',
      schema: {
        operationId: 'deposits',
        summary: 'Deposits of an account, newest first',
        params: z.object({ accountId: s.accountId }),
        response: { 200: z.object({ deposits: z.array(s.depositView) }), ...s.problems },
      },
      handler: async (request) => {
        requireRole(authenticate(request), apiRoles);
        return { deposits: [...(await operations.deposits(request.params.accountId))] };
      },
    });
    done();
  };
}
