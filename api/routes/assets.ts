/** The assets of the configured chains. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Authenticate, requireRole } from '../auth.ts';
import { apiRoles } from '../config.ts';
import * as s from './schemas.ts';

const assetView = z.object({
  asset: s.asset,
  chain: z.string().describe('CAIP-2 chain id'),
  decimals: z.number().int().describe('for display only; the API speaks base units'),
});
export type AssetView = z.output<typeof assetView>;

export function assetRoutes(
  assets: readonly AssetView[],
  authenticate: Authenticate,
): FastifyPluginCallbackZod {
  return (app, _options, done) => {
    app.route({
      method: 'GET',
      url: '/v1/assets',
      schema: {
        operationId: 'assets',
        summary: 'The assets that can be deposited and withdrawn',
        response: { 200: z.object({ assets: z.array(assetView) }), ...s.problems },
      },
      handler: (request) => {
        requireRole(authenticate(request), apiRoles);
        return { assets: [...assets] };
      },
    });
    done();
  };
}
